"""The file of the school's calendar: TOML or a spreadsheet, read with every fault named, and its template.

Stands before `mapping.calendars`, which keeps what was read. Two spellings of one thing: rows of a sheet (what, grades,
first day, last day, name) and tables of a TOML file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import msgspec
import python_calamine
import xlsxwriter

from gateway.domain.calendar import DayRange
from gateway.domain.school_year import (
    LastDay,
    MovedDay,
    SchoolYear,
    SilentSpan,
    YearFault,
    YearHoliday,
    YearPeriod,
    check_year,
)
from gateway.mapping.normalise import normal_text

HEADS = ("Что", "Классы", "С", "По", "Название")
WORDS = {
    "учебный год": "year",
    "период": "period",
    "каникулы": "holiday",
    "праздник": "holiday",
    "перенос": "moved",
    "рабочий день": "moved",
    "последний день": "last_day",
    "тихие дни": "silent",
    "суббота": "saturday",
    "полугодие расписания": "term",
}
"""First column → what the row is; a period is a quarter, trimester or half-year by its name."""
WEEKDAYS = ("понедельник", "вторник", "среда", "четверг", "пятница", "суббота", "воскресенье")
MAX_ROWS = 1000
"""A year has some forty rows; beyond it the sheet is something else."""
_DATE_FORMS = ("%d.%m.%Y", "%Y-%m-%d", "%d/%m/%Y", "%d.%m.%y")


class CalendarRead(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar as it was read; None where a fault stands in its way. Remarks do not."""

    year: SchoolYear | None
    faults: tuple[YearFault, ...]


def read_calendar(path: Path) -> CalendarRead:
    """Read a calendar; all faults at once, none raises."""
    try:
        year, faults = _from_toml(path) if path.suffix.lower() == ".toml" else _from_sheet(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, python_calamine.CalamineError) as exc:
        what = f"Файл не читается ({type(exc).__name__})."
        return CalendarRead(year=None, faults=(YearFault(where=path.name, what=what, todo="Нужен TOML или XLSX."),))
    if year is None:
        return CalendarRead(year=None, faults=tuple(faults))
    found = (*faults, *check_year(year))
    is_whole = all(fault.is_remark for fault in found)
    return CalendarRead(year=year if is_whole else None, faults=found)


