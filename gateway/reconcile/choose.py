"""A person's choices about discrepancies, carried into base and corrections; many at once, in the caller's transaction.

What moved since it was shown drops out and is told, like a plan's items (law 2). Nothing here writes to the city.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Row,
    and_,
    bindparam,
    case,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    update,
)

from gateway.domain.city import Atom, Intent, MarkAtom
from gateway.domain.discrepancies import PUT_ASIDE, Choice, DiscrepancyState, DiscrepancyType
from gateway.domain.identifiers import Kind
from gateway.domain.records import to_body
from gateway.mapping.atoms import atom_digest, atom_of_city, atom_of_intent, canonical_value, with_atom
from gateway.reconcile.discrepancies import Effect, find_effect, is_fixed_to_cell
from gateway.reconcile.joins import same_record, these
from gateway.reconcile.laid_down import NO_DIGEST, move_bases, store_bases, store_corrections
from gateway.reconcile.resolve import CITY_TYPES, INTENT_TYPES
from gateway.reconcile.snapshot import PORTAL_SIDE
from gateway.reconcile.tables import (
    apart,
    base,
    discrepancy,
    discrepancy_step,
    intended,
    plan,
    record,
    scope_memo,
    scope_state,
    shadow,
)
from gateway.reconcile.triples import COMPARED
from gateway.store.among import among, listed
from gateway.store.metadata import UtcDateTime
from gateway.store.transaction import upsert

_JUDGED = ("kind", "type", "state")
_NEEDED = ("scope", "city_id", "changed_at", "intent", "city_body")
_ELSEWHERE, _STANDING, _HAS_OURS, _HAS_THEIRS, _AGREED_THERE = 1, 2, 4, 8, 16
"""What is read of the legs, in one number: thousands of rows of it are read and told apart sooner than of five columns."""
_OF_NO_RUN = 0
"""Run of what came outside of any: the planner's push."""


