"""The seed carries every trap of §7.6, as a reader meets it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gateway.sandbox.city import build_city_app

ALGEBRA = "7А — Алгебра"
PLAN = "/api/ej/plan/teacher/v1"


def test_period_schedules_are_quarters_half_years_and_trimesters_and_the_first_quarter_is_closed(desk: Any) -> None:
    schedules = desk.list("attestation_periods_schedules")

    assert [len(one["periods"]) for one in schedules] == [4, 2, 3]
    assert [one["x_closed"] for one in schedules[0]["periods"]] == [True, False, False, False]
    used = {one["attestation_periods_schedule_id"] for one in desk.list(f"{PLAN}/groups")}
    assert used == {one["id"] for one in schedules}


def test_there_are_three_classes_subgroups_and_a_metagroup(desk: Any) -> None:
    groups = desk.list(f"{PLAN}/groups")
    first, second = (one for one in groups if one["is_subgroup"])

    assert len(desk.list("class_units")) == 3
    assert first["subject_id"] == second["subject_id"]
    assert not set(first["student_ids"]) & set(second["student_ids"])
    assert sum(one["is_metagroup"] for one in groups) == 1


def test_namesakes_differ_in_yo_or_in_class(desk: Any) -> None:
    names = Counter(
        (one["last_name"] or "").replace("ё", "е") + (one["first_name"] or "").replace("ё", "е")
        for one in desk.list("student_profiles")
    )

    assert names.most_common(1)[0][1] >= 3


def test_pupils_who_left_come_only_when_asked_for(desk: Any) -> None:
    hidden, shown = desk.list("student_profiles"), desk.list("student_profiles", with_transferred="true")

    assert [one["left_on"] for one in shown if one["id"] not in {two["id"] for two in hidden}] == ["16.10.2026"]


def test_home_based_periods_and_groups_come_only_when_asked_for(desk: Any) -> None:
    plain = desk.list("student_profiles")
    asked = desk.list("student_profiles", with_home_based_periods="true", with_groups="true")

    assert not any("groups" in one or "home_based_periods" in one for one in plain)
    periods = [one["home_based_periods"] for one in asked if one["home_based_periods"]]
    assert periods == [[{"begin_date": "09.11.2026", "end_date": "27.12.2026"}]]


def test_all_four_grade_systems_and_a_deleted_form_are_there(desk: Any) -> None:
    subject_id = desk.group(ALGEBRA)["subject_id"]
    asked = {"subject_id": subject_id, "education_level_id": 2, "with_grade_system": "true"}
    living, every = desk.list("control_forms", **asked), desk.list("control_forms", **asked, with_deleted="true")

    assert {one["grade_system"]["type"] for one in living} == {"five", "ten", "hundred", "approve"}
    assert len(living) >= 6
    assert [one["is_deleted"] for one in every].count(True) == 1


def test_two_lessons_a_day_a_replaced_a_cancelled_and_a_moved_one(desk: Any) -> None:
    lessons = desk.list(f"{PLAN}/schedule_items", **{"from": "2026-11-09", "to": "2026-11-27"})
    group_id = desk.group(ALGEBRA)["id"]
    tuesday = [one for one in lessons if one["group_id"] == group_id and one["date"] == [2026, 11, 10]]
    moved = [one for one in lessons if one["is_transferred"]]

    assert [one["lesson_number"] for one in tuesday] == [2, 3]
    assert sum(one["cancelled"] for one in lessons) == 1
    assert [one["replaced_teacher_id"] is not None for one in lessons if one["replaced"]] == [True]
    assert [(one["transferred_from_date"], one["date"]) for one in moved] == [([2026, 11, 18], [2026, 11, 20])]


def test_lessons_reach_from_the_first_quarter_into_the_future(desk: Any) -> None:
    days = [tuple(one["date"]) for one in desk.state["schedule_items"]]

    assert min(days) < (2026, 10, 25)
    assert max(days) > (2026, 11, 27)


def test_the_calendar_plan_is_two_topics_short(desk: Any) -> None:
    plan_id = desk.list(f"{PLAN}/calendar_plans")[0]["id"]
    group_id = desk.group(ALGEBRA)["id"]
    lessons = sum(one["group_id"] == group_id for one in desk.state["schedule_items"])

    assert len(desk.call("GET", f"{PLAN}/calendar_plans/{plan_id}").json()["lessons"]) == lessons - 2
    recalculated = desk.call("POST", f"{PLAN}/calendar_plans/{plan_id}/recalc", ignore_IA="true").json()
    assert recalculated["lessons"][0]["date"] == [2026, 10, 13]


def test_a_point_duplicates_a_non_numeric_entry_and_a_quarter_typed_by_hand(desk: Any) -> None:
    marks = desk.list("marks", with_non_numeric_entries="true")
    hand_forms = {desk.form(name, "Ответ на уроке")["id"] for name in (ALGEBRA, "7А — Русский язык")}
    november = [one for one in marks if one["date"] == "10.11.2026"]
    cells = Counter((one["student_profile_id"], one["schedule_lesson_id"], one["name"]) for one in november)

    assert [one["point_date"] for one in marks if one["is_point"]] == ["24.11.2026"]
    assert 2 in cells.values()
    assert "нв" in {one["name"] for one in marks}
    assert "нв" not in {one["name"] for one in desk.list("marks")}
    quarter = [one for one in marks if one["date"].endswith(".10.2026")]
    assert len(quarter) == 40
    assert {one["control_form_id"] for one in quarter} == hand_forms


def test_describe_names_one_admin_and_a_teacher_for_every_group(desk: Any) -> None:
    told = build_city_app(seed=1).state.city.describe()
    led = [group_id for one in told["profiles"] if one["role"] == "teacher" for group_id in one["group_ids"]]

    assert [one["role"] for one in told["profiles"]].count("school_admin") == 1
    assert sorted(led) == sorted(one["id"] for one in desk.state["groups"])
    assert told["tokens"] == {str(one["profile_id"]): one["token"] for one in desk.profiles}
    assert (told["base_url"], told["aid"], told["rate"]) == (None, 14, 5.0)
