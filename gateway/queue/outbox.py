"""From a plan to operations: what was decided becomes intent, in chunks, before anything is sent.

Stands between reconcile and delivery. Every item is checked once more against what it was decided on; those whose ground
moved drop out visibly. Adoptions need no call: they move the base here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, and_, bindparam, delete, exists, func, insert, or_, select, true, update

from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.domain.errors import PlanRefusedError
from gateway.domain.identifiers import Place
from gateway.domain.reasons import RELINKING
from gateway.mapping.tables import place as place_table
from gateway.mapping.versions import find_active
from gateway.queue.ground import load_ground
from gateway.queue.signed import LOCKED, Locks, Signed, find_locked, has_pass, lock_decisions, revive, stand_beside
from gateway.queue.states import OPEN, State
from gateway.queue.tables import operation
from gateway.reconcile.bindings import load_versions_of
from gateway.reconcile.compare import Category
from gateway.reconcile.plan import PlanState, SealedPlan, load_plan
from gateway.reconcile.relinks import load_waiting_removal
from gateway.reconcile.resolve import Busy
from gateway.reconcile.tables import base, decision, plan
from gateway.reconcile.undone import lay_undone
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store, upsert

GUARD = "guard"
CHUNK_ROWS = 500
"""Rows a transaction: each costs two look-ups and an insert, about 100 ms together."""


_STANDS = select(plan.c.state, plan.c.epoch).where(plan.c.id == bindparam("plan_id")).with_for_update(key_share=True)


class Released(msgspec.Struct, frozen=True):
    """What became of a plan's items; `locked` = kept in the plan, because their period is signed."""

    queued: int = 0
    adopted: int = 0
    dropped: int = 0
    locked: int = 0

    def plus(self, other: Released) -> Released:
        """Sum of two chunks."""
        return Released(
            self.queued + other.queued,
            self.adopted + other.adopted,
            self.dropped + other.dropped,
            self.locked + other.locked,
        )


def release(
    store: Store,
    audit: AuditLog,
    place: Place,
    plan_id: int,
    *,
    lane: str,
    actor: Actor,
) -> Released:
    """Turn the plan's items behind its open gates into operations.

    Can be called again after a crash: each item is released once.

    Args:
        store: The store.
        audit: The log.
        place: Where we are; another place's plan is refused.
        plan_id: A sealed plan.
        lane: `demand` or `nightly`.
        actor: Who lets them out.

    Raises:
        PlanRefusedError: Stale, expired or a dry run; epoch changed since it was made; another place's.
    """
    with store.read() as conn:
        refuse_elsewhere(conn, place, plan_id)
        refuse_unusable(conn, store, plan_id)
        gates, place_id = conn.execute(select(plan.c.open_gates, plan.c.place_id).where(plan.c.id == plan_id)).one()
    # a period's approval stands for no guard: what one has held behind the signature goes when both were let
    is_open = true() if GUARD in gates else decision.c.gate != f"{LOCKED}{GUARD}"
    signed = Signed()
    total = Released()
    while True:
        with store.write() as conn:
            stand_beside(conn, place_id)
            # one at a time: an approval and a delivery that begins meanwhile would both let the same items out
            found = conn.execute(_STANDS, {"plan_id": plan_id}).one()
            if found.state == PlanState.STALE or found.epoch != get_epoch(conn):
                return total  # between two parts a newer plan, which looked again, has taken over the rest
            now = store.now(conn)
            rows = conn.execute(
                select(decision)
                .where(
                    decision.c.plan_id == plan_id,
                    decision.c.outcome.is_(None),
                    or_(decision.c.gate.in_(gates), and_(has_pass(now), is_open)),
                    or_(decision.c.op.is_not(None), decision.c.category == Category.ADOPTED.value),
                )
                .order_by(decision.c.seq)
                .limit(CHUNK_ROWS)
            ).all()
            if not rows:
                conn.execute(
                    update(plan)
                    .where(plan.c.id == plan_id, plan.c.state.in_((PlanState.READY, PlanState.APPROVED)))
                    .values(state=PlanState.USED)
                )
                return total
            locks = signed.load(conn, place_id, now)
            chunk = _release_chunk(conn, audit, place, plan_id, rows, locks, lane=lane, actor=actor, now=now)
        total = total.plus(chunk)


