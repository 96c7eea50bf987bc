"""The city publishes its timetable anew: every lesson has another id, and nothing of ours moves or is written again."""

from __future__ import annotations

from typing import Any

COURSE = 2


def test_a_timetable_published_anew_moves_no_mark_and_no_absence_and_doubles_none(build_world: Any) -> None:
    """Lessons are found again by their beginning. What changes afterwards changes the same object, on the lesson's new id."""
    world = build_world(pupils=2)
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        count = len(world.city.ledger())
        ids = {(row.kind, row.ref): row.city_id for row in hand.base_rows()}
        lessons = {row["id"] for row in world.city.state()["schedule_items"]}
        world.city.switch(republish_lesson_ids="on")
        assert not lessons & {row["id"] for row in world.city.state()["schedule_items"]}

        again = hand.sync()

        assert {kind for kind, _ in ids} >= {"mark", "absence"}
        assert len(world.city.ledger()) == count
        assert again.planned.plan.by_reason.keys() & {"CREATE", "CHANGE", "DRIFT", "CONFLICT", "DELETE_HELD"} == set()
        user, item = world.portal.cells(COURSE)[0]
        better = 5 if round(item["graderaw"]) != 5 else 3
        world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=better)
        hand.through()

        (entry,) = world.city.ledger()[count:]
        ref = next(row.ref for row in hand.operations() if row.op == "change")
        assert (entry["op"], entry["kind"], entry["id"]) == ("change", "mark", ids["mark", ref])
        assert entry["cell"]["schedule_lesson_id"] not in lessons
        assert not hand.sync().delivered.sent
