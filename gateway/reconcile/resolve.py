"""One scope's decisions: legs from the store → pure decisions, gates from the rules and the guard.

Reads only; what it returns is written by `reconcile.plan`. A scope is a kind of one group of the city.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import Connection

from gateway.domain.city import (
    INTENT_KINDS,
    CityAbsence,
    CityComment,
    CityFinal,
    CityHomework,
    CityMark,
    CityObject,
    CityTopics,
    HomeworkIntent,
    Intent,
    MarkIntent,
    TopicsIntent,
)
from gateway.domain.identifiers import Kind, is_moved
from gateway.domain.reasons import DATES_NOT_BUILT, ENTER_BY_HAND, RELINKING, SEVERAL_AFTER_UNKNOWN, WRONG_CHILD
from gateway.mapping.atoms import atom_of_city
from gateway.mapping.rules import Mode
from gateway.reconcile.compare import Absence, Category, Decision, Leg, Op, decide, foreign
from gateway.reconcile.corrections import load_apart
from gateway.reconcile.coverage import load_lost
from gateway.reconcile.gone import DELETABLE, Gone, is_proven
from gateway.reconcile.guard import GuardRow, Limits, ScopeShare, judge
from gateway.reconcile.triples import Stranger, Triple, load_legs
from gateway.reconcile.twins import Likeness, Seat, find_twins

LOST_REASON = "EPOCH_STRANGER"
"""Objects that appeared between a backup and its restore and belong to no record."""
Gate = Literal[
    "none", "approval", "delete", "many", "guard", "refused", "l.none", "l.approval", "l.delete", "l.many", "l.guard"
]
"""What lets an item out; `l.…` = the same behind a signed period (`queue.signed`)."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about one record, ready to be stored.

    Attributes:
        gate: What lets it out: nothing, an approval, an approval that names deletes, one that names the guard; or nothing at all.
    """

    triple: Triple
    decision: Decision
    gate: Gate
    city_id: int | None


class Busy(msgspec.Struct, frozen=True, kw_only=True):
    """What delivery still holds in a scope.

    Attributes:
        records: Record → (state, reason) of an operation in flight.
        cells: Object keys that such an operation may be writing to.
        parked: Record → (digest of what was refused, reason): the same thing is not sent again unasked.
    """

    records: Mapping[tuple[str, str], tuple[str, str]]
    cells: frozenset[str]
    parked: Mapping[tuple[str, str], tuple[bytes, str]]


NOTHING_BUSY = Busy(records={}, cells=frozenset(), parked={})


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """Records of a scope that share one decision row, through which a passport resolves."""

    category: Category
    reason: str
    count: int
    digest: bytes


class ScopeDecision(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan needs of one scope.

    Attributes:
        read: Keys in ours ∪ base ∪ city, counted where they are read and not where they are decided.
        is_busy: Delivery held something of it meanwhile: its base may move without anything that is read moving.
    """

    scope: str
    items: Sequence[Item]
    shared: Sequence[Shared]
    guards: Sequence[GuardRow]
    read: int
    is_busy: bool = False


CITY_TYPES: dict[str, type[CityObject]] = {
    Kind.MARK.value: CityMark,
    Kind.ABSENCE.value: CityAbsence,
    Kind.HOMEWORK.value: CityHomework,
    Kind.COMMENT.value: CityComment,
    Kind.FINAL.value: CityFinal,
    Kind.TOPICS.value: CityTopics,
}
NO_CALLS: frozenset[tuple[str, Op]] = frozenset(
    {
        (Kind.COMMENT.value, "change"),
        (Kind.COMMENT.value, "delete"),
        (Kind.FINAL.value, "change"),
        (Kind.TOPICS.value, "delete"),
    }
)
"""Operations of which no call is attested (city-journal.md §1.5): a person does them there, and then both sides agree."""
INTENT_TYPES: dict[str, type[Intent]] = {kind.value: cls for cls, kind in INTENT_KINDS.items()}  # type: ignore[misc]  # keys are the union's members
_CATEGORY_OF_STATE = {
    "out_of_scope": Category.OUT_OF_SCOPE,
    "waiting": Category.WAITING,
    "rejected": Category.REJECTED,
    "held": Category.HELD,
    "cleared": Category.OUT_OF_SCOPE,
}


