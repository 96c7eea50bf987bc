"""Periods that the deputy head has signed: what is dated in them leaves by a one-time approval and not otherwise.

The lock is ours and does not ask what the city would take (R14: it may refuse nothing). Asked while a plan is made, when it
is let out, and in the transaction that marks a call as sent; a signature waits for such transactions and they for it, so
that nothing is marked beside it. An opening ends by its own moment: the lock is a fact with an end, nobody has to set it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, exists, func, select, tuple_, update

from gateway.domain.city import FinalIntent, Intent, TopicsIntent, day_of_intent, pupils_of
from gateway.domain.reasons import GUARD_HOLD, PERIOD_SIGNED
from gateway.mapping.normalise import class_key
from gateway.queue.states import State
from gateway.queue.tables import operation, period_approval, period_opening, period_pass, period_signature
from gateway.reconcile.compare import Category, Decision
from gateway.reconcile.resolve import INTENT_TYPES, Gate, Item, ScopeDecision
from gateway.reconcile.tables import city_directory, decision
from gateway.store import turns

LOCKED = "l."
"""Beginning of the gate of what a signature holds; what stands behind it is the gate that it had, and has again."""


class SignedDays(msgspec.Struct, frozen=True, kw_only=True):
    """Days that a signature locks.

    Attributes:
        period_id: The city's period; 0 = of the school's own calendar.
    """

    period_id: int
    from_on: date
    to_on: date


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature under a period of a class.

    Attributes:
        class_name: In comparable form (`7А`).
        name: What the period is called.
        periods: Its days; several where the class's groups are taught by several schedules.
        open_until: Until when it locks nothing; None = it locks.
    """

    id: int
    class_name: str
    name: str
    periods: tuple[SignedDays, ...]
    signed_by: str
    signed_at: datetime
    note_id: int | None
    open_until: datetime | None = None

    def covers(self, intent: Intent) -> bool:
        """Whether an intent is dated in it: by its day, or as the final mark of that very period, wherever that ends now.

        A lesson plan is of the whole year and dated in no period.
        """
        if isinstance(intent, TopicsIntent):
            return False
        if isinstance(intent, FinalIntent) and any(one.period_id == intent.period_id > 0 for one in self.periods):
            return True
        day = day_of_intent(intent)
        return any(one.from_on <= day <= one.to_on for one in self.periods)


class _Group(msgspec.Struct):
    id: int
    class_ids: tuple[int, ...]
    class_name: str | None


class _Pupil(msgspec.Struct):
    id: int
    class_name: str | None


class _Class(msgspec.Struct):
    id: int
    name: str


class Members(msgspec.Struct):
    """Who is of which class: the parts of the stored directory that are needed; the rest is skipped while it is decoded."""

    groups: list[_Group] = []
    pupils: list[_Pupil] = []
    classes: list[_Class] = []


class Classes:
    """Of which classes something is, by a directory."""

    def __init__(self, members: Members) -> None:
        names = {one.id: class_key(one.name) for one in members.classes}
        self._pupils = {one.id: class_key(one.class_name) for one in members.pupils}
        self._own = {one.id: class_key(one.class_name) for one in members.groups}
        self._several = {
            one.id: frozenset(name for class_id in one.class_ids if (name := names.get(class_id)) is not None)
            for one in members.groups
        }

    def of_group(self, group_id: int) -> str | None:
        """Comparable name of a group's own class; one of a metagroup is of none."""
        return self._own.get(group_id)

    def of(self, intent: Intent) -> frozenset[str] | None:
        """Comparable names of the classes: the group's own and the pupils'; None = unknown, which no lock may rely on."""
        if intent.group_id not in self._own:
            return None
        own = self._own[intent.group_id]
        pupils = pupils_of(intent)
        names = {name for pupil in pupils if (name := self._pupils.get(pupil)) is not None}
        if own is not None:
            names.add(own)
        elif not pupils or any(self._pupils.get(pupil) is None for pupil in pupils):
            names |= self._several[intent.group_id]
        return frozenset(names) or None


class Locks:
    """The signatures that lock at a moment, and who is of which class."""

    def __init__(self, signatures: Sequence[Signature], classes: Classes) -> None:
        self.signatures = signatures
        self._classes = classes

    def __bool__(self) -> bool:
        return bool(self.signatures)

    def find(self, kind: str, *bodies: bytes | None) -> list[int]:
        """Numbers of the signatures that lock any of these intents of one object (as it should be, as it was)."""
        if not self.signatures:
            return []
        found: set[int] = set()
        for body in bodies:
            if body is not None:
                intent: Intent = msgspec.json.decode(body, type=INTENT_TYPES[kind])
                found |= {one.id for one in self.signatures if is_of(one, intent, self._classes)}
        return sorted(found)


