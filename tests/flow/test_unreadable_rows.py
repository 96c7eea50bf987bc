"""A row of the city that can't be read is unknown and not absent: nothing is written over it, and the operator is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest


def spoil(city: Any, kind: str, object_id: int, **fields: Any) -> None:
    """Give one object of the city fields of a form that nobody knows."""
    row = city.sandbox.state.find(kind, object_id)
    city.sandbox.state.put(kind, {**row, **fields}, now=city.sandbox.now())


def fill_up(hand: Any, intent: dict[str, Any]) -> None:
    """A hundred marks of a pupil the portal does not know, so that one bad row is one in a hundred and not the contract."""
    state = hand.city.state()
    stranger = next(row["id"] for row in state["student_profiles"] if row["user_name"] == "Новенькая Дина")
    first = next(
        row for row in state["schedule_items"] if row["group_id"] == intent["group_id"] and not row["cancelled"]
    )
    cell = {"student_profile_id": stranger, "schedule_lesson_id": first["id"]}
    for _ in range(120):
        hand.city.human("create", "mark", cell=cell, control_form_id=intent["form_id"], weight=1, value="5")


@pytest.mark.row("A26")
def test_a_mark_typed_by_hand_that_can_not_be_read_is_not_written_a_second_time(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        row = next(one for one in hand.decisions(hand.sync()) if one.kind == "mark" and one.op == "create")
        intent = msgspec.json.decode(row.intent)
        fill_up(hand, intent)
        cell = {"student_profile_id": intent["pupil_id"], "schedule_lesson_id": intent["lesson_id"]}
        fields = {"control_form_id": intent["form_id"], "weight": intent["weight"], "value": intent["value"]}
        typed = small.city.human("create", "mark", cell=cell, **fields)
        spoil(small.city, "marks", typed["id"], weight="один")

        synced = hand.sync()
        waiting = [one for one in hand.decisions(synced) if one.kind == "mark" and one.op == "create"]
        hand.approve(synced)
        hand.deliver()

        assert waiting == []
        assert any(problem.scope.startswith("mark|") for problem in synced.planned.problems)
        assert [entry for entry in small.city.machine_ledger() if entry["kind"] == "mark"] == []


def test_a_pupil_of_the_directory_that_can_not_be_read_is_named_to_the_operator(build_world: Any) -> None:
    world = build_world(pupils=None)
    with world.open() as hand:
        stranger = next(row for row in world.city.state()["student_profiles"] if row["user_name"] == "Новенькая Дина")
        spoil(world.city, "student_profiles", stranger["id"], transferred="да")
        city = world.city
        row = city.sandbox.state.find("student_profiles", stranger["id"])
        for number in range(100):  # the share of bad rows stays under one in a hundred
            city.sandbox.state.put(
                "student_profiles",
                {**row, "id": 9_900_000 + number, "transferred": False, "person_id": f"x-{number}", "groups": []},
                now=city.sandbox.now(),
            )
        synced = hand.sync(is_dry_run=True)

    assert [problem.scope for problem in synced.planned.problems] == ["directory"]
    assert str(stranger["id"]) in synced.planned.problems[0].where
    assert "записей с ошибкой 1" in synced.sentence


@pytest.mark.row("A26")
@pytest.mark.parametrize(("spoiled_count", "is_kind_stopped"), [(1, False), (2, True)])
def test_many_misfits_stop_writing_the_kind_everywhere_and_a_single_one_only_there(
    build_world: Any, spoiled_count: int, is_kind_stopped: bool
) -> None:
    """Three groups: in some of them the city's marks change their form. What still fits may mean something else by now."""
    world = build_world(pupils=3, courses=3)
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        marks = world.city.standing("marks")
        spoiled, sound = (
            sorted({row["group_id"] for row in marks})[:spoiled_count],
            max(row["group_id"] for row in marks),
        )
        for group in spoiled:
            spoil(world.city, "marks", next(row["id"] for row in marks if row["group_id"] == group), weight="один")
        ids = {row["id"] for row in marks if row["group_id"] == sound}
        base = next(row for row in hand.base_rows() if row.kind == "mark" and row.city_id in ids)
        item_id, user_id = (int(part) for part in base.ref.split(":")[1:])
        old = next(row for row in marks if row["id"] == base.city_id)["name"]
        world.portal.edit(
            "set_grade",
            courseid=course_of(world, item_id),
            itemid=item_id,
            userid=user_id,
            grade=5 if old != "5" else 3,
        )

        synced = hand.through()

        now = next(row for row in world.city.standing("marks") if row["id"] == base.city_id)["name"]
        assert (now == old) is is_kind_stopped
        assert any(problem.reason == "CONTRACT" for problem in synced.planned.problems)
        unread = {problem.scope for problem in synced.planned.problems}
        assert f"не прочитано областей {len(unread)}" in synced.sentence
        kinds = {decision.category for decision in hand.decisions(synced) if decision.kind == "mark"}
        assert "update" not in kinds or not is_kind_stopped


def course_of(world: Any, item_id: int) -> int:
    """The course that a gradebook item belongs to."""
    return next(
        course
        for course in world.portal.courses()
        if any(item["id"] == item_id for _, item in world.portal.cells(course))
    )
