"""A plan: stored, hashed, single use, with an expiry. What was shown is what is executed (law 2).

Built in chunks (no write transaction over 250 ms on SQLite) and sealed by its hash, which covers what would be sent,
on what it was decided and what the guards said of it, and no time: a dry run has the same hash as the real one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from gateway.domain.errors import PlanRefusedError
from gateway.domain.reasons import GUARD_HOLD
from gateway.reconcile.compare import Category
from gateway.reconcile.guard import GuardRow
from gateway.reconcile.resolve import Item, ScopeDecision, Shared
from gateway.reconcile.tables import decision, decision_scope, plan, run
from gateway.store.transaction import Store

CHUNK_ROWS = 2_000
"""Rows a transaction: about 25 ms on SQLite."""
COUNTERS = ("read", *(category.value for category in Category))


PLAN_STATE_NOW = (
    select(plan.c.state)
    .where(plan.c.run_id == run.c.id, plan.c.hash.is_not(None))
    .order_by(plan.c.id.desc())
    .limit(1)
    .scalar_subquery()
    .label("plan_state")
)
"""State of a run's sealed plan today: a run's own state is how it ended, and a plan may be approved long after."""


class PlanState:
    """States of a plan."""

    DRAFT = "draft"
    WAITING = "waiting_approval"
    READY = "ready"
    APPROVED = "approved"
    USED = "used"
    STALE = "stale"


class SealedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A stored plan as people and flows see it."""

    id: int
    place_id: int
    run_id: int
    state: str
    hash: str
    created_at: datetime
    expires_at: datetime
    rule_version: str
    counters: dict[str, int]
    by_reason: dict[str, int]
    guards: list[GuardRow]
    is_dry_run: bool
    needs_approval: bool
    undoes: int | None = None


