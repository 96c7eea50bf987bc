"""A small city in memory beside a real store: each hypothesis example takes a place of its own in the same database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import date, timedelta

import msgspec
import pytest
from sqlalchemy import insert, select

from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.connectors.port import Accepted, CityRead, CityScope
from gateway.domain.city import CityMark, Intent, MarkIntent
from gateway.domain.errors import StaleError
from gateway.domain.identifiers import Kind, Place
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.links import get_place_id
from gateway.mapping.mesh import Mapped, MappedState
from gateway.mapping.rules import Mode, Modes
from gateway.queue.approval import approve
from gateway.queue.deeds import Ledger
from gateway.queue.deliver import Delivery
from gateway.queue.due import load_due
from gateway.queue.outbox import Released, load_busy, release
from gateway.queue.terms import Terms
from gateway.queue.verify import settle_scope
from gateway.reconcile.guard import Limits
from gateway.reconcile.intend import store_intended
from gateway.reconcile.plan import PlanDraft, SealedPlan
from gateway.reconcile.resolve import NOTHING_BUSY, ScopeDecision, decide_scope
from gateway.reconcile.shadow import scope_of, store_city_scope
from gateway.reconcile.tables import base, record
from gateway.store.epoch import get_epoch
from gateway.store.transaction import Store

DAY = date(2026, 11, 10)
SCOPE = CityScope(kind=Kind.MARK, group_id=1, subject_id=1, level=7, from_on=date(2026, 9, 1), to_on=date(2026, 12, 31))
SCOPE_NAME = scope_of(SCOPE)
WIDE = Limits(minimum_count=10_000, change_ratio=1.0, delete_ratio=1.0, empty_source_ratio=0.0)
TERMS = Terms(lease_s=15.0, max_claims=3, max_attempts=12, settle_s=1.0, deadline_s=5.0)
ACTOR = Actor("service", "test")
ALL_ON = Modes("automatic", "automatic", "automatic")


def build_intent(pupil: int, lesson: int, value: str, form: int = 1) -> MarkIntent:
    return MarkIntent(
        pupil_id=pupil,
        lesson_id=lesson,
        group_id=1,
        subject_id=1,
        teacher_id=9,
        on=DAY,
        value=value,
        weight=1,
        form_id=form,
        grade_system_id=1,
    )


class World:
    """One place: our records, the city's marks, and what both agreed on.

    It is the city's write side as well: what is sent to it stands there at once.
    """

    scope = SCOPE_NAME
    intent = staticmethod(build_intent)

    def __init__(self, store: Store, audit: AuditLog, place: Place) -> None:
        self.store = store
        self.audit = audit
        self.place = place
        self.ours: dict[str, Mapped] = {}
        self.city: dict[int, CityMark] = {}
        self.writes: list[tuple[str, int]] = []
        self._ids = itertools.count(1000)
        with store.write() as conn:
            self.place_id = get_place_id(conn, place)
            self.epoch = get_epoch(conn)

    def put_ours(
        self,
        ref: str,
        pupil: int,
        lesson: int,
        value: str,
        *,
        form: int = 1,
        state: MappedState = "sendable",
        mode: Modes = ALL_ON,
    ) -> None:
        """Let a record of ours stand, or change."""
        self.ours[ref] = Mapped(
            ref=ref,
            kind=Kind.MARK,
            state=state,
            reason="" if state == "sendable" else "LESSON_NOT_YET",
            intent=build_intent(pupil, lesson, value, form) if state in ("sendable", "held") else None,
            on=DAY,
            mode=mode,
        )

    def put_theirs(self, pupil: int, lesson: int, value: str, *, form: int = 1, city_id: int | None = None) -> int:
        """Let a mark stand in the city, or change."""
        number = next(self._ids) if city_id is None else city_id
        self.city[number] = CityMark(
            id=number,
            pupil_id=pupil,
            lesson_id=lesson,
            group_id=1,
            subject_id=1,
            value=value,
            weight=1,
            form_id=form,
            on=DAY,
            teacher_id=9,
            created_at=None,
            updated_at=None,
        )
        return number

    def agree(self, ref: str, city_id: int, intent: MarkIntent) -> None:
        """Let both sides have agreed on something."""
        with self.store.write() as conn:
            conn.execute(
                insert(base).values(
                    place_id=self.place_id,
                    kind="mark",
                    ref=ref,
                    scope=SCOPE_NAME,
                    city_id=city_id,
                    object_key=intent.object_key,
                    digest=atom_digest(atom_of_intent(intent)),
                    intent=msgspec.json.encode(intent),
                    verified_at=self.store.now(conn),
                    how="delivered",
                )
            )

    def note_gone(self, ref: str, gone: str | None, absent_reads: int) -> None:
        """Let the portal no longer show a record."""
        with self.store.write() as conn:
            conn.execute(
                insert(record).values(
                    place_id=self.place_id,
                    kind="mark",
                    ref=ref,
                    scope="mark|course:1|group:1",
                    digest=bytes(16),
                    body=b"{}",
                    first_seen_at=self.store.now(conn),
                    changed_at=self.store.now(conn),
                    gone=gone,
                    absent_reads=absent_reads,
                    run_id=1,
                )
            )

    def store_sides(self) -> None:
        """Store both sides as a planning run does."""
        with self.store.write() as conn:
            store_intended(conn, self.place_id, SCOPE_NAME, self.ours.values())
            store_city_scope(conn, self.place_id, self.read(), run_id=1)

    def read(self) -> CityRead:
        """Read the city's scope now."""
        return CityRead(scope=SCOPE, read_at=self.store.now(), objects=list(self.city.values()))

    def decide(self, *, is_read: bool = True, delete_mode: Mode = "automatic", limits: Limits = WIDE) -> ScopeDecision:
        """Decide the scope as it is stored."""
        with self.store.read() as conn:
            return decide_scope(
                conn,
                self.place_id,
                SCOPE_NAME,
                is_read=is_read,
                delete_mode=delete_mode,
                limits=limits,
                position_of=lambda lesson: lesson,
                busy=load_busy(conn, self.place_id, [SCOPE_NAME]).get(SCOPE_NAME, NOTHING_BUSY),
            )

    def seal(self, decided: Iterable[ScopeDecision], *, is_dry_run: bool = False, rules: str = "r1") -> SealedPlan:
        """Store decisions as a plan."""
        draft = PlanDraft(
            self.store,
            place_id=self.place_id,
            run_id=1,
            rule_version=rules,
            epoch=self.epoch,
            is_dry_run=is_dry_run,
            ttl_hours=18.0,
        )
        for one in decided:
            draft.add(one)
        return draft.seal()

    def plan(self) -> SealedPlan:
        """Plan as a run does."""
        self.store_sides()
        return self.seal([self.decide()])

    def carry_out(self, sealed: SealedPlan) -> Released:
        """Approve with everything that may be approved, release, deliver, read back."""
        approve(
            self.store,
            self.audit,
            self.place,
            sealed.id,
            reason="test",
            with_deletes=True,
            with_held=True,
            actor=ACTOR,
        )
        released = self.release_again(sealed)
        ledger = Ledger(self.audit, self.place)
        delivery = Delivery(self.store, self, ledger, TERMS, city=self.place.city)
        with self.store.read() as conn:
            due = load_due(conn, self.place_id, self.store.now(conn), limit=1000)
        for operation_id in due:
            delivery.deliver(operation_id)
        read = self.read()
        with self.store.write() as conn:
            store_city_scope(conn, self.place_id, read, run_id=1)
        read_at = self.store.now() + timedelta(seconds=1)
        settle_scope(
            self.store,
            ledger,
            TERMS,
            place_id=self.place_id,
            scope=SCOPE_NAME,
            kind="mark",
            days=(SCOPE.from_on, SCOPE.to_on),
            read_at=read_at,
            stored_at=read.read_at,
        )
        return released

    def release_again(self, sealed: SealedPlan) -> Released:
        """Release what is open of a plan."""
        return release(self.store, self.audit, self.place, sealed.id, lane="nightly", actor=ACTOR)

    def agreed(self) -> dict[str, int]:
        """Ref → city id of what both sides agreed on."""
        with self.store.read() as conn:
            rows = conn.execute(select(base.c.ref, base.c.city_id).where(base.c.place_id == self.place_id))
            return {row.ref: row.city_id for row in rows}

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        """The city's `create`."""
        assert isinstance(intent, MarkIntent)
        city_id = self.put_theirs(intent.pupil_id, intent.lesson_id, intent.value, form=intent.form_id)
        self.writes.append(("create", city_id))
        return Accepted(city_id=city_id, request_id=request_id, status=200, profile="main")

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """The city's `change`."""
        assert isinstance(intent, MarkIntent)
        if city_id not in self.city:
            raise StaleError("нет")
        self.put_theirs(intent.pupil_id, intent.lesson_id, intent.value, form=intent.form_id, city_id=city_id)
        self.writes.append(("change", city_id))
        return Accepted(city_id=city_id, request_id=request_id, status=200, profile="main")

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """The city's `delete`."""
        gone = self.city.pop(city_id, None)
        self.writes.append(("delete", city_id))
        return Accepted(city_id=None, request_id=request_id, status=200, profile="main", already_there=gone is None)


@pytest.fixture
def new_world(store: Store) -> Callable[[], World]:
    """Makes an empty world of its own; a hypothesis test calls it once an example."""
    audit = AuditLog(store, environment="test", code_version="0.1.0")
    numbers = itertools.count(1)
    return lambda: World(store, audit, Place(f"city/{next(numbers)}", "portal", "2026/27"))
