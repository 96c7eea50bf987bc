"""A link set right as one unit: gone from the wrong child, then made at the right one, once, whatever is killed between."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

import gateway.flows.relink as relink_flow
from gateway.domain.clock import MOSCOW
from gateway.domain.discrepancies import LIVE
from gateway.domain.errors import PlanRefusedError, SecondPersonError
from gateway.domain.identifiers import Kind
from gateway.flows.incidents import note_incident
from gateway.flows.links import confirm_link
from gateway.flows.merge import merge_profile
from gateway.flows.relink import approve_relink, propose_relink, withdraw_relink
from gateway.flows.sync import sync
from gateway.flows.unlink import drop_link
from gateway.mapping.links import confirm, load_links
from gateway.reconcile.tables import discrepancy, intended
from gateway.report.incidents import build_html, build_xlsx, get_sheet
from gateway.report.relinks import get_unit
from gateway.sandbox.portal.school_course import FIRST_COURSE
from tests.flow.persons import as_account, get_post_back, lose_post, person

FIRST, SECOND = "user:1001", "user:1002"


@pytest.fixture
def crossed(small: Any) -> Any:
    """Two pupils whose links an office has exchanged, with everything delivered to the wrong child each."""
    small.settings_changes = {"school": {"single_approver": True}, "access": {"alone_after_minutes": 0}}
    with small.open() as hand:
        ids = {f"user:{row['portal_id']}": number_of(small, row["person_id"]) for row in small.like.pupils}
        link_by_list(hand, {FIRST: ids[SECOND], SECOND: ids[FIRST]})
        hand.through()
        yield hand, ids


def link_by_list(hand: Any, pairs: dict[str, int]) -> None:
    """Links as the office's list left them, of which nobody asked what the two sides say of themselves."""
    with hand.gateway.store.write() as conn:
        place_id, now = hand.gateway.place_id(conn), hand.gateway.store.now(conn)
        for ref, city_id in pairs.items():
            confirm(conn, place_id, Kind.PERSON, ref, city_id, actor="office", how="roster", evidence={}, now=now)


def number_of(world: Any, person_id: str) -> int:
    return next(row["id"] for row in world.city.state()["student_profiles"] if row["person_id"] == person_id)


def cells(world: Any, city_id: int) -> dict[str, list[str]]:
    """What stands under a profile: marks with their values, absences."""
    marks = [row["name"] for row in world.city.standing("marks") if row["student_profile_id"] == city_id]
    absences = ["н" for row in world.city.standing("attendances") if row["student_profile_id"] == city_id]
    return {"marks": sorted(marks), "absences": absences}


def finish(hand: Any) -> None:
    hand.deliver()
    hand.until_quiet()


def as_one(hand: Any) -> Any:
    """The gateway in one person's hands."""
    return as_account(hand.gateway, 6)


def as_another(hand: Any) -> Any:
    """The gateway in another person's hands."""
    return as_account(hand.gateway, 7)


def open_ones(hand: Any, type_: str) -> list[Any]:
    live = [one.value for one in LIVE]
    with hand.gateway.store.read() as conn:
        query = select(discrepancy).where(discrepancy.c.state.in_(live), discrepancy.c.type == type_)
        return list(conn.execute(query))


