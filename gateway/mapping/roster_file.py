"""The spreadsheet of the school office's list: its heads, reading it with every fault named, writing its template.

Stands before `mapping.roster`, which says what of the rows may be believed. The cells hold children's names: faults name
the place and never the content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import msgspec
import python_calamine
import xlsxwriter

from gateway.mapping.normalise import normal_text

Field = Literal["portal_id", "last_name", "first_name", "middle_name", "birth_on", "class_name", "person_id"]

HEADS: dict[Field, str] = {
    "portal_id": "ID портала",
    "last_name": "Фамилия",
    "first_name": "Имя",
    "middle_name": "Отчество",
    "birth_on": "Дата рождения",
    "class_name": "Класс",
    "person_id": "person_id",
}
"""Heads of the template, in its order."""
_MEANINGS: dict[str, Field] = {
    "id портала": "portal_id",
    "id на портале": "portal_id",
    "id ученика на портале": "portal_id",
    "идентификатор портала": "portal_id",
    "портал": "portal_id",
    "portal id": "portal_id",
    "фамилия": "last_name",
    "имя": "first_name",
    "отчество": "middle_name",
    "дата рождения": "birth_on",
    "др": "birth_on",
    "класс": "class_name",
    "person id": "person_id",
    "personid": "person_id",
    "идентификатор мэш": "person_id",
    "id мэш": "person_id",
    "id контингента": "person_id",
}
_NEEDED: tuple[Field, ...] = ("portal_id", "last_name", "first_name", "class_name", "person_id")
_HEAD_ROWS = 10  # a list from an office has a title and a date above its heads
_DATE_FORMS = ("%d.%m.%Y", "%Y-%m-%d", "%d/%m/%Y")


class RosterRow(msgspec.Struct, frozen=True, kw_only=True):
    """One pupil of the list; `sheet` and `number` (as the spreadsheet counts, from 1) say where it stands."""

    sheet: str
    number: int
    portal_id: str
    last_name: str
    first_name: str
    class_name: str
    person_id: str
    middle_name: str | None = None
    birth_on: date | None = None


class RosterFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong in the file, where, and what to do; Russian, without the cell's content."""

    file: str
    sheet: str
    row: int | None
    column: str | None
    what: str
    todo: str


class RosterRead(msgspec.Struct, frozen=True, kw_only=True):
    """A list as it was read; a row with a fault is not among the rows."""

    rows: tuple[RosterRow, ...]
    faults: tuple[RosterFault, ...]


def read_roster(path: Path) -> RosterRead:
    """Read all sheets of a list; heads are found by their meaning, whatever their order.

    Every fault is reported, none raises: the office mends them all at once.
    """
    rows: list[RosterRow] = []
    faults: list[RosterFault] = []
    try:
        with python_calamine.CalamineWorkbook.from_path(str(path)) as book:
            sheets = [
                (name, book.get_sheet_by_name(name).to_python(skip_empty_area=False)) for name in book.sheet_names
            ]
    except (OSError, python_calamine.CalamineError) as exc:
        what = f"Файл не читается как таблица ({type(exc).__name__})."
        return RosterRead(rows=(), faults=(_fault(path, "", None, None, what, "Сохраните список как .xlsx."),))
    for name, cells in sheets:
        if any(_text(cell) for line in cells for cell in line):
            _read_sheet(path, name, cells, rows, faults)
    if not rows and not faults:
        faults.append(_fault(path, "", None, None, "В файле нет строк.", "Заполните список по шаблону."))
    return RosterRead(rows=tuple(rows), faults=tuple(faults))


