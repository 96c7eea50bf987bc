"""The calendar's file: a sheet or TOML, the same year from both, each fault by its row; and where it counts."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from typer.testing import CliRunner

from gateway.cli.app import app
from gateway.cli.calendar import usual_year
from gateway.domain.school_year import LastDay, MovedDay, SchoolYear, SilentSpan, YearHoliday
from gateway.mapping.calendar_file import HEADS, read_calendar, write_template
from gateway.mapping.calendars import find_year, save_year
from gateway.store.transaction import Store

FULL = SchoolYear(
    year="2026/27",
    from_on=date(2026, 9, 1),
    to_on=date(2027, 5, 26),
    saturday_grades=(10, 11),
    periods=usual_year(date(2026, 11, 1)).periods,
    holidays=(
        YearHoliday(name="осенние", from_on=date(2026, 10, 26), to_on=date(2026, 11, 2)),
        YearHoliday(name="зимние", from_on=date(2026, 12, 31), to_on=date(2027, 1, 11)),
        YearHoliday(name="весенние", from_on=date(2027, 3, 27), to_on=date(2027, 4, 4)),
        YearHoliday(name="первые", from_on=date(2027, 2, 15), to_on=date(2027, 2, 21), grades=(1,)),
    ),
    moved=(
        MovedDay(on=date(2026, 12, 5), weekday=1, name="понедельник"),
        MovedDay(on=date(2026, 11, 4), name="выходной"),
    ),
    last_days=(LastDay(on=date(2027, 5, 22), grades=(9, 11)),),
    silent=(SilentSpan(from_on=date(2027, 8, 25), to_on=date(2027, 8, 31), name="перевод классов"),),
)


def sheet(path: Path, rows: list[list[Any]]) -> Path:
    book = xlsxwriter.Workbook(str(path))
    page = book.add_worksheet("Календарь")
    for number, row in enumerate([["Календарь школы"], list(HEADS), *rows]):
        for column, cell in enumerate(row):
            page.write(number, column, cell)
    book.close()
    return path


def test_what_the_template_writes_is_read_back_the_same(tmp_path: Path) -> None:
    write_template(tmp_path / "c.xlsx", FULL)

    read = read_calendar(tmp_path / "c.xlsx")

    assert read.faults == ()
    assert read.year == FULL


def test_a_toml_file_says_the_same_in_its_own_words(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        """
year = "2026/27"
from = 2026-09-01
to = 2027-05-26
[[periods]]
name = "год"
from = 2026-09-01
to = 2027-05-26
[[holidays]]
name = "осенние"
from = 2026-10-26
to = 2026-11-02
grades = [1, 2]
[[moved]]
on = 2026-12-05
weekday = 1
""",
        encoding="utf-8",
    )

    read = read_calendar(path)

    assert read.faults == ()
    assert read.year is not None
    assert read.year.holidays[0].grades == (1, 2)
    assert read.year.find_weekday(date(2026, 12, 5), 7) == 1


def test_days_and_grades_are_read_as_people_write_them(tmp_path: Path) -> None:
    path = sheet(
        tmp_path / "c.xlsx",
        [
            ["учебный год", "", "01.09.2026", "2027-05-26", ""],
            ["Период", "1-4, 9 классы", 46266, "25.10.26", "1 четверть"],
            ["Праздник", "", "04.11.2026", "", "День единства"],
            ["Суббота", "10, 11", "", "", ""],
        ],
    )

    read = read_calendar(path)

    assert read.year is not None
    assert read.year.periods[0].grades == (1, 2, 3, 4, 9)
    assert read.year.periods[0].from_on == date(2026, 9, 1)
    assert read.year.holidays[0].to_on == date(2026, 11, 4)
    assert read.year.saturday_grades == (10, 11)


@pytest.mark.parametrize(
    ("row", "where"),
    [
        (["Поход", "", "01.10.2026", "", ""], "Календарь, строка 4"),
        (["Каникулы", "пятые", "01.10.2026", "", ""], "Календарь, строка 4"),
        (["Каникулы", "", "осенью", "", ""], "Календарь, строка 4"),
        (["Перенос", "", "05.12.2026", "", "как обычно"], "Календарь, строка 4"),
        (["Учебный год", "", "01.09.2026", "26.05.2027", ""], "Календарь"),
        (["Каникулы", "", "01.10.2029", "", "х"], "holiday х"),
    ],
)
def test_each_row_that_can_not_be_read_is_told_and_nothing_is_taken(tmp_path: Path, row: list[Any], where: str) -> None:
    path = sheet(tmp_path / "c.xlsx", [["Учебный год", "", "01.09.2026", "26.05.2027", ""], row])

    read = read_calendar(path)

    assert read.year is None
    assert where in {fault.where for fault in read.faults}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half", b"[[periods"])
def test_a_file_that_is_none_is_one_fault(tmp_path: Path, content: bytes) -> None:
    for name in ("c.xlsx", "c.toml"):
        (tmp_path / name).write_bytes(content)
        assert read_calendar(tmp_path / name).year is None
        assert read_calendar(tmp_path / name).faults


def test_a_toml_file_is_told_all_its_faults_at_once_and_unknown_names_refuse_it(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        """
year = "2026/27"
from = 2026-09-01
to = 2027-05-26
colour = "red"
[[bogus]]
on = 2026-12-05
[[holidays]]
name = "осенние"
from = "завтра"
to = 2026-11-02
[[holidays]]
name = "зимние"
from = 2026-12-31
to = 2027-01-10
grade = [1]
[[moved]]
on = 2026-12-05
weekday = 9
""",
        encoding="utf-8",
    )

    read = read_calendar(path)

    assert read.year is None
    assert {fault.where for fault in read.faults} == {
        *("colour", "bogus", "$.holidays[0].from_on", "holidays[1].grade", "weekdays")
    }


def test_the_newest_edition_counts_and_the_same_one_is_not_stored_twice(store: Store) -> None:
    with store.write() as conn:
        now = store.now(conn)
        assert save_year(conn, usual_year(date(2026, 11, 1)), source="a.xlsx", actor="os", now=now)
        assert save_year(conn, FULL, source="b.xlsx", actor="os", now=now)
        assert not save_year(conn, FULL, source="c.xlsx", actor="os", now=now)
        found = find_year(conn, "2026/27")
        assert find_year(conn, "2027/28") is None

    assert found is not None
    assert (found.year, found.source) == (FULL, "b.xlsx")


def test_the_verbs_check_import_and_show_a_day_by_grade(tmp_path: Path) -> None:
    write_template(tmp_path / "c.xlsx", FULL)
    (tmp_path / "gateway.toml").write_text(
        f"""