def load_approved(conn: Connection, place_id: int, now: datetime) -> Sequence[int]:
    """Load the plans that were approved, or some items of which were, and not released to their end."""
    has_rest = exists().where(decision.c.plan_id == plan.c.id, decision.c.outcome.is_(None), has_pass(now))
    return (
        conn.execute(
            select(plan.c.id)
            .where(
                plan.c.place_id == place_id,
                plan.c.epoch == get_epoch(conn),
                or_(plan.c.state == PlanState.APPROVED, and_(plan.c.state == PlanState.USED, has_rest)),
            )
            .order_by(plan.c.id)
        )
        .scalars()
        .all()
    )


def release_approved(store: Store, audit: AuditLog, place: Place, *, place_id: int, actor: Actor) -> Released:
    """Release what was approved and not released to its end: a crash came between the two."""
    with store.read() as conn:
        plan_ids = load_approved(conn, place_id, store.now(conn))
    total = Released()
    for plan_id in plan_ids:
        total = total.plus(release(store, audit, place, plan_id, lane="demand", actor=actor))
    return total


def refuse_unusable(conn: Connection, store: Store, plan_id: int) -> None:
    """Refuse a plan that may not run.

    Raises:
        PlanRefusedError: A dry run, stale, expired, or made before the database was restored.
    """
    found = load_plan(conn, plan_id)
    if found.is_dry_run:
        raise PlanRefusedError(
            "Это проба: отправить можно только план, построенный без --dry-run", reason="PLAN_DRY_RUN"
        )
    if found.state == PlanState.STALE:
        raise PlanRefusedError("План устарел: после него построен новый", reason="PLAN_STALE")
    if found.state not in (PlanState.USED, PlanState.APPROVED) and found.expires_at < store.now(conn):
        raise PlanRefusedError("Срок плана истёк: постройте новый", reason="PLAN_EXPIRED")
    if found.state not in (PlanState.USED, PlanState.APPROVED):
        refuse_former_rules(conn, found)
    epoch = conn.execute(select(plan.c.epoch).where(plan.c.id == plan_id)).scalar_one()
    if epoch != get_epoch(conn):
        raise PlanRefusedError("План построен до восстановления базы из копии: постройте новый", reason="PLAN_STALE")


def is_by_former_rules(conn: Connection, found: SealedPlan) -> bool:
    """Whether a plan was decided by rules that no longer count; one that undoes a run is decided by what stood, by no rule."""
    active = find_active(conn, found.place_id)
    return found.undoes is None and active is not None and active.version != found.rule_version


def refuse_former_rules(conn: Connection, found: SealedPlan) -> None:
    """Refuse to open anything of a plan by former rules, though a part of it went in time.

    Raises:
        PlanRefusedError: It is one.
    """
    if is_by_former_rules(conn, found):
        raise PlanRefusedError("План построен по прежним правилам: постройте новый", reason="PLAN_STALE")


def refuse_elsewhere(conn: Connection, where: Place, plan_id: int) -> None:
    """Refuse a plan that was made for another city, portal or school year (law 15).

    Raises:
        PlanRefusedError: It was.
    """
    made_for = conn.execute(
        select(place_table.c.city, place_table.c.portal, place_table.c.year).where(
            place_table.c.id == load_plan(conn, plan_id).place_id
        )
    ).one()
    if Place(*made_for) != where:
        raise PlanRefusedError("План построен для другого города, портала или учебного года", reason="PLAN_ELSEWHERE")


