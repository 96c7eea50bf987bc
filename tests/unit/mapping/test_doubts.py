"""What speaks against a link that stands: new evidence does, what its decider saw does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway.mapping.doubts import Code, Standing, baseline, find_doubts, look, settled_field
from gateway.mapping.link_doubts import StoredDoubt

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
BORN, OTHER = date(2013, 5, 4), date(2012, 5, 4)


def standing(evidence: dict[str, str] | None = None, *, is_machine: bool = False) -> Standing:
    return Standing(local_ref="user:3", city_id=40, is_machine=is_machine, evidence=evidence or {})


def codes(link: Standing, people: list[Any], pupils: list[Any]) -> list[Code]:
    found = find_doubts([link], {one.ref: one for one in people}, {one.id: one for one in pupils})
    return [one.code for one in found]


def test_a_link_whose_sides_say_the_same_as_before_is_not_doubted(make: Any) -> None:
    person, pupil = make.person(birth_on=BORN), make.pupil(birth_on=BORN)

    assert codes(standing(look(person, pupil)), [person], [pupil]) == []


@pytest.mark.parametrize("is_machine", [False, True])
def test_a_birth_date_that_differs_is_a_doubt_unless_the_decider_saw_it(make: Any, is_machine: bool) -> None:
    person, pupil = make.person(birth_on=BORN), make.pupil(birth_on=OTHER)

    assert codes(standing(is_machine=is_machine), [person], [pupil]) == [Code.BIRTH]
    assert codes(standing(look(person, pupil), is_machine=is_machine), [person], [pupil]) == []
    later = make.pupil(birth_on=date(2011, 1, 1))
    assert codes(standing(look(person, pupil), is_machine=is_machine), [person], [later]) == [Code.BIRTH]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({}, {"last_name": "Иная"}, [Code.CITY_NAME]),
        ({"last_name": "Иная"}, {}, [Code.OWN_NAME]),
        ({"last_name": "Иная"}, {"last_name": "Иная"}, []),
    ],
    ids=["the city's", "the portal's", "both to the same"],
)
def test_a_name_that_changed_since_a_person_decided_is_a_doubt(
    make: Any, ours: dict[str, Any], theirs: dict[str, Any], expected: list[Code]
) -> None:
    seen = standing(look(make.person(), make.pupil()))

    assert codes(seen, [make.person(**ours)], [make.pupil(**theirs)]) == expected


def test_a_person_who_linked_two_names_is_believed(make: Any) -> None:
    person, pupil = make.person(), make.pupil(last_name="Девичья")
    kept = baseline(standing(), person, pupil)

    assert kept is not None
    assert codes(standing(kept), [person], [pupil]) == []
    assert baseline(standing(kept), person, pupil) is None
    assert baseline(standing(is_machine=True), person, pupil) is None
    assert codes(standing(kept), [person], [make.pupil(last_name="Третья")]) == [Code.CITY_NAME]


def test_two_pupils_of_the_portal_on_one_profile_doubt_the_link_of_either(make: Any) -> None:
    first, second = make.person(person_id="p-40"), make.person(ref="user:9", person_id="P-40")

    assert codes(standing(), [first, second], [make.pupil()]) == [Code.TWO_PUPILS]


def test_a_closed_profile_beside_a_new_one_of_the_same_child_is_a_doubt(make: Any) -> None:
    closed, new = make.pupil(is_active=False), make.pupil(id=41)

    assert codes(standing(), [make.person()], [closed, new]) == [Code.OTHER_PROFILE]
    assert codes(standing(), [make.person()], [closed]) == []


def test_a_settled_doubt_comes_back_only_as_another_one(make: Any) -> None:
    people = {one.ref: one for one in (make.person(person_id="p-40"), make.person(ref="user:9", person_id="p-40"))}
    pupils = {40: make.pupil()}
    (doubt,) = find_doubts([standing()], people, pupils)
    settled = standing({settled_field(doubt.code): doubt.fingerprint.hex()})

    assert find_doubts([settled], people, pupils) == []
    people["user:11"] = make.person(ref="user:11", person_id="p-40")
    assert [one.code for one in find_doubts([settled], people, pupils)] == [Code.TWO_PUPILS]


def test_another_class_counts_after_two_weeks_and_everything_else_at_once() -> None:
    def doubt(code: Code) -> StoredDoubt:
        return StoredDoubt(local_ref="user:3", city_id=40, code=code, fingerprint=bytes(16), seen_at=NOW)

    assert doubt(Code.BIRTH).is_ripe(NOW)
    assert not doubt(Code.CLASS).is_ripe(NOW + timedelta(days=13, hours=23))
    assert doubt(Code.CLASS).is_ripe(NOW + timedelta(days=14))