def test_two_exchanged_children_get_their_own_in_one_approved_unit(crossed: Any) -> None:
    hand, ids = crossed
    world = hand.world
    before = {ref: cells(world, ids[ref]) for ref in (FIRST, SECOND)}
    count = len(world.city.ledger())

    proposed = propose_relink(as_one(hand), FIRST, ids[FIRST], reason="перепутаны", is_swap=True)
    waiting = hand.sync()
    assert waiting.planned.plan.by_reason["RELINKING"] > 0
    assert len(world.city.ledger()) == count, "a proposal sends nothing"
    with hand.gateway.store.read() as conn:
        shown = get_unit(conn, hand.gateway.place_id(conn), proposed.number, now=hand.gateway.store.now(conn)).line
    assert (shown.state, shown.standing, shown.created) == ("proposed", proposed.counts["delete"], 0)
    approve_relink(as_one(hand), proposed.number, proposed.hash[:12], reason="проверено по личным делам")
    finish(hand)

    assert cells(world, ids[FIRST]) == before[SECOND]
    assert cells(world, ids[SECOND]) == before[FIRST]
    new = [entry for entry in world.city.ledger()[count:] if entry["kind"] in ("mark", "absence")]
    ops = [entry["op"] for entry in new]
    assert ops.count("delete") == ops.count("create") == proposed.counts["delete"] > 0
    assert ops == sorted(ops, reverse=True), (
        "nothing is created at the right child before it is gone from the wrong one"
    )
    with hand.gateway.store.read() as conn:
        assert load_links(conn, hand.gateway.place_id(conn), Kind.PERSON)[FIRST] == ids[FIRST]
    actions = [entry.action for entry in hand.actions()]
    assert actions.index("incident.opened") < actions.index("relink.proposed") < actions.index("relink.approved")
    assert actions.count("link.moved") == 2
    hand.assert_sound()
    assert_sheet_tells_it_all(hand, proposed)


def assert_sheet_tells_it_all(hand: Any, proposed: Any) -> None:
    """What stood where, from when until when, and both clocks; names only in the sheet itself."""
    gateway = hand.gateway
    with pytest.raises(PlanRefusedError):
        note_incident(gateway, proposed.incident, "findings", text="раньше уведомления")
    assert note_incident(gateway, proposed.incident, "notice", text="уведомление подано") is True
    assert note_incident(gateway, proposed.incident, "notice", text="ещё раз") is False
    hand.world.clock.advance(80 * 3600)
    assert note_incident(gateway, proposed.incident, "findings", text="результаты поданы") is True
    with gateway.store.read() as conn:
        now, place_id = gateway.store.now(conn), gateway.place_id(conn)
        sheet = get_sheet(conn, gateway.place, place_id, proposed.incident, now=now)
        unit = get_unit(conn, place_id, proposed.number, now=now).line

    assert (unit.state, unit.standing, unit.created) == ("done", 0, proposed.counts["create"])
    assert len(sheet.shown) == proposed.counts["delete"]
    assert all(one.until is not None and one.since < one.until <= one.created_at for one in sheet.shown)
    assert (sheet.notice.due_at - sheet.noticed_at, sheet.findings.due_at - sheet.noticed_at) == (
        timedelta(hours=24),
        timedelta(hours=72),
    )
    assert (sheet.state, sheet.notice.is_overdue, sheet.findings.is_overdue) == ("closed", False, True)
    page = build_html(sheet, MOSCOW)
    assert all(text in page for text in ("перепутаны", "результаты поданы", sheet.shown[0].what))
    assert f"{sheet.noticed_at.astimezone(MOSCOW):%d.%m.%Y %H:%M}" in page
    assert "UTC" not in page, "people read the school's clock"
    assert build_xlsx(sheet, MOSCOW).startswith(b"PK")


def test_a_pupil_whose_right_profile_nobody_knows_is_only_taken_away_and_by_two(small: Any) -> None:
    with small.open() as hand:
        hand.through()
        city_id = number_of(small, next(row["person_id"] for row in small.like.pupils if row["portal_id"] == 1001))
        assert any(cells(small, city_id).values())
        proposed = propose_relink(as_one(hand), FIRST, None, reason="это другой ребёнок")
        first_of_two = propose_relink(as_one(hand), FIRST, None, reason="это другой ребёнок, ещё раз")
        assert first_of_two.incident == proposed.incident, "the clocks run from when it was first noticed"
        unit = first_of_two.hash

        with pytest.raises(SecondPersonError):
            approve_relink(as_one(hand), first_of_two.number, unit, reason="сам себе")
        for number, shown, reason in (
            (proposed.number, proposed.hash, "прежнее"),
            (first_of_two.number, "0" * 64, "не то"),
            (first_of_two.number, unit, " "),
        ):
            with pytest.raises(PlanRefusedError):
                approve_relink(as_another(hand), number, shown, reason=reason)
        lose_post(hand.gateway, 6)
        with pytest.raises(SecondPersonError, match="сегодня предложить этого не может"):
            approve_relink(as_another(hand), first_of_two.number, unit, reason="его слова больше нет")
        get_post_back(hand.gateway, 6)
        approve_relink(as_another(hand), first_of_two.number, unit, reason="проверено")
        with pytest.raises(PlanRefusedError):
            approve_relink(as_another(hand), first_of_two.number, unit, reason="второй раз")
        finish(hand)

        assert cells(small, city_id) == {"marks": [], "absences": []}
        assert hand.waiting()[FIRST] == "LINK_REJECTED", "the machine does not link the pair again"
        hand.assert_sound()


