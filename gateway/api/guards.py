"""Route of the guards' trial: what other limits would have held on past nights; changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.access.policy import Action
from gateway.api.desk import Ask, Asked
from gateway.api.shapes import send, shape_of
from gateway.bootstrap.limits import build_lane_limits
from gateway.reconcile.lanes import LaneLimits
from gateway.report.guards import Trial, iter_trials

routes = APIRouter(tags=["защита"])

_MOST = 10**9
Share = Annotated[float, Field(ge=0, le=_MOST)]
Count = Annotated[int, Field(ge=0, le=_MOST)]


class TriedLimits(BaseModel):
    """Limits in the place of the settings'; what is not named stays as it is set."""

    model_config = ConfigDict(extra="forbid")

    nights: Annotated[int, Field(ge=1, le=366, description="За сколько последних суток.")] = 30
    minimum_count: Count | None = None
    create_ratio: Share | None = None
    first_count: Count | None = None
    change_ratio: Share | None = None
    change_count: Count | None = None
    delete_ratio: Share | None = None
    delete_count: Count | None = None
    past_count: Count | None = None
    average_shift: Share | None = None
    period_mark_count: Count | None = None
    average_marks: Count | None = None


class TriedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One stored plan: what today's limits hold, what the tried ones would, and where the two differ."""

    plan: Trial
    newly_held: list[str]
    newly_free: list[str]


class Trials(msgspec.Struct, frozen=True, kw_only=True):
    """Every plan of those nights, the oldest first, under the limits of today and under the tried ones."""

    limits: LaneLimits
    tried: LaneLimits
    plans: list[TriedPlan]


@routes.get("/guards/trial", response_model=shape_of(Trials))
def try_limits(
    asked: Annotated[Asked, Depends(Ask(Action.GUARDS_TRY))], wanted: Annotated[TriedLimits, Query()]
) -> Response:
    """Проиграть сохранённые планы с другими пределами: что было бы удержано. Ничего не меняет."""
    limits = build_lane_limits(asked.gateway.settings)
    given = wanted.model_dump(exclude={"nights"}, exclude_none=True)
    tried = msgspec.convert({**msgspec.structs.asdict(limits), **given}, LaneLimits)
    with asked.gateway.store.read() as conn:
        since = asked.gateway.store.now(conn) - timedelta(days=wanted.nights)
        found = list(iter_trials(conn, asked.place_id, since=since, limits=limits, tried=tried))
    plans = [TriedPlan(plan=one, newly_held=one.newly_held, newly_free=one.newly_free) for one in found]
    return send(Trials(limits=limits, tried=tried, plans=plans))