def is_of(signature: Signature, intent: Intent, classes: Classes) -> bool:
    """Whether a signature is under the period of this intent; of an unknown class it is under any."""
    if not signature.covers(intent):
        return False
    names = classes.of(intent)
    return names is None or signature.class_name in names


NO_LOCKS = Locks((), Classes(Members()))


class Signed:
    """The locks of a place; who is of which class is kept until the directory is read again."""

    def __init__(self) -> None:
        self._kept: tuple[int, datetime | None, Classes] | None = None

    def load(self, conn: Connection, place_id: int, now: datetime) -> Locks:
        """Load what locks at a moment, in the caller's transaction."""
        signatures = [one for one in load_signatures(conn, place_id, now=now) if one.open_until is None]
        return Locks(signatures, self.classes(conn, place_id)) if signatures else NO_LOCKS

    def classes(self, conn: Connection, place_id: int) -> Classes:
        """Load who is of which class."""
        read_at = conn.execute(
            select(city_directory.c.read_at).where(city_directory.c.place_id == place_id)
        ).scalar_one_or_none()
        if self._kept is None or self._kept[:2] != (place_id, read_at):
            body = conn.execute(
                select(city_directory.c.body).where(city_directory.c.place_id == place_id)
            ).scalar_one_or_none()
            members = Members() if body is None else msgspec.json.decode(body, type=Members)
            self._kept = (place_id, read_at, Classes(members))
        return self._kept[2]


# built once: it is asked before every batch of calls
_SIGNATURES = (
    select(
        period_signature,
        select(func.max(period_opening.c.until))
        .where(
            period_opening.c.signature_id == period_signature.c.id,
            period_opening.c.opened_at <= bindparam("now", type_=period_opening.c.opened_at.type),
            period_opening.c.until > bindparam("now", type_=period_opening.c.until.type),
        )
        .scalar_subquery()
        .label("open_until"),
    )
    .where(period_signature.c.place_id == bindparam("place_id"), period_signature.c.ended_at.is_(None))
    .order_by(period_signature.c.id.desc())
)


def load_signatures(conn: Connection, place_id: int, *, now: datetime) -> list[Signature]:
    """Load the signatures that stand at a moment, the opened ones too, the latest first."""
    rows = conn.execute(_SIGNATURES, {"place_id": place_id, "now": now})
    return [
        Signature(
            id=row.id,
            class_name=row.class_name,
            name=row.name,
            periods=msgspec.convert(row.periods, tuple[SignedDays, ...], strict=False),
            signed_by=row.signed_by,
            signed_at=row.signed_at,
            note_id=row.note_id,
            open_until=row.open_until,
        )
        for row in rows
    ]


def stand_beside(conn: Connection, place_id: int) -> None:
    """Let no signature and no hold be laid until this transaction ends; others that send go on beside it."""
    turns.stand_beside(conn, f"signed periods of {place_id}")


def stand_alone(conn: Connection, place_id: int) -> None:
    """Wait for all that is just being marked as sent, and let nothing more be until this transaction ends."""
    turns.take_turn(conn, f"signed periods of {place_id}")


def keep_signed(decided: ScopeDecision, locks: Locks) -> ScopeDecision:
    """Let what is dated in a signed period wait for its approval, each with its own decision row."""
    if not locks or not any(item.decision.op is not None for item in decided.items):
        return decided
    items = [_kept(item, locks) for item in decided.items]
    return msgspec.structs.replace(decided, items=items)


def _kept(item: Item, locks: Locks) -> Item:
    """What may not go for another reason keeps that one."""
    triple, op = item.triple, item.decision.op
    if op is None or item.gate == "refused" or not locks.find(triple.kind, triple.intent, triple.old):
        return item
    return msgspec.structs.replace(item, decision=Decision(Category.HELD, PERIOD_SIGNED, op), gate=to_locked(item.gate))


def to_locked(gate: Gate) -> Gate:
    """The gate of something that a signature holds, by the gate that it would have without."""
    locked: Gate = msgspec.convert(f"{LOCKED}{gate}", Gate)
    return locked


