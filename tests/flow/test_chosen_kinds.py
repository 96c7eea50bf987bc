"""Lateness, final marks and topics from a Moodle gradebook to the city: the same laws as marks."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.domain.clock import MOSCOW
from gateway.domain.discrepancies import Choice
from gateway.domain.reasons import get_reason
from gateway.domain.records import Final, Lesson, Person
from gateway.domain.school_year import SchoolYear, YearPeriod
from gateway.flows import discrepancies
from gateway.flows.calendar import import_calendar
from gateway.mapping.tables import record_link
from gateway.reconcile.snapshot import load_records
from gateway.report.discrepancies import Sieve, load_lines
from gateway.sandbox.portal.app import DEFAULT_TOKEN
from tests.flow.office import write_book

COURSE = 2
LATE_PUPIL, ITEM = 1000, 900
MAPPING = """
finals_before_days = 60
[[items]]
form = "Работа на уроке"
[[scope]]
kind = "{kind}"
create = "automatic"
change = "automatic"
delete = "approve"
"""
CHOSEN = ("comment", "final", "topics")


def add_chosen(portal: Any) -> None:
    """A column of the second quarter, one pupil late at the last lesson, a topic for every lesson."""
    rows = portal.sandbox.book.course(COURSE)
    for userid, row in rows.grades.items():
        manual = next(one for one in row["gradeitems"] if one["itemtype"] == "manual")
        value = float(3 + userid % 3)
        column = {"id": ITEM, "itemname": "Итог 2 четверти", "idnumber": "q2", "graderaw": value}
        row["gradeitems"].append({**manual, **column, "gradeformatted": str(value), "gradedategraded": 1795000000})
    for sessions in rows.sessions.values():
        for number, session in enumerate(sessions, start=1):
            session["description"] = f"<p>Тема урока {number}</p>"
            for user in [one["studentid"] for one in session["attendance_log"]]:
                is_late = session is sessions[-1] and user == LATE_PUPIL
                set_attendance(portal, session["id"], user, "L" if is_late else "P")


def set_attendance(portal: Any, session_id: int, user: int, acronym: str) -> None:
    portal.edit("set_attendance", courseid=COURSE, sessionid=session_id, userid=user, acronym=acronym)


def sessions_of(portal: Any) -> list[dict[str, Any]]:
    return list(next(iter(portal.sandbox.book.course(COURSE).sessions.values())))


def choose(world: Any, *kinds: str) -> None:
    """Name the kinds in the school's scope table, and where the portal keeps them."""
    rows = "".join(MAPPING.partition("[[scope]]")[1] + MAPPING.partition("[[scope]]")[2] for _ in kinds)
    head = MAPPING.partition("[[scope]]")[0]
    for kind in kinds:
        rows = rows.replace("{kind}", kind, 1)
    path = world.folder / "mapping.toml"
    path.write_text(head + rows, encoding="utf-8")
    world.settings_changes["school"] = {"mapping_file": path}
    world.settings_changes["portal"] = {
        "base_url": world.portal.base_url,
        "token": DEFAULT_TOKEN,
        "has_topics": True,
        "finals": [{"match": "number", "pattern": "^q2$", "form": "period", "period": "2"}],
    }


@pytest.fixture
def world(build_world: Any) -> Any:
    built = build_world(pupils=3, prepare=add_chosen)
    choose(built, *CHOSEN)
    return built


@pytest.fixture
def delivered(world: Any) -> Any:
    """Everything of the three kinds is in the city."""
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        assert hand.states().keys() == {"verified"}
        yield hand


