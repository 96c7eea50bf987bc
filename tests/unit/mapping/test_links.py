"""Links, candidates, chosen lessons and dictionaries in the store, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from gateway.domain.errors import AmbiguousMatchError
from gateway.domain.identifiers import Kind, Place
from gateway.mapping.correlate import Candidate, Correlation, NewLink
from gateway.mapping.dictionaries import (
    change_entry,
    find_rule_set,
    load_dictionaries,
    load_subjects,
    save_rule_set,
    seed_dictionaries,
)
from gateway.mapping.links import (
    confirm,
    get_place_id,
    load_candidates,
    load_chosen_lessons,
    load_links,
    load_waiting,
    save_chosen_lessons,
    save_correlation,
)
from gateway.mapping.mesh import map_record
from gateway.mapping.people import correlate_people
from gateway.mapping.rules import build_rules, load_rules, rule_version, rules_body
from gateway.mapping.tables import link
from gateway.store.transaction import Store

PLACE = Place(city="127.0.0.1/1", portal="portal", year="2026/27")
NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


def one_link(local_ref: str, city_id: int) -> Correlation:
    new = NewLink(local_ref=local_ref, city_id=city_id, how="custom_field", evidence={})
    return Correlation(links=(new,), candidates=(), waiting={})


def test_a_place_has_one_number_and_another_city_another(store: Store) -> None:
    with store.write() as conn:
        first = get_place_id(conn, PLACE)
        other = get_place_id(conn, Place(city="other/1", portal="portal", year="2026/27"))
    with store.read() as conn:
        again = get_place_id(conn, PLACE)

    assert first == again
    assert first != other


def test_a_correlation_is_stored_whole(store: Store, make: Any) -> None:
    people = [
        make.person(person_id="p-40"),
        make.person(ref="user:4", last_name="Ким"),
        make.person(ref="user:5"),
    ]
    city = [make.pupil(), make.pupil(id=41, person_id="p-41")]
    found = correlate_people(people, city, {})

    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        made = save_correlation(conn, place_id, Kind.PERSON, found, NOW)
    with store.read() as conn:
        linked = load_links(conn, place_id, Kind.PERSON)
        candidates = load_candidates(conn, place_id, Kind.PERSON)
        waiting = load_waiting(conn, place_id, Kind.PERSON)

    assert made == 1
    assert linked == {"user:3": 40}
    assert tuple(candidates) == found.candidates
    assert waiting == found.waiting == {"user:4": "NO_CANDIDATE", "user:5": "NOT_LINKED"}


def test_candidates_are_replaced_and_links_stay(store: Store) -> None:
    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        save_correlation(conn, place_id, Kind.PERSON, one_link("user:3", 40), NOW)
        candidate = Candidate(local_ref="user:4", city_id=41, reason="NOT_LINKED", score=0.5, evidence={"x": "equal"})
        waits = Correlation(links=(), candidates=(candidate,), waiting={"user:4": "NOT_LINKED"})
        save_correlation(conn, place_id, Kind.PERSON, waits, NOW)
        save_correlation(conn, place_id, Kind.GROUP, Correlation(links=(), candidates=(), waiting={}), NOW)
        shown = load_candidates(conn, place_id, Kind.PERSON)
        save_correlation(conn, place_id, Kind.PERSON, Correlation(links=(), candidates=(), waiting={}), NOW)

        assert shown == [candidate]
        assert load_waiting(conn, place_id, Kind.PERSON) == {}
        assert load_links(conn, place_id, Kind.PERSON) == {"user:3": 40}


@pytest.mark.parametrize(("local_ref", "city_id"), [("user:3", 41), ("user:4", 40), ("user:3", 40)])
def test_a_machine_never_moves_a_link(store: Store, local_ref: str, city_id: int) -> None:
    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        save_correlation(conn, place_id, Kind.PERSON, one_link("user:3", 40), NOW)

        assert save_correlation(conn, place_id, Kind.PERSON, one_link(local_ref, city_id), NOW) == 0
        assert load_links(conn, place_id, Kind.PERSON) == {"user:3": 40}


def test_links_of_one_place_are_not_those_of_another(store: Store) -> None:
    with store.write() as conn:
        here = get_place_id(conn, PLACE)
        there = get_place_id(conn, Place(city="other/1", portal="portal", year="2026/27"))
        save_correlation(conn, here, Kind.PERSON, one_link("user:3", 40), NOW)

        assert load_links(conn, there, Kind.PERSON) == {}
        assert load_links(conn, here, Kind.GROUP) == {}


def confirmed(conn: Any, place_id: int, local_ref: str, city_id: int) -> bool:
    return confirm(
        conn,
        place_id,
        Kind.PERSON,
        local_ref,
        city_id,
        actor="curator",
        how="confirmed",
        evidence={"name": "equal"},
        now=NOW,
    )


def test_a_confirmation_links_once_and_ends_the_waiting(store: Store, make: Any) -> None:
    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        found = correlate_people([make.person()], [make.pupil()], {})
        save_correlation(conn, place_id, Kind.PERSON, found, NOW)

        assert confirmed(conn, place_id, "user:3", 40) is True
        assert confirmed(conn, place_id, "user:3", 40) is False
        assert load_links(conn, place_id, Kind.PERSON) == {"user:3": 40}
        assert load_waiting(conn, place_id, Kind.PERSON) == {}


@pytest.mark.parametrize(("local_ref", "city_id"), [("user:3", 41), ("user:4", 40)])
def test_a_confirmation_never_overwrites_a_different_link(store: Store, local_ref: str, city_id: int) -> None:
    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        confirmed(conn, place_id, "user:3", 40)

        with pytest.raises(AmbiguousMatchError):
            confirmed(conn, place_id, local_ref, city_id)
        assert load_links(conn, place_id, Kind.PERSON) == {"user:3": 40}


def test_the_table_itself_refuses_two_children_on_one_profile(store: Store) -> None:
    row = {"kind": "person", "city_id": "40", "how": "x", "evidence": {}, "actor": "x", "decided_at": NOW}
    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        conn.execute(insert(link).values(place_id=place_id, local_ref="user:3", **row))

        with pytest.raises(IntegrityError), conn.begin_nested():
            conn.execute(insert(link).values(place_id=place_id, local_ref="user:4", **row))


def test_a_chosen_lesson_is_stored_once_and_never_moved(store: Store, make: Any) -> None:
    big = 24_570_219_565  # ids of the city do not fit 32 bits
    lesson = make.changed(make.lessons()[1], id=big)
    first = map_record(make.mark(), make.context(lessons=(lesson,)))
    later = map_record(make.mark(item_name="Урок 12.11.2026"), make.context())
    held = map_record(make.mark(ref="cell:5/9", item_name="Урок 25.11.2026"), make.context())
    absence = map_record(make.absence(), make.context())

    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        lessons = (lesson, *make.lessons())
        save_chosen_lessons(conn, place_id, [first, held, absence], lessons, "v" * 64, NOW)
        save_chosen_lessons(conn, place_id, [later], lessons, "w" * 64, NOW)
        refs = [f"cell:5/{number}" for number in range(1200)]

        assert load_chosen_lessons(conn, place_id, refs, lessons) == {"cell:5/3": big}
        assert load_chosen_lessons(conn, place_id, [], lessons) == {}


def test_a_republished_lesson_is_found_again_by_its_beginning(store: Store, make: Any) -> None:
    lesson = make.lessons()[1]
    chosen = map_record(make.mark(), make.context(lessons=(lesson,)))
    republished = make.changed(lesson, id=lesson.id + 1000)
    other_hour = make.changed(lesson, id=lesson.id + 2000, starts_at=lesson.starts_at + timedelta(hours=1))

    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        save_chosen_lessons(conn, place_id, [chosen], (lesson,), "v" * 64, NOW)

        refs = [chosen.ref]
        assert load_chosen_lessons(conn, place_id, refs, (republished, other_hour)) == {chosen.ref: republished.id}
        assert load_chosen_lessons(conn, place_id, refs, (other_hour,)) == {chosen.ref: lesson.id}


def test_the_schools_own_entry_wins_over_the_file_and_over_its_next_edition(store: Store) -> None:
    rules = build_rules({"subjects": {"Алгебра": "Математика", "Физ-ра": "Физкультура"}})
    next_edition = build_rules({"subjects": {"алгебра": "Алгебра", "ИЗО": "Искусство"}})
    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        seed_dictionaries(conn, place_id, rules, NOW)
        change_entry(conn, place_id, "subjects", "Алгебра", "Алгебра и начала анализа", NOW)
        seed_dictionaries(conn, place_id, rules, NOW)
        seed_dictionaries(conn, place_id, next_edition, NOW)
        effective = load_subjects(conn, place_id, next_edition)
        shown = load_dictionaries(conn, place_id)["subjects"]

    assert effective.city_subject("s:1", "алгебра, 7 класс") == "Алгебра и начала анализа"
    assert effective.city_subject("s:1", "ИЗО") == "Искусство"
    assert shown["Алгебра"] == ("Алгебра и начала анализа", False)
    assert shown["ИЗО"] == ("Искусство", True)
    assert "Физ-ра" not in shown
    assert rule_version(effective) != rule_version(next_edition)


def test_without_own_entries_the_files_rules_count_as_they_are(store: Store) -> None:
    rules = load_rules(None)
    with store.write() as conn:
        place_id = get_place_id(conn, PLACE)
        seed_dictionaries(conn, place_id, rules, NOW)

        assert load_subjects(conn, place_id, rules) == rules


def test_used_rules_are_kept_under_their_version(store: Store) -> None:
    rules = load_rules(None)
    with store.write() as conn:
        version = save_rule_set(conn, rules, NOW)
        save_rule_set(conn, rules, NOW)

        assert find_rule_set(conn, version) == rules_body(rules)
        assert find_rule_set(conn, "0" * 64) is None
