"""Routes of the audit, of breaking the glass, and of the alerts it raises."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from gateway.access.glass import Alert, break_glass, load_alerts
from gateway.access.policy import TECHNICAL_ACTIONS, Action
from gateway.access.roles import Role
from gateway.api.bodies import LARGEST, After, AfterNumber, Limit, Reason
from gateway.api.desk import Ask, Asked
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.audit.deed import Stream
from gateway.audit.read import AuditEntry, EntryFilter, VerifyReport, iter_entries, verify

routes = APIRouter(tags=["аудит"])

Code = Annotated[str | None, Query(max_length=200, pattern=r"^[A-Za-z0-9_.:/-]+$")]


class GlassBroken(msgspec.Struct, frozen=True, kw_only=True):
    """Until when names are shown."""

    ends_at: datetime


@routes.get("/audit", response_model=page_of(AuditEntry))
def list_entries(
    asked: Annotated[Asked, Depends(Ask(Action.AUDIT_READ))],
    stream: Literal["deeds", "access"] = "deeds",
    action: Code = None,
    actor: Code = None,
    subject: Code = None,
    run: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
    after: After = 0,
    limit: Limit = 100,
) -> Response:
    """Записи аудита: люди в них псевдонимы. Администратору только технические."""
    where = EntryFilter(
        stream=stream,
        action=action,
        actor=actor,
        subject=subject,
        run_id=run,
        after_seq=after,
        limit=limit,
        beginnings=TECHNICAL_ACTIONS if asked.principal.role is Role.ADMIN else (),
    )
    found = list(iter_entries(asked.gateway.store, where))
    return send_page(found, found[-1].seq if len(found) == limit else None)


@routes.get("/audit/verification", response_model=shape_of(VerifyReport))
def verify_chain(asked: Annotated[Asked, Depends(Ask(Action.AUDIT_VERIFY))], stream: Stream = "deeds") -> Response:
    """Цела ли цепочка: пройдена от первой записи, первое нарушенное звено названо."""
    return send(verify(asked.gateway.store, stream))


@routes.post("/glass", status_code=201, response_model=shape_of(GlassBroken))
def open_glass(body: Reason, asked: Annotated[Asked, Depends(Ask(Action.GLASS_BREAK))]) -> Response:
    """Открыть имена на час с письменной причиной; директор и завуч узнают об этом."""
    gateway = asked.gateway
    lasts = timedelta(minutes=gateway.settings.access.glass_minutes)
    ends_at = break_glass(gateway.store, gateway.audit, asked.principal, reason=body.reason, lasts=lasts)
    return send(GlassBroken(ends_at=ends_at), 201)


@routes.get("/alerts", response_model=page_of(Alert))
def list_alerts(
    asked: Annotated[Asked, Depends(Ask(Action.ALERTS_READ))], after: AfterNumber = 0, limit: Limit = 50
) -> Response:
    """О чём должны знать завуч и директор: кто открывал имена, когда и почему."""
    with asked.gateway.store.read() as conn:
        found = load_alerts(conn, asked.scope, before=after, limit=limit)
    return send_page(found, found[-1].id if len(found) == limit else None)
