"""A run that is asked for a part of the year: of the days that it leaves out nothing is concluded and nothing is sent."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec


def test_a_run_up_to_a_day_sends_nothing_of_later_days(small: Any) -> None:
    """What people typed on later days since they were last read would otherwise be written a second time."""
    with small.open() as hand:
        hand.link_everybody()
        marks = [row for row in hand.decisions(hand.sync(is_dry_run=True)) if row.op == "create" and row.kind == "mark"]
        days = sorted({row.on_date for row in marks})
        up_to = days[len(days) // 2]
        later = [row for row in marks if row.on_date > up_to]
        for row in later:
            type_by_hand(small.city, row)

        want = msgspec.structs.replace(hand.want, to_on=up_to)
        synced = hand.sync(want=want)
        hand.approve(synced)
        hand.deliver()

        assert later
        assert {row.on_date for row in hand.operations() if row.on_date is not None and row.on_date > up_to} == set()
        hand.until_quiet()
    cells = Counter((row["student_profile_id"], row["schedule_lesson_id"]) for row in small.city.standing("marks"))
    assert cells == Counter(cell_of(row) for row in marks)


def cell_of(row: Any) -> tuple[int, int]:
    intent = msgspec.json.decode(row.intent)
    return intent["pupil_id"], intent["lesson_id"]


def type_by_hand(city: Any, row: Any) -> None:
    """A person enters in the city's own pages what a decision was going to."""
    intent = msgspec.json.decode(row.intent)
    pupil_id, lesson_id = cell_of(row)
    fields = {"control_form_id": intent["form_id"], "weight": intent["weight"], "value": intent["value"]}
    city.human("create", "mark", cell={"student_profile_id": pupil_id, "schedule_lesson_id": lesson_id}, **fields)
