"""Reading the city where its filters, pages and years are not what one would wish."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import httpx
import msgspec
import pytest
import respx

from gateway.connectors.port import CityDirectory, CityScope
from gateway.domain.errors import ContractError, IncompleteReadError, RejectedError
from gateway.domain.identifiers import Kind

CORE, PLAN = "/api/ej/core/teacher/v1", "/api/ej/plan/teacher/v1"

DIRECTORY: dict[str, list[dict[str, Any]]] = {
    f"{CORE}/attestation_periods_schedules": [{"id": 16}],
    f"{CORE}/class_units": [{"id": 51, "name": "7А", "class_level_id": 7}],
    f"{CORE}/subjects": [{"id": 3, "name": "Алгебра"}, {"id": 4, "name": "Труд", "deleted_at": "01.09.2026 10:00"}],
    f"{PLAN}/groups": [{"id": 7, "name": "7А — Алгебра", "subject_id": 3, "class_level_id": 7, "class_unit_id": 51}],
    f"{CORE}/teacher_profiles": [{"id": 1, "name": "Иванова Анна Петровна"}, {"id": 2, "name": "Ким"}],
    f"{CORE}/student_profiles": [
        {"id": 40, "person_id": "p-40", "class_unit": {"id": 51, "name": "7А"}, "left_on": "01.12.2026"},
        {"id": 41, "contingent_guid": "p-41", "left_on": "01.11.2026"},
    ],
}
FORM = {"id": 21, "name": "Тест", "weight": 1, "grade_system": {"id": 31, "type": "five"}}
PERIOD = {"id": 37, "name": "1 Четверть", "begin_date": "01.09.2026", "end_date": "25.10.2026"}
DAY = date(2026, 11, 20)


def serve(journal: respx.MockRouter, path: str, rows: list[Any]) -> respx.Route:
    """Answer a list of one page without totals: the second page is empty."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=rows if request.url.params.get("page") == "1" else [])

    return journal.get(path=path).mock(side_effect=answer)


@pytest.fixture
def whole_city(journal: respx.MockRouter) -> respx.MockRouter:
    for path, rows in DIRECTORY.items():
        serve(journal, path, rows)
    journal.get(path=f"{CORE}/attestation_periods_schedules/16").respond(json={"id": 16, "periods": [PERIOD]})
    serve(journal, f"{CORE}/control_forms", [FORM])
    return journal


def scope(kind: Kind = Kind.MARK) -> CityScope:
    return CityScope(kind=kind, group_id=7, subject_id=3, level=7, from_on=DAY, to_on=DAY)


def build_row(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "student_profile_id": 40,
        "schedule_lesson_id": 101,
        "control_form_id": 21,
        "group_id": 7,
        "name": "5",
        "weight": 1,
        "date": "20.11.2026",
        **changes,
    }


def test_a_poor_directory_is_read_all_the_same(whole_city: respx.MockRouter, build: Any) -> None:
    directory = build().fetch_directory(DAY)

    assert [(one.last_name, one.first_name, one.middle_name) for one in directory.teachers] == [
        ("Иванова", "Анна", "Петровна"),
        ("Ким", "", None),
    ]
    assert [(one.person_id, one.is_active) for one in directory.pupils] == [("p-40", True), ("p-41", False)]
    assert [one.name for one in directory.subjects] == ["Алгебра"]
    assert [one.name for one in directory.periods] == ["1 Четверть"]
    assert [(one.class_ids, one.pupil_ids) for one in directory.groups] == [((51,), ())]
    assert [(one.id, one.level, one.subject_id) for one in directory.forms] == [(21, 2, 3)]


@pytest.mark.parametrize("path", [*DIRECTORY, f"{CORE}/control_forms"])
def test_a_directory_that_can_not_be_empty_and_is_discards_the_read(
    whole_city: respx.MockRouter, build: Any, path: str
) -> None:
    whole_city.get(path=path).respond(json=[])

    with pytest.raises(IncompleteReadError):
        build().fetch_directory(DAY)


