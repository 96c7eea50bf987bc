"""A quarter that teachers typed in the city by hand, under control forms of their own: nothing of it is written again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec


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
    """The call is out on the way of a plan; the person was faster by a minute and the next read shows it."""
    with small.open() as hand:
        hand.link_everybody()
        first = hand.sync()
        wanted = [row for row in hand.decisions(first) if row.op == "create" and row.kind == "mark"]
        type_by_hand(small.city, wanted[0])
        hand.sync(is_dry_run=True)  # reads the city anew; the plan that was shown stays the one to be approved
        hand.approve(first)
        hand.deliver()
        hand.until_quiet()

    cells = Counter(
        (row["student_profile_id"], row["schedule_lesson_id"], row["control_form_id"], row["name"])
        for row in small.city.standing("marks")
    )
    assert max(cells.values()) == 1


def type_by_hand(city: Any, row: Any, **changes: Any) -> dict[str, Any]:
    """A person enters in the city's own pages what a decision was going to."""
    intent = msgspec.json.decode(row.intent)
    cell = {"student_profile_id": intent["pupil_id"], "schedule_lesson_id": intent["lesson_id"]}
    fields = {"control_form_id": intent["form_id"], "weight": intent["weight"], "value": intent["value"], **changes}
    return dict(city.human("create", "mark", cell=cell, **fields))
