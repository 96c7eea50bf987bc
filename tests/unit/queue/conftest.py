"""A desk on which single decisions are laid, let out and carried to a scripted city."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Row, delete, insert, select, update

from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.audit.read import verify
from gateway.connectors.port import Accepted, CityRead, CityScope
from gateway.domain.city import CityMark, Intent, MarkIntent
from gateway.domain.clock import VirtualClock
from gateway.domain.identifiers import Kind, Place
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.links import get_place_id
from gateway.mapping.mesh import Mapped, MappedState
from gateway.mapping.rules import Modes
from gateway.queue.deeds import Ledger
from gateway.queue.deliver import Delivery
from gateway.queue.outbox import Released, release
from gateway.queue.states import State
from gateway.queue.tables import operation, receipt
from gateway.queue.terms import Terms
from gateway.queue.verify import Settled, settle_scope
from gateway.reconcile.compare import Category, Decision, Op
from gateway.reconcile.intend import store_intended
from gateway.reconcile.plan import PlanDraft, SealedPlan
from gateway.reconcile.resolve import Gate, Item, ScopeDecision
from gateway.reconcile.shadow import scope_of, store_city_scope
from gateway.reconcile.tables import base, decision, plan
from gateway.reconcile.triples import Triple
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store

DAY = date(2026, 11, 10)
SCOPE = CityScope(kind=Kind.MARK, group_id=1, subject_id=1, level=7, from_on=date(2026, 9, 1), to_on=date(2026, 12, 31))
NAME = scope_of(SCOPE)
PLACE = Place("city/1", "portal", "2026/27")
ACTOR = Actor("service", "test")
TERMS = Terms(lease_s=15.0, max_claims=3, max_attempts=4, settle_s=10.0, deadline_s=5.0)
CATEGORIES = {"create": Category.CREATE, "change": Category.UPDATE, "delete": Category.HELD}


def build_intent(value: str, *, pupil: int = 1, lesson: int = 1) -> MarkIntent:
    return MarkIntent(
        pupil_id=pupil,
        lesson_id=lesson,
        group_id=1,
        subject_id=1,
        teacher_id=9,
        on=DAY,
        value=value,
        weight=1,
        form_id=1,
        grade_system_id=1,
    )


def digest(value: str) -> bytes:
    return atom_digest(atom_of_intent(build_intent(value)))


class ScriptedSink:
    """The city's write side: says what it was told to say, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Accepted | Exception] = []
        self.asked: list[tuple[str, int | None]] = []
        self.during: Callable[[], None] | None = None

    def _answer(self, op: str, city_id: int | None, request_id: str) -> Accepted:
        self.asked.append((op, city_id))
        if self.during is not None:
            self.during()
        answer = (
            self.answers.pop(0)
            if self.answers
            else Accepted(city_id=city_id or 500, request_id=request_id, status=200, profile="main")
        )
        if isinstance(answer, Exception):
            raise answer
        return answer

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        return self._answer("create", None, request_id)

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        return self._answer("change", city_id, request_id)

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        return self._answer("delete", city_id, request_id)


