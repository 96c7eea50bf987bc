"""Which records of two sources are one thing: by ids both own, never by a name; nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.identifiers import source_of, source_of_scope
from gateway.domain.records import Group, Person, Subject
from gateway.mapping.pairing import pair_groups, pair_people
from gateway.mapping.rules import Rules

RULES = Rules()
SUBJECTS = {
    "subject:алгебра": Subject(ref="subject:алгебра", name="Алгебра"),
    "planner/subject:1": Subject(ref="planner/subject:1", name="алгебра, 7 класс"),
}


def person(make: Any, ref: str, **changes: Any) -> Person:
    return make.person(ref=ref, **changes)


def group(make: Any, ref: str, **changes: Any) -> Group:
    subject = "planner/subject:1" if ref.startswith("planner/") else "subject:алгебра"
    return make.group(ref=ref, subject=subject, **changes)


def found(pairing: Any) -> dict[str, str]:
    return {pair.ref: pair.canonical for pair in pairing.pairs}


@pytest.mark.parametrize(
    ("ref", "source"),
    [("user:3", ""), ("planner/user:3", "planner"), ("subject:информатика/икт", ""), ("session:5@group:2", "")],
)
def test_a_ref_tells_its_source_and_the_portal_s_bear_none(ref: str, source: str) -> None:
    assert source_of(ref) == source
    assert source_of_scope(f"mark|{ref}|x") == source


def test_one_child_of_two_sources_is_told_by_the_city_s_id_or_by_the_school_s(make: Any) -> None:
    people = [
        person(make, "user:1", person_id="{P-1}"),
        person(make, "user:2", school_id="S-2", first_name="Мария"),
        person(make, "planner/a", person_id="p-1"),
        person(make, "planner/b", school_id="S-2", first_name="Мария"),
    ]

    assert found(pair_people(people, {}, RULES)) == {"planner/a": "user:1", "planner/b": "user:2"}


@pytest.mark.row("E5")
def test_the_id_of_a_confirmed_link_counts_for_an_account_that_bears_none(make: Any) -> None:
    people = [person(make, "user:1"), person(make, "planner/a", person_id="p-1")]

    alone = pair_people(people, {}, RULES)
    linked = pair_people(people, {}, RULES, city_ids={"user:1": "p-1"}, sent={"user:1"})

    assert (found(alone), alone.waiting) == ({}, {"planner/a": "NOT_LINKED"})
    assert found(linked) == {"planner/a": "user:1"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"last_name": "Петрова"}, "PERSON_ID_NAME_MISMATCH"),
        ({"last_name": "Семенова"}, None),
    ],
)
def test_an_equal_id_under_another_name_waits(make: Any, changes: dict[str, str], reason: str | None) -> None:
    people = [person(make, "user:1", person_id="p-1"), person(make, "planner/a", person_id="p-1", **changes)]

    pairing = pair_people(people, {}, RULES)

    assert pairing.waiting.get("planner/a") == reason
    assert bool(pairing.pairs) is (reason is None)


def test_two_accounts_of_one_source_with_one_id_are_never_chosen_between(make: Any) -> None:
    people = [person(make, ref, person_id="p-1") for ref in ("user:1", "user:2", "planner/a")]

    pairing = pair_people(people, {}, RULES)

    assert (found(pairing), pairing.waiting) == ({}, {"planner/a": "AMBIGUOUS_LINK"})


def test_two_records_that_the_city_knows_as_two_pupils_are_a_person_s_decision(make: Any) -> None:
    people = [person(make, "user:1", school_id="S"), person(make, "planner/a", school_id="S")]

    pairing = pair_people(people, {}, RULES, sent={"user:1", "planner/a"})

    assert (found(pairing), pairing.waiting) == ({}, {"planner/a": "SOURCES_BOTH_SENT"})


def test_the_ref_that_the_city_knows_stays_the_canonical_one(make: Any) -> None:
    people = [person(make, "user:1", school_id="S"), person(make, "planner/a", school_id="S")]

    assert found(pair_people(people, {}, RULES, sent={"planner/a"})) == {"user:1": "planner/a"}


def test_a_group_is_told_by_subject_and_class_and_subgroups_by_their_names(make: Any) -> None:
    groups = [
        group(make, "group:1"),
        group(make, "group:2", class_name="8А", name="Англ 1"),
        group(make, "group:3", class_name="8А", name="Англ 2"),
        group(make, "planner/1", class_name="7-а", name="Алгебра 7А"),
        group(make, "planner/2", class_name="8 А", name="англ 2"),
        group(make, "planner/3", class_name="8 А", name="вторая"),
    ]

    pairing = pair_groups(groups, SUBJECTS, {}, RULES)

    assert found(pairing) == {"planner/1": "group:1", "planner/2": "group:3", "planner/3": "group:2"}


def test_subgroups_that_nothing_tells_apart_wait(make: Any) -> None:
    groups = [
        *(group(make, f"group:{number}", name=f"Англ {number}") for number in (1, 2)),
        *(group(make, f"planner/{number}", name=f"подгруппа {number}") for number in (1, 2)),
    ]

    pairing = pair_groups(groups, SUBJECTS, {}, RULES)

    assert found(pairing) == {}
    assert pairing.waiting == {"planner/1": "AMBIGUOUS_LINK", "planner/2": "AMBIGUOUS_LINK"}
