"""Theirs as read: after every complete read the scope's rows are what it showed, whatever other reads did in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.connectors.port import CityRead, CityScope
from gateway.domain.city import CityMark
from gateway.domain.identifiers import Kind
from gateway.domain.records import digest_of, xor_of
from gateway.reconcile.shadow import scope_of, store_city_scope
from gateway.reconcile.tables import shadow

in_a_store = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

WHOLE = (date(2026, 9, 1), date(2026, 11, 30))
NOVEMBER = (date(2026, 11, 1), date(2026, 11, 30))
shown = st.dictionaries(st.integers(1, 5), st.sampled_from("45"), max_size=5)
"""City id → value; the odd ones are of September, the even ones of November."""
reads = st.lists(st.tuples(st.integers(1, 2), st.sampled_from([WHOLE, NOVEMBER]), shown), min_size=1, max_size=8)
TAKEN_OVER = [(1, WHOLE, {1: "4"}), (2, WHOLE, {1: "4"}), (2, WHOLE, {}), (1, WHOLE, {1: "4"})]


def day_of(city_id: int) -> date:
    return date(2026, 9, 10) if city_id % 2 else date(2026, 11, 10)


def build_mark(city_id: int, value: str, group_id: int) -> CityMark:
    return CityMark(
        id=city_id,
        pupil_id=1,
        lesson_id=city_id,
        group_id=group_id,
        subject_id=1,
        value=value,
        weight=1,
        form_id=1,
        on=day_of(city_id),
        teacher_id=9,
        created_at=None,
        updated_at=None,
    )


@in_a_store
@given(found=reads)
@example(found=TAKEN_OVER)
def test_after_a_complete_read_the_scope_holds_exactly_what_it_showed_within_its_days(
    new_world: Callable[[], Any], found: list[tuple[int, tuple[date, date], dict[int, str]]]
) -> None:
    """A read whose digest stands is not looked at row by row; two scopes that show the same object must not upset that."""
    world = new_world()
    for group_id, days, marks in found:
        scope = CityScope(kind=Kind.MARK, group_id=group_id, subject_id=1, level=7, from_on=days[0], to_on=days[1])
        met = [
            build_mark(city_id, value, group_id)
            for city_id, value in marks.items()
            if days[0] <= day_of(city_id) <= days[1]
        ]
        with world.store.write() as conn:
            read = CityRead(scope=scope, read_at=world.store.now(conn), objects=met)
            store_city_scope(conn, world.place_id, read, run_id=1)
            rows = conn.execute(
                select(shadow.c.body, shadow.c.on_date).where(
                    shadow.c.place_id == world.place_id, shadow.c.scope == scope_of(scope)
                )
            ).all()

        stored = [msgspec.json.decode(row.body, type=CityMark) for row in rows if days[0] <= row.on_date <= days[1]]
        assert sorted(stored, key=lambda mark: mark.id) == sorted(met, key=lambda mark: mark.id)


@given(bodies=st.lists(st.binary(max_size=8), max_size=40), seed=st.randoms())
def test_the_digest_of_a_set_of_rows_is_all_their_digests_laid_over_one_another_in_any_order(
    bodies: list[bytes], seed: Any
) -> None:
    digests = [digest_of(body) for body in bodies]
    plain = 0
    for digest in digests:
        plain ^= int.from_bytes(digest, "big")
    folded = xor_of(digests)
    seed.shuffle(digests)

    assert folded == plain.to_bytes(16, "big") == xor_of(digests)
