"""The recorded Moodle end to end: counts, lessons of the classwork marks, a second sync that sends nothing."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

CATEGORIES = ("create", "update", "delete", "unchanged", "adopted", "held", "waiting", "rejected", "out_of_scope")
ABSENT_OR_LATE = {"A", "E", "L"}


def count_portal_keys(world: Any) -> int:
    """Marks, absences and homework that the portal holds, straight from its rows and not by the gateway's reading."""
    total = 0
    for courseid in world.portal.courses():
        rows = world.portal.sandbox.book.course(courseid)
        total += len(world.portal.cells(courseid))
        for sessions in rows.sessions.values():
            for session in sessions:
                acronyms = {str(status["id"]): status["acronym"] for status in session["statuses"]}
                total += sum(acronyms[str(one["statusid"])] in ABSENT_OR_LATE for one in session["attendance_log"])
        tasks = [] if rows.assignments is None else rows.assignments["assignments"]
        total += len(tasks) * len(rows.groups)
    return total


def count_city_objects(world: Any) -> int:
    return sum(len(world.city.standing(kind)) for kind in ("marks", "attendances", "homeworks"))


def test_the_first_pull_counts_every_gradebook_cell_with_a_value(recorded: Any) -> None:
    with recorded.open() as hand:
        synced = hand.sync(is_dry_run=True)

    assert synced.pulled.kinds["mark"] == {"read": 284, "new": 284, "changed": 0, "gone": 0, "unchanged": 0}
    assert synced.pulled.kinds["programme"]["read"] == 4
    assert synced.pulled.problems == []


@pytest.mark.row("V7")
def test_a_dry_run_writes_nothing_and_its_plan_can_not_be_released(recorded: Any) -> None:
    with recorded.open() as hand:
        synced = hand.sync(is_dry_run=True)
        with pytest.raises(Exception, match="проба"):
            hand.approve(synced)

    assert recorded.city.ledger() == []
    assert recorded.city.writes() == []


def test_counters_sum_to_what_both_sides_hold(recorded: Any) -> None:
    with recorded.open() as hand:
        hand.link_everybody()
        first = hand.sync()
        hand.approve(first)
        hand.deliver()
        second = hand.sync()

    for synced in (first, second):
        counters = synced.planned.plan.counters
        assert counters["read"] == sum(counters[name] for name in CATEGORIES)
        assert counters["read"] == count_portal_keys(recorded)
        assert sum(synced.planned.plan.by_reason.values()) == counters["read"]


def test_read_is_the_union_of_the_portal_and_of_what_others_typed_in_the_city(build_world: Any) -> None:
    world = build_world(traps=True)
    typed = count_city_objects(world)
    with world.open() as hand:
        hand.link_everybody()
        planned = hand.sync(is_dry_run=True).planned

    counters = planned.plan.counters
    assert counters["read"] == count_portal_keys(world) + typed - counters["adopted"]
    assert counters["read"] == sum(counters[name] for name in CATEGORIES)


def test_classwork_marks_hang_on_the_lessons_of_their_days(recorded: Any) -> None:
    wanted: Counter[str] = Counter()
    for courseid in recorded.portal.courses():
        for _, item in recorded.portal.cells(courseid):
            found = re.search(r"(\d{2})\.(\d{2})\.(\d{4})", item["itemname"] or "")
            if item["itemtype"] == "manual" and found:
                wanted[f"{found[3]}-{found[2]}-{found[1]}"] += 1
    with recorded.open() as hand:
        hand.link_everybody()
        hand.through()

    state = recorded.city.state()
    days = {row["id"]: "-".join(f"{part:02d}" for part in row["date"]) for row in state["schedule_items"]}
    forms = {row["id"]: row["name"] for row in state["control_forms"]}
    got = Counter(
        days[row["schedule_lesson_id"]] for row in state["marks"] if forms[row["control_form_id"]] == "Работа на уроке"
    )
    assert set(wanted) == {"2026-11-10", "2026-11-11", "2026-11-12"}
    assert got == wanted


def test_everything_linked_stands_exactly_once_after_the_first_delivery(recorded: Any) -> None:
    with recorded.open() as hand:
        hand.link_everybody()
        synced = hand.through()

        assert synced.exit_code == 0
        assert synced.delivered.verified == synced.delivered.sent == len(recorded.city.ledger())
        hand.assert_sound()


@pytest.mark.row("A29")
def test_a_second_sync_with_nothing_changed_only_reads(recorded: Any) -> None:
    with recorded.open() as hand:
        hand.through()
        ledger = recorded.city.ledger()
        recorded.city.asked.clear()

        again = hand.sync()
        once_more = hand.sync()

    assert recorded.city.ledger() == ledger
    assert {one.method for one in recorded.city.asked} == {"GET"}
    assert (again.sentence, again.exit_code) == ("Отправлять было нечего", 0)
    counters = again.planned.plan.counters
    assert counters["create"] == counters["update"] == counters["delete"] == counters["adopted"] == 0
    assert once_more.planned.plan.counters == counters
    assert once_more.planned.plan.by_reason == again.planned.plan.by_reason
    assert once_more.planned.skipped_scopes > 0


def test_a_second_gateway_on_the_same_database_sends_nothing_either(recorded: Any) -> None:
    with recorded.open() as hand:
        hand.through()
    ledger = recorded.city.ledger()

    with recorded.open() as hand:
        again = hand.sync()

    assert recorded.city.ledger() == ledger
    assert again.planned.plan.counters["unchanged"] == len(ledger)


def test_the_people_who_wait_are_counted_and_none_of_them_is_written(recorded: Any) -> None:
    with recorded.open() as hand:
        synced = hand.through()
        plan = hand.sync().planned.plan
        linked = {row["person_id"] for row in recorded.like.pupils}

    assert synced.delivered.sent == len(recorded.city.ledger())
    assert plan.counters["waiting"] == plan.by_reason["NOT_LINKED"] > 0
    without_field = unlinked_pupils(recorded)
    written = {entry["cell"]["student_profile_id"] for entry in recorded.city.ledger()} - {None}
    ids = {row["person_id"]: row["id"] for row in recorded.city.state()["student_profiles"]}
    assert without_field <= linked
    assert not written & {ids[person_id] for person_id in without_field}


def unlinked_pupils(world: Any) -> set[str]:
    """Person ids of pupils whose portal account does not carry one."""
    found = set()
    for row in world.like.pupils:
        user = world.portal.sandbox.book.users([row["portal_id"]])[0]
        if not any(one["shortname"] == "externalid" and one["value"] for one in user["customfields"]):
            found.add(row["person_id"])
    return found
