"""Who is who: links only where both systems own the key, everybody else waits."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityClass, CityYear
from gateway.domain.records import Lesson, Subject
from gateway.mapping.correlate import (
    Correlation,
    correlate_groups,
    correlate_lessons,
)
from gateway.mapping.people import correlate_people
from gateway.mapping.rules import build_rules, load_rules

NAMELESS = {"last_name": None, "first_name": None}


def links(correlation: Correlation) -> dict[str, int]:
    return {one.local_ref: one.city_id for one in correlation.links}


def candidates(correlation: Correlation) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in correlation.candidates:
        found.setdefault(one.local_ref, []).append(one.city_id)
    return found


def test_an_equal_person_id_with_an_equal_name_is_a_link(make: Any) -> None:
    found = correlate_people([make.person(person_id=" P-40 ")], [make.pupil()], {})

    assert links(found) == {"user:3": 40}
    assert found.links[0].how == "custom_field"
    assert found.links[0].evidence["last_name"] == "equal"
    assert not found.waiting


@pytest.mark.parametrize("name", ["Cеменова", "СЕМЁНОВА", "Семенова"])
def test_spelling_does_not_stand_between_equal_person_ids(make: Any, name: str) -> None:
    assert links(correlate_people([make.person(person_id="p-40", last_name=name)], [make.pupil()], {}))


@pytest.mark.parametrize(
    "city", [NAMELESS, {"last_name": "None", "first_name": "None"}, {"last_name": None}, {"first_name": ""}]
)
def test_name_parts_the_city_does_not_know_do_not_stand_between_equal_person_ids(
    make: Any, city: dict[str, Any]
) -> None:
    assert links(correlate_people([make.person(person_id="p-40")], [make.pupil(**city)], {})) == {"user:3": 40}


@pytest.mark.parametrize(
    "city", [{"last_name": "Иванова"}, {"first_name": "Анна"}, {"last_name": None, "first_name": "Анна"}]
)
def test_an_equal_person_id_under_another_name_waits(make: Any, city: dict[str, Any]) -> None:
    found = correlate_people([make.person(person_id="p-40")], [make.pupil(**city)], {})

    assert not found.links
    assert found.waiting == {"user:3": "PERSON_ID_NAME_MISMATCH"}
    assert candidates(found) == {"user:3": [40]}


def test_a_name_alone_is_never_a_link(make: Any) -> None:
    found = correlate_people([make.person()], [make.pupil()], {})

    assert not found.links
    assert found.waiting == {"user:3": "NOT_LINKED"}
    assert found.candidates[0].evidence == {
        "person_id": "unknown",
        "last_name": "equal",
        "first_name": "equal",
        "class": "equal",
        "birth": "unknown",
        "profile": "equal",
    }


def test_namesakes_in_one_class_are_both_candidates(make: Any) -> None:
    found = correlate_people([make.person()], [make.pupil(), make.pupil(id=41, person_id="p-41")], {})

    assert found.waiting == {"user:3": "AMBIGUOUS_LINK"}
    assert candidates(found) == {"user:3": [40, 41]}


def test_birth_dates_tell_namesakes_apart_but_still_make_no_link(make: Any) -> None:
    born = date(2013, 3, 1)
    city = [
        make.pupil(birth_on=born),
        make.pupil(id=41, person_id="p-41", birth_on=date(2013, 5, 9)),
    ]

    found = correlate_people([make.person(birth_on=born)], city, {})

    assert not found.links
    assert candidates(found) == {"user:3": [40]}


def test_a_namesake_of_the_own_class_comes_before_one_of_another(make: Any) -> None:
    city = [make.pupil(), make.pupil(id=41, person_id="p-41", class_name="7Б")]

    assert candidates(correlate_people([make.person()], city, {})) == {"user:3": [40]}
    assert candidates(correlate_people([make.person(class_name="7Б")], city, {})) == {"user:3": [41]}
    assert candidates(correlate_people([make.person(class_name="8А")], city, {})) == {"user:3": [40, 41]}


def test_a_person_id_the_city_does_not_know_leaves_candidates_by_name(make: Any) -> None:
    found = correlate_people([make.person(person_id="p-99")], [make.pupil()], {})

    assert found.waiting == {"user:3": "NOT_LINKED"}
    assert found.candidates[0].evidence["person_id"] == "differs"


@pytest.mark.parametrize("name", [{"last_name": "Ким"}, {"last_name": "None", "first_name": "None"}])
def test_nobody_alike_is_no_candidate(make: Any, name: dict[str, str]) -> None:
    found = correlate_people([make.person(**name)], [make.pupil(), make.pupil(id=41, person_id="", **NAMELESS)], {})

    assert found.waiting == {"user:3": "NO_CANDIDATE"}
    assert not found.candidates


def test_unknown_names_on_both_sides_are_not_equal(make: Any) -> None:
    nobody = {"last_name": "None", "first_name": "None"}

    assert correlate_people([make.person(**nobody)], [make.pupil(**nobody)], {}).waiting == {"user:3": "NO_CANDIDATE"}


def test_two_local_people_with_one_person_id_both_wait(make: Any) -> None:
    people = [make.person(person_id="p-40"), make.person(ref="user:4", person_id="P-40")]

    found = correlate_people(people, [make.pupil()], {})

    assert not found.links
    assert found.waiting == {"user:3": "AMBIGUOUS_LINK", "user:4": "AMBIGUOUS_LINK"}


def test_two_profiles_with_one_person_id_both_wait_unless_one_is_closed(make: Any) -> None:
    two = [make.pupil(), make.pupil(id=41)]
    moved = [make.pupil(is_active=False), make.pupil(id=41, class_name="7Б")]
    person = make.person(person_id="p-40")

    assert correlate_people([person], two, {}).waiting == {"user:3": "AMBIGUOUS_LINK"}
    assert links(correlate_people([person], moved, {})) == {"user:3": 41}


def test_a_city_pupil_linked_to_another_makes_the_second_wait(make: Any) -> None:
    found = correlate_people([make.person(person_id="p-40")], [make.pupil()], {"user:9": 40})

    assert not found.links
    assert found.waiting == {"user:3": "AMBIGUOUS_LINK"}


def test_a_namesake_without_an_id_is_not_offered_a_taken_profile_as_free(make: Any) -> None:
    city = [make.pupil(), make.pupil(id=41, person_id="p-41")]
    people = [make.person(ref="user:1"), make.person(person_id="p-40")]

    found = correlate_people(people, city, {})

    assert links(found) == {"user:3": 40}
    assert (found.waiting["user:1"], candidates(found)["user:1"]) == ("NOT_LINKED", [41])
    assert correlate_people(people, city[:1], {}).waiting == {"user:1": "AMBIGUOUS_LINK"}


def test_who_is_linked_is_left_alone_and_teachers_are_passed_over(make: Any) -> None:
    people = [make.person(person_id="p-41"), make.person(ref="user:35", role="teacher", person_id="p-40")]

    found = correlate_people(people, [make.pupil(), make.pupil(id=41, person_id="p-41")], {"user:3": 40})

    assert found == Correlation(links=(), candidates=(), waiting={})


def directory(make: Any, *groups: Any) -> CityDirectory:
    return CityDirectory(
        year=CityYear(id=14, name="2026/27", begins_on=date(2026, 9, 1), ends_on=date(2027, 8, 31), is_current=True),
        periods=(),
        classes=(CityClass(id=1, name="7-А", level=7), CityClass(id=2, name="7Б", level=7)),
        subjects=(),
        groups=groups,
        teachers=(),
        pupils=(),
        forms=(),
    )


SUBJECTS = {"subject:ALG": Subject(ref="subject:ALG", name="Алгебра, 7 класс")}


def groups_of(
    make: Any, *city: Any, local: Any = None, rules: Any = None, linked: dict[str, int] | None = None
) -> Correlation:
    return correlate_groups(
        local or [make.group()], SUBJECTS, directory(make, *city), rules or load_rules(None), linked or {}
    )


def test_a_group_is_the_one_of_its_subject_and_class(make: Any) -> None:
    other = make.city_group(id=8, class_name="7Б", class_ids=(2,))
    physics = make.city_group(id=9, subject_name="Физика")

    found = groups_of(make, make.city_group(), other, physics)

    assert links(found) == {"group:1": 7}
    assert found.links[0].how == "natural"


def test_a_city_group_without_a_class_name_is_known_by_its_class(make: Any) -> None:
    assert links(groups_of(make, make.city_group(class_name=None))) == {"group:1": 7}


def test_the_local_groups_own_name_stands_in_for_a_missing_class(make: Any) -> None:
    assert links(groups_of(make, make.city_group(), local=[make.group(class_name=None, name="7 A")])) == {"group:1": 7}


def test_the_dictionaries_name_subject_and_class(make: Any) -> None:
    rules = build_rules({"subjects": {"Алгебра": "Математика"}, "classes": {"7 мат": "7А"}})
    local = [make.group(class_name="7 мат")]

    found = groups_of(make, make.city_group(subject_name="математика"), local=local, rules=rules)

    assert links(found) == {"group:1": 7}


@pytest.mark.parametrize("form", [{"is_subgroup": True}, {"is_metagroup": True}])
def test_a_plain_group_beside_a_subgroup_or_metagroup_waits(make: Any, form: dict[str, bool]) -> None:
    found = groups_of(make, make.city_group(), make.city_group(id=8, **form))

    assert not found.links
    assert found.waiting == {"group:1": "AMBIGUOUS_LINK"}
    assert candidates(found) == {"group:1": [7, 8]}


@pytest.mark.parametrize("form", [{"is_subgroup": True}, {"is_metagroup": True, "class_ids": (1, 2)}])
def test_a_lone_subgroup_or_metagroup_is_only_a_candidate(make: Any, form: dict[str, Any]) -> None:
    assert groups_of(make, make.city_group(**form)).waiting == {"group:1": "NOT_LINKED"}


def test_two_local_groups_for_one_city_group_both_wait(make: Any) -> None:
    local = [make.group(), make.group(ref="group:2")]

    found = groups_of(make, make.city_group(), local=local)

    assert found.waiting == {"group:1": "AMBIGUOUS_LINK", "group:2": "AMBIGUOUS_LINK"}


def test_a_city_group_linked_to_another_is_not_given_twice(make: Any) -> None:
    assert groups_of(make, make.city_group(), linked={"group:9": 7}).waiting == {"group:1": "AMBIGUOUS_LINK"}
    assert groups_of(make, make.city_group(), linked={"group:1": 7}).waiting == {}


@pytest.mark.parametrize(
    "change", [{"subject": "subject:unknown"}, {"class_name": "8А"}, {"class_name": None, "name": "None"}]
)
def test_a_group_of_an_unknown_subject_or_class_has_no_candidate(make: Any, change: dict[str, Any]) -> None:
    assert groups_of(make, make.city_group(), local=[make.group(**change)]).waiting == {"group:1": "NO_CANDIDATE"}


AT = datetime(2026, 11, 10, 6, 0, tzinfo=UTC)


def local_lesson(ref: str = "session:2", **changes: Any) -> Lesson:
    usual: dict[str, Any] = {"group": "group:1", "starts_at": AT, "duration_min": 45, "ordinal": 1}
    return Lesson(ref=ref, **(usual | changes))


def test_a_lesson_is_the_one_that_starts_at_the_same_moment(make: Any) -> None:
    lessons, waiting = correlate_lessons([local_lesson()], make.lessons())

    assert {ref: lesson.starts_at for ref, lesson in lessons.items()} == {"session:2": AT}
    assert not waiting


def test_a_lesson_at_another_minute_is_not_guessed(make: Any) -> None:
    _, waiting = correlate_lessons([local_lesson(starts_at=AT.replace(minute=5))], make.lessons())

    assert waiting == {"session:2": "LESSON_NOT_LINKED"}


def test_a_cancelled_lesson_gives_way_to_the_one_held_instead_and_else_is_linked(make: Any) -> None:
    day = date(2026, 11, 10)
    cancelled, held = make.lesson(day, id=1, is_cancelled=True), make.lesson(day, id=2)

    assert correlate_lessons([local_lesson()], [cancelled, held])[0]["session:2"].id == 2
    assert correlate_lessons([local_lesson()], [cancelled])[0]["session:2"].id == 1


def test_two_lessons_at_one_moment_on_either_side_wait(make: Any) -> None:
    day = date(2026, 11, 10)
    doubled = [make.lesson(day, id=1), make.lesson(day, id=2)]

    assert correlate_lessons([local_lesson()], doubled) == ({}, {"session:2": "AMBIGUOUS_LINK"})
    twice = [local_lesson("session:1"), local_lesson("event:1")]
    assert correlate_lessons(twice, doubled[:1]) == ({}, {"session:1": "AMBIGUOUS_LINK", "event:1": "AMBIGUOUS_LINK"})


def test_lessons_of_several_groups_together_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="one group"):
        correlate_lessons([local_lesson(), local_lesson("x", group="group:2")], [])
