"""A discrepancy from the city's page to its proof: opened by a sync, chosen by a person, closed by what the city shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gateway.domain.discrepancies import Choice, Outside
from gateway.domain.errors import PlanRefusedError
from gateway.flows.discrepancies import assign, choose, dispute
from gateway.flows.outside import wait_outside
from gateway.flows.pull import pull
from gateway.flows.runs import start_run
from gateway.reconcile.tables import discrepancy
from gateway.report.discrepancies import Line, Sieve, load_groups, load_lines, load_steps
from gateway.sandbox.portal.school_course import FIRST_COURSE

COURSE = FIRST_COURSE
TYPES = ("fields_differ", "only_here")


@pytest.fixture
def delivered(small: Any) -> Any:
    """A class whose marks all stand in the city; one of them then changed there by a person."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        yield hand


def change_there(hand: Any, value: str, skip: int = 0) -> Any:
    """A person changes one of our marks in the city's own pages; returns its base row."""
    manual = {
        f"mark:{item['id']}:{user}" for user, item in hand.world.portal.cells(COURSE) if item["itemtype"] == "manual"
    }
    rows = [row for row in hand.base_rows() if row.kind == "mark" and row.ref in manual]
    row = next(one for one in rows[skip:] if msgspec.json.decode(one.intent)["value"] != value)
    hand.world.city.human("change", "mark", id=row.city_id, value=value)
    return row


def shown(hand: Any, city_id: int) -> str:
    """The mark as it stands in the city."""
    return next(str(row["name"]) for row in hand.world.city.standing("marks") if row["id"] == city_id)


def open_lines(hand: Any) -> list[Line]:
    with hand.gateway.store.read() as conn:
        return load_lines(conn, hand.place_id(), Sieve(), now=hand.gateway.now())


def state_of(hand: Any, number: int) -> str:
    with hand.gateway.store.read() as conn:
        return str(conn.execute(select(discrepancy.c.state).where(discrepancy.c.id == number)).scalar_one())


def steps_of(hand: Any, number: int) -> list[str]:
    with hand.gateway.store.read() as conn:
        return [step.step for step in load_steps(conn, number)]


def test_ours_goes_out_by_the_next_plan_and_is_closed_by_its_read_back(delivered: Any) -> None:
    row = change_there(delivered, "2")
    ours = msgspec.json.decode(row.intent)["value"]
    differing = delivered.sync()
    assert differing.exit_code == 3
    assert differing.sentence.endswith("расхождений 1: gateway discrepancies")
    (line,) = open_lines(delivered)

    settled = choose(delivered.gateway, [line.id], Choice.OURS, reason="учитель ошибся строкой")
    assert (line.ours["отметка"], line.base["отметка"], line.theirs["отметка"]) == (ours, ours, "2")
    assert settled.taken == [line.id]
    assert shown(delivered, row.city_id) == "2"  # a choice by itself sends nothing
    synced = delivered.sync()

    assert synced.planned.plan.counters["update"] == 1
    assert shown(delivered, row.city_id) == ours
    assert steps_of(delivered, line.id) == ["opened", "chosen", "proven"]
    assert delivered.sync().delivered.sent == 0
    delivered.assert_sound()


def test_theirs_stands_here_too_until_the_teacher_corrects_the_portal(delivered: Any) -> None:
    row = change_there(delivered, "2")
    delivered.sync()
    (line,) = open_lines(delivered)
    choose(delivered.gateway, [line.id], Choice.THEIRS, reason="так решил учитель")
    writes = len(delivered.world.city.machine_ledger())

    delivered.sync()
    delivered.sync()

    assert state_of(delivered, line.id) == "resolved"
    assert len(delivered.world.city.machine_ledger()) == writes
    assert shown(delivered, row.city_id) == "2"
    # the portal's next edit of this very mark wins again, by an ordinary plan
    _, item, user = row.ref.split(":")
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=int(item), userid=int(user), grade=3.0)
    delivered.sync()
    assert shown(delivered, row.city_id) == "3"
    assert steps_of(delivered, line.id)[-1] == "portal_moved"


def test_what_the_source_has_taken_away_since_the_plan_is_not_overlaid_either(delivered: Any) -> None:
    row = change_there(delivered, "2")
    delivered.sync()
    (line,) = open_lines(delivered)
    _, item, user = row.ref.split(":")
    delivered.world.clock.advance(60)
    delivered.world.portal.edit("clear_grade", courseid=COURSE, itemid=int(item), userid=int(user))
    pull(delivered.gateway, delivered.want, start_run(delivered.gateway, "pull", delivered.want))

    blind = choose(delivered.gateway, [line.id], Choice.THEIRS, reason="ведут там")

    assert (blind.taken, [one.why for one in blind.excluded]) == ([], ["moved"])