def test_forms_are_asked_for_without_a_level_when_there_are_none_at_it(
    whole_city: respx.MockRouter, build: Any
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        is_hit = "education_level_id" not in request.url.params and request.url.params["page"] == "1"
        return httpx.Response(200, json=[FORM] if is_hit else [])

    route = whole_city.get(path=f"{CORE}/control_forms").mock(side_effect=answer)

    assert [one.id for one in build().fetch_directory(DAY).forms] == [21]
    assert route.calls[0].request.url.params["education_level_id"] == "2"


def test_a_pupil_without_a_person_id_is_a_fault_and_no_empty_key(whole_city: respx.MockRouter, build: Any) -> None:
    pupils = [{"id": number, "person_id": f"p-{number}"} for number in range(1, 60)]
    serve(whole_city, f"{CORE}/student_profiles", [*pupils, {"id": 99, "person_id": " "}])

    directory = build().fetch_directory(DAY)

    assert (len(directory.pupils), list(directory.faults)) == (59, ["mesh pupil:99 person_id"])


def test_a_directory_with_a_fault_can_be_stored_and_loaded(whole_city: respx.MockRouter, build: Any) -> None:
    pupils = [{"id": number, "person_id": f"p-{number}"} for number in range(1, 60)]
    serve(whole_city, f"{CORE}/student_profiles", [*pupils, {"id": 99, "person_id": ""}])
    directory = build().fetch_directory(DAY)

    assert msgspec.json.decode(msgspec.json.encode(directory), type=CityDirectory) == directory


def test_a_directory_that_comes_whole_on_every_page_is_whole(whole_city: respx.MockRouter, build: Any) -> None:
    whole_city.get(path=f"{CORE}/subjects").respond(json=DIRECTORY[f"{CORE}/subjects"])

    assert len(build().fetch_directory(DAY).subjects) == 1


@pytest.mark.parametrize(
    ("day", "year_id"),
    [(date(2026, 9, 1), 14), (date(2027, 5, 31), 14), (date(2027, 6, 15), 14), (date(2026, 8, 31), 13)],
)
def test_a_day_belongs_to_its_school_year_even_in_summer(
    whole_city: respx.MockRouter, build: Any, day: date, year_id: int
) -> None:
    assert build().fetch_directory(day).year.id == year_id


def test_a_day_of_no_known_year_can_not_be_read(journal: respx.MockRouter, build: Any) -> None:
    with pytest.raises(IncompleteReadError):
        build().fetch_directory(date(2030, 1, 1))


def test_years_are_asked_for_once(whole_city: respx.MockRouter, build: Any) -> None:
    serve(whole_city, f"{CORE}/marks", [])
    connector = build()
    for _ in range(3):
        connector.fetch_scope(scope())

    assert whole_city.get(path=f"{CORE}/academic_years").call_count == 1


def test_marks_are_filtered_again_by_day_group_and_deletion(journal: respx.MockRouter, build: Any) -> None:
    rows = [
        build_row(id=1),
        build_row(id=2, date="19.11.2026"),
        build_row(id=3, group_id=8),
        build_row(id=4, deleted_at="20.11.2026 12:00"),
        build_row(id=5, group_id=None),
        build_row(id=6, deleted_at="20.11.2026 12:00", weight="not read"),
        build_row(id=7, is_point=True),
        build_row(id=8, mark_type_id=2),
    ]
    route = serve(journal, f"{CORE}/marks", rows)

    read = build().fetch_scope(scope())

    assert [(one.id, one.group_id, one.is_point) for one in read.objects] == [
        (1, 7, False),
        (5, 7, False),
        (7, 7, True),
        (8, 7, True),
    ]
    params = route.calls[0].request.url.params
    assert (params["created_at_from"], params["created_at_to"], params["group_ids"], params["class_level_id"]) == (
        "20.11.2026",
        "24.11.2026",
        "7",
        "7",
    )
    assert params["with_non_numeric_entries"] == "true"


def test_a_span_that_ends_in_the_future_is_asked_for_to_its_end(journal: respx.MockRouter, build: Any) -> None:
    route = serve(journal, f"{CORE}/marks", [])
    later = CityScope(kind=Kind.MARK, group_id=7, subject_id=3, level=0, from_on=DAY, to_on=date(2026, 12, 31))

    assert build().fetch_scope(later).is_complete
    params = route.calls[0].request.url.params
    assert (params["created_at_to"], "class_level_id" in params) == ("31.12.2026", False)


@pytest.mark.row("A26")
def test_one_broken_row_discards_its_scope_and_many_are_another_contract(journal: respx.MockRouter, build: Any) -> None:
    rows = [build_row(id=number) for number in range(1, 200)]
    serve(journal, f"{CORE}/marks", [*rows, build_row(id=200, weight=None)])
    read = build().fetch_scope(scope())
    assert (type(read.problem), list(read.objects)) == (IncompleteReadError, [])
    assert [one.where for one in read.faults] == ["mesh mark:200 pupil:40 lesson:101 weight"]

    serve(journal, f"{CORE}/marks", [*rows[:10], build_row(id=200, weight=None)])
    read = build().fetch_scope(scope())
    assert (type(read.problem), list(read.objects), list(read.faults)) == (ContractError, [], [])


def test_a_refused_page_size_is_halved_once(journal: respx.MockRouter, build: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        size = int(request.url.params["per_page"])
        if size > 500:
            return httpx.Response(400, json={"code": 400, "message": "per_page не больше 500"})
        return httpx.Response(200, json=[build_row()] if request.url.params["page"] == "1" else [])

    route = journal.get(path=f"{CORE}/marks").mock(side_effect=answer)

    assert build().fetch_scope(scope()).is_complete
    assert [call.request.url.params["per_page"] for call in route.calls] == ["1000", "500", "500"]

    route.side_effect = lambda _request: httpx.Response(400, json={"code": 400, "message": "нет"})
    assert isinstance(build().fetch_scope(scope()).problem, ContractError)
    assert route.call_count == 5


@pytest.mark.row("A20")
def test_pages_that_repeat_a_row_discard_the_scope(journal: respx.MockRouter, build: Any) -> None:
    journal.get(path=f"{CORE}/marks").respond(json=[build_row()])

    assert isinstance(build().fetch_scope(scope()).problem, IncompleteReadError)


def test_a_lesson_that_does_not_fit_discards_the_timetable(journal: respx.MockRouter, build: Any) -> None:
    good = {"id": 1, "group_id": 7, "subject_id": 3, "date": [2026, 11, 20], "time": [8, 30]}
    route = serve(journal, f"{PLAN}/schedule_items", [good, {**good, "id": 2, "group_id": 8}])

    (lesson,) = build().fetch_lessons([7, 7], DAY, DAY)
    assert (lesson.starts_at, lesson.duration_min) == (datetime(2026, 11, 20, 5, 30, tzinfo=UTC), 45)
    params = route.calls[0].request.url.params
    assert (params["from"], params["to"], params["group_ids"]) == ("2026-11-20", "2026-11-20", "7")

    serve(journal, f"{PLAN}/schedule_items", [{**good, "id": number} for number in range(1, 300)] + [{"id": 301}])
    with pytest.raises(ContractError):
        build().fetch_lessons([7], DAY, DAY)


def test_many_groups_are_asked_for_in_hundreds(journal: respx.MockRouter, build: Any) -> None:
    route = serve(journal, f"{PLAN}/schedule_items", [])

    assert build().fetch_lessons(range(1, 251), DAY, DAY) == []
    assert [len(call.request.url.params["group_ids"].split(",")) for call in route.calls] == [100, 100, 50]


def test_homework_of_several_entries_is_one_text(journal: respx.MockRouter, build: Any) -> None:
    row = {
        "id": 11,
        "group_id": 7,
        "subject_id": 3,
        "date_assigned_on": "20.11.2026",
        "date_prepared_for": "24.11.2026",
        "homework_entries": [
            {"id": 3, "description": "второе", "student_ids": [42, 40]},
            {"id": 2, "description": "первое", "student_ids": [40]},
            {"id": 4, "description": "снятое", "student_ids": [43], "deleted_at": "20.11.2026 10:00"},
        ],
    }
    serve(journal, f"{CORE}/homeworks", [row, {**row, "id": 12, "date_assigned_on": "19.11.2026"}])

    (homework,) = build().fetch_scope(scope(Kind.HOMEWORK)).objects

    assert (homework.id, homework.text, homework.pupil_ids) == (11, "первое\nвторое", (40, 42))


def test_another_kind_is_a_fault_of_the_caller(journal: respx.MockRouter, build: Any) -> None:
    with pytest.raises(ValueError, match="lesson"):
        build().fetch_scope(scope(Kind.LESSON))


def test_a_read_without_rights_is_no_refusal_of_a_record(journal: respx.MockRouter, build: Any) -> None:
    journal.get(path=f"{CORE}/attendances").respond(403, json={"code": 403, "message": "Подсистема недоступна"})

    assert not isinstance(build().fetch_scope(scope(Kind.ABSENCE)).problem, RejectedError)