def decide_scope(
    conn: Connection,
    place_id: int,
    scope: str,
    *,
    is_read: bool,
    delete_mode: Mode,
    limits: Limits,
    position_of: Callable[[int], int | None],
    busy: Busy = NOTHING_BUSY,
    missed_by: datetime | None = None,
    no_calls: Collection[tuple[str, Op]] = NO_CALLS,
) -> ScopeDecision:
    """Decide everything in one scope.

    Args:
        conn: A read (or write) transaction.
        place_id: Where we are.
        scope: `reconcile.shadow.city_scope(...)`.
        is_read: The city's side of it was completely read in this run.
        delete_mode: What the scope table says of deletes here; creates and changes carry theirs.
        limits: The guard's numbers.
        position_of: City lesson id → its ordinal among the group's lessons.
        busy: What delivery holds here.
        missed_by: A record must have been missed at this moment already, aware UTC, before its absence may become a
            delete; None = two complete reads are enough.
        no_calls: (kind, operation) that nobody but a person can do in the city.
    """
    legs = load_legs(conn, place_id, scope)
    triples = legs.triples
    strangers = [stranger for stranger in legs.strangers if stranger[2] not in busy.cells]
    fresh = [
        triple
        for triple in triples
        if triple.ours is not None and triple.base is None and _held_by_delivery(triple, busy) is None
    ]
    likeness = Likeness(equal={}, twin={})
    if is_read and fresh and strangers:
        likeness = find_twins(
            [_our_seat(triple, position_of) for triple in fresh],
            [
                _their_seat(kind, city_id, key, digest, body, position_of)
                for kind, city_id, key, digest, body in strangers
            ],
            apart=load_apart(conn, place_id, scope),
        )
    lost = (
        load_lost(conn, place_id, scope) - {int(key) for key in likeness.equal.values()} if strangers else frozenset()
    )
    lost -= {city_id for kind, city_id, _, _, body in strangers if city_id in lost and _is_empty(kind, body)}
    if lost:
        likeness = _beside_lost(fresh, strangers, lost, likeness)
    decided = [
        (triple, _held_by_delivery(triple, busy) or _decide(triple, missed_by, is_read=is_read, likeness=likeness))
        for triple in triples
    ]
    base_only = sum(1 for triple in triples if triple.state is None)
    # What SQL left out: a property test says that these are exactly the records the pure table calls unchanged.
    unchanged = legs.live - (len(triples) - base_only)
    share = ScopeShare(
        scope=scope,
        # what is to be removed from the wrong child is nobody's share of this source
        base=legs.based - sum(1 for triple in triples if is_moved(triple.ref)),
        live=legs.live,
        creates=_count(decided, "create"),
        changes=_count(decided, "change"),
        deletes=_count(decided, "delete"),
    )
    guards = judge(share, limits)
    items = [_gated(triple, decision, likeness, delete_mode, guards, no_calls) for triple, decision in decided]
    foreign_count = len(legs.strangers) - len(likeness.equal)
    shared: list[Shared] = []
    if unchanged:
        # Equal to what the city held when it was last read; where that was not now, unknown is not unchanged.
        category, reason = (Category.UNCHANGED, "NO_CHANGE") if is_read else (Category.WAITING, "UNREAD_TARGET")
        shared.append(Shared(category=category, reason=reason, count=unchanged, digest=legs.seen_digest))
    lost_count = sum(1 for stranger in legs.strangers if stranger[1] in lost)
    for reason, count in ((foreign().reason, foreign_count - lost_count), (LOST_REASON, lost_count)):
        if count:
            shared.append(Shared(category=foreign().category, reason=reason, count=count, digest=bytes(16)))
    return ScopeDecision(
        scope=scope,
        items=items,
        shared=shared,
        guards=guards,
        read=legs.live + base_only + foreign_count,
        is_busy=bool(busy.records),
    )


