"""Namesakes, people who leave, courses that are reset, rights that are lost, hands in the city: nothing is concluded wrongly."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import msgspec
import pytest

from gateway.domain.errors import GatewayError, PlanRefusedError
from tests.flow.persons import as_account

COURSE = 2
NOTHING = {"create": 0, "update": 0, "delete": 0}


def moves(synced: Any) -> dict[str, int]:
    return {name: synced.planned.plan.counters[name] for name in NOTHING}


def reasons(synced: Any) -> dict[str, int]:
    return dict(synced.planned.plan.by_reason)


@pytest.fixture
def delivered(small: Any) -> Any:
    """A small world with everything delivered; gives an operator's hand."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        assert hand.states().keys() == {"verified"}
        yield hand


def first_mark(world: Any, module: str | None = None) -> tuple[int, dict[str, Any]]:
    return next((user, item) for user, item in world.portal.cells(COURSE) if item["itemmodule"] == module)


def city_mark_of(hand: Any, user: int, item: dict[str, Any]) -> dict[str, Any]:
    base = next(row for row in hand.base_rows() if row.ref == f"mark:{item['id']}:{user}")
    return next(row for row in hand.city.state()["marks"] if row["id"] == base.city_id)


def other_value(item: dict[str, Any]) -> int:
    return 3 if round(item["graderaw"] + 0.001) != 3 else 5


@pytest.mark.row("E5")
def test_namesakes_never_get_each_others_marks(recorded: Any) -> None:
    """The recorded school has namesakes; every mark in the city is checked by person id against the portal's own rows."""
    with recorded.open() as hand:
        hand.link_everybody()
        hand.through()
        bases = {row.city_id: row.ref for row in hand.base_rows() if row.kind == "mark"}

    names: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in recorded.like.pupils:
        names[row["last_name"], row["first_name"]].append(row["portal_id"])
    namesakes = {user for users in names.values() if len(users) > 1 for user in users}
    assert namesakes
    person_of = {row["id"]: row["person_id"] for row in recorded.city.state()["student_profiles"]}
    portal_of = {row["person_id"]: row["portal_id"] for row in recorded.like.pupils}
    checked: Counter[str] = Counter()
    for row in recorded.city.standing("marks"):
        user = int(bases[row["id"]].split(":")[2])
        assert portal_of[person_of[row["student_profile_id"]]] == user
        checked["namesake" if user in namesakes else "other"] += 1
    assert checked["namesake"] > 0


def test_namesakes_without_a_person_id_wait_and_none_of_them_is_guessed(recorded: Any) -> None:
    with recorded.open() as hand:
        hand.through()
        waiting = {ref for ref, reason in hand.waiting().items() if reason in ("NOT_LINKED", "AMBIGUOUS_LINK")}
        bases = hand.base_rows()

    assert waiting
    assert not {f"user:{row.ref.split(':')[2]}" for row in bases if row.kind == "mark"} & waiting


def test_a_pupil_who_is_unenrolled_keeps_every_mark_in_the_city(delivered: Any) -> None:
    ledger = delivered.city.ledger()
    delivered.world.portal.edit("unenrol", courseid=COURSE, userid=1000)

    for _ in range(3):
        synced = delivered.sync()
        assert moves(synced) == NOTHING
    assert reasons(synced)["PUPIL_LEFT"] > 0
    assert delivered.city.ledger() == ledger


def test_a_pupil_who_moves_to_another_group_gives_no_deletes(recorded: Any) -> None:
    with recorded.open() as hand:
        hand.link_everybody()
        hand.through()
        ledger = recorded.city.ledger()
        courseid, user, group = pupil_with_another_group(recorded)
        recorded.portal.edit("move_group", courseid=courseid, userid=user, groupid=group)

        for _ in range(3):
            synced = hand.sync()
            assert synced.planned.plan.counters["delete"] == synced.planned.plan.counters["create"] == 0
            assert "DELETE_HELD" not in reasons(synced)
    assert recorded.city.ledger() == ledger


def pupil_with_another_group(world: Any) -> tuple[int, int, int]:
    for courseid in world.portal.courses():
        rows = world.portal.sandbox.book.course(courseid)
        if len(rows.groups) > 1:
            first, second = (group["id"] for group in rows.groups[:2])
            user = next(user for user, _ in world.portal.cells(courseid) if user in rows.members[first])
            return courseid, user, second
    raise AssertionError("no course has two groups")


