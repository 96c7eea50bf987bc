"""A quarter that teachers typed in the city by hand, under control forms of their own: nothing of it is written again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from gateway.sandbox.portal.school_course import FIRST_COURSE


def test_a_quarter_typed_by_hand_under_other_forms_gives_no_creates(build_world: Any) -> None:
    world = build_world(traps=True)
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        decided = Counter((row.category, row.reason) for row in hand.decisions(synced) if row.kind == "mark")
        hand.approve(synced)
        hand.deliver()

    typed = len(world.city.standing("marks"))
    assert typed > 200
    assert decided["create", "CREATE"] == 0
    assert decided["held", "PROBABLE_TWIN"] + decided["adopted", "ADOPTED"] == sum(
        count for (category, _), count in decided.items() if category not in ("rejected", "out_of_scope")
    )
    assert [entry for entry in world.city.machine_ledger() if entry["kind"] == "mark"] == []


def test_a_mark_typed_by_hand_exactly_as_ours_is_adopted_without_a_write(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        first = hand.sync()
        for row in hand.decisions(first):
            if row.op == "create" and row.kind == "mark":
                type_by_hand(small.city, row)
        typed = len(small.city.ledger())

        synced = hand.sync()
        again = hand.sync()

        assert synced.planned.plan.counters["adopted"] == typed > 0
        assert small.city.machine_ledger() == []
        assert again.planned.plan.counters["unchanged"] == typed
        assert {row.how for row in hand.base_rows()} == {"adopted"}
        # adopted is ours from now on: a change at the portal goes out under the city's own id
        assert len({row.city_id for row in hand.base_rows()}) == typed


def test_the_same_mark_typed_between_plan_and_delivery_is_not_doubled(small: Any) -> None:
    """Nobody reads the city between the plan and its approval but the approval itself."""
    with small.open() as hand:
        hand.link_everybody()
        first = hand.sync()
        wanted = [row for row in hand.decisions(first) if row.op == "create" and row.kind == "mark"]
        works = Counter(row.object_key for row in wanted)
        typed = [row for row in wanted if works[row.object_key] == 1][:4]
        for row in typed[:2]:
            type_by_hand(small.city, row)
        near = {"2": "3", "3": "4", "4": "5", "5": "4"}
        for row in typed[2:]:
            type_by_hand(small.city, row, value=near[msgspec.json.decode(row.intent)["value"]])
        small.clock.advance(6)
        hand.approve(first)
        hand.deliver()
        hand.until_quiet()

    cells = Counter(
        f"mark/{row['student_profile_id']}/{row['schedule_lesson_id']}" for row in small.city.standing("marks")
    )
    assert len(typed) == 4
    assert cells == works


def test_what_a_person_changed_between_plan_and_approval_is_not_written_over(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        user, item = next(
            (user, item) for user, item in small.portal.cells(FIRST_COURSE) if item["itemtype"] == "manual"
        )
        value = 5 if round(item["graderaw"]) != 5 else 4
        small.portal.edit("set_grade", courseid=FIRST_COURSE, itemid=item["id"], userid=user, grade=value)
        ref = f"mark:{item['id']}:{user}"
        stored = next(row for row in hand.base_rows() if row.ref == ref)
        shown = hand.sync(asks_first=True)
        small.city.human("change", "mark", id=stored.city_id, value="2" if value != 2 else "3")
        small.clock.advance(6)
        hand.approve(shown)
        hand.deliver()
        after = hand.sync()

        standing = next(row for row in small.city.standing("marks") if row["id"] == stored.city_id)
        assert standing["name"] == "2"
        assert [row.outcome for row in hand.decisions(shown) if row.ref == ref] == ["dropped"]
        assert [row.reason for row in hand.decisions(after) if row.ref == ref] == ["CONFLICT"]


def type_by_hand(city: Any, row: Any, **changes: Any) -> dict[str, Any]:
    """A person enters in the city's own pages what a decision was going to."""
    intent = msgspec.json.decode(row.intent)
    cell = {"student_profile_id": intent["pupil_id"], "schedule_lesson_id": intent["lesson_id"]}
    fields = {"control_form_id": intent["form_id"], "weight": intent["weight"], "value": intent["value"], **changes}
    return dict(city.human("create", "mark", cell=cell, **fields))


def test_a_read_back_of_other_days_does_not_stand_for_the_look_at_the_city_before_a_plan_is_let_out(small: Any) -> None:
    """What was delivered a moment ago in the same group was read back by its own days, and by no others."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        first, second = two_of_other_days(hand)
        plans = []
        for row in (first, second):
            item_id, user = map(int, row.ref.split(":")[1:])
            value = 5 if msgspec.json.decode(row.intent)["value"] != "5" else 4
            small.portal.edit("set_grade", courseid=FIRST_COURSE, itemid=item_id, userid=user, grade=value)
            want = msgspec.structs.replace(hand.want, pupils=frozenset({f"user:{user}"}))
            plans.append(hand.sync(want=want, asks_first=True))
        small.clock.advance(10)
        hand.approve(plans[1])
        small.clock.advance(10)
        small.city.human("change", "mark", id=first.city_id, value="2")
        hand.deliver()
        hand.approve(plans[0])
        hand.deliver()

        standing = {row["id"]: row["name"] for row in small.city.standing("marks")}
        assert standing[first.city_id] == "2"
        assert [row.outcome for row in hand.decisions(plans[0]) if row.ref == first.ref] == ["dropped"]
        assert [row.outcome for row in hand.decisions(plans[1]) if row.ref == second.ref] == ["queued"]


def two_of_other_days(hand: Any) -> tuple[Any, Any]:
    """Two delivered marks of two pupils at lessons of two days, typed at the portal by hand, none of them a «2»."""
    cells = hand.world.portal.cells(FIRST_COURSE)
    manual = {f"mark:{item['id']}:{user}" for user, item in cells if item["itemtype"] == "manual"}
    marks = [(row, msgspec.json.decode(row.intent)) for row in hand.base_rows() if row.ref in manual]
    return next(
        (one, other)
        for one, mine in marks
        for other, theirs in marks
        if mine["pupil_id"] != theirs["pupil_id"]
        and mine["on"] != theirs["on"]
        and "2" not in (mine["value"], theirs["value"])
    )