def _read_sheet(
    path: Path,
    sheet: str,
    cells: Sequence[Sequence[object]],
    rows: list[RosterRow],
    faults: list[RosterFault],
) -> None:
    found = _find_heads(cells)
    if isinstance(found, str):
        faults.append(_fault(path, sheet, None, None, found, "Возьмите шаблон и не меняйте его заголовки."))
        return
    head_at, columns = found
    for offset, line in enumerate(cells[head_at + 1 :]):
        number = head_at + offset + 2
        values = {field: line[at] if at < len(line) else "" for field, at in columns.items()}
        if not any(_text(value) for value in values.values()):
            continue
        wrong = [
            _fault(path, sheet, number, HEADS[field], "Ячейка пуста.", "Заполните её.")
            for field in _NEEDED
            if not _text(values[field])
        ]
        birth = _birth(values.get("birth_on", ""))
        if isinstance(birth, str):
            wrong.append(_fault(path, sheet, number, HEADS["birth_on"], birth, "Запишите дату как 31.12.2012."))
        faults += wrong
        if not wrong and not isinstance(birth, str):
            rows.append(
                RosterRow(
                    sheet=sheet,
                    number=number,
                    portal_id=_text(values["portal_id"]),
                    last_name=_text(values["last_name"]),
                    first_name=_text(values["first_name"]),
                    middle_name=_text(values.get("middle_name", "")) or None,
                    birth_on=birth,
                    class_name=_text(values["class_name"]),
                    person_id=_text(values["person_id"]),
                )
            )


def _find_heads(cells: Sequence[Sequence[object]]) -> tuple[int, dict[Field, int]] | str:
    """Return where the heads stand and which column means what, or what is wrong with them."""
    best: dict[Field, int] = {}
    for at, line in enumerate(cells[:_HEAD_ROWS]):
        meanings = [(_MEANINGS.get(_head(cell)), column) for column, cell in enumerate(line)]
        counts = Counter(field for field, _ in meanings if field)
        twice = [field for field, count in counts.items() if count > 1]
        columns = {field: column for field, column in meanings if field}
        if all(field in columns for field in _NEEDED):
            return f"Столбец «{HEADS[twice[0]]}» есть дважды." if twice else (at, columns)
        best = max(best, columns, key=len)
    missing = ", ".join(f"«{HEADS[field]}»" for field in _NEEDED if field not in best)
    return f"Нет столбцов: {missing}."


def _head(cell: object) -> str:
    return " ".join(normal_text(_text(cell).replace("_", " ").replace("*", " ").rstrip(":")).split())


def _text(cell: object) -> str:
    """Return a cell as text: a whole number without «.0», so that an id survives a numeric cell."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return "" if cell is None else str(cell).replace("\u00a0", " ").strip()


def _birth(cell: object) -> date | str | None:
    """Return the day, None for an empty cell, or what is wrong."""
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = _text(cell)
    if not text:
        return None
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007  # a birthday is a civil day and has no zone
        except ValueError:  # not of this form: the next one is tried
            continue
    return "Дата рождения не читается."


def write_template(path: Path, rows: Iterable[RosterRow] = ()) -> None:
    """Write a list with its heads, empty unless rows are given; every cell is text, so that it stays as typed.

    A text that begins like a formula stays a text.
    """
    book = xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False})
    try:
        sheet = book.add_worksheet("Ученики")
        head = book.add_format({"bold": True, "text_wrap": True, "bottom": 1})
        text = book.add_format({"num_format": "@"})
        sheet.set_column(0, len(HEADS) - 1, 22, text)
        sheet.freeze_panes(1, 0)
        for column, title in enumerate(HEADS.values()):
            sheet.write_string(0, column, title, head)
        for number, row in enumerate(rows, start=1):
            for column, field in enumerate(HEADS):
                value = getattr(row, field)
                shown = f"{value:%d.%m.%Y}" if isinstance(value, date) else value or ""
                sheet.write_string(number, column, shown, text)
        sheet.write_comment(0, 0, "Номер ученика на портале, например 3 или user:3")
        sheet.write_comment(0, len(HEADS) - 1, "Идентификатор контингента (UUID) из городского журнала")
    finally:
        book.close()


def _fault(path: Path, sheet: str, row: int | None, column: str | None, what: str, todo: str) -> RosterFault:
    return RosterFault(file=path.name, sheet=sheet, row=row, column=column, what=what, todo=todo)