def test_what_the_source_says_since_the_plan_is_not_overlaid_by_who_has_not_seen_it(delivered: Any) -> None:
    """A pull is ahead of the plan: the city was silent in between. «Theirs» would hide the teacher's new mark for ever."""
    row = change_there(delivered, "2")
    delivered.sync()
    (line,) = open_lines(delivered)
    _, item, user = row.ref.split(":")
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=int(item), userid=int(user), grade=3.0)
    pull(delivered.gateway, delivered.want, start_run(delivered.gateway, "pull", delivered.want))

    blind = choose(delivered.gateway, [line.id], Choice.THEIRS, reason="ведут там")
    delivered.sync()
    (seen,) = open_lines(delivered)
    settled = choose(delivered.gateway, [line.id], Choice.OURS, reason="учитель исправил")
    delivered.sync()

    assert (blind.taken, [one.why for one in blind.excluded]) == ([], ["moved"])
    assert (seen.id, seen.ours["отметка"], seen.theirs["отметка"]) == (line.id, "3", "2")
    assert settled.taken == [line.id]
    assert shown(delivered, row.city_id) == "3"
    delivered.assert_sound()


def test_what_flips_back_is_reopened_and_a_group_of_one_pattern_is_settled_at_once(delivered: Any) -> None:
    first = change_there(delivered, "2")
    second = change_there(delivered, "2", skip=2)
    delivered.sync()
    lines = open_lines(delivered)
    with delivered.gateway.store.read() as conn:
        (group,) = load_groups(conn, delivered.place_id(), Sieve(), now=delivered.gateway.now())

    assert group.count == len(lines) == 2
    choose(delivered.gateway, [line.id for line in lines], Choice.OURS, reason="все одним")
    delivered.sync()
    assert {state_of(delivered, line.id) for line in lines} == {"resolved"}
    delivered.world.city.human("change", "mark", id=first.city_id, value="2")
    delivered.sync()
    again = open_lines(delivered)
    with delivered.gateway.store.read() as conn:
        (group,) = load_groups(conn, delivered.place_id(), Sieve(), now=delivered.gateway.now())

    assert [line.state for line in again] == ["open"]
    assert group.precedents == {"ours": 2}
    assert shown(delivered, second.city_id) != "2"


@pytest.mark.parametrize("value", ["1", "7", "100", "05"])
def test_a_value_of_its_own_is_one_of_the_marks_scale_and_the_refusal_names_it(delivered: Any, value: str) -> None:
    change_there(delivered, "2")
    delivered.sync()
    (line,) = open_lines(delivered)

    with pytest.raises(PlanRefusedError, match="2, 3, 4, 5" if value != "05" else "целое число"):
        choose(delivered.gateway, [line.id], Choice.OWN, reason="пересдал", own_value=value)

    assert state_of(delivered, line.id) == "open"
    assert choose(delivered.gateway, [line.id], Choice.OWN, reason="пересдал", own_value="4").taken == [line.id]


def test_nobody_decides_without_a_reason_or_about_what_has_moved(delivered: Any) -> None:
    row = change_there(delivered, "2")
    delivered.sync()
    (line,) = open_lines(delivered)
    gateway = delivered.gateway

    with pytest.raises(PlanRefusedError, match="причины"):
        choose(gateway, [line.id], Choice.OURS, reason=" ")
    with pytest.raises(PlanRefusedError, match="120"):
        choose(gateway, [line.id], Choice.IGNORE, reason="потом")
    with pytest.raises(PlanRefusedError, match="по шкале отметки, не больше 100"):
        choose(gateway, [line.id], Choice.OWN, reason="пересдал", own_value="пять")
    delivered.world.city.human("change", "mark", id=row.city_id, value="3")
    delivered.sync(is_dry_run=True)  # reads the city; a trial plan opens and moves nothing
    preview = choose(gateway, [line.id], Choice.OURS, reason="наше", is_preview=True)
    settled = choose(gateway, [line.id, 999], Choice.OURS, reason="наше")

    assert [one.why for one in preview.excluded] == ["moved"]
    assert (settled.taken, [one.why for one in settled.excluded]) == ([], ["moved", "unknown"])


