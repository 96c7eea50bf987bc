"""Which decisions stand: of each scope those of the newest plan that looked at it, not those of the newest plan.

A plan of one class says nothing about the others, a dry run was never meant, and a plan that takes a run back or sets a
link right decides what to remove and not what waits. A plan that looked at some pupils or days of a scope replaces only
the records that it names: what it found settled it does not write down, and that stays until the scope is read whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, exists, false, func, or_, select, true, union_all

from gateway.connectors.port import CityDirectory, Want
from gateway.domain.identifiers import SENT_KINDS
from gateway.reconcile.tables import city_directory, decision, decision_scope, plan, relink, run

PLANS_COUNT = 500
"""Plans looked back at most; a school reads itself whole every night, and plans of parts are some dozens between."""
_SENT = frozenset(kind.value for kind in SENT_KINDS)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Plans that together say what stands, the newest first.

    Attributes:
        whole: Plans that decided the scopes in them whole.
        partial: Plans that looked at some pupils or days only.
        floors: Kind → the newest plan that decided every scope of it; older plans say nothing about the kind.
    """

    whole: Sequence[int]
    partial: Sequence[int]
    floors: Mapping[str, int]


def load_standing(conn: Connection, place_id: int) -> Standing:
    """Load which plans count, back to where every kind was decided whole."""
    year_begins = _load_year_begins(conn, place_id)
    rows = conn.execute(
        select(plan.c.id, run.c.want)
        .select_from(plan.outerjoin(run, run.c.id == plan.c.run_id))
        .where(
            plan.c.place_id == place_id,
            plan.c.hash.is_not(None),
            plan.c.is_dry_run.is_(False),
            plan.c.undoes.is_(None),
            ~exists().where(relink.c.plan_id == plan.c.id),
        )
        .order_by(plan.c.id.desc())
        .limit(PLANS_COUNT)
    )
    whole, partial, floors = [], [], dict[str, int]()
    for row in rows:
        # a run that kept no wish asked for everything
        want = msgspec.convert(row.want, Want) if row.want else None
        if want is not None and (want.pupils or (year_begins is not None and want.from_on > year_begins)):
            partial.append(row.id)
            continue
        whole.append(row.id)
        if want is None or not want.is_narrow:
            for kind in _SENT if want is None else _SENT & {kind.value for kind in want.kinds}:
                floors.setdefault(kind, row.id)
        if floors.keys() == _SENT:
            break
    return Standing(whole=whole, partial=partial, floors=floors)


def stands(standing: Standing) -> ColumnElement[bool]:
    """Whether a row of `decision` is of the newest plan that decided it."""
    plans = [*standing.whole, *standing.partial]
    if not plans:
        return false()
    # once for all scopes: a question for each row would walk the plan's rows as often
    looked: Any = union_all(
        *(
            select(rows.c.scope, rows.c.plan_id).where(rows.c.plan_id.in_(standing.whole))
            for rows in (decision, decision_scope)
        )
    ).subquery()
    newest = select(looked.c.scope, func.max(looked.c.plan_id).label("plan_id")).group_by(looked.c.scope).subquery()
    older = exists().where(newest.c.scope == decision.c.scope, newest.c.plan_id > decision.c.plan_id)
    later = decision.alias()
    named = exists().where(
        later.c.kind == decision.c.kind,
        later.c.ref == decision.c.ref,
        later.c.plan_id > decision.c.plan_id,
        later.c.plan_id.in_(standing.partial),
    )
    floors = [and_(decision.c.kind == kind, decision.c.plan_id < floor) for kind, floor in standing.floors.items()]
    return and_(
        decision.c.plan_id.in_(plans),
        ~or_(*floors) if floors else true(),
        ~older if standing.whole else true(),
        ~named if standing.partial else true(),
    )


def _load_year_begins(conn: Connection, place_id: int) -> Any:
    body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one_or_none()
    return None if body is None else msgspec.json.decode(body, type=CityDirectory).year.begins_on