class Desk:
    """One place in a store: what is wanted, what stands, what was agreed, and plans of single decisions."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.store = store
        self.clock = clock
        self.audit = AuditLog(store, environment="test", code_version="0.1.0")
        self.ledger = Ledger(self.audit, PLACE)
        self.sink = ScriptedSink()
        self.place = PLACE
        self.terms = TERMS
        self.city: dict[int, CityMark] = {}
        self._wanted: dict[str, Mapped] = {}
        with store.write() as conn:
            self.place_id = get_place_id(conn, PLACE)

    day = DAY
    digest = staticmethod(digest)

    def want(self, ref: str, value: str, *, pupil: int = 1, lesson: int = 1, state: MappedState = "sendable") -> None:
        """Let something stand in ours."""
        self._wanted[ref] = Mapped(
            ref=ref,
            kind=Kind.MARK,
            state=state,
            reason="",
            intent=build_intent(value, pupil=pupil, lesson=lesson),
            on=DAY,
            mode=Modes("automatic", "automatic", "automatic"),
        )
        self._store_ours()

    def want_not(self, ref: str) -> None:
        """Let nothing stand in ours."""
        del self._wanted[ref]
        self._store_ours()

    def _store_ours(self) -> None:
        with self.store.write() as conn:
            store_intended(conn, self.place_id, NAME, self._wanted.values())

    def show(self, city_id: int, value: str | None, *, pupil: int = 1, lesson: int = 1) -> None:
        """Let the city show a mark, or no longer; and read it."""
        if value is None:
            self.city.pop(city_id, None)
        else:
            self.city[city_id] = self.build_mark(city_id, value, pupil=pupil, lesson=lesson)
        self.read_city()

    @staticmethod
    def build_mark(city_id: int, value: str, *, pupil: int = 1, lesson: int = 1) -> CityMark:
        """A mark as the city shows it."""
        return CityMark(
            id=city_id,
            pupil_id=pupil,
            lesson_id=lesson,
            group_id=1,
            subject_id=1,
            value=value,
            weight=1,
            form_id=1,
            on=DAY,
            teacher_id=9,
            created_at=None,
            updated_at=None,
        )

    def read_city(self, on: date = DAY) -> datetime:
        """Read the city as it stands on a day, and store it; the moment under which."""
        scope = msgspec.structs.replace(SCOPE, from_on=on, to_on=on)
        objects = [one for one in self.city.values() if one.on == on]
        read = CityRead(scope=scope, read_at=self.store.now(), objects=objects)
        with self.store.write() as conn:
            store_city_scope(conn, self.place_id, read, run_id=1)
        return read.read_at

    def agree(self, ref: str, city_id: int, value: str, *, pupil: int = 1, lesson: int = 1) -> None:
        """Let both sides have agreed on a mark."""
        intent = build_intent(value, pupil=pupil, lesson=lesson)
        with self.store.write() as conn:
            conn.execute(delete(base).where(base.c.place_id == self.place_id, base.c.ref == ref))
            conn.execute(
                insert(base).values(
                    place_id=self.place_id,
                    kind="mark",
                    ref=ref,
                    scope=NAME,
                    city_id=city_id,
                    object_key=intent.object_key,
                    digest=digest(value),
                    intent=msgspec.json.encode(intent),
                    verified_at=self.store.now(conn),
                    how="delivered",
                )
            )

    def item(
        self,
        ref: str,
        op: Op | None,
        *,
        ours: str | None = None,
        base_value: str | None = None,
        theirs: str | None = None,
        city_id: int | None = None,
        pupil: int = 1,
        lesson: int = 1,
        gate: Gate = "none",
    ) -> Item:
        """Lay down one decision; `op` None is an adoption."""
        meant = build_intent(ours or base_value or "5", pupil=pupil, lesson=lesson)
        old = build_intent(base_value, pupil=pupil, lesson=lesson) if base_value else None
        triple = Triple(
            kind="mark",
            ref=ref,
            scope=NAME,
            state="sendable" if ours else None,
            reason="",
            ours=digest(ours) if ours else None,
            base=digest(base_value) if base_value else None,
            theirs=digest(theirs) if theirs else None,
            city_id=city_id,
            object_key=meant.object_key,
            intent=msgspec.json.encode(meant),
            old=msgspec.json.encode(old) if old else None,
            on_date=DAY,
            due_on=None,
        )
        category = Category.ADOPTED if op is None else CATEGORIES[op]
        return Item(triple=triple, decision=Decision(category, "CREATE", op), gate=gate, city_id=city_id)

    def seal(
        self, *items: Item, is_dry_run: bool = False, epoch: int | None = None, ttl_hours: float = 18.0
    ) -> SealedPlan:
        """Make a plan of these decisions."""
        with self.store.read() as conn:
            now_epoch = get_epoch(conn)
        draft = PlanDraft(
            self.store,
            place_id=self.place_id,
            run_id=1,
            rule_version="r1",
            epoch=now_epoch if epoch is None else epoch,
            is_dry_run=is_dry_run,
            ttl_hours=ttl_hours,
        )
        draft.add(ScopeDecision(scope=NAME, items=items, shared=(), guards=(), read=len(items)))
        return draft.seal()

    def release(self, sealed: SealedPlan, *, place: Place = PLACE) -> Released:
        """Let the plan's open items out."""
        return release(self.store, self.audit, place, sealed.id, lane="nightly", actor=ACTOR)

    def queue(self, ref: str, op: Op, **legs: Any) -> int:
        """Lay down a decision, let it out, and return its operation's id."""
        assert self.release(self.seal(self.item(ref, op, **legs))).queued == 1
        return int(self.rows()[-1].id)

    def queue_create(self, ref: str = "item:1", value: str = "5", *, pupil: int = 1, lesson: int = 1) -> int:
        """Queue a mark that stands nowhere yet."""
        self.want(ref, value, pupil=pupil, lesson=lesson)
        return self.queue(ref, "create", ours=value, pupil=pupil, lesson=lesson)

    def delivery(self, store: Store | None = None) -> Delivery:
        """A worker; with a store of its own it is another process."""
        numbers = itertools.count(1)
        return Delivery(
            store or self.store,
            self.sink,
            self.ledger if store is None else Ledger(AuditLog(store, environment="test", code_version="0.1.0"), PLACE),
            TERMS,
            city=PLACE.city,
            request_ids=lambda: f"request-{next(numbers)}",
        )

    def settle(self, on: date = DAY, *, stored_at: datetime | None = None) -> Settled:
        """Judge what is due by the city as it was last shown, or by what it shows of another day; read now or then."""
        return self.settle_in(self.store, on, stored_at=stored_at)

    def settle_in(self, store: Store, on: date = DAY, *, stored_at: datetime | None = None) -> Settled:
        """Judge it in another process."""
        stored_at = stored_at or self.read_city(on)
        return settle_scope(
            store,
            Ledger(AuditLog(store, environment="test", code_version="0.1.0"), PLACE),
            TERMS,
            place_id=self.place_id,
            scope=NAME,
            kind="mark",
            days=(on, on),
            read_at=self.store.now() + timedelta(milliseconds=1),
            stored_at=stored_at,
        )

    def is_chain_whole(self) -> bool:
        """Whether both chains of the audit hold."""
        return all(verify(self.store, stream).ok for stream in ("deeds", "access"))

    def rows(self) -> Sequence[Row[Any]]:
        """All operations in their order."""
        with self.store.read() as conn:
            return conn.execute(select(operation).order_by(operation.c.id)).all()

    def states(self) -> list[State]:
        """States of all operations in their order."""
        return [State(row.state) for row in self.rows()]

    def outcomes(self, sealed: SealedPlan) -> list[str | None]:
        """What became of a plan's items."""
        with self.store.read() as conn:
            rows = conn.execute(
                select(decision.c.outcome).where(decision.c.plan_id == sealed.id).order_by(decision.c.seq)
            )
            return list(rows.scalars())

    def agreed(self) -> dict[str, tuple[int, bytes]]:
        """Ref → (city id, digest) of the base."""
        with self.store.read() as conn:
            return {row.ref: (row.city_id, row.digest) for row in conn.execute(select(base))}

    def receipts(self) -> list[str]:
        """Stages of all receipts."""
        with self.store.read() as conn:
            return list(conn.execute(select(receipt.c.stage).order_by(receipt.c.id)).scalars())

    def alter(self, operation_id: int, **values: Any) -> None:
        """Put an operation into a state as a crash would leave it."""
        with self.store.write() as conn:
            conn.execute(update(operation).where(operation.c.id == operation_id).values(**values))

    def alter_plan(self, sealed: SealedPlan, **values: Any) -> None:
        """Change a plan's row."""
        with self.store.write() as conn:
            conn.execute(update(plan).where(plan.c.id == sealed.id).values(**values))


@pytest.fixture
def desk(store: Store, clock: VirtualClock) -> Desk:
    return Desk(store, clock)
