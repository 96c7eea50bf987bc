"""What may befall the portal's data on the whole way: a backup put back, a mark cleared and given again, a new profile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.domain.reasons import REASONS
from gateway.domain.records import Person
from gateway.mapping.people import correlate_people

COURSE = 2


def five_point_cells(world: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(user, item) for user, item in world.portal.cells(COURSE) if item["itemtype"] == "manual"]


@pytest.mark.row("E4")
def test_a_portal_put_back_from_its_backup_changes_nothing_by_itself(small: Any) -> None:
    """Yesterday's marks come back all at once: more than three quarters of a group differ, and a person must look."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        ledger = hand.city.machine_ledger()
        cells = small.portal.cells(COURSE)
        assert len(cells) > 5
        for user, item in cells:
            grade = 2.0 if item["graderaw"] != 2.0 else 5.0
            small.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=grade)

        synced = hand.sync()

        reasons = {row.reason for row in hand.decisions(synced) if row.kind == "mark" and row.category == "held"}
        assert reasons == {"GUARD_HOLD"}
        assert REASONS["GUARD_HOLD"].category == "held"
        assert hand.city.machine_ledger() == ledger
        hand.assert_sound()


@pytest.mark.row("E8")
def test_a_mark_cleared_and_given_again_between_two_passes_is_one_change(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = len(hand.city.machine_ledger())
        user, item = five_point_cells(small)[0]
        cell = {"courseid": COURSE, "itemid": item["id"], "userid": user}
        small.portal.edit("clear_grade", **cell)
        small.portal.edit("set_grade", grade=2.0 if item["graderaw"] != 2.0 else 5.0, **cell)

        hand.through()

        ledger = hand.city.machine_ledger()[before:]
        assert [(entry["op"], entry["kind"]) for entry in ledger] == [("change", "mark")]
        hand.assert_sound()


@pytest.mark.row("E7")
def test_a_new_profile_of_a_child_is_known_by_the_person_s_id_and_moves_no_link(small: Any) -> None:
    """Beside a closed profile the present one is taken; a link that stands is never moved to another profile by itself."""
    with small.open() as hand:
        hand.link_everybody()
        directory = hand.gateway.city.fetch_directory(hand.want.from_on)
        first, *_ = directory.pupils
    new = msgspec.structs.replace(first, id=10**9)
    closed = msgspec.structs.replace(first, is_active=False)
    person = small_person(first)

    unlinked = correlate_people([person], [closed, new], {})
    linked = correlate_people([person], [new], {person.ref: first.id})

    assert [(link.local_ref, link.city_id) for link in unlinked.links] == [(person.ref, new.id)]
    assert linked.links == ()


def small_person(pupil: Any) -> Any:
    return Person(
        ref="user:1",
        role="pupil",
        last_name=pupil.last_name,
        first_name=pupil.first_name,
        class_name=pupil.class_name,
        person_id=pupil.person_id,
    )
