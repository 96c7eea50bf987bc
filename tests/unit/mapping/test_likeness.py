"""Evidence about two pupils: codes without values, words a curator understands, a score that only orders."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway.mapping.likeness import compare, find_near, fingerprint, score_of, tell
from gateway.mapping.people import correlate_people

BORN = date(2013, 5, 4)


def test_everything_equal_scores_highest_and_is_said_in_words(make: Any) -> None:
    person, pupil = make.person(person_id="p-40", birth_on=BORN), make.pupil(birth_on=BORN)

    evidence = compare(person, pupil, groups=(3, 3))

    assert score_of(evidence) == 1.0
    assert tell(evidence)[0] == "идентификатор контингента совпадает"
    assert "вместе в группах: 3 из 3" in tell(evidence)
    assert not any(name in line for line in tell(evidence) for name in (person.last_name, "2013", "7А"))


def test_a_birth_date_weighs_more_than_a_name_and_the_unknown_speaks_against_nobody(make: Any) -> None:
    person = make.person(birth_on=BORN)
    scores = {
        name: score_of(compare(person, make.pupil(**changes)))
        for name, changes in {
            "born then": {"birth_on": BORN},
            "born another day": {"birth_on": date(2013, 5, 5)},
            "birth unknown": {"birth_on": None},
            "other first name": {"birth_on": BORN, "first_name": "Анна"},
        }.items()
    }

    assert scores["born then"] > scores["other first name"] > scores["born another day"]
    assert scores["born then"] > scores["birth unknown"] > scores["born another day"]


@pytest.mark.parametrize("score_of_names", ["Семенова", "Семёнова", "Cеменова"])
def test_spelling_is_no_difference(make: Any, score_of_names: str) -> None:
    assert compare(make.person(last_name=score_of_names), make.pupil())["last_name"] == "equal"


def test_near_names_are_found_nearest_first_also_with_first_and_last_name_exchanged() -> None:
    others = [("иванова", "мария"), ("семенова", "мария"), ("мария", "семенова"), ("семеновна", "мария")]

    assert find_near(("семенова", "мария"), others) == [
        ("мария", "семенова"),
        ("семенова", "мария"),
        ("семеновна", "мария"),
    ]


@pytest.mark.parametrize("changes", [{}, {"birth_on": BORN}])
def test_a_near_name_is_offered_and_never_linked_whatever_its_score(make: Any, changes: dict[str, Any]) -> None:
    person = make.person(last_name="Семенов", **changes)

    found = correlate_people([person], [make.pupil(**changes)], {})

    assert not found.links
    assert found.waiting == {"user:3": "NOT_LINKED"}
    assert found.candidates[0].evidence["last_name"] == "near"
    assert 0 < found.candidates[0].score < 1


def test_who_is_taken_or_born_another_day_is_not_offered_for_a_near_name(make: Any) -> None:
    person = make.person(last_name="Семенов", birth_on=BORN)
    taken, older = make.pupil(birth_on=BORN), make.pupil(id=41, person_id="p-41", birth_on=date(2012, 1, 1))

    found = correlate_people([person], [taken, older], {"user:9": 40})

    assert found.waiting == {"user:3": "NO_CANDIDATE"}


def test_a_refused_pair_is_gone_until_a_side_says_something_new(make: Any) -> None:
    person, pupil = make.person(), make.pupil()
    rejected = {(person.ref, pupil.id): fingerprint(person, pupil)}

    same = correlate_people([person], [pupil], {}, rejected=rejected)
    changed = correlate_people([make.person(birth_on=BORN)], [pupil], {}, rejected=rejected)

    assert same.waiting == {"user:3": "NO_CANDIDATE"}
    assert not same.candidates
    assert [one.city_id for one in changed.candidates] == [pupil.id]


def test_a_refused_pair_is_never_linked_by_its_person_id(make: Any) -> None:
    person, pupil = make.person(person_id="p-40"), make.pupil()
    rejected = {(person.ref, pupil.id): fingerprint(person, pupil)}

    for now in (person, make.person(person_id="p-40", birth_on=BORN)):
        found = correlate_people([now], [pupil], {}, rejected=rejected)
        assert not found.links
        assert found.waiting == {"user:3": "LINK_REJECTED"}


def test_common_groups_are_asked_for_candidates_only(make: Any) -> None:
    asked: list[tuple[str, int]] = []

    def overlap_of(ref: str, city_id: int) -> tuple[int, int]:
        asked.append((ref, city_id))
        return 2, 4

    found = correlate_people([make.person()], [make.pupil()], {}, overlap_of=overlap_of)
    correlate_people([make.person(person_id="p-40")], [make.pupil()], {}, overlap_of=overlap_of)

    assert asked == [("user:3", 40)]
    assert found.candidates[0].evidence["groups"] == "2/4"