class PlanDraft:
    """A plan while it is being built; `add` scopes, then `seal`.

    Args:
        undoes: The run that it undoes; None = an ordinary plan.
    """

    def __init__(
        self,
        store: Store,
        *,
        place_id: int,
        run_id: int,
        rule_version: str,
        epoch: int,
        is_dry_run: bool,
        ttl_hours: float,
        undoes: int | None = None,
    ) -> None:
        self._store = store
        self._rule_version = rule_version
        self._counters: Counter[str] = Counter()
        self._by_reason: Counter[str] = Counter()
        self._guards: list[GuardRow] = []
        self._needs_approval = False
        self._has_free = False
        self._seq = 0
        self._rows: list[dict[str, object]] = []
        self._shared: list[dict[str, object]] = []
        with store.write() as conn:
            now = store.now(conn)
            self.id: int = conn.execute(
                insert(plan)
                .values(
                    place_id=place_id,
                    run_id=run_id,
                    state=PlanState.DRAFT,
                    created_at=now,
                    expires_at=now + timedelta(hours=ttl_hours),
                    rule_version=rule_version,
                    epoch=epoch,
                    counters={},
                    by_reason={},
                    guards=[],
                    is_dry_run=is_dry_run,
                    needs_approval=False,
                    open_gates=["none"],
                    undoes=undoes,
                )
                .returning(plan.c.id)
            ).scalar_one()
        what = "plan" if undoes is None else f"undo {undoes}"
        self._hash = hashlib.sha256(f"{what}|{place_id}|{rule_version}".encode())

    def add(self, scope: ScopeDecision) -> None:
        """Add one decided scope."""
        self._counters["read"] += scope.read
        self._guards.extend(scope.guards)
        for shared in scope.shared:
            self._share(scope.scope, shared)
        for item in scope.items:
            self._add_item(item)
        if len(self._rows) >= CHUNK_ROWS:
            self._flush()

    def add_remembered(self, scope: str, *, unchanged: int, foreign_count: int, out_of_scope: dict[str, int]) -> None:
        """Add a scope that was skipped whole because nothing that it is decided by has moved."""
        self._counters["read"] += unchanged + foreign_count + sum(out_of_scope.values())
        self._share(scope, Shared(category=Category.UNCHANGED, reason="NO_CHANGE", count=unchanged, digest=bytes(16)))
        for reason, count in {**out_of_scope, **({"FOREIGN": foreign_count} if foreign_count else {})}.items():
            self._share(scope, Shared(category=Category.OUT_OF_SCOPE, reason=reason, count=count, digest=bytes(16)))

    def hold(self, scopes: Sequence[str], op: str) -> int:
        """Put what would be done in some scopes behind the guard's gate: it waits for who may override, the rest goes on.

        Deletes wait behind their own gate in any case. What a signature holds already has the guard's gate behind it: opened for
        an hour, it waits like the rest. The hash covers it.

        Returns:
            Items held by this call.
        """
        self._flush()
        total = 0
        for scope in scopes:
            here = (decision.c.plan_id == self.id, decision.c.scope == scope, decision.c.op == op)
            mine = (*here, decision.c.gate.in_(("none", "approval")))
            with self._store.write() as conn:
                before = conn.execute(
                    select(decision.c.category, decision.c.reason, func.count().label("how_many"))
                    .where(*mine)
                    .group_by(decision.c.category, decision.c.reason)
                ).all()
                conn.execute(
                    update(decision).where(*mine).values(category=Category.HELD.value, reason=GUARD_HOLD, gate="guard")
                )
                signed = conn.execute(
                    update(decision).where(*here, decision.c.gate.in_(("l.none", "l.approval"))).values(gate="l.guard")
                ).rowcount
            for row in before:
                self._counters.subtract({row.category: row.how_many})
                self._by_reason.subtract({row.reason: row.how_many})
            held = sum(row.how_many for row in before)
            self._counters[Category.HELD.value] += held
            self._by_reason[GUARD_HOLD] += held
            self._hash.update(f"|held|{op}|{scope}|{held}|".encode())
            if signed:
                self._hash.update(f"|signed|{signed}|".encode())
            total += held
        return total

    def note_guards(self, rows: Sequence[GuardRow]) -> None:
        """Keep what guards over the whole plan said."""
        self._guards.extend(rows)

    def flush(self) -> None:
        """Write what was decided so far, for who judges the plan as a whole."""
        self._flush()

    def seal(self) -> SealedPlan:
        """Write what is left, compute the hash, and make the plan what it says it is."""
        self._flush()
        # what the guards said was shown too: approved by its hash, and another one where a limit was another
        for row in sorted(self._guards, key=lambda row: (row.guard, row.scope)):
            self._hash.update(f"|guard|{row.guard}|{row.scope}|{row.limit}|{row.actual}|{row.verdict}|".encode())
        state = PlanState.WAITING if self._needs_approval else PlanState.READY
        with self._store.write() as conn:
            conn.execute(
                update(plan)
                .where(plan.c.id == self.id)
                .values(
                    state=state,
                    hash=self._hash.hexdigest(),
                    sealed_at=self._store.now(conn),
                    counters={name: self._counters[name] for name in COUNTERS},
                    by_reason={reason: count for reason, count in sorted(self._by_reason.items()) if count},
                    guards=[msgspec.to_builtins(row) for row in self._guards],
                    needs_approval=self._needs_approval,
                )
            )
            return load_plan(conn, self.id)

    def _share(self, scope: str, shared: Shared) -> None:
        if not shared.count:
            return
        self._counters[shared.category.value] += shared.count
        self._by_reason[shared.reason] += shared.count
        self._shared.append(
            {
                "plan_id": self.id,
                "scope": scope,
                "reason": shared.reason,
                "count": shared.count,
                "digest": shared.digest,
            }
        )

    def _add_item(self, item: Item) -> None:
        triple, verdict = item.triple, item.decision
        self._counters[verdict.category.value] += 1
        self._by_reason[verdict.reason] += 1
        self._seq += 1
        if verdict.op is not None or verdict.category is Category.ADOPTED:
            self._needs_approval |= item.gate == "approval"
            self._hash.update(
                f"|{triple.kind}|{triple.ref}|{verdict.category}|{verdict.op}|{item.gate}|{item.city_id}|".encode()
            )
            self._hash.update(triple.ours or b"-")
            self._hash.update(triple.base or b"-")
            self._hash.update(triple.intent or b"-")
        self._rows.append(
            {
                "plan_id": self.id,
                "seq": self._seq,
                "kind": triple.kind,
                "ref": triple.ref,
                "city_id": item.city_id,
                "scope": triple.scope,
                "category": verdict.category.value,
                "op": verdict.op,
                "reason": verdict.reason,
                "object_key": triple.object_key,
                "ours": triple.ours,
                "base": triple.base,
                "theirs": triple.theirs,
                "intent": triple.intent,
                "old": triple.old,
                "on_date": triple.on_date,
                "due_on": triple.due_on,
                "gate": item.gate,
                "outcome": None,
            }
        )

    def _flush(self) -> None:
        while self._rows or self._shared:
            rows, self._rows = self._rows[:CHUNK_ROWS], self._rows[CHUNK_ROWS:]
            shared, self._shared = self._shared[:CHUNK_ROWS], self._shared[CHUNK_ROWS:]
            with self._store.write() as conn:
                if rows:
                    conn.execute(insert(decision), rows)
                if shared:
                    conn.execute(insert(decision_scope), shared)