class Excluded(msgspec.Struct, frozen=True):
    """A discrepancy that a choice did not take, and why: moved, chosen, in_flight, being_settled, not_offered, not_permitted, settled,
    shared, failed, unknown.
    """

    id: int
    why: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a person had before him when he chose.

    Attributes:
        changes: Discrepancy → its `changed_at` as it was shown. Compared as it stands: clocks are set back.
        at: Moment of the look, for those that `changes` does not name; aware UTC. What has changed since, or by a clock that
            was ahead, was not seen. None = they are taken as they stand.
    """

    changes: Mapping[int, datetime] = {}
    at: datetime | None = None

    def has(self, number: int, changed_at: datetime) -> bool:
        """Whether a discrepancy is the one that was shown."""
        if number in self.changes:
            return self.changes[number] == changed_at
        return self.at is None or changed_at <= self.at


def find_unseen(conn: Connection, place_id: int, ids: Sequence[int], shown: Shown) -> frozenset[int]:
    """Which of these discrepancies have changed since they were shown."""
    rows = conn.execute(select(discrepancy.c.id, discrepancy.c.changed_at).where(these(conn, place_id, ids)))
    return frozenset(row.id for row in rows if not shown.has(row.id, row.changed_at))


def load_for_choice(conn: Connection, place_id: int, ids: Sequence[int], *, has_bodies: bool = True) -> list[Row[Any]]:
    """Load discrepancies beside the legs as they stand now, by their numbers.

    Args:
        conn: Any transaction.
        place_id: Where we are.
        ids: Numbers of the discrepancies.
        has_bodies: With what `store_choice` and a third value need; to judge thousands is faster without.
    """
    bodies = (
        *(discrepancy.c[name] for name in _NEEDED),
        func.coalesce(discrepancy.c.intent, discrepancy.c.base_intent).label("meant"),
    )
    sides = (
        discrepancy.outerjoin(intended, same_record(intended, discrepancy))
        .outerjoin(base, same_record(base, discrepancy))
        .outerjoin(
            shadow,
            and_(
                shadow.c.place_id == discrepancy.c.place_id,
                shadow.c.kind == discrepancy.c.kind,
                shadow.c.city_id == discrepancy.c.city_id,
            ),
        )
    )
    # records are wide: they are looked at only where a source was read after one of the plans
    is_read_since = _is_source_ahead(conn, place_id, ids)
    if is_read_since:
        sides = sides.outerjoin(record, same_record(record, discrepancy))
        sides = sides.outerjoin(plan, plan.c.id == discrepancy.c.plan_id)
    query: Any = (
        select(
            discrepancy.c.id,
            *(discrepancy.c[name] for name in _JUDGED),
            _legs(is_read_since=is_read_since).label("legs"),
            discrepancy.c.ref,
            *(bodies if has_bodies else ()),
        )
        .select_from(sides)
        .where(these(conn, place_id, ids))
        .order_by(discrepancy.c.id)
    )
    return list(conn.execute(query).all())


def sort_out(
    rows: Sequence[Row[Any]], choice: Choice, *, busy: Collection[tuple[str, str]]
) -> tuple[list[tuple[Row[Any], Effect]], list[Excluded]]:
    """Part what a choice can take from what it can't. Pure.

    Args:
        rows: From `load_for_choice`.
        choice: What the person wants.
        busy: (kind, ref) that delivery holds right now.
    """
    taken: list[tuple[Row[Any], Effect]] = []
    excluded: list[Excluded] = []
    verdicts: dict[tuple[Any, ...], Effect | str] = {}
    asks_delivery = bool(busy) and choice not in PUT_ASIDE
    for row in rows:
        # thousands of one pattern are judged once: what they are judged by stands after the number
        key = row[1:_JUDGED_END]
        verdict = verdicts.get(key)
        if verdict is None:
            verdict = verdicts[key] = _judge(row, choice)
        is_busy = asks_delivery and (row.kind, row.ref) in busy
        if isinstance(verdict, Effect) and not is_busy:
            taken.append((row, verdict))
        elif is_busy and (verdict in ("moved", "chosen") or isinstance(verdict, Effect)):
            excluded.append(Excluded(row[0], "in_flight"))
        else:
            excluded.append(Excluded(row[0], str(verdict)))
    return taken, excluded


_JUDGED_END = 1 + len(_JUDGED) + 1


def _judge(row: Row[Any], choice: Choice) -> Effect | str:
    """What a choice does to a discrepancy, or why it is not taken; delivery is not asked."""
    effect = find_effect(
        DiscrepancyType(row.type),
        choice,
        is_other_cell=bool(row.legs & _ELSEWHERE) and is_fixed_to_cell(row.kind),
        has_ours=bool(row.legs & _HAS_OURS),
        has_theirs=bool(row.legs & _HAS_THEIRS),
    )
    if row.state == DiscrepancyState.RESOLVED.value:
        return "settled"
    if effect is None or (choice is Choice.OWN and row.kind != Kind.MARK.value):
        # a third value is typed for a mark; what else may stand there is not a number
        return "not_offered"
    if choice in PUT_ASIDE or row.legs & _STANDING:
        return effect
    # what was chosen has moved our side itself: who chooses once more is told that, not that somebody changed something
    return "chosen" if row.state == DiscrepancyState.WAITING_PROOF.value else "moved"


def store_choice(
    conn: Connection,
    place_id: int,
    taken: Sequence[tuple[Row[Any], Effect]],
    choice: Choice,
    *,
    own_value: str | None,
    until: datetime | None,
    actor: str,
    note_id: int | None,
    now: datetime,
) -> None:
    """Carry a choice into base, corrections and the discrepancies' lives.

    Args:
        conn: A write transaction.
        place_id: Where we are.
        taken: From `sort_out`.
        choice: What the person wants.
        own_value: The third value of a mark, for `Choice.OWN`.
        until: Day to which it is put aside, for `HOLD` and `IGNORE`; aware UTC.
        actor: Whose choice it is: an account or an OS user.
        note_id: Why, as typed.
        now: Aware UTC.
    """
    bases: dict[bool, list[tuple[int, bytes]]] = {True: [], False: []}
    dropped: list[dict[str, Any]] = []
    laid_over: dict[bool, list[tuple[int, bytes]]] = {True: [], False: []}
    left_to_city: dict[bool, list[int]] = {True: [], False: []}
    pairs: list[dict[str, Any]] = []
    chosen: dict[str, list[int]] = {}
    bodies: dict[Atom, bytes] = {}
    for row, effect in taken:
        laid = _laid_over(row, effect, own_value)
        if effect.base == "theirs":
            theirs = laid if effect.overlay == "theirs" and laid is not None else _their_atom(row)
            meant = to_body(with_atom(_intent_of(row.kind, row.meant), theirs))
            bases[bool(row.legs & _AGREED_THERE)].append((row.id, meant))
        elif effect.base == "drop":
            dropped.append({"b_kind": row.kind, "b_ref": row.ref})
        is_stored = row.kind != Kind.TOPICS.value
        if effect.overlay != "none" and laid is not None:
            if laid not in bodies:
                bodies[laid] = to_body(laid)
            laid_over[is_stored].append((row.id, bodies[laid]))
        elif effect.overlay != "none":
            left_to_city[is_stored].append(row.id)
        if effect.is_apart:
            pairs.append(
                {
                    "place_id": place_id,
                    "kind": row.kind,
                    "ref": row.ref,
                    "city_id": row.city_id,
                    "scope": row.scope,
                }
            )
        chosen.setdefault(_chosen_leg(effect), []).append(row.id)
    if bases[True]:
        move_bases(conn, place_id, bases[True], now)
    if bases[False]:
        store_bases(conn, place_id, bases[False], now)
    if dropped:
        conn.execute(
            delete(base).where(
                base.c.place_id == place_id, base.c.kind == bindparam("b_kind"), base.c.ref == bindparam("b_ref")
            ),
            dropped,
        )
    # Of topics, which are no record, what is meant now may be an earlier correction: what that one corrected stays.
    for is_stored in (True, False):
        update_columns = (*(["corrected"] if is_stored else []), "atom", "actor", "made_at", "discrepancy_id")
        if laid_over[is_stored]:
            atoms = listed(conn, laid_over[is_stored])
            source = discrepancy.join(atoms, atoms.c.id == discrepancy.c.id)
            store_corrections(conn, place_id, source, true(), atoms.c.body, actor, now, update_columns)
        if left_to_city[is_stored]:
            where = among(conn, discrepancy.c.id, left_to_city[is_stored])
            store_corrections(conn, place_id, discrepancy, where, cast(null(), LargeBinary), actor, now, update_columns)
    upsert(conn, apart, pairs, keys=("place_id", "kind", "ref", "city_id"), update=())
    if taken:
        _move_on(conn, chosen, choice, own_value, until=until, now=now)
        _note_steps(conn, [row.id for row, _ in taken], choice, actor=actor, note_id=note_id, now=now)
        # What a memo stands on has moved: these scopes are looked at again.
        scopes = sorted({row.scope for row, _ in taken})
        conn.execute(delete(scope_memo).where(scope_memo.c.place_id == place_id, scope_memo.c.scope.in_(scopes)))


def _move_on(
    conn: Connection,
    chosen: Mapping[str, Sequence[int]],
    choice: Choice,
    own_value: str | None,
    *,
    until: datetime | None,
    now: datetime,
) -> None:
    """Let the discrepancies wait for what was chosen: the digest of one of their own legs, or of a third value."""
    for leg, ids in chosen.items():
        values: dict[str, Any] = {
            "state": _state_after(choice).value,
            "choice": choice.value,
            "until": until if choice in PUT_ASIDE else None,
            "changed_at": now,
            "chosen": discrepancy.c[leg] if leg in ("ours", "theirs") else None,
        }
        if leg != "own":
            conn.execute(update(discrepancy).where(among(conn, discrepancy.c.id, ids)).values(**values))
            continue
        rows = conn.execute(
            select(discrepancy.c.id, discrepancy.c.kind, discrepancy.c.intent).where(among(conn, discrepancy.c.id, ids))
        ).all()
        conn.execute(
            update(discrepancy)
            .where(discrepancy.c.id == bindparam("b_id"))
            .values(**{**values, "chosen": bindparam("b_chosen")}),
            [
                {"b_id": row.id, "b_chosen": atom_digest(atom)}
                for row in rows
                if (atom := _own_atom(row.kind, row.intent, own_value)) is not None
            ],
        )


def _note_steps(
    conn: Connection, ids: Sequence[int], choice: Choice, *, actor: str, note_id: int | None, now: datetime
) -> None:
    columns = ("discrepancy_id", "at", "step", "actor", "choice", "pattern", "note_id", "plan_id")
    conn.execute(
        insert(discrepancy_step).from_select(
            list(columns),
            select(
                discrepancy.c.id,
                literal(now, UtcDateTime()),
                literal("chosen"),
                literal(actor),
                literal(choice.value),
                discrepancy.c.pattern,
                literal(note_id, Integer()),
                discrepancy.c.plan_id,
            ).where(among(conn, discrepancy.c.id, ids)),
        )
    )


def _is_source_ahead(conn: Connection, place_id: int, ids: Sequence[int]) -> bool:
    """Whether any source was read after a plan that showed one of these."""
    run_id, planned_at = conn.execute(
        select(func.min(plan.c.run_id), func.min(plan.c.created_at))
        .select_from(discrepancy.join(plan, plan.c.id == discrepancy.c.plan_id))
        .where(these(conn, place_id, ids))
    ).one()
    if run_id is None:
        return False
    later = or_(
        scope_state.c.run_id > run_id, and_(scope_state.c.run_id == _OF_NO_RUN, scope_state.c.tried_at > planned_at)
    )
    query = select(scope_state.c.scope).where(
        scope_state.c.place_id == place_id, scope_state.c.side == PORTAL_SIDE, later
    )
    return conn.execute(query.limit(1)).first() is not None


def _legs(*, is_read_since: bool) -> ColumnElement[int]:
    told: dict[int, ColumnElement[bool]] = {
        _ELSEWHERE: _is_elsewhere(),
        _STANDING: and_(_all_stand(), ~_is_ahead()) if is_read_since else _all_stand(),
        _HAS_OURS: discrepancy.c.ours.is_not(None),
        _HAS_THEIRS: discrepancy.c.theirs.is_not(None),
        _AGREED_THERE: _is_agreed_there(),
    }
    parts = [case((condition, bit), else_=0) for bit, condition in told.items()]
    return sum(parts[1:], parts[0])


def _all_stand() -> ColumnElement[bool]:
    """Whether all three legs are what the person was shown."""
    is_meant = and_(intended.c.state.in_(COMPARED), intended.c.digest != NO_DIGEST)
    ours = case((is_meant, intended.c.digest), else_=null())
    return and_(
        ours.is_not_distinct_from(discrepancy.c.ours),
        base.c.digest.is_not_distinct_from(discrepancy.c.base),
        shadow.c.digest.is_not_distinct_from(discrepancy.c.theirs),
    )


def _is_ahead() -> ColumnElement[bool]:
    """Whether our source says something that no plan has shown yet.

    A pull may be ahead of the plan: the city was silent in between, or the plan is being made just now. What would be laid over
    that record then, nobody has chosen for what it says.
    """
    pushed = and_(record.c.run_id == _OF_NO_RUN, record.c.changed_at > plan.c.created_at)
    gone = record.c.gone_at > plan.c.created_at  # a removal leaves the record's last run as it was
    return or_(*(func.coalesce(one, false()) for one in (record.c.run_id > plan.c.run_id, pushed, gone)))


def _is_elsewhere() -> ColumnElement[bool]:
    """Whether the city's object hangs elsewhere than ours would; where neither is known it does not."""
    return and_(
        discrepancy.c.their_key.is_not(None), discrepancy.c.their_key.is_distinct_from(discrepancy.c.object_key)
    )


