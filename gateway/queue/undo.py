"""What a run has carried out, beside how it stands now: the material of its undo, one scope at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from gateway.domain.identifiers import Kind
from gateway.domain.reasons import ENTER_BY_HAND, IN_FLIGHT, UNDO_OTHER_CHILD, UNDO_UNPROVEN
from gateway.queue.states import IN_FLIGHT as FLYING
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.reconcile.compare import Category, Decision
from gateway.reconcile.joins import same_object, same_record
from gateway.reconcile.resolve import Item
from gateway.reconcile.same_child import Children
from gateway.reconcile.tables import base, plan, shadow
from gateway.reconcile.triples import Triple
from gateway.reconcile.undo import Now, Wrote, invert

_UNPROVEN = {
    State.BY_HAND.value: Decision(Category.WAITING, ENTER_BY_HAND),
    State.PARKED.value: Decision(Category.HELD, UNDO_UNPROVEN),
}


class ScopeWritten(msgspec.Struct, frozen=True, kw_only=True):
    """A scope that a run wrote to; `sample` is one of its intents, to know the group by."""

    scope: str
    kind: str
    sample: bytes


def load_scopes_written(conn: Connection, place_id: int, run_id: int) -> list[ScopeWritten]:
    """Load the scopes to which a run's operations belong, in order of their names."""
    first = (
        select(func.min(operation.c.id))
        .where(
            operation.c.place_id == place_id,
            operation.c.run_id == run_id,
            operation.c.state != State.SUPERSEDED.value,
        )
        .group_by(operation.c.scope, operation.c.kind)
    )
    rows = conn.execute(
        select(operation.c.scope, operation.c.kind, operation.c.intent)
        .where(operation.c.id.in_(first))
        .order_by(operation.c.scope, operation.c.kind)
    )
    return [ScopeWritten(scope=row.scope, kind=row.kind, sample=row.intent) for row in rows]


def iter_inverse(
    conn: Connection, place_id: int, run_id: int, scope: str, *, is_read: bool, children: Children
) -> Iterator[Item]:
    """Yield the inverse of everything that a run did in a scope, and what of it stays as it is, with the reason.

    The gate is `none` throughout; the guards set it.

    Args:
        conn: Any transaction.
        place_id: Where we are.
        run_id: The run to be undone.
        scope: One that it wrote to.
        is_read: The scope's city side was read whole just now.
        children: Whose each profile is now.
    """
    rows = _load(conn, place_id, run_id, scope)
    newcomers = _load_newcomers(conn, place_id, scope, [row for row in rows if row.op == "delete"])
    busy = _load_busy(conn, place_id, scope)
    for row in rows:
        decided = _UNPROVEN.get(row.state)
        if row.state == State.VERIFIED.value:
            decided = _invert(row, is_read=is_read, busy=busy, newcomers=newcomers)
        item = _to_item(row, decided or Decision(Category.WAITING, IN_FLIGHT))
        yield item if _is_same_child(item, row, children) else _left(item)


def _load(conn: Connection, place_id: int, run_id: int, scope: str) -> Sequence[Row[Any]]:
    """A run's operations of a scope, the last of each record, beside base, the city's object and what came after."""
    newer = operation.alias()
    newest = (
        select(func.max(newer.c.id))
        .where(
            newer.c.place_id == place_id,
            newer.c.kind == operation.c.kind,
            newer.c.ref == operation.c.ref,
            newer.c.state == State.VERIFIED.value,
        )
        .correlate(operation)
        .scalar_subquery()
    )
    last = operation.alias()
    own = operation.alias()
    of_run = (
        select(func.max(own.c.id))
        .where(
            own.c.place_id == place_id,
            own.c.run_id == run_id,
            own.c.scope == scope,
            own.c.state != State.SUPERSEDED.value,
        )
        .group_by(own.c.kind, own.c.ref)
    )
    return conn.execute(
        select(
            operation,
            base.c.digest.label("b_digest"),
            base.c.city_id.label("b_city_id"),
            base.c.object_key.label("b_key"),
            base.c.intent.label("b_intent"),
            shadow.c.digest.label("s_digest"),
            shadow.c.object_key.label("s_key"),
            last.c.id.label("last_id"),
            plan.c.undoes.label("last_undoes"),
        )
        .select_from(
            operation.outerjoin(
                base,
                same_record(base, operation),
            )
            .outerjoin(
                shadow,
                same_object(),
            )
            .outerjoin(last, last.c.id == newest)
            .outerjoin(plan, plan.c.id == last.c.plan_id)
        )
        .where(operation.c.id.in_(of_run))
        .order_by(operation.c.kind, operation.c.ref)
    ).all()


