"""Ours as read: nothing is written twice, nothing read badly counts, and what vanished is explained cautiously."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from gateway.connectors.port import ScopeRead
from gateway.domain.errors import IncompleteReadError, RecordError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Mark, Scale, digest_of, to_body
from gateway.reconcile.gone import DELETABLE, PROOF_READS, Gone, gone_kind
from gateway.reconcile.snapshot import ScopeCounts, load_records, mark_removed_scopes, store_scope
from gateway.reconcile.tables import record, record_version, scope_state

in_a_store = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

READ_AT = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
FIVE = Scale(form="points", minimum=0.0, maximum=5.0)
PUPILS = ("user:1", "user:2", "user:3")
ITEMS = ("item:1", "item:2")

cells = st.tuples(st.sampled_from(PUPILS), st.sampled_from(ITEMS))
books = st.dictionaries(cells, st.integers(2, 5))


def build_read(
    book: dict[tuple[str, str], int],
    *,
    scope: str = "mark|course:1|group:1",
    pupils: tuple[str, ...] = PUPILS,
    items: tuple[str, ...] = ITEMS,
    nights: int = 0,
    problem: IncompleteReadError | None = None,
    faults: tuple[RecordError, ...] = (),
) -> ScopeRead:
    """Read a gradebook on the given night."""
    marks = [
        Mark(
            ref=f"{item}/{pupil}",
            pupil=pupil,
            programme="course:1",
            group=None,
            item=item,
            item_name="работа",
            item_form="manual",
            scale=FIVE,
            raw_points=float(points),
        )
        for (pupil, item), points in book.items()
    ]
    return ScopeRead(
        scope=scope,
        kind=Kind.MARK,
        read_at=READ_AT + timedelta(days=nights),
        records=[] if problem else marks,
        problem=problem,
        faults=faults,
        pupils_present=frozenset(pupils),
        items_present=frozenset(items),
    )


def take(world: Any, read: ScopeRead) -> ScopeCounts:
    with world.store.write() as conn:
        return store_scope(conn, world.place_id, read, run_id=1)


def stored(world: Any) -> dict[str, tuple[bytes, str | None, int]]:
    """Ref → (digest, gone, complete reads without it)."""
    with world.store.read() as conn:
        rows = conn.execute(select(record).where(record.c.place_id == world.place_id))
        return {row.ref: (row.digest, row.gone, row.absent_reads) for row in rows}


def versions(world: Any, ref: str) -> list[tuple[float, str | None]]:
    """What was ever seen of a record, oldest first: points, and why it was gone."""
    with world.store.read() as conn:
        rows = conn.execute(
            select(record_version)
            .where(record_version.c.place_id == world.place_id, record_version.c.ref == ref)
            .order_by(record_version.c.id)
        ).all()
    decoder = msgspec.json.Decoder(Mark)
    return [(decoder.decode(row.body).raw_points, row.gone) for row in rows]


@in_a_store
@given(book=books)
def test_a_scope_stored_twice_is_unchanged_and_writes_no_version(new_world: Callable[[], Any], book: Any) -> None:
    world = new_world()
    first = take(world, build_read(book))
    before = stored(world)

    again = take(world, build_read(book, nights=1))

    assert (first.read, first.new, first.changed, first.gone) == (len(book), len(book), 0, 0)
    assert (again.read, again.unchanged, again.new, again.changed, again.gone) == (len(book), len(book), 0, 0, 0)
    assert stored(world) == before
    with world.store.read() as conn:
        kept = select(func.count()).select_from(record_version).where(record_version.c.place_id == world.place_id)
        assert conn.execute(kept).scalar_one() == len(book)


@in_a_store
@given(before=books, after=books)
def test_counts_of_a_read_sum_and_say_what_moved(new_world: Callable[[], Any], before: Any, after: Any) -> None:
    world = new_world()
    take(world, build_read(before))

    counts = take(world, build_read(after, nights=1))

    assert counts.read == len(after) == counts.new + counts.changed + counts.unchanged
    assert counts.new == len(set(after) - set(before))
    assert counts.changed == sum(1 for cell in set(after) & set(before) if after[cell] != before[cell])
    assert counts.gone == len(set(before) - set(after))
    live = {ref: digest for ref, (digest, gone, _) in stored(world).items() if gone is None}
    assert live == {one.ref: digest_of(to_body(one)) for one in build_read(after).records}


@in_a_store
@given(before=books, after=books)
def test_a_discarded_read_changes_nothing(new_world: Callable[[], Any], before: Any, after: Any) -> None:
    world = new_world()
    take(world, build_read(before))
    was = stored(world)

    counts = take(world, build_read(after, nights=1, problem=IncompleteReadError("обрыв")))

    assert (counts.read, counts.gone, counts.changed) == (0, 0, 0)
    assert stored(world) == was
    with world.store.read() as conn:
        state = conn.execute(select(scope_state).where(scope_state.c.place_id == world.place_id)).one()
    assert (state.problem, state.complete_at) == ("INCOMPLETE_READ", READ_AT)


@in_a_store
@given(points=st.lists(st.none() | st.integers(2, 5), min_size=1, max_size=5))
def test_every_version_that_was_seen_is_kept(new_world: Callable[[], Any], points: list[int | None]) -> None:
    world = new_world()
    other = {("user:2", "item:1"): 5, ("user:3", "item:1"): 5}
    expected: list[tuple[float, bool]] = []
    last: int | None = None
    for night, value in enumerate(points):
        book = {**other, ("user:1", "item:1"): value} if value is not None else other
        take(world, build_read(book, nights=night))
        if value is not None and (value != last):
            expected.append((float(value), False))
        elif value is None and last is not None:
            expected.append((float(last), True))
        last = value

    found = versions(world, "item:1/user:1")

    assert [(seen, gone is not None) for seen, gone in found] == expected


@in_a_store
@given(book=books.filter(bool), is_new_scope_first=st.booleans())
def test_a_pupil_who_moves_to_another_scope_brings_changed_and_never_new_records(
    new_world: Callable[[], Any], book: Any, is_new_scope_first: bool
) -> None:
    world = new_world()
    take(world, build_read(book))
    there = build_read(book, scope="mark|course:1|group:2", nights=1)
    here = build_read({}, pupils=(), nights=1)

    if is_new_scope_first:
        moved, left = take(world, there), take(world, here)
        assert left.gone == 0
    else:
        left, moved = take(world, here), take(world, there)

    assert (moved.new, moved.changed) == (0, len(book))
    assert {gone for _, gone, _ in stored(world).values()} == {None}
    with world.store.read() as conn:
        assert len(load_records(conn, world.place_id, Mark, scope="mark|course:1|group:2")) == len(book)
        assert load_records(conn, world.place_id, Mark, scope="mark|course:1|group:1") == []


@in_a_store
@given(book=books.filter(bool), nights=st.integers(1, 4), way=st.sampled_from(["transfer", "no items", "no pupils"]))
def test_a_transfer_or_a_reset_never_becomes_deletable_however_often_it_is_read(
    new_world: Callable[[], Any], book: Any, nights: int, way: str
) -> None:
    world = new_world()
    take(world, build_read(book))
    left = next(iter(book))[0]

    for night in range(1, nights + 1):
        if way == "transfer":
            stay = {cell: points for cell, points in book.items() if cell[0] != left}
            present = tuple(pupil for pupil in PUPILS if pupil != left)
            take(world, build_read(stay, pupils=present, nights=night))
        else:
            take(
                world,
                build_read(
                    {},
                    pupils=() if way == "no pupils" else PUPILS,
                    items=() if way == "no items" else ITEMS,
                    nights=night,
                ),
            )

    kinds = {gone for _, gone, _ in stored(world).values() if gone is not None}
    assert kinds
    assert not kinds & {kind.value for kind in DELETABLE}


@in_a_store
@given(book=books.filter(lambda book: len(book) > 1))
def test_a_scope_emptied_whole_counts_as_reset_and_not_as_many_clearings(
    new_world: Callable[[], Any], book: Any
) -> None:
    world = new_world()
    take(world, build_read(book))

    for night in range(1, 4):
        take(world, build_read({}, nights=night))

    assert {gone for _, gone, _ in stored(world).values()} == {Gone.SCOPE_RESET.value}


@pytest.mark.row("E15")
@in_a_store
@given(nights=st.integers(1, 4))
def test_a_cleared_value_is_proven_by_two_complete_reads_and_by_no_discarded_one(
    new_world: Callable[[], Any], nights: int
) -> None:
    world = new_world()
    book = {("user:1", "item:1"): 5, ("user:2", "item:1"): 4}
    take(world, build_read(book))
    book.pop(("user:1", "item:1"))

    for night in range(1, nights + 1):
        take(world, build_read(book, nights=night, problem=IncompleteReadError("обрыв")))
        take(world, build_read(book, nights=night))

    _, gone, reads = stored(world)["item:1/user:1"]
    assert gone == Gone.CLEARED.value
    assert (reads >= PROOF_READS) == (nights >= 2)


def test_a_clearing_that_turns_out_a_transfer_is_a_transfer_and_stays_one(new_world: Callable[[], Any]) -> None:
    world = new_world()
    book = {("user:1", "item:1"): 5, ("user:2", "item:1"): 4}
    take(world, build_read(book))
    book.pop(("user:1", "item:1"))
    take(world, build_read(book, nights=1))

    take(world, build_read(book, pupils=("user:2", "user:3"), nights=2))
    take(world, build_read(book, nights=3))

    assert stored(world)["item:1/user:1"][1] == Gone.PUPIL_LEFT.value


def test_a_record_that_can_not_be_understood_in_a_read_has_not_gone(new_world: Callable[[], Any]) -> None:
    world = new_world()
    book = {("user:1", "item:1"): 5, ("user:2", "item:1"): 4}
    take(world, build_read(book))
    book.pop(("user:1", "item:1"))

    counts = take(world, build_read(book, nights=1, faults=(RecordError("шкала", where="item:1/user:1"),)))

    assert counts.gone == 0
    assert stored(world)["item:1/user:1"][1:] == (None, 0)


def test_scopes_that_a_whole_read_no_longer_met_are_removed_and_never_deletable(new_world: Callable[[], Any]) -> None:
    world = new_world()
    take(world, build_read({("user:1", "item:1"): 5}))
    with world.store.write() as conn:
        lost = mark_removed_scopes(conn, world.place_id, prefixes=["mark|"], visited=[], read_at=READ_AT, run_id=2)

    assert lost == {"mark": 1}
    assert stored(world)["item:1/user:1"][1] == Gone.SCOPE_RESET.value


@given(
    pupil=st.none() | st.sampled_from(PUPILS),
    item=st.none() | st.sampled_from(ITEMS),
    pupils=st.sets(st.sampled_from(PUPILS)),
    items=st.sets(st.sampled_from(ITEMS)),
    known=st.integers(0, 5),
    remaining=st.integers(0, 5),
)
def test_only_a_pupil_who_is_there_and_a_scope_that_lives_allow_a_deletable_kind(
    pupil: str | None, item: str | None, pupils: set[str], items: set[str], known: int, remaining: int
) -> None:
    kind = gone_kind(
        pupil=pupil,
        item=item,
        pupils_present=pupils,
        items_present=items,
        known_count=known,
        remaining_count=remaining,
    )

    if pupil is not None and pupil not in pupils:
        assert kind not in DELETABLE
    if item is not None and not items:
        assert kind not in DELETABLE
    if remaining == 0 and known > 1:
        assert kind not in DELETABLE
    if kind is Gone.ITEM_REMOVED:
        assert item not in items
