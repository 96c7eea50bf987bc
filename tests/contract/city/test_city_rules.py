"""Rules V1–V14 of the reference, §7.3, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

ALGEBRA = "7А — Алгебра"


def refused(answer: Any, code: int, words: str = "") -> None:
    assert answer.status_code == code, answer.text
    assert answer.json()["code"] == code
    assert words in answer.json()["message"]


@pytest.mark.parametrize("name", ["schedule_lesson_id", "student_profile_id", "control_form_id", "teacher_id"])
def test_v1_an_unknown_object_is_not_found(desk: Any, name: str) -> None:
    refused(desk.post_mark(**{name: 1}), 404)
    assert desk.ledger() == []


def test_v1_homework_of_an_unknown_group_is_not_found(desk: Any) -> None:
    refused(desk.call("POST", "homeworks", body=desk.homework(group_id=1)), 404)


def test_v2_a_form_of_another_subject_is_refused(desk: Any) -> None:
    form = desk.form("7А — Русский язык", "Работа на уроке")

    refused(desk.post_mark(control_form_id=form["id"]), 400, "Форма контроля")


def test_v2_a_form_of_another_level_is_refused(desk: Any) -> None:
    refused(desk.post_mark(control_form_id=desk.form("10А — Алгебра", "Работа на уроке")["id"]), 400, "Форма контроля")


def test_v2_a_deleted_form_is_refused(desk: Any) -> None:
    refused(desk.post_mark(control_form_id=desk.form(ALGEBRA, "Срез знаний")["id"]), 400, "удалена")


def test_v2_a_grade_system_that_is_not_the_forms_is_refused(desk: Any) -> None:
    ten = desk.form(ALGEBRA, "Проект")["grade_system_id"]

    refused(desk.post_mark(grade_origins=[{"grade_origin": "5", "grade_system_id": ten}]), 400, "Система оценивания")


@pytest.mark.parametrize(
    ("form_name", "taken", "refused_origins"),
    [
        ("Работа на уроке", ["2", "5", 4], ["1", "6", "н", "4.5", None, True]),
        ("Проект", ["1", "10"], ["0", "11"]),
        ("Тест", ["0", "100"], ["101", "-1"]),
        ("Зачёт", ["0", "1"], ["2"]),
    ],
)
def test_v3_a_grade_outside_its_system_is_refused(
    desk: Any, form_name: str, taken: list[Any], refused_origins: list[Any]
) -> None:
    form = desk.form(ALGEBRA, form_name)

    def post(origin: Any) -> Any:
        origins = [{"grade_origin": origin, "grade_system_id": form["grade_system_id"]}]
        return desk.post_mark(control_form_id=form["id"], grade_origins=origins)

    for origin in taken:
        assert post(origin).json()["name"] == str(origin)
    for origin in refused_origins:
        refused(post(origin), 400, "значение отметки")
    assert len(desk.ledger()) == len(taken)


def test_v4_a_pupil_of_another_class_is_refused(desk: Any) -> None:
    stranger = desk.group("7Б — Алгебра")["student_ids"][0]

    refused(desk.post_mark(student_profile_id=stranger), 400, "не состоит")


def test_v4_a_pupil_who_has_left_is_refused_after_that_day_only(desk: Any) -> None:
    left = next(one["id"] for one in desk.state["student_profiles"] if one["transferred"])
    desk.control(
        "POST", "period", {"id": desk.state["attestation_periods_schedules"][0]["periods"][0]["id"], "closed": False}
    )

    before = desk.post_mark(student_profile_id=left, schedule_lesson_id=desk.lesson(ALGEBRA, [2026, 10, 13])["id"])
    after = desk.post_mark(student_profile_id=left)

    assert before.status_code == 200
    refused(after, 400, "не состоит")


def test_v5_a_teacher_of_another_group_is_refused(desk: Any) -> None:
    refused(desk.call("POST", "marks", as_=desk.teacher("7Б — Алгебра"), body=desk.mark()), 403, "не назначен")


def test_v5_a_mark_in_the_name_of_another_groups_teacher_is_refused(desk: Any) -> None:
    refused(desk.post_mark(teacher_id=desk.teacher("7Б — Алгебра")["profile_id"]), 403, "не назначен")


def test_v5_a_teacher_who_stands_in_may_write_at_that_lesson_only(desk: Any) -> None:
    group = "7А — Русский язык"
    replaced, other = desk.lesson(group, [2026, 11, 16]), desk.lesson(group, [2026, 11, 18])
    stand_in = next(one for one in desk.profiles if one["profile_id"] == replaced["replaced_teacher_id"])
    form = desk.form(group, "Работа на уроке")
    body = desk.mark(control_form_id=form["id"], teacher_id=stand_in["profile_id"])

    here = desk.call("POST", "marks", as_=stand_in, body={**body, "schedule_lesson_id": replaced["id"]})
    there = desk.call("POST", "marks", as_=stand_in, body={**body, "schedule_lesson_id": other["id"]})

    assert here.status_code == 200
    refused(there, 403, "не назначен")


def test_v5_the_school_admin_may_write_for_the_lessons_teacher(desk: Any) -> None:
    assert desk.call("POST", "marks", body=desk.mark()).json()["teacher_id"] == desk.teacher()["profile_id"]


def test_v6_a_cancelled_lesson_takes_no_mark(desk: Any) -> None:
    group = "7А — Физкультура"
    lesson, form = desk.lesson(group, [2026, 11, 13]), desk.form(group, "Работа на уроке")
    body = desk.mark(schedule_lesson_id=lesson["id"], control_form_id=form["id"], teacher_id=lesson["teacher_id"])

    refused(desk.call("POST", "marks", body=body), 400, "отменён")


def test_v6_a_lesson_of_a_later_day_takes_no_mark_until_the_day_comes(desk: Any) -> None:
    tomorrow = desk.lesson(ALGEBRA, [2026, 11, 24])["id"]

    refused(desk.post_mark(schedule_lesson_id=tomorrow), 400, "не состоялся")
    # 21:30Z of the 23rd is the 24th in Moscow
    desk.control("POST", "clock", {"now": "2026-11-23T21:30:00+00:00"})
    assert desk.post_mark(schedule_lesson_id=tomorrow).status_code == 200


def test_v7_a_period_closed_by_hand_refuses_marks_absences_and_homework(desk: Any) -> None:
    period = desk.state["attestation_periods_schedules"][0]["periods"][1]
    desk.control("POST", "period", {"id": period["id"], "closed": True})

    text = "Период закрыт для редактирования"
    refused(desk.post_mark(), 403, text)
    refused(desk.call("POST", "attendances", body=desk.absence()), 403, text)
    refused(desk.call("POST", "homeworks", body=desk.homework()), 403, text)
    refused(desk.call("DELETE", f"marks/{desk.state['marks'][-4]['id']}"), 403, text)


def test_v7_the_edit_window_ends_seven_days_after_the_period(desk: Any) -> None:
    desk.control("POST", "clock", {"now": "2027-01-03T20:00:00+00:00"})
    assert desk.post_mark().status_code == 200

    desk.control("POST", "clock", {"now": "2027-01-03T21:00:00+00:00"})

    refused(desk.post_mark(), 403, "Период закрыт для редактирования")


def test_v7_the_period_is_that_of_the_groups_own_schedule(desk: Any) -> None:
    """7Б has trimesters: its October is open while 7А's first quarter is closed."""
    group = "7Б — Алгебра"
    lesson, form = desk.lesson(group, [2026, 10, 12]), desk.form(group, "Работа на уроке")
    body = desk.mark(
        schedule_lesson_id=lesson["id"],
        student_profile_id=desk.group(group)["student_ids"][0],
        control_form_id=form["id"],
        teacher_id=lesson["teacher_id"],
    )

    assert desk.call("POST", "marks", body=body).status_code == 200
    refused(desk.post_mark(schedule_lesson_id=desk.lesson(ALGEBRA, [2026, 10, 13])["id"]), 403)