def _beside_lost(
    fresh: Sequence[Triple],
    strangers: Sequence[Stranger],
    lost: Collection[int],
    likeness: Likeness,
) -> Likeness:
    """Hold every record that would be created beside an object of the time that a restore has lost, whatever its value.

    It may be this very record as it was delivered then, changed at the portal since.
    """
    cells: dict[tuple[str, str], list[str]] = {}
    shown = set(likeness.twin.values())
    # Those that look like another record come first, so that they are shown last; they hold the cell all the same: by its
    # value an object of one work may look like the other work of the lesson.
    for kind, city_id, key, _, _ in sorted(strangers, key=lambda one: str(one[1]) not in shown):
        if city_id in lost:
            cells.setdefault((kind, key), []).append(str(city_id))
    held: dict[str, str] = {}
    for triple in fresh:
        beside = cells.get((triple.kind, triple.object_key or ""))
        if beside and triple.ref not in likeness.equal and triple.ref not in likeness.twin:
            # One object is shown for each record as long as there are any; the last one holds all that are left.
            held[triple.ref] = beside.pop() if len(beside) > 1 else beside[0]
    return Likeness(equal=likeness.equal, twin={**held, **likeness.twin})


def _count(decided: Sequence[tuple[Triple, Decision]], op: Op) -> int:
    return sum(1 for _, decision in decided if decision.op == op)


def _decide(triple: Triple, missed_by: datetime | None, *, is_read: bool, likeness: Likeness) -> Decision:
    if is_moved(triple.ref):
        return _decide_moved(triple, is_read=is_read)
    if triple.state is not None and triple.ours is None and triple.gone is None:
        return Decision(_CATEGORY_OF_STATE[triple.state], triple.reason)
    theirs: Leg = Absence.UNKNOWN
    if is_read:
        theirs = triple.theirs if triple.theirs is not None else Absence.ABSENT
    decision = decide(
        triple.ours if triple.ours is not None else _absence_of(triple, missed_by),
        triple.base if triple.base is not None else Absence.ABSENT,
        theirs,
        has_equal=triple.ref in likeness.equal,
        has_twin=triple.ref in likeness.twin,
    )
    if triple.state == "held" and decision.op is not None:
        # It may not go now; what stands already, or needs no write, is decided as usual.
        return Decision(Category.HELD, triple.reason)
    return decision


def _decide_moved(triple: Triple, *, is_read: bool) -> Decision:
    """An object at the wrong child: its removal was let out as such; what is left for a plan is to see that it is gone."""
    if not is_read:
        return Decision(Category.WAITING, "UNREAD_TARGET")
    return Decision(Category.ADOPTED, "ADOPTED") if triple.theirs is None else Decision(Category.HELD, WRONG_CHILD)


def _held_by_delivery(triple: Triple, busy: Busy) -> Decision | None:
    """Say who has the record now, if delivery has it."""
    key = (triple.kind, triple.ref)
    if key in busy.records and busy.records[key][1] == ENTER_BY_HAND:
        return Decision(Category.WAITING, ENTER_BY_HAND)
    if key in busy.records and busy.records[key][1] == RELINKING:
        return Decision(Category.WAITING, RELINKING)
    if key in busy.records or (triple.base is None and triple.object_key in busy.cells):
        return Decision(Category.WAITING, "IN_FLIGHT")
    wanted = triple.ours if triple.ours is not None else triple.base
    if key in busy.parked and triple.ours != triple.base:
        refused, reason = busy.parked[key]
        is_rewritten = None not in (triple.base, triple.theirs) and triple.theirs not in (triple.ours, triple.base)
        if reason == DATES_NOT_BUILT and is_rewritten:
            return (
                None  # it was written, and a person has written something else since: that is what there is to decide
            )
        # one of several objects may be ours: whatever would be made now might stand beside it
        if refused == wanted or (triple.base is None and reason == SEVERAL_AFTER_UNKNOWN):
            return Decision(Category.REJECTED, reason)
    return None


def _absence_of(triple: Triple, missed_by: datetime | None) -> Absence:
    if triple.gone is None:
        return Absence.UNKNOWN
    gone = Gone(triple.gone)
    if gone in DELETABLE:
        proven = is_proven(triple.gone, triple.absent_reads, gone_at=triple.gone_at, missed_by=missed_by)
        return Absence.CLEARED if proven else Absence.UNPROVEN
    return Absence.LEFT if gone is Gone.PUPIL_LEFT else Absence.RESET if gone is Gone.SCOPE_RESET else Absence.UNKNOWN


