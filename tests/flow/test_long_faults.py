"""Faults that last: a person in our session, a city that is away for three days, a run through the end of a school year."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from gateway.domain.errors import GatewayError

COURSE = 2
HOUR_S = 3600.0


def manual_cells(world: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(user, item) for user, item in world.portal.cells(COURSE) if item["itemtype"] == "manual"]


@pytest.mark.row("A10")
def test_a_person_who_logs_in_keeps_his_session_and_the_gateway_waits_and_tells(small: Any) -> None:
    admin = small.city.profiles[0]
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        wanted = synced.planned.plan.counters["create"]
        hand.approve(synced)
        his = small.city.log_in(admin)
        small.city.asked.clear()

        stopped = hand.deliver(max_wait_s=0)
        told = small.city.asked[:]
        for _ in range(3):
            small.clock.advance(HOUR_S)
            with suppress(GatewayError):
                hand.sync(max_wait_s=0)
            hand.deliver(max_wait_s=0)

        assert stopped.exit_code == 5
        assert "main" in stopped.sentence
        assert small.city.ledger() == []
        assert [one for one in small.city.asked if one.path.endswith("/sessions")] == [], "it fights for the session"
        assert len(told) <= 3 + hand.gateway.settings.queue.threads
        assert len(small.city.asked) == len(told), "a paused profile is still used"
        answer = small.city._http.get(
            "/api/ej/core/teacher/v1/academic_years",
            headers={"Authorization": f"Bearer {his}", "Profile-Id": str(admin["profile_id"])},
        )
        assert answer.status_code == 200, "the person's own session was ended"

    with small.open(token=his) as hand:
        hand.lift()
        hand.until_quiet()
        assert len(small.city.ledger()) == wanted
        hand.assert_sound()


@pytest.mark.row("A30", "A28")
def test_after_three_days_without_the_city_each_object_is_written_once(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = len(small.city.ledger())
        cells = manual_cells(small)[:3]
        with small.city.down():
            for turn in range(12):
                for user, item in cells:
                    grade = (5, 3, 4, 2)[turn % 4]
                    small.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=grade)
                with suppress(GatewayError):
                    hand.sync(max_wait_s=0)
                small.clock.advance(6 * HOUR_S)
        for user, item in cells:
            small.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=5)

        hand.until_quiet()

        new = small.city.ledger()[before:]
        assert len(new) == len({entry["id"] for entry in new}) <= len(cells)
        assert all(entry["op"] == "change" for entry in new)
        refs = {f"mark:{item['id']}:{user}" for user, item in cells}
        ids = {row.city_id for row in hand.base_rows() if row.ref in refs}
        assert {row["name"] for row in small.city.standing("marks") if row["id"] in ids} == {"5"}
        hand.assert_sound()


@pytest.mark.row("A30", "B16")
def test_what_waited_for_the_city_gives_way_to_what_was_decided_since(small: Any) -> None:
    """An operation that was let out before the city went away is not sent after it: a newer one has taken its place."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = len(small.city.ledger())
        user, item = manual_cells(small)[0]
        first, last = (3, 2) if round(item["graderaw"]) not in (2, 3) else (5, 4)
        small.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=first)
        small.city.fault("500", method="PUT")
        hand.sync(max_wait_s=0)
        small.city.clear()
        small.clock.advance(72 * HOUR_S)
        small.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=last)

        hand.until_quiet()

        base = next(row for row in hand.base_rows() if row.ref == f"mark:{item['id']}:{user}")
        standing = next(row for row in small.city.standing("marks") if row["id"] == base.city_id)
        assert standing["name"] == str(last)
        assert len(small.city.ledger()) == before + 1, "what was decided before the outage was sent after it"
        hand.assert_sound()


@pytest.mark.row("D8", "G2")
def test_in_a_new_school_year_nothing_of_the_old_one_counts_as_known(small: Any) -> None:
    """The year is part of every key: links, bases and plans of the old one are not met in the new one."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        old = hand.base_rows()
        ledger = small.city.ledger()
    small.settings_changes = {"school": {"year": "2027/28"}}

    with small.open() as hand:
        with suppress(GatewayError):
            hand.sync(max_wait_s=0)

        assert old
        assert {row.how for row in hand.base_rows()} <= {"adopted"}, "a base of the old year counts in the new one"
        assert hand.operations() == []
    assert small.city.ledger() == ledger