_PLAN = select(plan).where(plan.c.id == bindparam("id"))


def load_plan(conn: Connection, plan_id: int) -> SealedPlan:
    """Load a plan by its number.

    Raises:
        PlanRefusedError: There is none, or it was never sealed (a run that died while planning).
    """
    row = conn.execute(_PLAN, {"id": plan_id}).one_or_none()
    if row is None or row.hash is None:
        raise PlanRefusedError(
            f"Плана {plan_id} нет, или его построение не было закончено: запустите plan заново", reason="NOTHING_THERE"
        )
    return SealedPlan(
        id=row.id,
        place_id=row.place_id,
        run_id=row.run_id,
        state=row.state,
        hash=row.hash,
        created_at=row.created_at,
        expires_at=row.expires_at,
        rule_version=row.rule_version,
        counters=row.counters,
        by_reason=row.by_reason,
        guards=[msgspec.convert(guard, GuardRow) for guard in row.guards],
        is_dry_run=row.is_dry_run,
        needs_approval=row.needs_approval,
        undoes=row.undoes,
    )


def find_plan_id(conn: Connection, place_id: int, hash_prefix: str | None = None) -> int | None:
    """Find the newest sealed plan of a place, or the newest whose hash begins so (at least 6 characters)."""
    query = select(plan.c.id).where(plan.c.place_id == place_id, plan.c.hash.is_not(None))
    if hash_prefix is not None:
        query = query.where(plan.c.hash.startswith(hash_prefix, autoescape=True))
    return conn.execute(query.order_by(plan.c.id.desc()).limit(1)).scalar_one_or_none()


def retire_older(conn: Connection, place_id: int, plan_id: int, *, keep: Collection[int] = ()) -> None:
    """Make every earlier plan of the place that was not used stale: it stays readable and refuses to run.

    One that undoes a run is not replaced by a plan of what both sides hold: it waits until its own time is up.

    Args:
        conn: The caller's transaction.
        place_id: The place.
        plan_id: The new plan.
        keep: Plans that the new one does not replace, because it looked at less.
    """
    conn.execute(
        update(plan)
        .where(
            plan.c.place_id == place_id,
            plan.c.id < plan_id,
            plan.c.id.not_in(list(keep)),
            plan.c.undoes.is_(None),
            plan.c.state.in_((PlanState.DRAFT, PlanState.WAITING, PlanState.READY)),
        )
        .values(state=PlanState.STALE)
    )


def retire_undo(conn: Connection, place_id: int, plan_id: int, undoes: int) -> None:
    """Make earlier plans that undo the same run and were not let out stale: the new one looked again."""
    conn.execute(
        update(plan)
        .where(
            plan.c.place_id == place_id,
            plan.c.id < plan_id,
            plan.c.undoes == undoes,
            plan.c.state.in_((PlanState.DRAFT, PlanState.WAITING, PlanState.READY)),
        )
        .values(state=PlanState.STALE)
    )


def hold_plan(conn: Connection, plan_id: int) -> None:
    """Let a sealed plan wait for a person even where no gate of it asks for one."""
    conn.execute(
        update(plan)
        .where(plan.c.id == plan_id, plan.c.state == PlanState.READY)
        .values(state=PlanState.WAITING, needs_approval=True)
    )


def drop_draft(conn: Connection, plan_id: int) -> None:
    """Remove a draft that was never sealed, with its rows."""
    conn.execute(delete(decision).where(decision.c.plan_id == plan_id))
    conn.execute(delete(decision_scope).where(decision_scope.c.plan_id == plan_id))
    conn.execute(delete(plan).where(plan.c.id == plan_id, plan.c.hash.is_(None)))