def test_what_is_gone_from_the_city_goes_from_ours_only_by_an_act_of_its_own(delivered: Any) -> None:
    change_there(delivered, "2")
    manual = [row for row in delivered.base_rows() if row.kind == "mark"][5:7]
    for row in manual:
        delivered.world.city.human("delete", "mark", id=row.city_id)
    delivered.sync()
    lines = {kind: [line.id for line in open_lines(delivered) if line.type == kind] for kind in TYPES}
    gateway = delivered.gateway
    differ, gone = lines["fields_differ"], lines["only_here"]
    assert (len(differ), len(gone)) == (1, 2)

    with pytest.raises(PlanRefusedError, match="отдельно от правок"):
        choose(gateway, [*differ, *gone], Choice.THEIRS, reason="верим городу")
    with pytest.raises(PlanRefusedError, match="их 2"):
        choose(gateway, gone, Choice.THEIRS, reason="верим городу")
    assert {state_of(delivered, number) for number in [*differ, *gone]} == {"open"}
    with pytest.raises(PlanRefusedError, match="отдельно от правок"):
        # the word for removals is none for a mixture
        choose(gateway, [*differ, *gone], Choice.THEIRS, reason="верим городу", with_removals=True)
    assert choose(gateway, gone, Choice.THEIRS, reason="верим городу", is_preview=True).is_removing
    # to set them again takes nothing away: one act with what differs
    assert not choose(gateway, [*differ, *gone], Choice.OURS, reason="наше", is_preview=True).is_removing

    taken = choose(gateway, gone, Choice.THEIRS, reason="верим городу", with_removals=True)
    assert (taken.taken, taken.is_removing) == (gone, True)
    assert choose(gateway, differ, Choice.THEIRS, reason="верим городу").taken == differ
    delivered.sync()
    assert {state_of(delivered, number) for number in [*differ, *gone]} == {"resolved"}
    delivered.assert_sound()


def test_a_single_record_that_is_gone_is_confirmed_by_its_own_card(delivered: Any) -> None:
    row = next(one for one in delivered.base_rows() if one.kind == "mark")
    delivered.world.city.human("delete", "mark", id=row.city_id)
    delivered.sync()
    (line,) = open_lines(delivered)

    settled = choose(delivered.gateway, [line.id], Choice.THEIRS, reason="так решил учитель")

    assert (settled.taken, settled.is_removing) == ([line.id], True)


def test_who_has_it_is_written_and_a_teacher_may_object(delivered: Any) -> None:
    row = change_there(delivered, "2")
    delivered.sync()
    (line,) = open_lines(delivered)

    assert assign(delivered.gateway, [line.id], "curator.1", reason="её класс") == [line.id]
    assert state_of(delivered, line.id) == "assigned"
    choose(delivered.gateway, [line.id], Choice.THEIRS, reason="за учителя")
    assert dispute(delivered.gateway, line.id, reason="я ставил другое")
    assert steps_of(delivered, line.id) == ["opened", "assigned", "chosen", "disputed"]
    assert not dispute(delivered.gateway, line.id, reason="ещё раз")
    writes = len(delivered.world.city.machine_ledger())
    delivered.sync()
    assert state_of(delivered, line.id) == "open"  # the same difference is there again, and nothing was written
    assert len(delivered.world.city.machine_ledger()) == writes
    again = choose(delivered.gateway, [line.id], Choice.OURS, reason="учитель прав")
    assert again.taken == [line.id]
    delivered.sync()
    assert shown(delivered, row.city_id) == line.ours["отметка"]
    assert state_of(delivered, line.id) == "resolved"
    delivered.assert_sound()
    assert [entry.action for entry in delivered.actions() if entry.action.startswith("discrepancy.")] == [
        "discrepancy.assigned",
        "discrepancy.chosen",
        "discrepancy.disputed",
        "discrepancy.chosen",
    ]


@pytest.mark.parametrize("how", ["its day has come", "disputed"])
def test_what_is_open_again_waits_for_nobody_outside_of_the_school(delivered: Any, how: str) -> None:
    change_there(delivered, "2")
    delivered.sync()
    (line,) = open_lines(delivered)
    until = delivered.gateway.now() + timedelta(days=3)
    assert wait_outside(delivered.gateway, [line.id], Outside.CITY_HELPDESK, until=until, reason="обращение") == [
        line.id
    ]
    assert open_lines(delivered) == []

    if how == "disputed":
        assert dispute(delivered.gateway, line.id, reason="ждать нечего")
    else:
        delivered.world.clock.advance(4 * 24 * 3600)
        delivered.sync()

    (again,) = open_lines(delivered)
    assert (again.id, again.state, again.assignee) == (line.id, "open", None)


def test_a_run_for_one_pupil_says_nothing_of_what_differs_for_another(delivered: Any) -> None:
    """A plan that looked at a part of a group ends no discrepancy of the rest: it goes on, and who put it aside is not asked anew."""
    row = change_there(delivered, "2")
    delivered.sync()
    (line,) = open_lines(delivered)
    user, item = next(
        (user, item)
        for user, item in delivered.world.portal.cells(COURSE)
        if item["itemtype"] == "manual" and f":{user}" not in row.ref
    )
    value = 5 if round(item["graderaw"]) != 5 else 4
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
    want = msgspec.structs.replace(delivered.want, pupils=frozenset({f"user:{user}"}))
    synced = delivered.sync(want=want)

    assert synced.planned.plan.counters["update"] == 1
    assert [one.id for one in open_lines(delivered)] == [line.id]
    assert steps_of(delivered, line.id) == ["opened"]