def _from_toml(path: Path) -> tuple[SchoolYear | None, list[YearFault]]:
    tree = _renamed(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    faults = _unknown(tree, SchoolYear, "")
    for field in msgspec.structs.fields(SchoolYear):
        row_type, rows = _row_type(field.type), tree.get(field.name)
        if row_type is None or not isinstance(rows, list):
            continue
        kept = []
        for number, row in enumerate(rows):
            where = f"{field.name}[{number}]"
            faults += _unknown(row, row_type, f"{where}.")
            try:
                msgspec.convert(row, row_type, strict=True)
            except msgspec.ValidationError as exc:  # one row's fault hides no other's
                faults.append(_unfit(exc, f"$.{where}", path))
            else:
                kept.append(row)
        tree[field.name] = kept
    try:
        year = msgspec.convert(tree, SchoolYear, strict=True)
    except msgspec.ValidationError as exc:
        return None, [*faults, _unfit(exc, "$", path)]
    if faults:  # remarks of a year that lacks rows would be false
        return None, [*faults, *(fault for fault in check_year(year) if not fault.is_remark)]
    return year, []


def _row_type(of: Any) -> type[msgspec.Struct] | None:
    """The struct of which a field is a tuple."""
    first = next(iter(get_args(of)), None)
    return first if isinstance(first, type) and issubclass(first, msgspec.Struct) else None


def _unknown(tree: Any, of: type[msgspec.Struct], where: str) -> list[YearFault]:
    known = [field.name for field in msgspec.structs.fields(of)]
    names = ", ".join(name.removesuffix("_on") if name in ("from_on", "to_on") else name for name in known)
    return [
        YearFault(where=f"{where}{name}", what="Такого имени в календаре нет.", todo=f"Есть: {names}.")
        for name in (tree if isinstance(tree, dict) else ())
        if name not in known
    ]


def _unfit(exc: msgspec.ValidationError, where: str, path: Path) -> YearFault:
    at = str(exc).rpartition(" - at ")[2].strip("`")
    at = at if at.startswith("$") else "$"
    found = at.replace("$", where, 1)
    what = "Значение не подходит."
    return YearFault(where=path.name if found == "$" else found, what=what, todo="Сверьте с шаблоном.")


def _renamed(tree: Any) -> Any:
    """`from` and `to` of the file are `from_on` and `to_on` here."""
    if isinstance(tree, list):
        return [_renamed(one) for one in tree]
    if not isinstance(tree, dict):
        return tree
    return {{"from": "from_on", "to": "to_on"}.get(name, name): _renamed(value) for name, value in tree.items()}


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    where: str
    form: str
    grades: tuple[int, ...]
    from_on: date
    to_on: date
    name: str


def _from_sheet(path: Path) -> tuple[SchoolYear | None, list[YearFault]]:
    with python_calamine.CalamineWorkbook.from_path(str(path)) as book:
        name = book.sheet_names[0]
        cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False, nrows=MAX_ROWS)
    heads = {normal_text(head): place for place, head in enumerate(HEADS)}
    at = next(
        (number for number, line in enumerate(cells[:10]) if normal_text(_text(line[0] if line else "")) == "что"), None
    )
    if at is None:
        what = f"Нет строки заголовков «{'», «'.join(HEADS)}»."
        return None, [YearFault(where=name, what=what, todo="Возьмите шаблон: gateway calendar template FILE.xlsx.")]
    columns = [heads.get(normal_text(_text(cell))) for cell in cells[at]]
    rows: list[_Row] = []
    faults: list[YearFault] = []
    for number, line in enumerate(cells[at + 1 :], start=at + 2):
        values = {place: cell for place, cell in zip(columns, line, strict=False) if place is not None}
        if any(_text(cell) for cell in values.values()):
            found = _row(f"{name}, строка {number}", values)
            (faults if isinstance(found, YearFault) else rows).append(found)  # type: ignore[arg-type]  # each list takes its own
    years = [row for row in rows if row.form == "year"]
    if len(years) != 1:
        what = f"Строк «Учебный год» {len(years)}, нужна одна."
        faults.append(YearFault(where=name, what=what, todo="Оставьте одну: с первого по последний день занятий."))
    if faults:
        return None, faults
    return _build(years[0], rows), []


def _row(where: str, values: Mapping[int, object]) -> _Row | YearFault:
    form = WORDS.get(normal_text(_text(values.get(0, ""))))
    if form is None:
        return YearFault(where=where, what="Неизвестно, что это за строка.", todo=f"Пишите: {', '.join(WORDS)}.")
    grades = _grades(_text(values.get(1, "")))
    if grades is None:
        return YearFault(where=where, what="Классы не читаются.", todo="Пишите «1-4, 9» или оставьте пустым для всех.")
    first, last = _day(values.get(2, "")), _day(values.get(3, ""))
    name = _text(values.get(4, ""))
    if form == "saturday":
        return _Row(where=where, form=form, grades=grades, from_on=date.min, to_on=date.min, name=name)
    if first is None:
        return YearFault(where=where, what="Первый день не читается.", todo="Пишите 01.09.2026.")
    if form == "moved" and name and _weekday(name) is None and "выходн" not in normal_text(name):
        todo = "В названии — чьё расписание: понедельник … воскресенье, или «выходной»."
        return YearFault(where=where, what="Не сказано, по расписанию какого дня учатся.", todo=todo)
    return _Row(where=where, form=form, grades=grades, from_on=first, to_on=last or first, name=name)


