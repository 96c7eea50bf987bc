"""Twins: what a person typed before us is found, whatever the order, and serves one record."""

from __future__ import annotations

from datetime import date
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.city import MarkAtom
from gateway.mapping.atoms import atom_digest
from gateway.reconcile.twins import Likeness, Seat, find_twins

VALUES = ("2", "3", "4", "5", "н", "4+", "зач", "nan")


def seat(key: str, pupil: int, lesson: int, value: str, form: int = 1) -> Seat:
    """A mark's seat; lessons are numbered as they follow one another."""
    return Seat(
        key=key,
        kind="mark",
        object_key=f"mark/{pupil}/{lesson}",
        digest=atom_digest(MarkAtom(value, 1, form)),
        pupil_id=pupil,
        position=lesson,
        value=value,
        form=form,
    )


def seats(prefix: str) -> st.SearchStrategy[list[Seat]]:
    """Few pupils, lessons, values and forms, so that they meet."""
    parts = st.tuples(st.integers(1, 2), st.integers(1, 4), st.sampled_from(VALUES), st.integers(1, 2))
    return st.lists(parts, max_size=7).map(
        lambda found: [seat(f"{prefix}{number}", *part) for number, part in enumerate(found)]
    )


def is_like(mine: Seat, other: Seat) -> bool:
    """Whether the pair alone would be matched at all."""
    found = find_twins([mine], [other])
    return bool(found.equal or found.twin)


@given(seats("o"), seats("t"), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(ours: list[Seat], theirs: list[Seat], rng: Random) -> None:
    expected = find_twins(ours, theirs)
    shuffled_ours, shuffled_theirs = list(ours), list(theirs)
    rng.shuffle(shuffled_ours)
    rng.shuffle(shuffled_theirs)

    assert find_twins(shuffled_ours, shuffled_theirs) == expected


@given(seats("o"), seats("t"))
def test_one_object_serves_one_record_and_one_record_takes_one(ours: list[Seat], theirs: list[Seat]) -> None:
    found = find_twins(ours, theirs)

    taken = [*found.equal.values(), *found.twin.values()]
    assert len(taken) == len(set(taken))
    assert not set(found.equal) & set(found.twin)
    assert set(taken) <= {one.key for one in theirs}
    assert set(found.equal) | set(found.twin) <= {one.key for one in ours}


@given(seats("o"), seats("t"))
def test_an_equal_object_of_the_same_cell_is_adopted_and_nothing_else_is(ours: list[Seat], theirs: list[Seat]) -> None:
    mine, other = {one.key: one for one in ours}, {one.key: one for one in theirs}

    found = find_twins(ours, theirs)

    for key, city_key in found.equal.items():
        assert (mine[key].object_key, mine[key].digest) == (other[city_key].object_key, other[city_key].digest)
    cells = {(one.object_key, one.digest) for one in ours} & {(one.object_key, one.digest) for one in theirs}
    for cell in cells:
        waiting = sum(1 for one in ours if (one.object_key, one.digest) == cell)
        there = sum(1 for one in theirs if (one.object_key, one.digest) == cell)
        adopted = sum(1 for key in found.equal if (mine[key].object_key, mine[key].digest) == cell)
        assert adopted == min(waiting, there)


@given(seats("o"), seats("t"))
def test_a_record_left_without_a_twin_could_get_none_by_any_exchange(ours: list[Seat], theirs: list[Seat]) -> None:
    """The matching is as large as can be: no chain of exchanges ends in an object that nobody has."""
    found = find_twins(ours, theirs)

    mine, other = {one.key: one for one in ours}, {one.key: one for one in theirs}
    owner = {city_key: key for key, city_key in found.twin.items()}
    free = set(other) - set(owner) - set(found.equal.values())
    for alone in set(mine) - set(found.equal) - set(found.twin):
        reached, frontier = {alone}, [alone]
        while frontier:
            key = frontier.pop()
            for city_key in set(owner) | free:
                if is_like(mine[key], other[city_key]):
                    assert city_key not in free
                    if owner[city_key] not in reached:
                        reached.add(owner[city_key])
                        frontier.append(owner[city_key])


@given(
    st.dictionaries(st.tuples(st.integers(1, 5), st.integers(1, 9)), st.sampled_from("2345"), min_size=1, max_size=20),
    st.sampled_from([0, 1, -1]),
    st.randoms(use_true_random=False),
)
def test_a_quarter_typed_by_hand_under_other_forms_leaves_nothing_to_create(
    quarter: dict[tuple[int, int], str], late: int, rng: Random
) -> None:
    """Also where the person typed it all one lesson late or early."""
    ours = [seat(f"o{pupil}/{lesson}", pupil, lesson, value) for (pupil, lesson), value in quarter.items()]
    theirs = [
        seat(f"{number}", pupil, lesson + late, value, form=7)
        for number, ((pupil, lesson), value) in enumerate(quarter.items())
    ]
    rng.shuffle(theirs)

    found = find_twins(ours, theirs)

    assert set(found.twin) == {one.key for one in ours}


def test_a_homework_is_recognised_by_either_day_and_another_pupils_mark_is_not() -> None:
    def homework(key: str, on: int, until: int) -> Seat:
        return Seat(
            key=key,
            kind="homework",
            object_key=f"homework/1/1/{on}/{until}/1",
            digest=key.encode(),
            on=date(2026, 11, on),
            until=date(2026, 11, until),
        )

    found = find_twins([homework("o", 9, 12)], [homework("1", 9, 13)])
    stranger = find_twins([homework("o", 9, 12)], [homework("1", 10, 13)])
    other_pupil = find_twins([seat("o", 1, 3, "5")], [seat("1", 2, 3, "5")])

    assert found.twin == {"o": "1"}
    assert stranger == Likeness(equal={}, twin={})
    assert other_pupil == Likeness(equal={}, twin={})


def test_another_value_of_the_same_work_in_the_same_cell_is_held_however_far_it_is() -> None:
    same_work = find_twins([seat("o", 1, 1, "5", form=1)], [seat("t", 1, 1, "2", form=1)])
    other_work = find_twins([seat("o", 1, 1, "5", form=1)], [seat("t", 1, 1, "2", form=2)])
    next_lesson = find_twins([seat("o", 1, 1, "5", form=1)], [seat("t", 1, 2, "2", form=1)])

    assert same_work.twin == {"o": "t"}
    assert (other_work.twin, next_lesson.twin) == ({}, {})