def test_v8_a_second_absence_is_refused_in_s1s_words_and_a_mark_may_stand_beside_it(desk: Any) -> None:
    first = desk.call("POST", "attendances", body=desk.absence())
    second = desk.call("POST", "attendances", body=desk.absence(absence_reason_id=2))

    assert first.status_code == 200
    refused(second, 403)
    assert second.json()["message"] == "Пропуск для выбранного ученика и урока уже существует"
    assert desk.post_mark().status_code == 200


def test_v8_a_deleted_absence_makes_room_for_another(desk: Any) -> None:
    first = desk.call("POST", "attendances", body=desk.absence()).json()["id"]
    assert desk.call("DELETE", f"attendances/{first}").status_code == 200

    second = desk.call("POST", "attendances", body=desk.absence()).json()["id"]

    assert second != first


def final(desk: Any, **changes: Any) -> Any:
    group = desk.group(ALGEBRA)
    period = desk.state["attestation_periods_schedules"][0]["periods"][1]
    body = {
        "subject_id": group["subject_id"],
        "student_profile_id": group["student_ids"][3],
        "academic_year_id": 14,
        "is_year_mark": False,
        "attestation_period_id": str(period["id"]),
        "value": "5",
        "mark_type": None,
        "grade_system_type": "five",
    }
    return desk.call("POST", "final_marks", as_=desk.teacher(), body={**body, **changes})