[database]
url = "sqlite:///{tmp_path / "g.sqlite"}"
[portal]
base_url = "http://127.0.0.1:1"
token = "t"
[mesh]
base_url = "http://127.0.0.1:1"
school_id = 1
token = "t"
profile_id = 1
[school]
year = "2026/27"
""",
        encoding="utf-8",
    )
    run, config = CliRunner().invoke, ["--config", str(tmp_path / "gateway.toml")]

    missing = run(app, ["calendar", "show", *config])
    checked = run(app, ["calendar", "check", str(tmp_path / "c.xlsx"), "--json"])
    tried = run(app, ["calendar", "import", str(tmp_path / "c.xlsx"), "--dry-run", *config])
    first = run(app, ["calendar", "import", str(tmp_path / "c.xlsx"), *config])
    again = run(app, ["calendar", "import", str(tmp_path / "c.xlsx"), *config])
    shown = run(app, ["calendar", "show", "--day", "2026-12-05", *config])
    listed = run(app, ["calendar", "show", *config])
    silent = run(app, ["schedule", "list", "--json", *config])

    assert (missing.exit_code, checked.exit_code, tried.exit_code) == (2, 0, 0)
    assert "было бы внесено" in tried.stdout
    assert "внесён" in first.stdout
    assert "уже внесён" in again.stdout
    assert "7 класс: учебный, расписание дня 1" in shown.stdout
    assert "тихие дни" in listed.stdout
    assert "2027-08-25" in silent.stdout