def _load_newcomers(
    conn: Connection, place_id: int, scope: str, rows: Sequence[Row[Any]]
) -> Mapping[tuple[str, str], Collection[int]]:
    """(kind, cell) → what stands there and is no record's of ours."""
    if not rows:
        return {}
    found: dict[tuple[str, str], set[int]] = {}
    for row in conn.execute(
        select(shadow.c.kind, shadow.c.object_key, shadow.c.city_id)
        .select_from(
            shadow.outerjoin(
                base,
                same_object(),
            )
        )
        .where(shadow.c.place_id == place_id, shadow.c.scope == scope, base.c.ref.is_(None))
    ):
        found.setdefault((row.kind, row.object_key), set()).add(row.city_id)
    return found


def _load_busy(conn: Connection, place_id: int, scope: str) -> frozenset[tuple[str, str]]:
    rows = conn.execute(
        select(operation.c.kind, operation.c.ref).where(
            operation.c.place_id == place_id,
            operation.c.scope == scope,
            operation.c.state.in_((*(state.value for state in FLYING), State.BY_HAND.value)),
        )
    )
    return frozenset((row.kind, row.ref) for row in rows)


def _invert(
    row: Row[Any],
    *,
    is_read: bool,
    busy: Collection[tuple[str, str]],
    newcomers: Mapping[tuple[str, str], Collection[int]],
) -> Decision:
    is_in_cell = row.s_key == row.b_key or row.kind == Kind.HOMEWORK.value
    beside = set(newcomers.get((row.kind, row.object_key), ())) - set(row.ids_before)
    return invert(
        Wrote(
            kind=row.kind,
            op=row.op,
            before=row.base_digest,
            after=None if row.op == "delete" else row.intent_digest,
        ),
        Now(
            base=row.b_digest,
            theirs=row.s_digest if is_in_cell else None,
            is_read=is_read,
            is_newest=row.last_id == row.id or row.last_undoes is not None,
            is_busy=(row.kind, row.ref) in busy,
            has_newcomer=row.op == "delete" and bool(beside),
        ),
    )


def _is_same_child(item: Item, row: Row[Any], children: Children) -> bool:
    """Whether what is put back would stand at whom the run wrote to; what is taken away may be anybody's by now."""
    if item.triple.intent is None or item.decision.op is None:
        return True
    return children.are_same(row.kind, row.ref, item.triple.intent, since=row.created_at)


def _left(item: Item) -> Item:
    return msgspec.structs.replace(item, decision=Decision(Category.HELD, UNDO_OTHER_CHILD))


def _to_item(row: Row[Any], decided: Decision) -> Item:
    """What was deleted comes back as it was sent away; what was changed gets back what it was agreed on before."""
    back = row.intent if row.op == "delete" else row.old if row.op == "change" else None
    return Item(
        triple=Triple(
            kind=row.kind,
            ref=row.ref,
            scope=row.scope,
            state=None,
            reason="",
            ours=row.base_digest,
            base=row.b_digest,
            theirs=row.s_digest,
            city_id=row.b_city_id,
            object_key=row.b_key or row.object_key,
            intent=back,
            old=row.b_intent,
            on_date=row.on_date,
            due_on=None,
        ),
        decision=decided,
        gate="none",
        city_id=row.b_city_id,
    )


__all__ = ["ScopeWritten", "iter_inverse", "load_scopes_written"]
