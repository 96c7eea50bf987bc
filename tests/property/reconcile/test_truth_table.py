"""The truth table of the design: every row by name, and what no row may ever do."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.reconcile.compare import Absence, Category, Decision, Leg, decide, foreign

A, B, C = bytes(15) + b"a", bytes(15) + b"b", bytes(15) + b"c"
ABSENT, UNKNOWN, CLEARED = Absence.ABSENT, Absence.UNKNOWN, Absence.CLEARED

digests = st.binary(min_size=16, max_size=16) | st.sampled_from([A, B, C])
ours_legs: st.SearchStrategy[Leg] = st.one_of(digests, st.sampled_from(list(Absence)))
base_legs: st.SearchStrategy[Leg] = st.one_of(digests, st.just(ABSENT))
their_legs: st.SearchStrategy[Leg] = st.one_of(digests, st.sampled_from([ABSENT, UNKNOWN]))


@st.composite
def triples(draw: st.DrawFn) -> tuple[Leg, Leg, Leg, bool, bool]:
    """Legs of one record with few digests, so that equal ones meet, and what twins were found."""
    legs = st.sampled_from([A, B, C])
    ours = draw(st.one_of(legs, ours_legs))
    base = draw(st.one_of(legs, base_legs))
    theirs = draw(st.one_of(legs, their_legs))
    assume(isinstance(ours, bytes) or isinstance(base, bytes))
    return ours, base, theirs, draw(st.booleans()), draw(st.booleans())


@pytest.mark.parametrize(
    ("ours", "base", "theirs", "flags", "category", "reason", "op"),
    [
        pytest.param(A, A, A, {}, "unchanged", "NO_CHANGE", None, id="all three equal"),
        pytest.param(B, A, A, {}, "update", "CHANGE", "change", id="only ours moved"),
        pytest.param(A, ABSENT, ABSENT, {}, "create", "CREATE", "create", id="never sent, not there"),
        pytest.param(CLEARED, A, A, {}, "held", "DELETE_HELD", "delete", id="cleared with proof"),
        pytest.param(A, A, B, {}, "held", "DRIFT", None, id="a person changed the city"),
        pytest.param(A, A, ABSENT, {}, "held", "DRIFT", None, id="a person deleted it in the city"),
        pytest.param(B, A, B, {}, "adopted", "ADOPTED", None, id="both moved to the same"),
        pytest.param(B, A, C, {}, "held", "CONFLICT", None, id="both moved apart"),
        pytest.param(B, A, ABSENT, {}, "held", "CONFLICT", None, id="ours moved, theirs was deleted"),
        pytest.param(A, ABSENT, A, {"has_equal": True}, "adopted", "ADOPTED", None, id="no base, equal there"),
        pytest.param(A, ABSENT, ABSENT, {"has_twin": True}, "held", "PROBABLE_TWIN", None, id="no base, a twin"),
        pytest.param(A, A, UNKNOWN, {}, "waiting", "UNREAD_TARGET", None, id="theirs not read, ours stands"),
        pytest.param(B, A, UNKNOWN, {}, "waiting", "UNREAD_TARGET", None, id="theirs not read, ours moved"),
        pytest.param(A, ABSENT, UNKNOWN, {}, "waiting", "UNREAD_TARGET", None, id="theirs not read, never sent"),
        pytest.param(CLEARED, A, UNKNOWN, {}, "waiting", "UNREAD_TARGET", None, id="theirs not read, cleared"),
        pytest.param(Absence.LEFT, A, A, {}, "out_of_scope", "PUPIL_LEFT", None, id="the pupil left"),
        pytest.param(Absence.RESET, A, A, {}, "out_of_scope", "SCOPE_RESET", None, id="the scope was reset"),
        pytest.param(UNKNOWN, A, A, {}, "waiting", "INCOMPLETE_READ", None, id="ours was not read"),
        pytest.param(Absence.UNPROVEN, A, A, {}, "waiting", "ABSENCE_UNPROVEN", None, id="cleared, seen once"),
        pytest.param(CLEARED, A, ABSENT, {}, "adopted", "ADOPTED", None, id="gone on both sides"),
        pytest.param(CLEARED, A, B, {}, "held", "CONFLICT", None, id="cleared, and a person changed the city"),
    ],
)
def test_every_row_of_the_table_decides_as_the_design_says(
    ours: Leg, base: Leg, theirs: Leg, flags: dict[str, bool], category: str, reason: str, op: str | None
) -> None:
    decision = decide(ours, base, theirs, **flags)

    assert (decision.category.value, decision.reason, decision.op) == (category, reason, op)


def test_what_only_the_city_knows_is_shown_and_left_alone() -> None:
    assert foreign() == Decision(Category.OUT_OF_SCOPE, "FOREIGN")


@given(ours=st.sampled_from(list(Absence)), theirs=their_legs)
def test_a_record_that_neither_we_nor_the_base_know_is_no_record_of_ours(ours: Absence, theirs: Leg) -> None:
    with pytest.raises(ValueError, match="foreign"):
        decide(ours, ABSENT, theirs)


@given(triples())
def test_nothing_is_written_where_the_city_was_not_read(legs: tuple[Leg, Leg, Leg, bool, bool]) -> None:
    ours, base, _, has_equal, has_twin = legs

    decision = decide(ours, base, UNKNOWN, has_equal=has_equal, has_twin=has_twin)

    assert decision.op is None
    assert decision.category in (Category.WAITING, Category.OUT_OF_SCOPE)


@given(triples())
def test_a_delete_needs_a_proven_clearing_and_the_city_as_it_was_agreed(
    legs: tuple[Leg, Leg, Leg, bool, bool],
) -> None:
    ours, base, theirs, has_equal, has_twin = legs

    decision = decide(ours, base, theirs, has_equal=has_equal, has_twin=has_twin)

    is_proven = ours is CLEARED and isinstance(base, bytes) and theirs == base
    assert (decision.op == "delete") == is_proven
    assert decision.category is not Category.DELETE


@given(triples())
def test_what_a_person_changed_in_the_city_is_never_written_over(legs: tuple[Leg, Leg, Leg, bool, bool]) -> None:
    ours, base, theirs, has_equal, has_twin = legs
    assume(theirs != base)

    decision = decide(ours, base, theirs, has_equal=has_equal, has_twin=has_twin)

    assert decision.op is None


@given(triples())
def test_a_create_needs_that_nothing_like_it_stands_there(legs: tuple[Leg, Leg, Leg, bool, bool]) -> None:
    ours, base, theirs, has_equal, has_twin = legs

    decision = decide(ours, base, theirs, has_equal=has_equal, has_twin=has_twin)

    is_free = isinstance(ours, bytes) and base is ABSENT and theirs is ABSENT and not has_equal and not has_twin
    assert (decision.op == "create") == is_free


@given(triples())
def test_unchanged_means_that_all_three_are_equal_and_nothing_else(legs: tuple[Leg, Leg, Leg, bool, bool]) -> None:
    ours, base, theirs, has_equal, has_twin = legs

    decision = decide(ours, base, theirs, has_equal=has_equal, has_twin=has_twin)

    assert (decision.category is Category.UNCHANGED) == (ours == base == theirs)


@given(triples(), st.permutations([A, B, C]))
def test_a_decision_knows_digests_only_by_their_being_equal(
    legs: tuple[Leg, Leg, Leg, bool, bool], renamed: list[bytes]
) -> None:
    ours, base, theirs, has_equal, has_twin = legs
    names = dict(zip((A, B, C), renamed, strict=True))
    other = [names.get(leg, leg) if isinstance(leg, bytes) else leg for leg in (ours, base, theirs)]

    decision = decide(ours, base, theirs, has_equal=has_equal, has_twin=has_twin)

    assert decide(other[0], other[1], other[2], has_equal=has_equal, has_twin=has_twin) == decision
