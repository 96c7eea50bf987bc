"""Scopes that share a batch are decided as if each had been alone, and what was settled is skipped the next time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from gateway.connectors.port import CityRead, CityScope
from gateway.domain.city import CityMark, MarkIntent
from gateway.domain.errors import IncompleteReadError
from gateway.domain.identifiers import Kind
from gateway.flows import scope_batch
from gateway.flows.scope_batch import ScopeBatch
from gateway.mapping.mesh import Mapped
from gateway.mapping.rules import Mode, Modes
from gateway.queue.outbox import load_busy
from gateway.reconcile.guard import Limits
from gateway.reconcile.plan import PlanDraft, SealedPlan
from gateway.reconcile.shadow import scope_of
from gateway.reconcile.tables import decision, decision_scope

DAYS = {"from_on": date(2026, 9, 1), "to_on": date(2026, 12, 31)}
DAY = date(2026, 11, 10)
READ_AT = datetime.fromisoformat("2026-11-23T01:00:00+00:00")
WIDE = Limits(minimum_count=10_000, change_ratio=1.0, delete_ratio=1.0, empty_source_ratio=0.0)
in_a_store = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

books = st.dictionaries(st.integers(1, 3), st.sampled_from("345"), max_size=3)
"""Pupil → value; the cell is the pupil's, in the scope's own lesson."""
found_scopes = st.lists(st.tuples(st.integers(1, 3), books, books, st.booleans()), min_size=1, max_size=6)
"""Scopes as they are met: group, ours, theirs, whether the city's side was read. A group may come twice."""


class BookScope:
    """One group of two small books."""

    delete_mode: Mode = "approve"
    is_whole = True

    def __init__(self, group: int, ours: dict[int, str], theirs: dict[int, str], is_read: bool, at: datetime) -> None:
        scope = CityScope(kind=Kind.MARK, group_id=group, subject_id=1, level=7, **DAYS)
        self.scope = scope_of(scope)
        self.count = len(ours)
        self._group = group
        self._ours = ours
        problem = None if is_read else IncompleteReadError("нет", system="mesh", method="GET")
        objects = [self._stands(pupil, value) for pupil, value in theirs.items()] if is_read else ()
        self.read: CityRead | None = CityRead(scope=scope, read_at=at, objects=objects, problem=problem)

    def _stands(self, pupil: int, value: str) -> CityMark:
        return CityMark(
            id=self._group * 100 + pupil,
            pupil_id=pupil,
            lesson_id=self._group,
            group_id=self._group,
            subject_id=1,
            value=value,
            weight=1,
            form_id=1,
            on=DAY,
            teacher_id=9,
            created_at=None,
            updated_at=None,
        )

    def find_position(self, lesson_id: int) -> int | None:
        return lesson_id

    def digest_inputs(self, conn: Connection, shown: bytes) -> bytes:
        del conn
        return (repr(sorted(self._ours.items())).encode() + shown)[-16:].rjust(16, b"\x00")

    def map_records(self, conn: Connection) -> Sequence[Mapped]:
        del conn
        return [
            Mapped(
                ref=f"item:{self._group}/user:{pupil}",
                kind=Kind.MARK,
                state="sendable",
                reason="",
                intent=MarkIntent(
                    pupil_id=pupil,
                    lesson_id=self._group,
                    group_id=self._group,
                    subject_id=1,
                    teacher_id=9,
                    on=DAY,
                    value=value,
                    weight=1,
                    form_id=1,
                    grade_system_id=1,
                ),
                on=DAY,
                mode=Modes("automatic", "automatic", "automatic"),
            )
            for pupil, value in self._ours.items()
        ]

    def keep_linked(self, conn: Connection, mapped: Sequence[Mapped]) -> Sequence[Mapped]:
        del conn
        return mapped

    def store_choices(self, conn: Connection, mapped: Sequence[Mapped]) -> None:
        pass