def test_a_process_killed_right_after_the_approval_leaves_a_unit_that_goes_on_to_its_end(
    crossed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand, ids = crossed
    before = {ref: cells(hand.world, ids[ref]) for ref in (FIRST, SECOND)}
    proposed = propose_relink(as_one(hand), FIRST, ids[FIRST], reason="перепутаны", is_swap=True)

    def killed(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(relink_flow, "release", killed)
    with pytest.raises(KeyboardInterrupt):
        approve_relink(as_one(hand), proposed.number, proposed.hash, reason="проверено")
    monkeypatch.undo()
    finish(hand)

    assert {ref: cells(hand.world, ids[ref]) for ref in (SECOND, FIRST)} == {
        SECOND: before[FIRST],
        FIRST: before[SECOND],
    }
    hand.assert_sound()


def test_what_a_person_edited_at_the_wrong_child_is_left_to_people_and_not_made_twice(crossed: Any) -> None:
    """One mark is edited there by hand: it stays and is somebody's move; a twin at the right child is looked for."""
    hand, ids = crossed
    city = hand.world.city
    edited, taken = [row for row in hand.base_rows() if row.kind == "mark" and is_of(row, ids[SECOND])][:2]
    lesson = int(taken.object_key.split("/")[2])
    mark = next(row for row in city.standing("marks") if row["id"] == taken.city_id)
    cell = {"student_profile_id": ids[FIRST], "schedule_lesson_id": lesson}
    proposed = propose_relink(as_one(hand), FIRST, ids[FIRST], reason="перепутаны", is_swap=True)
    approve_relink(as_one(hand), proposed.number, proposed.hash, reason="проверено")
    city.human("change", "mark", id=edited.city_id, value="2" if json.loads(edited.intent)["value"] != "2" else "3")
    city.human(
        "create", "mark", cell=cell, control_form_id=mark["control_form_id"], weight=mark["weight"], value=mark["name"]
    )
    hand.world.clock.advance(60)
    hand.sync()
    hand.until_quiet()

    (left,) = open_ones(hand, "wrong_child")
    assert (left.city_id, left.owner, left.reason) == (edited.city_id, "deputy_head", "WRONG_CHILD")
    refs = {row.ref: row for row in hand.base_rows()}
    assert edited.ref not in refs, "it is not made at the right child while it stands at the wrong one"
    there = [
        row
        for row in city.standing("marks")
        if row["student_profile_id"] == ids[FIRST] and row["schedule_lesson_id"] == lesson
    ]
    assert len([row for row in there if row["control_form_id"] == mark["control_form_id"]]) == 1

    city.human("delete", "mark", id=edited.city_id)
    hand.sync()  # sees that it is gone; the next one makes it at the right child
    hand.until_quiet()
    assert open_ones(hand, "wrong_child") == []
    assert is_of(next(row for row in hand.base_rows() if row.ref == edited.ref), ids[FIRST])


def is_of(row: Any, city_id: int) -> bool:
    return bool(row.object_key.split("/")[1] == str(city_id))


def test_a_second_profile_of_the_same_child_takes_the_link_and_nothing_is_removed(small: Any) -> None:
    with small.open() as hand:
        hand.through()
        person_id = next(row["person_id"] for row in small.like.pupils if row["portal_id"] == 1001)
        old_id = number_of(small, person_id)
        new_id = small.city.sandbox.state.rename("student_profiles", old_id)
        for kind in ("marks", "attendances"):  # the city has carried them over
            for row in small.city.sandbox.state.iter_rows(kind):
                if row["student_profile_id"] == old_id:
                    row["student_profile_id"] = new_id
        ledger = [entry for entry in small.city.ledger() if entry["kind"] != "homework"]
        hand.sync()
        assert hand.waiting()[FIRST] == "LINK_LOST"

        assert merge_profile(hand.gateway, FIRST, new_id, reason="новый номер того же ребёнка") > 0
        hand.until_quiet()

        assert [entry for entry in small.city.ledger() if entry["kind"] != "homework"] == ledger
        assert FIRST not in hand.waiting()
        assert all(is_of(row, new_id) for row in hand.base_rows() if row.ref.endswith(":1001") and row.kind == "mark")


def test_while_a_link_is_being_set_right_it_is_neither_dropped_nor_confirmed_nor_merged(small: Any) -> None:
    """Nothing was delivered yet, so that only the proposal stands in the way."""
    with small.open() as hand:
        ids = {f"user:{row['portal_id']}": number_of(small, row["person_id"]) for row in small.like.pupils}
        hand.sync()  # the first load waits for its approval
        link = ids[FIRST]
        proposed = propose_relink(as_one(hand), FIRST, None, reason="чей это профиль, неизвестно")

        for refused in (
            lambda: drop_link(hand.gateway, FIRST, reason="неверная"),
            lambda: confirm_link(hand.gateway, FIRST, link),
            lambda: merge_profile(hand.gateway, FIRST, ids["user:1000"], reason="тот же"),
        ):
            with pytest.raises(PlanRefusedError, match=f"исправление {proposed.number} ждёт"):
                refused()
        with hand.gateway.store.read() as conn:
            assert load_links(conn, hand.gateway.place_id(conn), Kind.PERSON)[FIRST] == link
        hand.through()
        assert cells(small, link) == {"marks": [], "absences": []}

        withdraw_relink(hand.gateway, proposed.number, reason="разобрались")
        assert drop_link(hand.gateway, FIRST, reason="неверная").city_id == link


def test_a_link_over_which_something_was_delivered_is_not_dropped_by_one_person(crossed: Any) -> None:
    hand, ids = crossed
    before = hand.base_rows()

    with pytest.raises(PlanRefusedError, match="gateway links split"):
        drop_link(hand.gateway, FIRST, reason="не тот ребёнок")

    assert hand.base_rows() == before
    with hand.gateway.store.read() as conn:
        assert load_links(conn, hand.gateway.place_id(conn), Kind.PERSON)[FIRST] == ids[SECOND]


def test_a_profile_of_another_child_is_not_merged_as_the_same_ones(small: Any) -> None:
    with small.open() as hand:
        hand.through()
        other = number_of(small, next(row["person_id"] for row in small.like.pupils if row["portal_id"] == 1000))
        before = hand.base_rows()

        with pytest.raises(PlanRefusedError, match="фамилия другая"):
            merge_profile(hand.gateway, FIRST, other, reason="новый номер того же ребёнка")

        assert hand.base_rows() == before


def test_a_link_that_made_nothing_yet_is_not_moved_to_another_child_by_one_person(small: Any) -> None:
    with small.open() as hand:
        hand.sync()  # the first load waits for its approval
        other = number_of(small, next(row["person_id"] for row in small.like.pupils if row["portal_id"] == 1000))
        proposed = propose_relink(as_one(hand), FIRST, other, reason="это она")
        assert proposed.counts["delete"] == 0

        with pytest.raises(SecondPersonError):
            approve_relink(as_one(hand), proposed.number, proposed.hash, reason="сам себе")

        approve_relink(as_another(hand), proposed.number, proposed.hash, reason="видел личное дело")
        with hand.gateway.store.read() as conn:
            assert load_links(conn, hand.gateway.place_id(conn), Kind.PERSON)[FIRST] == other


def test_the_only_approver_proves_his_password_after_the_wait_and_not_during_it(small: Any) -> None:
    """A log-in that is fresh all the same, but older than the moment from which he may, is no later confirmation."""
    small.settings_changes = {"school": {"single_approver": True}}
    with small.open() as hand:
        hand.sync()
        other = number_of(small, next(row["person_id"] for row in small.like.pupils if row["portal_id"] == 1000))
        alone = replace(hand.gateway, actor=person(hand.gateway, "deputy").actor)
        proposed = propose_relink(alone, FIRST, other, reason="это она")
        small.clock.advance(300)
        early = person(hand.gateway, "deputy")
        small.clock.advance(301)

        with pytest.raises(SecondPersonError, match="введя пароль заново"):
            approve_relink(alone, proposed.number, proposed.hash, reason="проверено", principal=early)

        late = person(hand.gateway, "deputy")
        assert approve_relink(alone, proposed.number, proposed.hash, reason="проверено", principal=late).is_alone


@pytest.mark.parametrize("is_planning", [False, True], ids=["the plan waits", "the plan is being made"])
def test_a_link_taken_away_lets_nothing_more_reach_that_child(small: Any, *, is_planning: bool) -> None:
    """What a plan was going to send him was decided by that link, whether the plan is made already or not."""
    with small.open() as hand:
        hand.link_everybody()
        user, _ = next(iter(small.portal.cells(FIRST_COURSE)))
        with hand.gateway.store.read() as conn:
            city_id = load_links(conn, hand.place_id(), Kind.PERSON)[f"user:{user}"]
        hand.sync(is_dry_run=True)
        dropped: list[Any] = []

        def progress(stage: str, done: int, total: int | None = None) -> None:
            if stage == "plan" and is_planning and not dropped:
                dropped.append(drop_link(hand.gateway, f"user:{user}", reason="другой ребёнок"))

        synced = sync(replace(hand.gateway, progress=progress), hand.want)
        if not is_planning:
            dropped.append(drop_link(hand.gateway, f"user:{user}", reason="другой ребёнок"))
        hand.approve(synced)
        hand.deliver()

        assert [one.city_id for one in dropped] == [city_id]
        reached = {
            entry["cell"]["student_profile_id"] for entry in small.city.machine_ledger() if entry["kind"] == "mark"
        }
        assert reached
        assert city_id not in reached


def test_a_plan_that_waits_sends_nothing_to_a_child_whose_link_is_being_set_right(small: Any) -> None:
    """Proposing holds him at once; withdrawn, the next plan says anew what should stand with him."""
    with small.open() as hand:
        hand.link_everybody()
        user, _ = next(iter(small.portal.cells(FIRST_COURSE)))
        synced = hand.sync()
        proposed = propose_relink(hand.gateway, f"user:{user}", None, reason="похоже, другой ребёнок")
        hand.approve(synced)
        hand.deliver()

        def reached() -> set[int]:
            entries = [entry for entry in small.city.machine_ledger() if entry["kind"] == "mark"]
            return {entry["cell"]["student_profile_id"] for entry in entries}

        city_id = proposed.moves[0].from_city_id
        assert reached()
        assert city_id not in reached()
        withdraw_relink(hand.gateway, proposed.number, reason="тот самый")
        hand.until_quiet()
        assert city_id in reached()
        hand.assert_sound()


def test_homework_on_which_the_schools_sources_disagree_stops_no_link_from_being_set_right(small: Any) -> None:
    """Nobody knows yet what it should say, so it names no pupil."""
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        user, _ = next(iter(small.portal.cells(FIRST_COURSE)))
        homework = (intended.c.kind == Kind.HOMEWORK.value, intended.c.intent.is_not(None))
        with hand.gateway.store.write() as conn:
            refs = list(conn.execute(select(intended.c.ref).where(*homework)).scalars())
            undecided = {"state": "held", "reason": "SOURCES_DISAGREE", "intent": None}
            conn.execute(update(intended).where(*homework, intended.c.ref == refs[0]).values(undecided))

        propose_relink(hand.gateway, f"user:{user}", None, reason="похоже, другой ребёнок")

        with hand.gateway.store.read() as conn:
            states = dict(conn.execute(select(intended.c.ref, intended.c.state).where(intended.c.ref.in_(refs))).all())
        assert len(refs) > 1
        assert states == {ref: "held" if ref == refs[0] else "waiting" for ref in refs}
        hand.approve(synced)
        hand.deliver()
        assert not [row for row in small.city.machine_ledger() if row["kind"] == "homework"]