def _is_agreed_there() -> ColumnElement[bool]:
    """Whether something is agreed already, and in the very place in which the city was read to have it."""
    return func.coalesce(
        and_(
            base.c.scope == discrepancy.c.scope,
            base.c.city_id == discrepancy.c.city_id,
            base.c.object_key == discrepancy.c.their_key,
        ),
        false(),
    )


def _state_after(choice: Choice) -> DiscrepancyState:
    if choice is Choice.HOLD:
        return DiscrepancyState.WAITING_OUTSIDE
    return DiscrepancyState.IGNORED if choice is Choice.IGNORE else DiscrepancyState.WAITING_PROOF


def _intent_of(kind: str, body: bytes) -> Intent:
    intent: Intent = msgspec.json.decode(body, type=INTENT_TYPES[kind])
    return intent


def _their_atom(row: Row[Any]) -> Atom:
    return atom_of_city(msgspec.json.decode(row.city_body, type=CITY_TYPES[row.kind]))


def _laid_over(row: Row[Any], effect: Effect, own_value: str | None) -> Atom | None:
    if effect.overlay == "theirs":
        return _their_atom(row)
    return _own_atom(row.kind, row.intent, own_value) if effect.overlay == "own" else None


def _own_atom(kind: str, intent: bytes, own_value: str | None) -> Atom | None:
    ours = atom_of_intent(_intent_of(kind, intent))
    if isinstance(ours, MarkAtom) and own_value is not None:
        return msgspec.structs.replace(ours, value=canonical_value(own_value))
    return None


def _chosen_leg(effect: Effect) -> Literal["ours", "theirs", "own", "nothing"]:
    """Whose content all three legs have to show; a missing one of ours means that we hold nothing there any more."""
    if effect.overlay == "none":
        return "nothing" if effect.is_removing else "ours"
    return effect.overlay