@pytest.mark.parametrize("unenrol", [False, True])
def test_a_course_that_is_reset_deletes_nothing(delivered: Any, unenrol: bool) -> None:
    ledger = delivered.city.ledger()
    delivered.world.portal.edit("reset_course", courseid=COURSE, unenrol=unenrol)

    for _ in range(3):
        synced = delivered.sync()
        assert moves(synced) == NOTHING
        assert not {"DELETE_HELD", "ABSENCE_UNPROVEN"} & reasons(synced).keys()
    assert delivered.city.ledger() == ledger


def test_a_mark_hidden_at_the_portal_is_neither_sent_nor_deleted(small: Any) -> None:
    user, item = first_mark(small)
    small.portal.edit("hide_grade", courseid=COURSE, itemid=item["id"])
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        assert not [row for row in hand.base_rows() if row.ref.startswith(f"mark:{item['id']}:")]
        small.portal.edit("hide_grade", courseid=COURSE, itemid=item["id"], hidden=False)
        hand.through()
        shown = city_mark_of(hand, user, item)
        ledger = small.city.ledger()

        small.portal.edit("hide_grade", courseid=COURSE, itemid=item["id"])
        for _ in range(3):
            synced = hand.sync()
            assert moves(synced) == NOTHING
        assert reasons(synced)["HIDDEN_AT_SOURCE"] > 0
    assert small.city.ledger() == ledger
    assert shown in small.city.standing("marks")