def is_locked_gate(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Condition: a signature holds it."""
    return column.startswith(LOCKED, autoescape=True)


def lock_decisions(conn: Connection, plan_id: int, rows: Collection[tuple[int, str]]) -> None:
    """Give (seq, gate) of a plan's items back to it, held by a signature and not let out."""
    for gate in {gate for _, gate in rows}:
        kept = gate if gate.startswith(LOCKED) else f"{LOCKED}{gate}"
        conn.execute(
            update(decision)
            .where(decision.c.plan_id == plan_id, decision.c.seq.in_([seq for seq, own in rows if own == gate]))
            .values(category=Category.HELD.value, reason=PERIOD_SIGNED, gate=kept, outcome=None)
        )


def return_to_plan(conn: Connection, rows: Sequence[Row[Any]]) -> None:
    """Give back to their plans the items of operations that a signature stopped: an approval or an opening lets them out."""
    keys = [(row.plan_id, row.seq) for row in rows]
    gates: dict[int, list[tuple[int, str]]] = {}
    for row in conn.execute(
        select(decision.c.plan_id, decision.c.seq, decision.c.gate).where(
            tuple_(decision.c.plan_id, decision.c.seq).in_(keys)
        )
    ):
        gates.setdefault(row.plan_id, []).append((row.seq, row.gate))
    for plan_id, some in gates.items():
        lock_decisions(conn, plan_id, some)


def revive(conn: Connection, plan_id: int, seqs: Sequence[int], now: datetime) -> frozenset[int]:
    """Let operations that a signature stopped and gave back to their plan go on, under their own keys.

    Returns:
        Those of these items of the plan that have an operation already.
    """
    again = {
        row.seq: row.id
        for row in conn.execute(
            select(operation.c.seq, operation.c.id).where(operation.c.plan_id == plan_id, operation.c.seq.in_(seqs))
        )
    }
    if again:
        conn.execute(
            update(operation)
            .where(operation.c.id.in_(list(again.values())), operation.c.state == State.SUPERSEDED.value)
            .values(
                state=State.READY.value,
                reason="",
                sentence=None,
                claims=0,
                sent_at=None,
                not_before=now,
                created_at=now,
                changed_at=now,
            )
        )
    return frozenset(again)


_FREE = {
    "create": (Category.CREATE, "CREATE"),
    "change": (Category.UPDATE, "CHANGE"),
    "delete": (Category.HELD, "DELETE_HELD"),
}


def unlock_decisions(conn: Connection, plan_id: int, rows: Sequence[Row[Any]]) -> None:
    """Give items of a plan back the gate, category and reason that they had without the signature."""
    groups: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        groups.setdefault((row.gate.removeprefix(LOCKED), row.op), []).append(row.seq)
    for (gate, op), seqs in groups.items():
        category, reason = (Category.HELD, GUARD_HOLD) if gate == "guard" and op != "delete" else _FREE[op]
        conn.execute(
            update(decision)
            .where(decision.c.plan_id == plan_id, decision.c.seq.in_(seqs))
            .values(category=category.value, reason=reason, gate=gate)
        )


def has_pass(now: datetime) -> ColumnElement[bool]:
    """Condition on a decision: an approval that stands lets it through some signature that stands."""
    return exists().where(
        period_pass.c.plan_id == decision.c.plan_id,
        period_pass.c.seq == decision.c.seq,
        period_approval.c.id == period_pass.c.approval_id,
        period_approval.c.expires_at > now,
        period_signature.c.id == period_pass.c.signature_id,
        period_signature.c.ended_at.is_(None),
    )


def load_passes(
    conn: Connection, keys: Collection[tuple[int, int]], now: datetime
) -> Mapping[tuple[int, int], set[int]]:
    """Load (plan, seq) → signatures through which an approval that has not expired lets that item."""
    found: dict[tuple[int, int], set[int]] = {}
    if not keys:
        return found
    for row in conn.execute(
        select(period_pass.c.plan_id, period_pass.c.seq, period_pass.c.signature_id)
        .join(period_approval, period_approval.c.id == period_pass.c.approval_id)
        .where(
            and_(tuple_(period_pass.c.plan_id, period_pass.c.seq).in_(list(keys)), period_approval.c.expires_at > now)
        )
    ):
        found.setdefault((row.plan_id, row.seq), set()).add(row.signature_id)
    return found


def find_locked(conn: Connection, locks: Locks, rows: Sequence[Row[Any]], now: datetime) -> frozenset[tuple[int, int]]:
    """Say which (plan, seq) of these decisions or operations a signature locks and no approval lets through."""
    by = {(row.plan_id, row.seq): found for row in rows if (found := locks.find(row.kind, row.intent, row.old))}
    passes = load_passes(conn, by.keys(), now)
    return frozenset(key for key, signatures in by.items() if not passes.get(key, set()).issuperset(signatures))


__all__ = [
    "LOCKED",
    "NO_LOCKS",
    "Classes",
    "Locks",
    "Members",
    "Signature",
    "Signed",
    "SignedDays",
    "find_locked",
    "has_pass",
    "is_locked_gate",
    "is_of",
    "keep_signed",
    "load_passes",
    "load_signatures",
    "lock_decisions",
    "return_to_plan",
    "revive",
    "stand_alone",
    "stand_beside",
    "to_locked",
    "unlock_decisions",
]