def test_v9_a_second_final_of_the_same_kind_is_refused_and_other_kinds_are_not(desk: Any) -> None:
    first = final(desk)
    second = final(desk, value="4")
    year = final(desk, is_year_mark=True, attestation_period_id=None)
    passed = final(
        desk, mark_type="intermediate_attestation", grade_system_type="approve", value=1, attestation_period_id=None
    )

    assert [first.status_code, year.status_code, passed.status_code] == [200, 200, 200]
    refused(second, 400, "существует")
    assert desk.call("DELETE", f"final_marks/{first.json()['id']}", as_=desk.teacher()).status_code == 200
    assert final(desk, value="4").status_code == 200


def test_v10_the_same_mark_again_is_another_mark(desk: Any) -> None:
    first, second = desk.post_mark().json(), desk.post_mark().json()

    assert first["id"] != second["id"]
    cell = {"student_profile_id": first["student_profile_id"], "schedule_lesson_id": first["schedule_lesson_id"]}
    assert [entry["cell"] for entry in desk.ledger()] == [cell, cell]


@pytest.mark.parametrize(
    "changes",
    [
        {"homework_entries": []},
        {"homework_entries": [{"description": "Упражнение 1"}]},
        {"homework_entries": [{"description": "Упражнение 1", "student_ids": [9300017]}]},
        {"date_prepared_for": "22.11.2026"},
        {"subject_id": 61002},
        {"date_prepared_for": "2026-11-24"},
    ],
    ids=["no entries", "no pupils", "a stranger", "prepared before assigned", "another subject", "an ISO date"],
)
def test_v11_homework_that_does_not_hang_together_is_refused(desk: Any, changes: dict[str, Any]) -> None:
    refused(desk.call("POST", "homeworks", as_=desk.teacher(), body=desk.homework(**changes)), 400)
    assert desk.ledger() == []


def test_v12_what_a_put_leaves_out_becomes_null(desk: Any) -> None:
    mark = desk.post_mark(comment="молодец").json()
    body = {
        name: value
        for name, value in desk.mark().items()
        if name not in ("comment", "control_form_id", "grade_origins")
    }

    changed = desk.call("PUT", f"marks/{mark['id']}", as_=desk.teacher(), body=body).json()

    assert changed["id"] == mark["id"]
    assert (changed["comment"], changed["control_form_id"], changed["name"], changed["values"]) == (
        None,
        None,
        None,
        [],
    )


def test_v12_a_put_can_not_carry_a_mark_to_another_cell(desk: Any) -> None:
    mark = desk.post_mark().json()
    other = desk.group(ALGEBRA)["student_ids"][4]

    refused(desk.call("PUT", f"marks/{mark['id']}", body=desk.mark(student_profile_id=other)), 400)


def test_v12_homework_keeps_its_id_and_its_entries_ids_on_a_put(desk: Any) -> None:
    first = desk.call("POST", "homeworks", as_=desk.teacher(), body=desk.homework()).json()
    entry = {**first["homework_entries"][0], "description": "Упражнение 2"}

    second = desk.call(
        "PUT", f"homeworks/{first['id']}", as_=desk.teacher(), body={**first, "homework_entries": [entry]}
    ).json()

    assert second["id"] == first["id"]
    assert second["homework_entries"][0]["id"] == first["homework_entries"][0]["id"]
    assert second["homework_entries"][0]["description"] == "Упражнение 2"


@pytest.mark.parametrize("kind", ["marks", "attendances", "final_marks"])
def test_v13_deleting_twice_finds_nothing_the_second_time(desk: Any, kind: str) -> None:
    made = {
        "marks": desk.post_mark,
        "attendances": lambda: desk.call("POST", "attendances", body=desk.absence()),
        "final_marks": lambda: final(desk),
    }[kind]().json()["id"]

    assert desk.call("DELETE", f"{kind}/{made}").status_code == 200
    refused(desk.call("DELETE", f"{kind}/{made}"), 404)
    assert [entry["op"] for entry in desk.ledger()] == ["create", "delete"]


def test_v14_an_older_updated_at_is_taken_unless_the_mode_is_on(desk: Any) -> None:
    mark = desk.post_mark().json()
    body = desk.mark(id=mark["id"], updated_at="22.11.2026 10:00")

    assert desk.call("PUT", f"marks/{mark['id']}", body=body).status_code == 200
    desk.switch(conflict_409="on")
    refused(desk.call("PUT", f"marks/{mark['id']}", body=body), 409)
