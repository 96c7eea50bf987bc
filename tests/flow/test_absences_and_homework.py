"""Absences and homework: made, changed, withdrawn; several teachers' profiles, each writing what it may."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.errors import AccessDeniedError
from gateway.queue.pauses import pause

COURSE = 2


@pytest.fixture
def delivered(build_world: Any) -> Any:
    """Two pupils, one of them absent once, everything delivered."""
    world = build_world(pupils=2, prepare=one_absence)
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        assert hand.states().keys() == {"verified"}
        yield hand


def one_absence(portal: Any) -> None:
    """Everybody was at every lesson, but for one pupil at the last one."""
    for sessions in portal.sandbox.book.course(COURSE).sessions.values():
        for session in sessions:
            for user in [one["studentid"] for one in session["attendance_log"]]:
                is_missed = session is sessions[-1] and user == 1000
                set_attendance(portal, session["id"], user, "A" if is_missed else "P")


def set_attendance(portal: Any, session_id: int, user: int, acronym: str) -> None:
    portal.edit("set_attendance", courseid=COURSE, sessionid=session_id, userid=user, acronym=acronym)


def last_session(portal: Any) -> dict[str, Any]:
    sessions = next(iter(portal.sandbox.book.course(COURSE).sessions.values()))
    return dict(sessions[-1])


def new_entries(hand: Any, count: int) -> list[tuple[str, str]]:
    return [(entry["op"], entry["kind"]) for entry in hand.city.machine_ledger()[count:]]


def test_an_absence_stands_in_the_city_without_its_reason(delivered: Any) -> None:
    rows = delivered.city.standing("attendances")

    assert len(rows) == 1
    assert rows[0]["absence_reason_id"] == delivered.gateway.settings.mesh.absence_reason_id
    assert rows[0]["nonattendance_reason_id"] is None


def test_another_reason_for_the_same_absence_sends_nothing(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    set_attendance(delivered.world.portal, last_session(delivered.world.portal)["id"], 1000, "E")

    synced = delivered.sync()

    assert synced.pulled.kinds["absence"]["changed"] == 1
    assert len(delivered.city.ledger()) == count


def test_a_new_absence_at_a_known_lesson_is_sent_alone(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    set_attendance(delivered.world.portal, last_session(delivered.world.portal)["id"], 1001, "A")

    delivered.through()

    assert new_entries(delivered, count) == [("create", "absence")]
    delivered.assert_sound()


def test_a_withdrawn_absence_is_deleted_only_when_a_person_says_so(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    set_attendance(delivered.world.portal, last_session(delivered.world.portal)["id"], 1001, "A")
    delivered.through()
    count += 1
    set_attendance(delivered.world.portal, last_session(delivered.world.portal)["id"], 1000, "P")

    assert delivered.sync().planned.plan.by_reason["ABSENCE_UNPROVEN"] == 1
    delivered.wait_grace()
    second = delivered.sync()
    assert second.planned.plan.by_reason["DELETE_HELD"] == 1
    assert new_entries(delivered, count) == []
    delivered.approve(second, with_deletes=True)
    delivered.deliver()

    assert new_entries(delivered, count) == [("delete", "absence")]
    delivered.assert_sound()


def test_late_instead_of_absent_is_an_absence_withdrawn_deleted_only_when_a_person_says_so(delivered: Any) -> None:
    """He came after all: the «н» in the city is wrong, and says so to his parents. What never stood there is only counted."""
    count = len(delivered.city.ledger())
    session = last_session(delivered.world.portal)["id"]
    set_attendance(delivered.world.portal, session, 1000, "L")
    set_attendance(delivered.world.portal, session, 1001, "L")

    assert delivered.sync().planned.plan.by_reason["ABSENCE_UNPROVEN"] == 1
    delivered.wait_grace()
    second = delivered.sync()
    assert (second.planned.plan.by_reason["DELETE_HELD"], second.planned.plan.by_reason["LATE_NOT_SENT"]) == (1, 1)
    assert len(delivered.city.ledger()) == count
    delivered.approve(second, with_deletes=True)
    delivered.deliver()

    assert new_entries(delivered, count) == [("delete", "absence")]
    assert delivered.city.standing("attendances") == []
    third = delivered.sync()
    assert third.planned.plan.by_reason["LATE_NOT_SENT"] == 2
    assert not third.delivered.sent
    delivered.assert_sound()


def test_late_that_is_mended_within_the_grace_time_leaves_the_absence_as_it_is(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    session = last_session(delivered.world.portal)["id"]
    set_attendance(delivered.world.portal, session, 1000, "L")
    delivered.sync()
    set_attendance(delivered.world.portal, session, 1000, "A")
    delivered.wait_grace()

    assert "DELETE_HELD" not in delivered.sync().planned.plan.by_reason
    assert len(delivered.city.ledger()) == count


@pytest.mark.row("A16")
def test_an_absence_that_a_person_typed_meanwhile_is_taken_as_ours_and_not_doubled(build_world: Any) -> None:
    """The city refuses the second one («уже существует»): read back, it is the one that was meant."""
    world = build_world(pupils=2, prepare=one_absence)
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        row = next(one for one in hand.decisions(synced) if one.kind == "absence")
        _, pupil, lesson = row.object_key.split("/")
        reason = hand.gateway.settings.mesh.absence_reason_id
        cell = {"student_profile_id": int(pupil), "schedule_lesson_id": int(lesson)}
        typed = world.city.human("create", "attendance", cell=cell, value=reason)
        hand.approve(synced)
        ended = hand.deliver()

        assert ended.exit_code == 0
        assert [row["id"] for row in world.city.standing("attendances")] == [typed["id"]]
        assert [base.city_id for base in hand.base_rows() if base.kind == "absence"] == [typed["id"]]
        again = hand.sync()
        assert not again.delivered.sent


@pytest.mark.row("A16")
def test_an_absence_that_a_person_typed_with_another_reason_is_a_conflict(build_world: Any) -> None:
    world = build_world(pupils=2, prepare=one_absence)
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        row = next(one for one in hand.decisions(synced) if one.kind == "absence")
        _, pupil, lesson = row.object_key.split("/")
        cell = {"student_profile_id": int(pupil), "schedule_lesson_id": int(lesson)}
        world.city.human("create", "attendance", cell=cell, value=1)
        hand.approve(synced)
        ended = hand.deliver()

        operation = next(one for one in hand.operations() if one.kind == "absence")
        assert (operation.state, operation.reason) == ("parked", "CONFLICT")
        assert ended.exit_code == 3
        assert world.city.standing("attendances")[0]["absence_reason_id"] == 1


def tasks(portal: Any) -> list[dict[str, Any]]:
    return list(portal.sandbox.book.course(COURSE).assignments["assignments"])


def test_a_homework_with_another_due_day_is_changed_under_its_id(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    before = {row["id"] for row in delivered.city.standing("homeworks")}
    task = tasks(delivered.world.portal)[0]
    delivered.world.portal.edit("set_duedate", assignid=task["id"], duedate=task["duedate"] + 86400)

    delivered.through()
    delivered.until_quiet()

    entries = [entry for entry in new_entries(delivered, count) if entry[1] == "homework"]
    assert entries == [("change", "homework")]
    assert {row["id"] for row in delivered.city.standing("homeworks")} == before
    delivered.assert_sound()


def test_a_homework_with_another_text_is_changed_under_its_id(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    before = {row["id"] for row in delivered.city.standing("homeworks")}
    tasks(delivered.world.portal)[0]["intro"] = "Параграф 12, упражнения 3 и 4"

    delivered.through()

    assert new_entries(delivered, count) == [("change", "homework")]
    assert {row["id"] for row in delivered.city.standing("homeworks")} == before
    texts = [row["homework_entries"][0]["description"] for row in delivered.city.standing("homeworks")]
    assert any("Параграф 12" in text for text in texts)
    delivered.assert_sound()


def test_a_homework_whose_task_was_removed_stays_until_a_person_decides(delivered: Any) -> None:
    """The city has no call that deletes homework: approved or not, it stands, and the refusal is parked with its reason."""
    items = [item for _, item in delivered.world.portal.cells(COURSE) if item["itemmodule"] == "assign"]
    task = items[0]
    standing = delivered.city.standing("homeworks")
    delivered.world.portal.edit("remove_item", courseid=COURSE, itemid=task["id"])

    delivered.sync()
    delivered.wait_grace()
    second = delivered.sync()
    assert second.planned.plan.by_reason["DELETE_HELD"] >= 1
    assert delivered.city.standing("homeworks") == standing
    delivered.approve(second, with_deletes=True)
    ended = delivered.deliver()

    assert delivered.city.standing("homeworks") == standing
    parked = [row for row in delivered.operations() if row.state == "parked"]
    assert {(row.kind, row.reason) for row in parked} == {("homework", "NO_CITY_CALL")}
    assert ended.delivered.parked == 1


def test_a_homework_that_a_person_changed_in_the_city_is_held(delivered: Any) -> None:
    there = delivered.city.standing("homeworks")[0]
    delivered.city.human("change", "homework", id=there["id"], value="Другое задание")
    machine = delivered.city.machine_ledger()

    for _ in range(2):
        synced = delivered.sync()
        assert synced.planned.plan.by_reason["DRIFT"] == 1
    assert delivered.city.machine_ledger() == machine


class TestSeveralProfiles:
    """Two subjects, two teachers, a profile for each and none of a school admin."""

    @pytest.fixture
    def world(self, build_world: Any) -> Any:
        return build_world(pupils=2, courses=2)

    @staticmethod
    def profiles(world: Any, **changes: Any) -> dict[str, Any]:
        return {
            f"teacher-{one['profile_id']}": {
                "profile_id": one["profile_id"],
                "token": changes.get(str(one["profile_id"]), one["token"]),
                "role": "teacher",
                "owner": "классный руководитель",
            }
            for one in world.city.profiles
            if one["role"] == "teacher"
        }

    def test_every_write_goes_by_the_profile_that_may_write_it(self, world: Any) -> None:
        with world.open(profiles=self.profiles(world)) as hand:
            hand.link_everybody()
            hand.through()
            assert hand.states().keys() == {"verified"}
            hand.assert_sound()

        teacher_of = {row["id"]: row["teachers"][0]["id"] for row in world.city.state()["groups"]}
        ledger = world.city.ledger()
        assert len({entry["actor"] for entry in ledger}) == 2
        assert all(entry["actor"] == teacher_of[entry["group_id"]] for entry in ledger)
        written = [
            asked for asked in world.city.writes() if asked.headers["profile-id"] not in map(str, teacher_of.values())
        ]
        assert written == []

    def test_one_dead_token_pauses_its_own_profile_and_no_other(self, world: Any) -> None:
        with world.open(profiles=self.profiles(world)) as hand:
            hand.link_everybody()
            synced = hand.sync()
            wanted = synced.planned.plan.counters["create"]
            hand.approve(synced)
        teachers = [one for one in world.city.profiles if one["role"] == "teacher"]
        dead = teachers[1]
        world.city.sandbox.sessions.kill(dead["token"])

        with world.open(profiles=self.profiles(world)) as hand:
            stopped = hand.deliver()
            name = f"teacher-{dead['profile_id']}"
            assert stopped.delivered.paused == [name]
            assert name in stopped.sentence
            assert {entry["actor"] for entry in world.city.ledger()} == {teachers[0]["profile_id"]}
            assert hand.states()["parked"] == 0
            done = len(world.city.ledger())
            assert 0 < done < wanted

        token = world.city.log_in(dead)
        with world.open(profiles=self.profiles(world, **{str(dead["profile_id"]): token})) as hand:
            hand.lift()
            hand.until_quiet()
            assert len(world.city.ledger()) == wanted
            hand.assert_sound()

    def test_a_group_whose_teacher_has_no_profile_waits_for_one(self, world: Any) -> None:
        """Neither read nor written: what another teacher is shown of it may be an empty list."""
        teachers = [one for one in world.city.profiles if one["role"] == "teacher"]
        only = {
            name: one for name, one in self.profiles(world).items() if name.endswith(str(teachers[0]["profile_id"]))
        }
        with world.open(profiles=only) as hand:
            hand.link_everybody()
            synced = hand.sync()
            assert synced.planned.plan.by_reason["READER_LIMITED"]
            hand.approve(synced)
            hand.deliver()
            assert {entry["actor"] for entry in world.city.ledger()} == {teachers[0]["profile_id"]}

        with world.open(profiles=self.profiles(world)) as hand:
            world.clock.advance(3600)
            hand.until_quiet()
            assert len({entry["actor"] for entry in world.city.ledger()}) == 2
            hand.assert_sound()

    def test_in_place_of_a_paused_admin_a_teacher_reads_his_own_groups_and_no_others(self, world: Any) -> None:
        """He is shown empty lists of the others. What was typed there by hand would be written once more, what is ours would drift."""
        admin = next(one for one in world.city.profiles if one["role"] == "school_admin")
        both = {"admin": {**{name: admin[name] for name in ("profile_id", "token", "role")}, "owner": "завуч"}}
        teacher_name, teacher = next(iter(self.profiles(world).items()))
        both[teacher_name] = teacher
        world.city.switch(teacher_reads="own")
        with world.open(profiles=both) as hand:
            hand.link_everybody()
            hand.through()
            assert hand.states().keys() == {"verified"}
        count = len(world.city.ledger())
        own = next(
            row["id"] for row in world.city.state()["groups"] if row["teachers"][0]["id"] == teacher["profile_id"]
        )
        for courseid in world.portal.courses()[:2]:
            user, item = world.portal.cells(courseid)[0]
            better = 5 if round(item["graderaw"]) != 5 else 3
            world.portal.edit("set_grade", courseid=courseid, itemid=item["id"], userid=user, grade=better)

        with world.open(profiles=both) as hand:
            with hand.gateway.store.write() as conn:
                refused = AccessDeniedError("сессия завершена", profile="admin", system="mesh")
                pause(conn, hand.gateway.ledger, hand.gateway.place.city, refused, now=hand.gateway.now())
            synced = hand.sync()

            reasons = synced.planned.plan.by_reason
            assert reasons["READER_LIMITED"] > 1
            assert reasons.keys() & {"CREATE", "DRIFT", "CONFLICT", "LINK_LOST", "DELETE_HELD"} == set()
            assert "READER_LIMITED" in {problem.reason for problem in synced.planned.problems}
            assert synced.exit_code != 0
            assert [(entry["op"], entry["group_id"]) for entry in world.city.ledger()[count:]] == [("change", own)]
            hand.assert_sound()