def plan(world: Any, met: Sequence[BookScope]) -> tuple[SealedPlan, int]:
    """Plan the scopes; the sealed plan and how many of them were skipped."""
    draft = PlanDraft(
        world.store,
        place_id=world.place_id,
        run_id=1,
        rule_version="r1",
        epoch=world.epoch,
        is_dry_run=False,
        ttl_hours=18.0,
    )
    batch = ScopeBatch(world.store, place_id=world.place_id, run_id=1, draft=draft, limits=WIDE, busy_of=load_busy)
    for one in met:
        batch.add(one)
    batch.finish()
    return draft.seal(), batch.skipped


def rows_of(world: Any, sealed: SealedPlan) -> tuple[list[Any], set[Any]]:
    """What the plan says, without its number."""
    with world.store.read() as conn:
        items = conn.execute(
            select(
                decision.c.seq, decision.c.scope, decision.c.ref, decision.c.reason, decision.c.op, decision.c.city_id
            )
            .where(decision.c.plan_id == sealed.id)
            .order_by(decision.c.seq)
        ).all()
        shared = conn.execute(
            select(decision_scope.c.scope, decision_scope.c.reason, decision_scope.c.count).where(
                decision_scope.c.plan_id == sealed.id
            )
        ).all()
    return [tuple(row) for row in items], {tuple(row) for row in shared}


@in_a_store
@given(found=found_scopes)
def test_a_plan_is_the_same_however_many_scopes_share_a_batch(new_world: Callable[[], Any], found: Any) -> None:
    unique = list({group: (group, *rest) for group, *rest in found}.values())
    plans = []
    for together in (1, 10_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scope_batch, "BATCH_COUNT", together)
            world = new_world()
            sealed, _ = plan(world, [BookScope(*one, READ_AT) for one in unique])
        plans.append((rows_of(world, sealed), sealed.counters, sealed.by_reason))

    assert plans[0] == plans[1]


@in_a_store
@given(first=books, second=books)
def test_two_groups_that_are_one_in_the_city_are_decided_one_after_the_other(
    new_world: Callable[[], Any], first: dict[int, str], second: dict[int, str]
) -> None:
    """Decided at once, the second's records would stand in for the first's as well, and be planned twice."""
    world = new_world()
    sealed, _ = plan(world, [BookScope(1, first, {}, True, READ_AT), BookScope(1, second, {}, True, READ_AT)])

    items, _ = rows_of(world, sealed)
    assert [ref for _, _, ref, *_ in items] == [
        f"item:1/user:{pupil}" for book in (first, second) for pupil in sorted(book)
    ]


def test_a_settled_scope_is_skipped_the_next_time_and_one_that_moved_is_not(new_world: Callable[[], Any]) -> None:
    """Foreign objects only: nothing of ours waits there."""
    world = new_world()
    plan(world, [BookScope(1, {}, {1: "5"}, True, READ_AT), BookScope(2, {}, {1: "4"}, True, READ_AT)])

    sealed, skipped = plan(
        world, [BookScope(1, {}, {1: "5"}, True, READ_AT), BookScope(2, {}, {1: "3"}, True, READ_AT)]
    )

    assert skipped == 1
    assert sealed.by_reason == {"FOREIGN": 2}
    assert sealed.counters["read"] == 2


def test_a_read_does_not_lie_for_long_while_others_are_read(new_world: Callable[[], Any]) -> None:
    """Delivery goes on meanwhile: the older a read is, the more of what it shows is not so any more."""
    world = new_world()
    draft = PlanDraft(
        world.store,
        place_id=world.place_id,
        run_id=1,
        rule_version="r1",
        epoch=world.epoch,
        is_dry_run=False,
        ttl_hours=18.0,
    )
    asked: list[str] = []

    def busy_of(conn: Connection, place_id: int, scopes: Any) -> Any:
        asked.extend(scopes)
        return {}

    batch = ScopeBatch(world.store, place_id=world.place_id, run_id=1, draft=draft, limits=WIDE, busy_of=busy_of)
    batch.add(BookScope(1, {}, {}, True, READ_AT))
    before = list(asked)
    batch.add(BookScope(2, {}, {}, True, READ_AT + timedelta(seconds=1)))

    assert before == []
    assert asked == ["mark|city-group:1", "mark|city-group:2"]
