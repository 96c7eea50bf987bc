"""The school office's list: reading the file, and what of it may be believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from gateway.mapping.roster import (
    REFUSAL_SENTENCES,
    Refusal,
    RosterFault,
    RosterRow,
    plan_import,
    read_roster,
    write_template,
)

HEAD = ("ID портала", "Фамилия", "Имя", "Дата рождения", "Класс", "person_id")
LINE = (3, "Семёнова", "Алёна", "01.03.2013", "7 А", "p-40")
Write = Callable[..., Path]


@pytest.fixture
def write_book(tmp_path: Path) -> Write:
    """Writes lines into a sheet, from a given row on."""

    def write(*lines: Sequence[Any], first_row: int = 0) -> Path:
        path = tmp_path / "roster.xlsx"
        book = xlsxwriter.Workbook(str(path), {"strings_to_formulas": False})
        sheet = book.add_worksheet("Ученики")
        day = book.add_format({"num_format": "dd.mm.yyyy"})
        for at, line in enumerate(lines, start=first_row):
            for column, cell in enumerate(line):
                if isinstance(cell, date):
                    sheet.write_datetime(at, column, datetime(cell.year, cell.month, cell.day), day)  # noqa: DTZ001  # a spreadsheet's day has no zone
                else:
                    sheet.write(at, column, cell)
        book.close()
        return path

    return write


def row(**changes: Any) -> RosterRow:
    usual: dict[str, Any] = {
        "sheet": "Ученики",
        "number": 2,
        "portal_id": "3",
        "last_name": "Семёнова",
        "first_name": "Алёна",
        "class_name": "7 А",
        "person_id": "p-40",
    }
    return RosterRow(**(usual | changes))


def test_a_list_is_read_with_numbers_and_days_as_they_are(write_book: Write) -> None:
    read = read_roster(write_book(HEAD, LINE, (4, "Ким", "Роман", date(2013, 5, 9), "7А", "p-41")))

    assert not read.faults
    assert read.rows[0] == row(birth_on=date(2013, 3, 1))
    assert read.rows[1].birth_on == date(2013, 5, 9)
    assert read.rows[1].number == 3


def test_heads_are_found_by_meaning_in_any_order_below_a_title(write_book: Write) -> None:
    title = ("Список учеников",)
    head = ("Класс:", " ИМЯ ", "Идентификатор МЭШ", "фамилия", "Заметки", "id ученика на портале")
    read = read_roster(write_book(title, head, ("7 А", "Алёна", "p-40", "Семёнова", "x", "3"), first_row=2))

    assert not read.faults
    assert read.rows == (row(number=5),)


def fault_of(path: Path) -> RosterFault:
    read = read_roster(path)
    assert not read.rows
    assert len(read.faults) == 1
    return read.faults[0]


@pytest.mark.parametrize(("column", "name"), [(0, "ID портала"), (2, "Имя"), (4, "Класс"), (5, "person_id")])
def test_an_empty_cell_is_a_fault_with_its_place(write_book: Write, column: int, name: str) -> None:
    line: list[Any] = list(LINE)
    line[column] = " "

    fault = fault_of(write_book(HEAD, line))

    assert (fault.file, fault.sheet, fault.row, fault.column) == ("roster.xlsx", "Ученики", 2, name)
    assert fault.todo


def test_a_birth_date_that_is_no_date_is_a_fault_that_does_not_repeat_it(write_book: Write) -> None:
    fault = fault_of(write_book(HEAD, (*LINE[:3], "весной 2013", *LINE[4:])))

    assert fault.column == "Дата рождения"
    assert "весной" not in fault.what + fault.todo


def test_a_row_in_order_survives_a_faulty_neighbour(write_book: Write) -> None:
    read = read_roster(write_book(HEAD, (3, "", "", "", "", ""), LINE, ()))

    assert [one.number for one in read.rows] == [3]
    assert [fault.column for fault in read.faults] == ["Фамилия", "Имя", "Класс", "person_id"]


def test_a_sheet_without_its_heads_says_which_are_missing(write_book: Write) -> None:
    assert "«person_id»" in fault_of(write_book(HEAD[:-1], LINE)).what
    assert "дважды" in fault_of(write_book((*HEAD, "Фамилия"), LINE)).what


def test_a_file_that_is_no_spreadsheet_or_absent_or_empty_is_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "broken.xlsx"
    broken.write_bytes(b"not a spreadsheet")
    empty = tmp_path / "empty.xlsx"
    write_template(empty)

    for path in (broken, tmp_path / "absent.xlsx", empty):
        assert fault_of(path).file == path.name


def test_what_the_template_holds_is_read_back_and_nothing_becomes_a_formula(tmp_path: Path) -> None:
    rows = (row(sheet="Ученики", last_name='=HYPERLINK("x")', middle_name="-", birth_on=date(2013, 3, 1)),)
    path = tmp_path / "template.xlsx"

    write_template(path, rows)

    assert read_roster(path).rows == rows


def plan(make: Any, *rows: RosterRow, linked: dict[str, int] | None = None, **changes: Any) -> Any:
    people = changes.get("people", [make.person()])
    city = changes.get("city", [make.pupil()])
    return plan_import(rows, people, city, linked or {})


def refusals(plan: Any) -> list[Refusal]:
    assert not plan.confirm
    return [refusal for _, refusal in plan.refuse]


@pytest.mark.parametrize("portal_id", ["3", "user:3", "S-01"])
def test_a_row_that_agrees_with_both_sides_is_confirmed(make: Any, portal_id: str) -> None:
    result = plan(make, row(portal_id=portal_id), people=[make.person(school_id="S-01")])

    assert [(one.local_ref, one.city_id) for one in result.confirm] == [("user:3", 40)]
    assert not result.refuse


def test_spelling_differences_do_not_refuse_a_row(make: Any) -> None:
    assert plan(make, row(last_name="CЕМЕНОВА", class_name="7-a", person_id="P-40")).confirm


def test_unknown_name_parts_in_the_city_do_not_refuse_a_row_and_are_said_in_the_evidence(make: Any) -> None:
    result = plan(make, row(), city=[make.pupil(last_name="None", first_name=None, class_name=None)])

    assert result.confirm[0].evidence == {
        "person_id": "roster",
        "name": "unknown",
        "class": "unknown",
        "birth": "unknown",
    }


@pytest.mark.parametrize(
    ("refusal", "local", "city"),
    [
        (Refusal.NAME_PORTAL, {"last_name": "Ким"}, {}),
        (Refusal.NAME_PORTAL, {"first_name": "Анна"}, {}),
        (Refusal.NAME_PORTAL, {"middle_name": "Петровна"}, {}),
        (Refusal.NAME_CITY, {}, {"last_name": "Ким"}),
        (Refusal.NAME_CITY, {}, {"first_name": "Анна"}),
        (Refusal.BIRTH_PORTAL, {"birth_on": date(2013, 3, 2)}, {}),
        (Refusal.BIRTH_CITY, {}, {"birth_on": date(2013, 3, 2)}),
        (Refusal.CLASS_PORTAL, {"class_name": "7Б"}, {}),
        (Refusal.CLASS_CITY, {}, {"class_name": "7Б"}),
        (Refusal.OTHER_PERSON_ID, {"person_id": "p-41"}, {}),
        (Refusal.PORTAL_UNKNOWN, {"ref": "user:4"}, {}),
        (Refusal.PORTAL_UNKNOWN, {"role": "teacher"}, {}),
        (Refusal.PERSON_UNKNOWN, {}, {"person_id": "p-41"}),
    ],
)
def test_a_row_that_disagrees_with_either_side_is_refused_with_its_reason(
    make: Any, refusal: Refusal, local: dict[str, Any], city: dict[str, Any]
) -> None:
    told = row(birth_on=date(2013, 3, 1), middle_name="Ивановна")

    result = plan(make, told, people=[make.person(**local)], city=[make.pupil(**city)])

    assert refusals(result) == [refusal]


def test_an_id_that_fits_two_people_or_two_profiles_is_refused(make: Any) -> None:
    people = [make.person(), make.person(ref="user:4", school_id="3")]
    city = [make.pupil(), make.pupil(id=41)]

    assert refusals(plan(make, row(), people=people)) == [Refusal.PORTAL_AMBIGUOUS]
    assert refusals(plan(make, row(), city=city)) == [Refusal.PERSON_AMBIGUOUS]


def test_two_rows_of_one_pupil_are_both_refused_however_the_id_is_spelled(make: Any) -> None:
    assert refusals(plan(make, row(), row(number=3, portal_id="user:3"))) == [Refusal.DUPLICATE_ROW] * 2


def test_two_rows_with_one_person_id_are_both_refused(make: Any) -> None:
    people = [make.person(), make.person(ref="user:4")]

    assert refusals(plan(make, row(), row(portal_id="4"), people=people)) == [Refusal.DUPLICATE_ROW] * 2


def test_an_existing_different_link_is_never_overwritten(make: Any) -> None:
    assert refusals(plan(make, row(), linked={"user:3": 41})) == [Refusal.LINKED_OTHERWISE]
    assert refusals(plan(make, row(), linked={"user:9": 40})) == [Refusal.CITY_TAKEN]


def test_a_link_that_stands_already_is_unchanged(make: Any) -> None:
    result = plan(make, row(), linked={"user:3": 40})

    assert (result.confirm, result.refuse, result.unchanged) == ((), (), 1)


def test_every_refusal_has_its_sentence() -> None:
    assert set(REFUSAL_SENTENCES) == set(Refusal)


def test_a_refused_row_of_a_shifted_list_gives_nobody_anothers_marks(make: Any) -> None:
    people = [make.person(), make.person(ref="user:4", last_name="Ким", first_name="Роман")]
    city = [make.pupil(), make.pupil(id=41, person_id="p-41", last_name="Ким", first_name="Роман")]
    shifted = [
        row(person_id="p-41"),
        row(portal_id="4", last_name="Ким", first_name="Роман", person_id="p-40"),
    ]

    assert refusals(plan_import(shifted, people, city, {})) == [Refusal.NAME_CITY] * 2


def test_a_moment_cell_is_read_as_its_day(write_book: Write) -> None:
    read = read_roster(write_book(HEAD, (*LINE[:3], datetime(2013, 3, 1, tzinfo=UTC).date(), *LINE[4:])))

    assert read.rows[0].birth_on == date(2013, 3, 1)