def kinds_of(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return sorted((entry["op"], entry["kind"]) for entry in entries)


def test_all_three_kinds_arrive_once_and_a_second_plan_is_empty(delivered: Any) -> None:
    city = delivered.city
    assert kinds_of(city.machine_ledger()) == [
        ("change", "topics"),
        ("create", "comment"),
        *[("create", "final")] * 3,
    ]
    period = next(
        one
        for one in delivered.gateway.city.fetch_directory(delivered.want.from_on).periods
        if one.name == "2 Четверть"
    )
    assert {row["attestation_period_id"] for row in city.standing("final_marks")} == {period.id}
    assert Counter(row["value"] for row in city.standing("final_marks")) == {"3": 1, "4": 1, "5": 1}
    assert [row["comment"] for row in city.standing("lesson_comments")] == ["О"]
    taught = [one for one in city.state()["schedule_items"] if one["topic_name"]]
    assert sorted(one["topic_name"] for one in taught) == sorted(
        f"Тема урока {n}" for n in range(1, len(sessions_of(delivered.world.portal)) + 1)
    )
    delivered.assert_sound()

    again = delivered.sync()

    assert not any(again.planned.plan.counters.get(name) for name in ("create", "update", "delete"))
    assert not again.delivered.sent


def test_an_item_that_holds_a_final_mark_is_no_ordinary_mark(world: Any) -> None:
    choose(world, "mark", "final")
    with world.open() as hand:
        hand.link_everybody()
        hand.through()

        assert f"item:{ITEM}" not in {str(row.ref).partition(":")[2] for row in hand.operations() if row.kind == "mark"}
        assert len([row for row in hand.operations() if row.kind == "final"]) == 3
        hand.assert_sound()


def test_a_plan_carried_out_twice_is_carried_out_once(delivered: Any) -> None:
    count = len(delivered.city.ledger())

    for _ in range(2):
        delivered.deliver()
        delivered.sync()

    assert len(delivered.city.ledger()) == count
    delivered.assert_sound()


def test_kinds_that_are_not_named_are_neither_read_nor_planned(build_world: Any) -> None:
    world = build_world(pupils=3, prepare=add_chosen)
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.sync()

    assert not set(CHOSEN) & synced.pulled.kinds.keys()
    assert not set(CHOSEN) & {row.kind for row in hand.decisions(synced)}
    asked = " ".join(f"{one.path}?{one.query}" for one in world.city.asked)
    assert "lesson_plans" not in asked
    assert "with_final_marks" not in asked


def set_final(world: Any, user: int, grade: float) -> None:
    world.portal.edit("set_grade", courseid=COURSE, itemid=ITEM, userid=user, grade=grade)


def test_a_corrected_final_mark_waits_for_a_person_and_then_both_sides_agree(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    set_final(delivered.world, 1000, 5.0)

    held = delivered.sync()

    assert held.planned.plan.by_reason["NO_CITY_CALL"] == 1
    assert len(delivered.city.ledger()) == count
    wanted = next(one for one in delivered.decisions(held) if one.reason == "NO_CITY_CALL")
    delivered.city.human("change", "final_mark", id=wanted.city_id, value="5")
    agreed = delivered.sync()
    assert agreed.planned.plan.by_reason["ADOPTED"] == 1
    assert not delivered.sync().planned.plan.by_reason.get("NO_CITY_CALL")
    delivered.assert_sound()


def test_a_final_mark_that_a_person_changed_in_the_city_is_drift(delivered: Any) -> None:
    row = next(one for one in delivered.city.standing("final_marks") if one["value"] == "4")
    delivered.city.human("change", "final_mark", id=row["id"], value="5")

    synced = delivered.sync()

    assert synced.planned.plan.by_reason["DRIFT"] == 1
    assert not synced.delivered.sent


@pytest.mark.parametrize(("value", "reason"), [("same", "ADOPTED"), ("other", "PROBABLE_TWIN")])
def test_a_final_mark_that_stands_there_already_is_taken_or_held(world: Any, value: str, reason: str) -> None:
    with world.open() as hand:
        hand.link_everybody()
        first = hand.sync(is_dry_run=True)
        row = next(one for one in hand.decisions(first) if one.kind == "final" and one.op == "create")
        _, pupil, subject, _, period = row.object_key.split("/")
        import msgspec  # only here

        meant = msgspec.json.decode(row.intent)["value"]
        typed = meant if value == "same" else str(2 if meant != "2" else 3)
        world.city.human(
            "create",
            "final_mark",
            student_profile_id=int(pupil),
            subject_id=int(subject),
            academic_year_id=14,
            attestation_period_id=period,
            value=typed,
        )

        synced = hand.sync()
        if synced.planned.plan.needs_approval:
            hand.approve(synced)
            hand.deliver()

        decided = [one for one in hand.decisions(hand.sync()) if one.ref == row.ref]
        assert synced.planned.plan.by_reason[reason] == 1
        assert [one["actor"] for one in world.city.ledger() if one["kind"] == "final"].count("human") == 1
        assert len([one for one in world.city.standing("final_marks") if one["student_profile_id"] == int(pupil)]) == 1
        assert [one.reason for one in decided] == ([] if value == "same" else ["PROBABLE_TWIN"])


def test_a_lateness_that_was_taken_back_waits_for_a_person(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    set_attendance(delivered.world.portal, sessions_of(delivered.world.portal)[-1]["id"], LATE_PUPIL, "P")
    set_attendance(delivered.world.portal, sessions_of(delivered.world.portal)[0]["id"], LATE_PUPIL, "L")

    delivered.sync()
    delivered.world.clock.advance(26 * 3600)
    second = delivered.sync()

    assert second.planned.plan.by_reason["NO_CITY_CALL"] == 1
    assert kinds_of(delivered.city.machine_ledger()[count:]) == [("create", "comment")]
    wanted = next(one for one in delivered.decisions(second) if one.reason == "NO_CITY_CALL")
    delivered.city.human("delete", "lesson_comment", id=wanted.city_id)
    delivered.sync()
    assert not delivered.sync().planned.plan.by_reason.get("NO_CITY_CALL")
    delivered.assert_sound()


def test_a_topic_that_changed_is_changed_in_the_plan_that_stands_there(delivered: Any) -> None:
    count = len(delivered.city.ledger())
    sessions_of(delivered.world.portal)[1]["description"] = "Тема урока 2, продолжение"

    delivered.through()

    assert kinds_of(delivered.city.machine_ledger()[count:]) == [("change", "topics")]
    assert "Тема урока 2, продолжение" in {one["topic_name"] for one in delivered.city.state()["schedule_items"]}
    delivered.assert_sound()
    assert not delivered.sync().delivered.sent


def test_a_plan_without_dates_is_ours_all_the_same_and_its_operation_waits_for_a_person(world: Any) -> None:
    choose(world, "topics")
    with world.open() as hand:
        hand.link_everybody()
        world.city.fault("500", "/recalc", "POST")
        hand.through()
        world.city.clear()
        again = hand.sync()

        (parked,) = hand.operations()
        assert (parked.state, parked.reason) == ("parked", "DATES_NOT_BUILT")
        assert again.planned.plan.by_reason["NO_CHANGE"] == 1
        assert not again.delivered.sent
        sessions_of(world.portal)[1]["description"] = "Тема урока 2, продолжение"
        changed = hand.through()
        assert [row.op for row in hand.decisions(changed) if row.kind == "topics"] == ["change"]
        assert [row.state for row in hand.operations()] == ["superseded", "verified"]
        assert "Тема урока 2, продолжение" in {one["topic_name"] for one in world.city.state()["schedule_items"]}
        assert [one.action for one in hand.actions()].count("operation.verified") == 2


def test_a_plan_that_a_person_changed_is_never_written_over(delivered: Any) -> None:
    plan = next(one for one in delivered.city.state()["lesson_plans"] if one["modules"])
    plan["modules"][0]["topics"][0]["lessons"][0]["name"] = "Вводный урок"
    delivered.city.human("change", "lesson_plan", id=plan["id"], modules=plan["modules"])
    count = len(delivered.city.ledger())

    synced = delivered.sync()

    assert synced.planned.plan.by_reason["DRIFT"] == 1
    assert len(delivered.city.ledger()) == count


def test_the_city_s_plan_that_was_chosen_stands_until_the_school_s_moves(delivered: Any) -> None:
    plan = next(one for one in delivered.city.state()["lesson_plans"] if one["modules"])
    for name in ("Вводный урок", "Вводный урок, часть 1"):
        plan["modules"][0]["topics"][0]["lessons"][0]["name"] = name
        delivered.city.human("change", "lesson_plan", id=plan["id"], modules=plan["modules"])
        delivered.sync()
        with delivered.gateway.store.read() as conn:
            (line,) = load_lines(conn, delivered.place_id(), Sieve(), now=delivered.gateway.now())
        discrepancies.choose(delivered.gateway, [line.id], Choice.THEIRS, reason="так решил учитель")
        settled = delivered.sync()
        assert not settled.delivered.sent
        assert not {"DRIFT", "CONFLICT"} & settled.planned.plan.by_reason.keys()
    sessions_of(delivered.world.portal)[0]["description"] = "Тема урока 1, заново"

    delivered.through()

    assert "Тема урока 1, заново" in {one["topic_name"] for one in delivered.city.state()["schedule_items"]}
    delivered.assert_sound()


def test_a_refused_final_mark_is_parked_with_words_and_the_rest_arrive(world: Any) -> None:
    """The period closes between the plan and its approval, and the gateway has not read of it."""
    choose(world, "final", "topics")
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.sync(asks_first=True)
        intent = next(one for one in hand.decisions(synced) if one.kind == "final")
        world.city.post("period", {"id": int(intent.object_key.rpartition("/")[2]), "closed": True})
        hand.approve(synced)
        hand.deliver()

        parked = [row for row in hand.operations() if row.state == "parked"]
        assert {(row.kind, row.reason) for row in parked} == {("final", "WINDOW_CLOSED")}
        assert len(parked) == 3
        assert get_reason(parked[0].reason).todo_ru
        assert [row.state for row in hand.operations() if row.kind == "topics"] == ["verified"]


def test_a_group_without_a_plan_in_the_city_is_told_so(world: Any) -> None:
    choose(world, "topics")
    plan = next(iter(world.city.state()["lesson_plans"]))
    world.city.sandbox.state._objects["lesson_plans"].pop(plan["id"])
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.sync()

        assert synced.planned.plan.by_reason["NO_LESSON_PLAN"] == 1
        assert not synced.delivered.sent


def test_final_marks_of_a_workbook_and_of_the_portal_are_one_and_a_remark_of_a_page_is_sent_once(
    world: Any, tmp_path: Path
) -> None:
    world.settings_changes["planner"] = {"folder": tmp_path, "settle_s": 0}
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        before = kinds_of(hand.city.machine_ledger())
        place_id = hand.place_id()
        with hand.gateway.store.read() as conn:
            people = [one for one in load_records(conn, place_id, Person) if one.role == "pupil"]
            finals = {one.pupil: one for one in load_records(conn, place_id, Final)}
            lessons = sorted(load_records(conn, place_id, Lesson), key=lambda one: one.starts_at)
        write_finals(tmp_path, people, finals, lessons[0])

        hand.through()
        again = hand.sync()

        assert kinds_of(hand.city.machine_ledger()) == sorted([*before, ("create", "comment")])
        assert sorted(row["comment"] for row in hand.city.standing("lesson_comments")) == ["Без тетради", "О"]
        assert again.planned.plan.counters["create"] == 0
        with hand.gateway.store.read() as conn:
            paired = {row.canonical for row in conn.execute(select(record_link)) if row.kind == "final"}
        assert paired == {one.ref for one in finals.values()}
        hand.assert_sound()


def write_finals(folder: Path, people: list[Any], finals: dict[str, Any], lesson: Any) -> None:
    """The same final marks as the portal's, one pupil's of the year, and a remark at the first lesson."""
    name = {one.ref: f"{one.last_name} {one.first_name}" for one in people}
    starts = lesson.starts_at.astimezone(MOSCOW)
    write_book(
        folder / "список.xlsx",
        Ученики=[
            ["Фамилия", "Имя", "Класс", "person_id", "Личное дело"],
            *[[one.last_name, one.first_name, one.class_name, one.person_id, one.school_id] for one in people],
        ],
    )
    title = [["Класс: 7А"], ["Предмет: Алгебра"]]
    write_book(
        folder / "итоги.xlsx",
        Расписание=[["Класс", "Предмет", "Дата", "Начало"], ["7А", "Алгебра", starts.date(), starts.time()]],
        Итоги=[*title, ["ФИО", "2 четверть"], *[[name[one], finals[one].raw_points] for one in sorted(finals)]],
        Замечания=[*title, ["Дата", "ФИО", "Замечание"], [starts.date(), name[people[0].ref], "Без тетради"]],
    )


def test_where_the_city_says_no_periods_the_school_s_calendar_says_when_a_mark_of_the_year_is_due(world: Any) -> None:
    choose(world, "final")
    world.settings_changes["portal"]["finals"] = [{"match": "number", "pattern": "^q2$", "form": "year"}]
    state = world.city.sandbox.state
    for group in list(state.iter_rows("groups")):
        state.put("groups", {**group, "attestation_periods_schedule_id": None}, now=world.clock.now(), lag_s=0.0)
    trimester = YearPeriod(name="3 триместр", from_on=date(2027, 3, 1), to_on=date(2027, 5, 26))
    year = SchoolYear(
        year="2026/27",
        from_on=date(2026, 9, 1),
        to_on=date(2027, 5, 26),
        periods=(trimester,),
        weekdays=(1, 2, 3, 4, 5),
    )
    with world.open() as hand:
        hand.link_everybody()
        nothing = hand.sync()
        import_calendar(hand.gateway, year, Path("calendar.xlsx"))
        known = hand.sync()

        assert nothing.planned.plan.by_reason["NO_PERIOD"] == 3
        assert known.planned.plan.by_reason["PERIOD_NOT_OVER"] == 3
        assert "NO_PERIOD" not in known.planned.plan.by_reason
        assert {row.due_on for row in hand.decisions(known) if row.kind == "final"} == {date(2027, 3, 27)}