def _release_chunk(
    conn: Connection,
    audit: AuditLog,
    place: Place,
    plan_id: int,
    rows: Sequence[Row[Any]],
    locks: Locks,
    *,
    lane: str,
    actor: Actor,
    now: datetime,
) -> Released:
    found = load_plan(conn, plan_id)
    held = find_locked(conn, locks, [row for row in rows if row.op is not None], now) if locks else frozenset()
    ground = load_ground(conn, found.place_id, plan_id, rows, now=now, is_undo=found.undoes is not None)
    made_by = load_versions_of(conn, found.place_id, [(row.kind, row.ref) for row in rows])
    queued: list[dict[str, object]] = []
    going: list[Row[Any]] = []
    adopted: list[Row[Any]] = []
    outcomes: list[dict[str, object]] = []
    locked: list[tuple[int, str]] = []
    for row in rows:
        if (plan_id, row.seq) in held and not row.gate.startswith(LOCKED):
            locked.append((row.seq, row.gate))
        elif (plan_id, row.seq) in held or not ground.still_holds(row):
            # an approval of one signature that another one has joined since is not asked a second time
            outcomes.append({"b_seq": row.seq, "b_outcome": "dropped"})
        elif row.category == Category.ADOPTED.value:
            adopted.append(row)
            outcomes.append({"b_seq": row.seq, "b_outcome": "adopted"})
        else:
            going.append(row)
            version = made_by.get((row.kind, row.ref), found.rule_version)
            queued.append(build_operation(found.place_id, found.run_id, plan_id, version, row, lane, now, conn))
            outcomes.append({"b_seq": row.seq, "b_outcome": "queued"})
    # An adoption needs no write any more: what still waits to write the same mark would write it twice.
    _supersede(conn, found.place_id, [(str(one["kind"]), str(one["ref"])) for one in queued], now)
    _supersede(conn, found.place_id, [(row.kind, row.ref) for row in adopted], now)
    revived = revive(conn, plan_id, [row.seq for row in going], now)
    if fresh := [one for one in queued if one["seq"] not in revived]:
        conn.execute(insert(operation), fresh)
    if found.undoes is not None:
        _keep_undone(conn, plan_id, found.place_id, going, now)
    _adopt(conn, found.place_id, adopted, now)
    if outcomes:
        conn.execute(
            update(decision)
            .where(decision.c.plan_id == plan_id, decision.c.seq == bindparam("b_seq"))
            .values(outcome=bindparam("b_outcome")),
            outcomes,
        )
    lock_decisions(conn, plan_id, locked)
    result = Released(len(queued), len(adopted), len(rows) - len(queued) - len(adopted) - len(locked), len(locked))
    audit.append(
        conn,
        Deed(
            action="plan.released",
            actor=actor,
            place=place,
            object_type="plan",
            object_id=f"plan:{plan_id}",
            run_id=found.run_id,
            plan_hash=found.hash,
            rule_version=found.rule_version,
            outcome="decided",
            counts={
                "queued": result.queued,
                "adopted": result.adopted,
                "dropped": result.dropped,
                **({"locked": result.locked} if result.locked else {}),
            },
        ),
    )
    return result


def _keep_undone(conn: Connection, plan_id: int, place_id: int, rows: Sequence[Row[Any]], now: datetime) -> None:
    """What is put back now stays so, by the word of who approved it."""
    approved = conn.execute(select(plan.c.approved_by, plan.c.note_id, plan.c.undoes).where(plan.c.id == plan_id)).one()
    wrote = conn.execute(
        select(operation.c.kind, operation.c.ref, func.max(operation.c.created_at).label("at"))
        .where(
            operation.c.place_id == place_id,
            operation.c.run_id == approved.undoes,
            operation.c.ref.in_({row.ref for row in rows}),
        )
        .group_by(operation.c.kind, operation.c.ref)
    )
    lay_undone(
        conn,
        place_id,
        plan_id,
        rows,
        wrote_at={(row.kind, row.ref): row.at for row in wrote},
        owner=approved.approved_by or "",
        note_id=approved.note_id,
        now=now,
    )


