"""What fits the city's payloads and what becomes a fault."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway.connectors.mesh.wire import WireForm, WireMark, WirePupil, read_one, read_rows, row_id
from gateway.domain.errors import ContractError

CANARY = "Канарейкина"


def build_mark(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1664176530,
        "student_profile_id": 40,
        "schedule_lesson_id": 101,
        "control_form_id": 21,
        "name": "5",
        "weight": 1,
        "date": "10.11.2026",
        "created_at": "10.11.2026 15:00",
        "comment": CANARY,
        **changes,
    }


@pytest.mark.row("A26")
def test_fields_that_nobody_reads_may_come_and_go() -> None:
    (found,), faults = read_rows(WireMark, [build_mark(new_field={"deep": [1]})], "mark")

    assert (found.id, found.date, faults) == (1664176530, date(2026, 11, 10), [])


def test_whole_floats_are_ids() -> None:
    (found,), _ = read_rows(WireMark, [build_mark(id=1664176530.0, weight=2.0, student_profile_id=40.0)], "mark")

    assert (found.id, found.weight, found.student_profile_id) == (1664176530, 2, 40)
    assert isinstance(found.id, int)


def test_names_may_be_null() -> None:
    pupil = {"id": 1, "person_id": "p", "last_name": None, "first_name": None, "middle_name": None}

    assert read_one(WirePupil, pupil, "pupil").last_name is None


@pytest.mark.row("A26")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", True),
        ("id", "1"),
        ("id", 1.5),
        ("id", -1),
        ("id", 2**63),
        ("id", None),
        ("name", 5),
        ("name", None),
        ("weight", "1"),
        ("weight", True),
        ("date", "2026-11-10"),
        ("date", None),
        ("created_at", "2026-11-10T15:00:00"),
        ("is_point", "false"),
    ],
)
def test_a_value_of_another_type_is_a_fault_of_its_row_and_no_guess(field: str, value: object) -> None:
    rows = [build_mark(id=number) for number in range(1, 200)] + [build_mark(**{field: value})]

    fitting, faults = read_rows(WireMark, rows, "mark")

    assert (len(fitting), len(faults)) == (199, 1)
    assert (faults[0].reason_code, faults[0].where.rsplit(" ", 1)[1]) == ("CONTRACT", field)


def test_a_fault_names_the_cell_that_is_unknown_now() -> None:
    rows = [build_mark(id=number) for number in range(1, 200)] + [build_mark(weight=None)]

    _, (fault,) = read_rows(WireMark, rows, "mark")

    assert fault.where == "mesh mark:1664176530 pupil:40 lesson:101 weight"


@pytest.mark.row("A26")
def test_more_than_one_in_a_hundred_means_another_contract() -> None:
    rows = [build_mark(id=number) for number in range(1, 100)] + [build_mark(weight=None)]
    assert len(read_rows(WireMark, rows, "mark")[1]) == 1

    with pytest.raises(ContractError):
        read_rows(WireMark, rows[1:], "mark")


@pytest.mark.parametrize("row", [None, 5, "text", [], [build_mark()]])
def test_a_row_that_is_no_object_is_a_fault(row: object) -> None:
    with pytest.raises(ContractError):
        read_rows(WireMark, [row], "mark")


def test_no_value_of_a_row_stands_in_a_fault() -> None:
    broken = build_mark(name={"text": CANARY}, date=CANARY, weight=CANARY)

    with pytest.raises(ContractError) as caught:
        read_rows(WireMark, [broken], "mark")

    assert CANARY not in repr(caught.value) + str(caught.value.__context__ or "")


def test_a_form_needs_its_grade_system() -> None:
    form = {"id": 123.0, "name": "Тест", "weight": 1, "grade_system": {"id": 31.0, "type": "five"}}
    assert read_one(WireForm, form, "form").grade_system.id == 31

    with pytest.raises(ContractError):
        read_one(WireForm, {**form, "grade_system": None}, "form")


def test_only_a_whole_number_is_a_rows_id() -> None:
    assert [row_id(row) for row in ({"id": 5}, {"id": 5.0}, {"id": "5"}, {"id": True}, {}, None)] == [
        5,
        5,
        None,
        None,
        None,
        None,
    ]
