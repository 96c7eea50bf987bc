"""Empty workbooks that the reader reads back without a word: heads in place and locked, lists where a cell has a choice.

Made from the same table of layouts that the reader goes by, so that a template can't drift away from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import xlsxwriter

from gateway.connectors.planner.workbook.columns import Column
from gateway.connectors.planner.workbook.days import SchoolYear
from gateway.connectors.planner.workbook.layouts import ENTRIES, KTP, LESSONS, ROSTER, TIMETABLE
from gateway.connectors.planner.workbook.marks import FORMS

TemplateName = Literal["roster", "timetable", "journal", "ktp", "plan"]
TEMPLATES: tuple[TemplateName, ...] = get_args(TemplateName)

_ROWS = 1_000
"""Rows that are formatted and checked; below them anything may be typed too, only without lists."""
_FIRST_DAY = 2
_PAGE_DAYS = 60
_WIDTH = 18
_WEEKDAYS = ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота")
_FORMATS = ("очно", "онлайн")
_LEVEL_HEADS = tuple(f"{level} класс" for level in range(1, 12))
_TITLES: dict[str, str] = {
    "subject": "Предмет:",
    "class": "Класс:",
    "group": "Группа:",
    "typed_by": "Внёс:",
    "on_behalf_of": "За кого:",
    "answers": "Отвечает:",
}
_POSTS = ("учитель", "куратор", "методист", "завуч")
_PAGE_TITLES = ("class", "subject", "group", "typed_by", "on_behalf_of", "answers")
_FINAL_HEADS = (
    *(f"{number} период" for number in range(1, 5)),
    *("Промежуточная аттестация", "Годовая", "Итоговая"),
)
_NOT_A_REMARK = frozenset({"marks", "last_name", "first_name", "middle_name"})
_LEFT_OUT = frozenset({"full_name"})
"""Columns that the reader knows and the template has no use for."""


def write_template(path: Path, name: TemplateName, year: SchoolYear) -> None:
    """Write an empty workbook.

    Args:
        path: Where to; overwritten.
        name: Which.
        year: For the days that a cell takes.

    Raises:
        OSError: It can't be written.
    """
    book = xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False})
    try:
        writer = _Writer(book, year)
        match name:
            case "roster":
                writer.list_sheet("Ученики", [one for one in ROSTER.columns if one.key not in _LEFT_OUT])
            case "timetable":
                writer.list_sheet("Расписание", TIMETABLE.columns)
            case "journal":
                writer.page_sheet("Журнал")
                writer.list_sheet("Уроки", LESSONS.columns)
                writer.finals_sheet("Итоги")
                writer.list_sheet("Замечания", [one for one in ENTRIES.columns if one.key not in _NOT_A_REMARK])
            case "ktp":
                writer.list_sheet(
                    "КТП", [one for one in KTP.columns if one.key != "level"], titles=("class", "subject")
                )
            case "plan":
                writer.curriculum_sheet("Учебный план")
    finally:
        book.close()


class _Writer:
    def __init__(self, book: Any, year: SchoolYear) -> None:
        self._book = book
        self._year = year
        self._head = book.add_format(
            {"bold": True, "text_wrap": True, "bottom": 1, "valign": "top", "bg_color": "#EEF2F7"}
        )
        self._label = book.add_format({"bold": True})
        self._text = book.add_format({"num_format": "@", "locked": False, "text_wrap": True, "valign": "top"})
        self._day = book.add_format({"num_format": "dd.mm.yyyy", "locked": False})
        self._free = book.add_format({"locked": False})

    def list_sheet(self, name: str, columns: Sequence[Column], *, titles: Sequence[str] = ()) -> None:
        """A sheet of rows; a title block above it where the class and the subject are the same for all."""
        sheet = self._sheet(name)
        at = self._write_titles(sheet, titles)
        kept = [one for one in columns if not (titles and one.key in ("subject", "class_name"))]
        for column, one in enumerate(kept):
            sheet.write_string(at, column, one.head, self._head)
            if one.hint:
                sheet.write_comment(at, column, one.hint)
            cell_format = self._day if one.read.__name__ in ("read_lesson_day", "read_birthday") else self._text
            sheet.set_column(column, column, _WIDTH, cell_format)
            self._validate(sheet, one, at + 1, column)
        sheet.freeze_panes(at + 1, 0)

    def page_sheet(self, name: str) -> None:
        """A journal's page: pupils down, days across."""
        sheet = self._sheet(name)
        at = self._write_titles(sheet, _PAGE_TITLES)
        sheet.write_string(at, 0, "№", self._head)
        sheet.write_string(at, 1, "ФИО", self._head)
        sheet.write_comment(at, 1, "Как в списке класса")
        day_head = self._book.add_format(
            {"num_format": "dd.mm", "bold": True, "bottom": 1, "locked": False, "bg_color": "#EEF2F7"}
        )
        for column in range(_FIRST_DAY, _FIRST_DAY + _PAGE_DAYS):
            sheet.write_blank(at, column, None, day_head)
        sheet.data_validation(at, _FIRST_DAY, at, _FIRST_DAY + _PAGE_DAYS - 1, self._day_rule("День урока"))
        letters = ", ".join(f"{letter} {words.lower()}" for letter, words in FORMS.items() if letter)
        sheet.write_comment(
            at, 1, f"День урока. В клетках: н,5(1),4(2К): н не был, вес и вид работы в скобках ({letters})"
        )
        sheet.set_column(0, 0, 10, self._text)
        sheet.set_column(1, 1, 36, self._text)
        sheet.set_column(_FIRST_DAY, _FIRST_DAY + _PAGE_DAYS - 1, 7, self._text)
        sheet.freeze_panes(at + 1, _FIRST_DAY)

    def finals_sheet(self, name: str) -> None:
        """Final marks: pupils down, the periods and the year across."""
        sheet = self._sheet(name)
        at = self._write_titles(sheet, _PAGE_TITLES)
        for column, head in enumerate(("№", "ФИО", *_FINAL_HEADS)):
            sheet.write_string(at, column, head, self._head)
        sheet.write_comment(at, _FIRST_DAY, "Период по счёту: четверть, триместр или полугодие, как у класса")
        sheet.set_column(0, 0, 10, self._text)
        sheet.set_column(1, 1, 36, self._text)
        sheet.set_column(_FIRST_DAY, _FIRST_DAY + len(_FINAL_HEADS) - 1, _WIDTH, self._text)
        sheet.freeze_panes(at + 1, _FIRST_DAY)

    def curriculum_sheet(self, name: str) -> None:
        """Subjects down, grades across, hours a week in the cells."""
        sheet = self._sheet(name)
        for column, head in enumerate(("Предмет", *_LEVEL_HEADS)):
            sheet.write_string(0, column, head, self._head)
        sheet.write_comment(0, 0, "Часы в неделю; пусто = не изучается")
        sheet.set_column(0, 0, 36, self._text)
        sheet.set_column(1, len(_LEVEL_HEADS), 10, self._free)
        sheet.data_validation(
            1,
            1,
            _ROWS,
            len(_LEVEL_HEADS),
            {
                "validate": "decimal",
                "criteria": "between",
                "minimum": 0,
                "maximum": 40,
                "error_title": "Часы",
                "error_message": "Часы в неделю, от 0 до 40.",
            },
        )
        sheet.freeze_panes(1, 1)

    def _sheet(self, name: str) -> Any:
        sheet = self._book.add_worksheet(name)
        sheet.protect("", {"format_columns": True, "format_rows": True, "insert_rows": True, "sort": True})
        return sheet

    def _write_titles(self, sheet: Any, titles: Sequence[str]) -> int:
        for row, one in enumerate(titles):
            sheet.write_string(row, 0, _TITLES[one], self._label)
            sheet.write_blank(row, 1, None, self._text)
            if one in ("typed_by", "on_behalf_of", "answers"):
                sheet.data_validation(row, 1, row, 1, {"validate": "list", "source": list(_POSTS)})
        return len(titles) + 1 if titles else 0

    def _validate(self, sheet: Any, one: Column, first: int, column: int) -> None:
        rule: dict[str, Any] | None = None
        match one.read.__name__:
            case "read_weekday":
                rule = {"validate": "list", "source": list(_WEEKDAYS)}
            case "read_form":
                rule = {"validate": "list", "source": list(_FORMATS)}
            case "read_lesson_day":
                rule = self._day_rule(one.head)
            case "read_ordinal":
                rule = {"validate": "integer", "criteria": "between", "minimum": 0, "maximum": 14}
            case _:
                return
        sheet.data_validation(first, column, first + _ROWS, column, {"error_title": one.head, **rule})

    def _day_rule(self, title: str) -> dict[str, Any]:
        return {
            "validate": "date",
            "criteria": "between",
            "minimum": self._year.first_on,
            "maximum": self._year.last_on,
            "error_title": title[:32],
            "error_message": f"День учебного года {self._year.name}.",
        }