def build_operation(
    place_id: int,
    run_id: int,
    plan_id: int,
    rule_version: str,
    row: Row[Any],
    lane: str,
    now: datetime,
    conn: Connection,
) -> dict[str, object]:
    """What an item of a plan is as an operation that is due now."""
    intent = row.intent if row.op != "delete" else row.old
    seed = f"{place_id}|{plan_id}|{row.seq}|{row.kind}|{row.ref}|{row.op}|".encode() + intent
    return {
        "place_id": place_id,
        "plan_id": plan_id,
        "seq": row.seq,
        "run_id": run_id,
        "kind": row.kind,
        "ref": row.ref,
        "op": row.op,
        "scope": row.scope,
        "object_key": row.object_key,
        "idempotency_key": hashlib.sha256(seed).hexdigest()[:32],
        "lane": lane,
        "state": State.READY.value,
        "reason": "",
        "sentence": None,
        "intent": intent,
        "old": row.old,
        "intent_digest": row.ours if row.op != "delete" else row.base,
        "base_digest": row.base,
        "city_id": row.city_id,
        "ids_before": [],
        "rule_version": rule_version,
        "epoch": get_epoch(conn),
        "claims": 0,
        "attempts": 0,
        "fence": 0,
        "lease_until": None,
        "sent_at": None,
        "not_before": now,
        "created_at": now,
        "changed_at": now,
        "on_date": row.on_date,
        "due_on": row.due_on,
    }


def _supersede(conn: Connection, place_id: int, records: Sequence[tuple[str, str]], now: datetime) -> None:
    """A newer intent for the same record takes the place of one that never left or was parked."""
    if not records:
        return
    conn.execute(
        update(operation)
        .where(
            operation.c.place_id == place_id,
            operation.c.kind == bindparam("b_kind"),
            operation.c.ref == bindparam("b_ref"),
            # spelled out, because a list can't be bound for many rows at once
            or_(operation.c.state == State.READY.value, operation.c.state == State.PARKED.value),
        )
        .values(state=State.SUPERSEDED.value, reason="SUPERSEDED", changed_at=now),
        [{"b_kind": kind, "b_ref": ref} for kind, ref in records],
    )


def _adopt(conn: Connection, place_id: int, rows: Sequence[Row[Any]], now: datetime) -> None:
    gone = [row for row in rows if row.ours is None]
    if gone:
        conn.execute(
            delete(base).where(
                and_(base.c.place_id == place_id, base.c.kind == bindparam("b_kind"), base.c.ref == bindparam("b_ref"))
            ),
            [{"b_kind": row.kind, "b_ref": row.ref} for row in gone],
        )
    upsert(
        conn,
        base,
        [
            {
                "place_id": place_id,
                "kind": row.kind,
                "ref": row.ref,
                "scope": row.scope,
                "city_id": row.city_id,
                "object_key": row.object_key,
                "digest": row.ours,
                "intent": row.intent,
                "verified_at": now,
                "how": "adopted",
            }
            for row in rows
            if row.ours is not None
        ],
        keys=("place_id", "kind", "ref"),
        update=("scope", "city_id", "object_key", "digest", "intent", "verified_at", "how"),
    )


def load_busy(conn: Connection, place_id: int, scopes: Collection[str]) -> dict[str, Busy]:
    """Load what delivery still holds in these scopes: no plan may decide about it. A scope that is not named has nothing.

    In flight: the record, and with it its whole cell. Parked: the record waits for a person as long as the same thing would be sent.
    """
    found: dict[str, _Holding] = {}
    for scope, key in load_waiting_removal(conn, place_id, scopes):
        found.setdefault(scope, _Holding({}, set(), {})).records[key] = ("", RELINKING)
    for row in conn.execute(
        select(
            operation.c.scope,
            operation.c.kind,
            operation.c.ref,
            operation.c.state,
            operation.c.reason,
            operation.c.object_key,
            operation.c.intent_digest,
        ).where(
            operation.c.place_id == place_id,
            operation.c.scope.in_(scopes),
            operation.c.state.in_((*OPEN, State.BY_HAND.value, State.PARKED.value)),
        )
    ):
        key = (row.kind, row.ref)
        holding = found.setdefault(row.scope, _Holding({}, set(), {}))
        if row.state == State.PARKED.value:
            holding.parked[key] = (row.intent_digest, row.reason)
        elif row.state != State.READY.value:
            holding.records[key] = (row.state, row.reason)
            if row.state != State.BY_HAND.value:  # a person may type another mark of the same lesson meanwhile
                holding.cells.add(row.object_key)
    return {
        scope: Busy(records=one.records, cells=frozenset(one.cells), parked=one.parked) for scope, one in found.items()
    }


class _Holding(NamedTuple):
    records: dict[tuple[str, str], tuple[str, str]]
    cells: set[str]
    parked: dict[tuple[str, str], tuple[bytes, str]]