def _gated(
    triple: Triple,
    decision: Decision,
    likeness: Likeness,
    delete_mode: Mode,
    guards: Sequence[GuardRow],
    no_calls: Collection[tuple[str, Op]],
) -> Item:
    city_id = triple.city_id
    if decision.category is Category.ADOPTED and triple.base is None:
        city_id = int(likeness.equal[triple.ref])
    elif decision.reason == "PROBABLE_TWIN":
        city_id = int(likeness.twin[triple.ref])
    if decision.op is None:
        return Item(triple=triple, decision=decision, gate="none", city_id=city_id)
    mode = {"create": triple.create_mode, "change": triple.change_mode, "delete": delete_mode}[decision.op]
    if mode in ("off", "observe"):
        reason = "OP_NOT_ALLOWED" if mode == "off" else "OBSERVE_ONLY"
        return Item(triple=triple, decision=Decision(Category.OUT_OF_SCOPE, reason), gate="refused", city_id=city_id)
    if (triple.kind, decision.op) in no_calls:
        return Item(triple=triple, decision=Decision(Category.HELD, "NO_CITY_CALL"), gate="none", city_id=city_id)
    verdicts = {row.guard: row.verdict for row in guards}
    if "short_source" in verdicts:
        return Item(
            triple=triple,
            decision=Decision(Category.HELD, "GUARD_HOLD", decision.op),
            gate="refused",
            city_id=city_id,
        )
    if decision.op == "delete":
        gate: Gate = "many" if "delete_share" in verdicts else "delete"
        return Item(triple=triple, decision=decision, gate=gate, city_id=city_id)
    if decision.op == "change" and "change_share" in verdicts:
        return Item(
            triple=triple, decision=Decision(Category.HELD, "GUARD_HOLD", "change"), gate="guard", city_id=city_id
        )
    needs_approval = mode == "approve" or (decision.op == "create" and "first_load" in verdicts)
    return Item(triple=triple, decision=decision, gate="approval" if needs_approval else "none", city_id=city_id)


def _our_seat(triple: Triple, position_of: Callable[[int], int | None]) -> Seat:
    intent = msgspec.json.decode(triple.intent or b"{}", type=INTENT_TYPES[triple.kind])
    digest = triple.ours or b""
    key = triple.object_key or ""
    if isinstance(intent, MarkIntent):
        return Seat(
            key=triple.ref,
            kind=triple.kind,
            object_key=key,
            digest=digest,
            pupil_id=intent.pupil_id,
            position=position_of(intent.lesson_id),
            value=intent.value,
            form=intent.form_id,
        )
    if isinstance(intent, HomeworkIntent):
        return _homework_seat(triple.ref, triple.kind, key, digest, intent)
    if isinstance(intent, TopicsIntent):
        return _plan_seat(triple.ref, triple.kind, key, digest, intent)
    return Seat(key=triple.ref, kind=triple.kind, object_key=key, digest=digest, pupil_id=intent.pupil_id)


def _homework_seat(ref: str, kind: str, key: str, digest: bytes, item: HomeworkIntent | CityHomework) -> Seat:
    return Seat(key=ref, kind=kind, object_key=key, digest=digest, on=item.assigned_on, until=item.prepared_for)


def _plan_seat(ref: str, kind: str, key: str, digest: bytes, item: TopicsIntent | CityTopics) -> Seat:
    """An empty plan is a place to write into and looks like nobody's work."""
    return Seat(key=ref, kind=kind, object_key=key, digest=digest, is_empty=not item.lessons)


def _is_empty(kind: str, body: bytes) -> bool:
    """An empty lesson plan is nobody's work: whatever a restore has lost, it was not this."""
    return kind == Kind.TOPICS.value and not msgspec.json.decode(body, type=CityTopics).lessons


def _their_seat(
    kind: str, city_id: int, key: str, digest: bytes, body: bytes, position_of: Callable[[int], int | None]
) -> Seat:
    item = msgspec.json.decode(body, type=CITY_TYPES[kind])
    if isinstance(item, CityMark):
        atom = atom_of_city(item)
        return Seat(
            key=str(city_id),
            kind=kind,
            object_key=key,
            digest=digest,
            pupil_id=item.pupil_id,
            position=position_of(item.lesson_id),
            value=getattr(atom, "value", item.value),
            form=item.form_id,
        )
    if isinstance(item, CityHomework):
        return _homework_seat(str(city_id), kind, key, digest, item)
    if isinstance(item, CityTopics):
        return _plan_seat(str(city_id), kind, key, digest, item)
    return Seat(key=str(city_id), kind=kind, object_key=key, digest=digest, pupil_id=item.pupil_id)
