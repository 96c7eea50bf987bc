"""What the city does not show is not gone: known objects are the canaries of their own scope."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gateway.connectors.port import CityRead, CityScope
from gateway.domain.errors import ConfigurationError, UnavailableError, UnreachableError
from gateway.domain.identifiers import Kind
from gateway.flows.city_reads import CityReads
from gateway.flows.emptied import believe_emptied, find_emptied
from gateway.flows.sync import sync
from gateway.queue.breaker import load_breaker


@pytest.fixture
def delivered(build_world: Any) -> Any:
    """One class of three in two subjects with everything delivered; gives an operator's hand."""
    with build_world(pupils=3, courses=2).open() as hand:
        hand.link_everybody()
        hand.through()
        yield hand


LISTS = r"/(marks|attendances|homeworks)$"


def counts(synced: Any) -> dict[str, int]:
    return {name: synced.planned.plan.counters[name] for name in ("create", "update", "delete", "adopted")}


NOTHING = {"create": 0, "update": 0, "delete": 0, "adopted": 0}


@pytest.mark.row("A15")
def test_lists_that_come_empty_in_mid_run_are_no_emptied_journal(delivered: Any) -> None:
    """The directories are shown as ever, so only what is known of the marks themselves can tell."""
    there = delivered.city.standing("marks")[0]
    cell = {name: there[name] for name in ("student_profile_id", "schedule_lesson_id")}
    by_hand = delivered.city.human(
        "create", "mark", cell=cell, value="3", weight=1, control_form_id=there["control_form_id"]
    )
    delivered.sync()
    ledger = delivered.city.ledger()
    delivered.city.fault("empty_list", path=LISTS, method="GET")

    synced = delivered.sync()

    assert delivered.city.fired() > 0
    assert counts(synced) == NOTHING
    assert {problem.reason for problem in synced.planned.problems} == {"INCOMPLETE_READ"}
    assert "DRIFT" not in synced.planned.plan.by_reason
    delivered.city.clear()
    last = delivered.until_quiet()
    assert counts(last) == NOTHING
    assert delivered.city.ledger() == ledger
    assert by_hand["id"] in {row["id"] for row in delivered.city.standing("marks")}


@pytest.mark.row("A15")
def test_a_right_that_is_lost_between_two_groups_empties_no_journal(delivered: Any) -> None:
    """What the first group showed a while ago does not vouch for the second, which shows nothing now."""
    ledger = delivered.city.ledger()

    def progress(stage: str, done: int, total: int | None = None) -> None:
        if (stage, done) == ("plan", 1):
            delivered.city.fault("empty_list", path=LISTS, method="GET")

    synced = sync(replace(delivered.gateway, progress=progress), delivered.want)

    assert delivered.city.fired() > 0
    assert "DRIFT" not in synced.planned.plan.by_reason
    assert {problem.reason for problem in synced.planned.problems} == {"INCOMPLETE_READ"}
    delivered.city.clear()
    assert counts(delivered.until_quiet()) == NOTHING
    assert delivered.city.ledger() == ledger