def _build(year: _Row, rows: Sequence[_Row]) -> SchoolYear:
    def of(form: str) -> list[_Row]:
        return [row for row in rows if row.form == form]

    return SchoolYear(
        year=f"{year.from_on.year}/{(year.from_on.year + 1) % 100:02d}",
        from_on=year.from_on,
        to_on=year.to_on,
        saturday_grades=tuple(sorted({grade for row in of("saturday") for grade in row.grades or tuple(range(1, 12))})),
        periods=tuple(
            YearPeriod(name=row.name, from_on=row.from_on, to_on=row.to_on, grades=row.grades) for row in of("period")
        ),
        holidays=tuple(
            YearHoliday(name=row.name, from_on=row.from_on, to_on=row.to_on, grades=row.grades) for row in of("holiday")
        ),
        moved=tuple(MovedDay(on=row.from_on, weekday=_weekday(row.name), name=row.name) for row in of("moved")),
        last_days=tuple(LastDay(on=row.from_on, grades=row.grades) for row in of("last_day")),
        silent=tuple(SilentSpan(from_on=row.from_on, to_on=row.to_on, name=row.name) for row in of("silent")),
        terms=tuple(DayRange(row.from_on, row.to_on) for row in of("term")),
    )


def _weekday(name: str) -> int | None:
    words = normal_text(name).split()
    return next((number for number, word in enumerate(WEEKDAYS, start=1) if word in words), None)


def _grades(text: str) -> tuple[int, ...] | None:
    """Read «1-4, 9»; empty = all, None = not to be read."""
    found: set[int] = set()
    for part in filter(None, (part.strip() for part in re.split(r"[,;]", text))):
        span = re.fullmatch(r"(\d{1,2})(?:\s*[-–—]\s*(\d{1,2}))?(?:\s*(?:кл|класс)[а-я.]*)?", part)
        if span is None:
            return None
        first, last = int(span[1]), int(span[2] or span[1])
        if last < first:
            return None
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _text(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return "" if cell is None else str(cell).replace("\u00a0", " ").strip()


def _day(cell: object) -> date | None:
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    if isinstance(cell, float | int) and not isinstance(cell, bool) and 40_000 < cell < 60_000:
        return date(1899, 12, 30) + timedelta(days=int(cell))  # a serial of a spreadsheet that lost its format
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(_text(cell), form).date()  # noqa: DTZ007  # a civil day has no zone
        except ValueError:  # not of this form: the next one is tried
            continue
    return None


def write_template(path: Path, year: SchoolYear) -> None:
    """Write a sheet with a year's rows, to be corrected and imported."""
    book = xlsxwriter.Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False})
    try:
        sheet = book.add_worksheet("Календарь")
        head = book.add_format({"bold": True, "bottom": 1})
        day = book.add_format({"num_format": "dd.mm.yyyy"})
        sheet.set_column(0, len(HEADS) - 1, 20)
        sheet.freeze_panes(1, 0)
        for column, title in enumerate(HEADS):
            sheet.write_string(0, column, title, head)
        for number, (what, grades, first, last, name) in enumerate(_lines(year), start=1):
            sheet.write_string(number, 0, what)
            sheet.write_string(number, 1, ", ".join(map(str, grades)))
            if first is not None and last is not None:
                sheet.write_datetime(number, 2, first, day)
                sheet.write_datetime(number, 3, last, day)
            sheet.write_string(number, 4, name)
        words = [word.capitalize() for word in WORDS]
        sheet.data_validation(1, 0, MAX_ROWS - 1, 0, {"validate": "list", "source": words})
    finally:
        book.close()


_Line = tuple[str, tuple[int, ...], date | None, date | None, str]


def _lines(year: SchoolYear) -> list[_Line]:
    lines: list[_Line] = [("Учебный год", (), year.from_on, year.to_on, year.year)]
    lines += [("Период", one.grades, one.from_on, one.to_on, one.name) for one in year.periods]
    lines += [("Каникулы", one.grades, one.from_on, one.to_on, one.name) for one in year.holidays]
    for moved in year.moved:
        name = "выходной" if moved.weekday is None else WEEKDAYS[moved.weekday - 1]
        lines.append(("Перенос", (), moved.on, moved.on, name))
    lines += [("Последний день", one.grades, one.on, one.on, "") for one in year.last_days]
    lines += [("Тихие дни", (), one.from_on, one.to_on, one.name) for one in year.silent]
    lines += [("Полугодие расписания", (), one.from_on, one.to_on, "") for one in year.terms]
    if year.saturday_grades:
        lines.append(("Суббота", year.saturday_grades, None, None, ""))
    return lines


__all__ = ["HEADS", "WORDS", "CalendarRead", "read_calendar", "write_template"]