@pytest.mark.row("A21", "E15")
def test_a_cleared_mark_is_deleted_only_after_two_complete_reads_and_a_named_approval(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    there = city_mark_of(delivered, user, item)
    before = delivered.city.ledger()
    delivered.world.portal.edit("clear_grade", courseid=COURSE, itemid=item["id"], userid=user)

    first = delivered.sync()
    assert reasons(first)["ABSENCE_UNPROVEN"] == 1
    delivered.wait_grace()
    second = delivered.sync()
    assert reasons(second)["DELETE_HELD"] == 1
    assert moves(second) == NOTHING
    assert delivered.city.ledger() == before

    delivered.approve(second)
    delivered.deliver()
    assert delivered.city.ledger() == before, "an approval that does not name deletes lets none out"

    third = delivered.sync()
    delivered.approve(third, with_deletes=True)
    ended = delivered.deliver()

    new = delivered.city.ledger()[len(before) :]
    assert [(entry["op"], entry["kind"], entry["id"]) for entry in new] == [("delete", "mark", there["id"])]
    assert ended.exit_code == 0
    delivered.assert_sound()
    again = delivered.sync()
    assert moves(again) == NOTHING
    assert "DELETE_HELD" not in reasons(again)


def test_a_mark_cleared_and_given_again_is_changed_and_never_deleted(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    value = other_value(item)
    there = city_mark_of(delivered, user, item)
    count = len(delivered.city.ledger())
    delivered.world.portal.edit("clear_grade", courseid=COURSE, itemid=item["id"], userid=user)
    delivered.sync()
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
    delivered.through()

    new = delivered.city.ledger()[count:]
    assert [(entry["op"], entry["id"], entry["value"]) for entry in new] == [("change", there["id"], str(value))]
    delivered.assert_sound()


@pytest.mark.row("D3", "D4")
@pytest.mark.parametrize("days", [-400, 0, 400], ids=["a year ago", "as before", "next year"])
def test_no_stamp_of_the_portal_decides_whether_a_correction_is_seen(delivered: Any, days: int) -> None:
    """A late commit with an old stamp, two changes with equal stamps, a portal whose clock is ahead."""
    user, item = first_mark(delivered.world)
    before = item["gradedategraded"]
    value = other_value(item)
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
    item["gradedategraded"] = before + days * 24 * 3600

    delivered.through()

    assert city_mark_of(delivered, user, item)["name"] == str(value)


def test_a_corrected_mark_is_changed_under_its_id(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    there = city_mark_of(delivered, user, item)
    count = len(delivered.city.ledger())
    value = other_value(item)
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)

    delivered.through()

    new = delivered.city.ledger()[count:]
    assert [(entry["op"], entry["id"], entry["value"]) for entry in new] == [("change", there["id"], str(value))]
    delivered.assert_sound()


FUNCTIONS = (
    "gradereport_user_get_grade_items",
    "core_enrol_get_enrolled_users",
    "core_group_get_group_members",
    "core_group_get_course_groups",
    "core_course_get_contents",
    "core_course_get_courses",
    "core_user_get_users_by_field",
    "core_cohort_get_cohorts",
    "mod_assign_get_assignments",
    "mod_quiz_get_quizzes_by_courses",
    "mod_attendance_get_sessions",
    "core_calendar_get_calendar_events",
    "core_webservice_get_site_info",
)


LAPSES = [
    *(
        (function, fault)
        for function in FUNCTIONS
        for fault in ("empty", "warnings", "errorcode:nopermissions", "truncate")
    ),
    *(("", fault) for fault in ("500", "html", "typeerror", "xml", "maintenance")),
]


@pytest.mark.parametrize(("function", "fault"), LAPSES)
def test_a_portal_that_answers_less_than_it_holds_deletes_nothing(reader: Any, function: str, fault: str) -> None:
    """A right is taken away, or the portal is out of order; a cleared mark waits meanwhile for its second complete read."""
    hand, ledger = reader
    hand.world.portal.clear()
    hand.world.portal.fault(fault, path=function)
    for _ in range(3):
        try:
            synced = hand.sync()
        except GatewayError:
            continue
        assert moves(synced) == NOTHING
        assert "DELETE_HELD" not in reasons(synced)
    hand.world.portal.clear()
    last = hand.sync()

    assert hand.city.ledger() == ledger
    assert moves(last) == NOTHING
    assert reasons(last).get("NO_CHANGE") == len(ledger)


@pytest.fixture(scope="module")
def reader(build_module_world: Any) -> Any:
    """One delivered world for all reads that go wrong: none of them may change anything."""
    world = build_module_world(pupils=2)
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        yield hand, world.city.ledger()


@pytest.mark.row("A21", "E15")
def test_a_value_typed_again_within_the_grace_time_was_never_proposed_as_a_delete(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    grade = float(item["graderaw"])
    delivered.world.portal.edit("clear_grade", courseid=COURSE, itemid=item["id"], userid=user)

    for _ in range(4):
        assert reasons(delivered.sync())["ABSENCE_UNPROVEN"] == 1
        delivered.world.clock.advance(3600)
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=grade)
    delivered.wait_grace()
    last = delivered.sync()

    assert moves(last) == NOTHING
    assert not {"DELETE_HELD", "ABSENCE_UNPROVEN"} & reasons(last).keys()


@pytest.mark.row("A21", "E15")
def test_incomplete_reads_prove_no_absence(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    ledger = delivered.city.ledger()
    delivered.world.portal.edit("clear_grade", courseid=COURSE, itemid=item["id"], userid=user)
    delivered.sync()
    delivered.world.portal.fault("warnings", path="gradereport_user_get_grade_items")
    for _ in range(4):
        delivered.wait_grace()
        synced = delivered.sync()
        assert "DELETE_HELD" not in reasons(synced)
    delivered.world.portal.clear()

    proven = delivered.sync()

    assert reasons(proven)["DELETE_HELD"] == 1
    assert delivered.city.ledger() == ledger


@pytest.mark.row("V4")
def test_what_a_person_changed_in_the_city_is_held_and_never_written_over(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    there = city_mark_of(delivered, user, item)
    value = str(other_value(item))
    delivered.city.human("change", "mark", id=there["id"], value=value)
    machine = delivered.city.machine_ledger()

    for _ in range(3):
        synced = delivered.sync()
        assert reasons(synced)["DRIFT"] == 1
        assert moves(synced) == NOTHING
    if synced.planned.plan.state == "used":
        delivered.approve(synced, with_held=True, with_deletes=True)
    delivered.deliver()

    assert delivered.city.machine_ledger() == machine
    assert city_mark_of(delivered, user, item)["name"] == value


@pytest.mark.row("A18")
def test_a_mark_that_a_person_deleted_in_the_city_is_not_written_again(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    there = city_mark_of(delivered, user, item)
    delivered.city.human("delete", "mark", id=there["id"])
    machine = delivered.city.machine_ledger()

    for _ in range(3):
        synced = delivered.sync()
        assert reasons(synced)["DRIFT"] == 1
        assert moves(synced) == NOTHING
    assert delivered.city.machine_ledger() == machine


def test_different_changes_on_both_sides_are_a_conflict_for_a_person(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    there = city_mark_of(delivered, user, item)
    ours, theirs = [value for value in (2, 3, 4, 5) if str(value) != there["name"]][:2]
    delivered.city.human("change", "mark", id=there["id"], value=str(theirs))
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=ours)
    machine = delivered.city.machine_ledger()

    for _ in range(3):
        synced = delivered.sync()
        assert reasons(synced)["CONFLICT"] == 1
        assert moves(synced) == NOTHING
    assert delivered.city.machine_ledger() == machine


@pytest.mark.row("V5")
def test_the_same_change_on_both_sides_is_adopted_without_a_write(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    there = city_mark_of(delivered, user, item)
    value = other_value(item)
    delivered.city.human("change", "mark", id=there["id"], value=str(value))
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
    machine = delivered.city.machine_ledger()

    synced = delivered.sync()
    again = delivered.sync()

    assert synced.planned.plan.counters["adopted"] == 1
    assert "NO_CHANGE" in reasons(again)
    assert moves(again) == NOTHING
    assert again.planned.plan.counters["adopted"] == 0
    assert delivered.city.machine_ledger() == machine


def test_a_person_who_changes_the_mark_while_the_plan_waits_is_not_written_over(delivered: Any) -> None:
    user, item = first_mark(delivered.world)
    there = city_mark_of(delivered, user, item)
    ours, theirs = [value for value in (2, 3, 4, 5) if str(value) != there["name"]][:2]
    delivered.world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=ours)
    delivered.city.fault("500", path="/marks/", method="PUT")
    delivered.sync()
    delivered.city.clear()
    delivered.city.human("change", "mark", id=there["id"], value=str(theirs))
    delivered.world.clock.advance(3600)

    synced = delivered.sync()
    delivered.world.clock.advance(3600)
    synced = delivered.sync()

    assert city_mark_of(delivered, user, item)["name"] == str(theirs)
    assert moves(synced) == NOTHING


def test_a_similar_mark_under_another_form_is_a_probable_twin(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        planned = hand.sync()
        row = next(one for one in hand.decisions(planned) if one.kind == "mark" and one.op == "create")
        forms = small.city.state()["control_forms"]
        type_other_form(small.city, row, forms)

        synced = hand.sync()
        held = [one for one in hand.decisions(synced) if one.reason == "PROBABLE_TWIN"]
        assert len(held) == 1
        hand.approve(synced)
        hand.deliver()

        assert held[0].ref not in {one.ref for one in hand.base_rows()}
        hand.until_quiet()
        assert held[0].ref not in {one.ref for one in hand.base_rows()}


def type_other_form(city: Any, row: Any, forms: list[dict[str, Any]]) -> None:
    intent = msgspec.json.decode(row.intent)
    other = next(
        form for form in forms if form["id"] != intent["form_id"] and form["subject_id"] == intent["subject_id"]
    )
    cell = {"student_profile_id": intent["pupil_id"], "schedule_lesson_id": intent["lesson_id"]}
    city.human("create", "mark", cell=cell, control_form_id=other["id"], weight=1, value=intent["value"])


def test_a_name_that_differs_from_the_citys_under_one_person_id_waits(small: Any) -> None:
    user = 1001  # carries the person id in his portal account
    small.portal.edit("set_name", userid=user, lastname="Совсемдругой")
    with small.open() as hand:
        hand.through()

        assert hand.waiting()[f"user:{user}"] == "PERSON_ID_NAME_MISMATCH"
        assert not [row for row in hand.base_rows() if row.ref.endswith(f":{user}")]


def test_a_name_changed_at_the_portal_after_linking_waits_for_a_person(small: Any) -> None:
    """The account may have been given to another child: nothing more goes to the first one until somebody has looked."""
    user = 1001
    with small.open() as hand:
        hand.through()
        ledger = small.city.ledger()
        assert [row for row in hand.base_rows() if row.ref.endswith(f":{user}")]
        small.portal.edit("set_name", userid=user, lastname="Совсемдругой", firstname="Пётр")
        own = [item for who, item in small.portal.cells(COURSE) if who == user and item["itemtype"] == "manual"]
        for item in own:
            small.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=other_value(item))

        for _ in range(2):
            synced = hand.through()
            assert reasons(synced)["PERSON_ID_NAME_MISMATCH"] >= len(own)
        assert small.city.ledger() == ledger


def test_two_persons_who_confirm_the_changed_name_let_the_marks_go_on(small: Any) -> None:
    user = 1001
    says = {"despite_evidence": True, "reason": "сменил фамилию"}
    with small.open() as hand:
        hand.through()
        small.portal.edit("set_name", userid=user, lastname="Совсемдругой")
        hand.sync()
        assert hand.waiting()[f"user:{user}"] == "PERSON_ID_NAME_MISMATCH"

        with pytest.raises(PlanRefusedError, match="фамилия другая"):
            hand.confirm(f"user:{user}")
        one = as_account(hand.gateway, 6).actor
        assert hand.confirm(f"user:{user}", actor=one, **says) is True
        assert reasons(hand.sync())["LINK_DOUBTED"] > 0
        other = as_account(hand.gateway, 7).actor
        assert hand.confirm(f"user:{user}", actor=other, **says) is True
        assert hand.confirm(f"user:{user}") is False
        synced = hand.sync()

        assert "PERSON_ID_NAME_MISMATCH" not in reasons(synced)
        assert f"user:{user}" not in hand.waiting()