@pytest.mark.row("A15", "A3")
def test_a_read_back_that_comes_empty_sends_nothing_again(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        wanted = synced.planned.plan.counters["create"]
        hand.approve(synced)
        small.city.fault("drop_after_commit", path=LISTS, method="POST", every=4)
        hand.deliver(max_wait_s=0)
        sent = small.city.ledger()
        assert hand.states()["unknown"] > 0
        small.city.clear()
        small.city.fault("empty_list", path="/marks", method="GET")
        small.clock.advance(3600)

        hand.deliver(max_wait_s=0)

        assert small.city.fired() > 0
        assert not [row for row in hand.operations() if row.reason == "UNKNOWN_OUTCOME" and row.state == "ready"]
        again = small.city.ledger()[len(sent) :]
        assert len(again) <= wanted - len(sent), "what was sent already was sent again"
        small.city.clear()
        hand.until_quiet()
        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A15", "A18")
def test_a_group_that_a_person_has_emptied_is_believed_because_another_group_is_shown(delivered: Any) -> None:
    marks = delivered.city.standing("marks")
    group = marks[0]["group_id"]
    emptied = [row for row in marks if row["group_id"] == group]
    assert any(row["group_id"] != group for row in marks)
    for row in emptied:
        delivered.city.human("delete", "mark", id=row["id"])
    machine = delivered.city.machine_ledger()

    synced = delivered.sync()

    assert synced.planned.problems == []
    assert synced.planned.plan.by_reason["DRIFT"] == len(emptied)
    assert counts(synced) == NOTHING
    assert delivered.city.machine_ledger() == machine


@pytest.mark.row("A21")
def test_a_known_row_that_one_reading_misses_is_looked_for_once_more(delivered: Any) -> None:
    """The first list is of a moment at which the replica has lost everything; the second has it again."""
    delivered.city.fault("empty_list", path="/marks", method="GET", times=1)

    synced = delivered.sync()

    assert delivered.city.fired() == 1
    assert synced.planned.problems == []
    assert counts(synced) == NOTHING
    assert "DRIFT" not in synced.planned.plan.by_reason


def breaker_of(hand: Any) -> tuple[str, int]:
    with hand.gateway.store.read() as conn:
        found = load_breaker(conn, hand.gateway.place.city)
    return found.state.value, found.failures


def emptied_by_people(hand: Any) -> int:
    """People delete every mark in the city; how many there were."""
    marks = hand.city.standing("marks")
    for row in marks:
        hand.city.human("delete", "mark", id=row["id"])
    return len(marks)


def test_a_kind_that_people_have_emptied_is_refused_until_a_person_says_that_it_is_so(delivered: Any) -> None:
    """Else a pilot's first marks, tidied up by hand in the city, would keep the kind unread for ever."""
    count = emptied_by_people(delivered)
    refused = delivered.sync()
    assert {problem.reason for problem in refused.planned.problems} == {"INCOMPLETE_READ"}
    ledger = delivered.city.ledger()
    looked = find_emptied(delivered.gateway)
    assert sum(one.known for one in looked.groups) == count
    assert {one.kind for one in looked.groups} == {Kind.MARK}

    believed = believe_emptied(delivered.gateway, reason="завуч стёр пробные отметки")

    assert believed.groups == looked.groups
    after = delivered.sync()
    assert after.planned.problems == []
    # what people deleted is theirs: it is shown to a person, and not written once more
    assert counts(after) == NOTHING
    assert after.planned.plan.by_reason["DRIFT"] == count
    assert delivered.city.ledger() == ledger
    assert find_emptied(delivered.gateway).groups == []


@pytest.mark.row("A15")
def test_what_a_person_believes_is_only_what_two_whole_reads_show(delivered: Any) -> None:
    delivered.city.fault("500", path="/marks", method="GET")

    found = believe_emptied(delivered.gateway, reason="не то")

    assert found.groups == []
    assert found.unread > 0
    assert {(one.kind, one.reason) for one in found.not_read} == {(Kind.MARK, "TRANSPORT")}
    assert len(found.not_read) == found.unread
    assert all(one.group for one in found.not_read)
    with pytest.raises(ConfigurationError):
        believe_emptied(delivered.gateway, reason=" ")


def test_a_city_that_is_not_there_is_said_to_be_and_holds_nobody(delivered: Any) -> None:
    with delivered.world.city.down(), pytest.raises(UnreachableError):
        find_emptied(delivered.gateway, within_s=5.0)


def test_who_waits_for_an_answer_gets_it_in_time_with_the_groups_whose_turn_did_not_come(delivered: Any) -> None:
    """Marks come at once, every other list would take for ever."""
    emptied_by_people(delivered)
    delivered.city.fault("slow", path=r"/(attendances|homeworks)$", method="GET", delay_s=4.0)
    began_s = time.monotonic()

    looked = find_emptied(delivered.gateway, within_s=2.5)

    assert time.monotonic() - began_s < 4.0
    assert {one.kind for one in looked.groups} == {Kind.MARK}
    assert {one.reason for one in looked.not_read} == {"NOT_REACHED"}
    assert Kind.MARK not in {one.kind for one in looked.not_read}
    assert looked.unread == len(looked.not_read) > 1
    assert breaker_of(delivered) == ("closed", 0), "who waits no longer says nothing of the city's health"


def test_a_city_that_answers_nothing_in_time_is_a_problem_and_no_empty_answer(delivered: Any) -> None:
    delivered.city.fault("slow", method="GET", delay_s=2.0)
    began_s = time.monotonic()

    with pytest.raises((UnavailableError, UnreachableError)):
        find_emptied(delivered.gateway, within_s=0.5)

    assert time.monotonic() - began_s < 2.0
    assert breaker_of(delivered) == ("closed", 0)


@pytest.mark.row("A15")
def test_a_read_of_days_of_which_nothing_is_known_asks_the_groups_other_days(small: Any) -> None:
    """The only group of a school: an empty list was believed there, and what had no answer was sent again."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        mark = hand.city.standing("marks")[0]
        day = date(2026, 9, 6)  # a Sunday
        scope = CityScope(
            kind=Kind.MARK, group_id=mark["group_id"], subject_id=mark["subject_id"], level=7, from_on=day, to_on=day
        )

        def read() -> CityRead:
            return CityReads(hand.gateway, hand.place_id()).fetch(scope)

        assert read().is_complete
        small.city.fault("empty_list", path="/marks", method="GET")
        assert read().problem is not None
        small.city.clear()
        for row in hand.city.standing("marks")[1:]:
            hand.city.human("delete", "mark", id=row["id"])
        assert read().is_complete, "one that is shown vouches for all"
