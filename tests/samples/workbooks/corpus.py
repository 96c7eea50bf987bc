"""The corpus of workbooks: what schools really keep, and what goes wrong in it, each with what a reader must say.

Seeded and made anew for each run; no workbook is stored. A case is a file with the faults planted in it, as (code, sheet, cell),
and the number of rows that are in order and must not be lost.
"""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from formats import ODS_TYPE, Error, F, Page, repack, write_csv, write_ods, write_ods_content, write_xls, write_xlsx

SEED = 20261125
LAST = ("Иванова", "Петров", "Сидорова-Ким", "Королёва", "О’Нил", "Ли", "Ёлкин", "фон Берг", "Ахметова", "Цой")
FIRST = ("Анна", "Пётр", "Мария", "Алёна", "Роман", "Юй", "Семён", "Карл", "Алия", "Виктор")
MIDDLE = ("Петровна", "Ильич", None, "Сергеевна", None, None, "Львович", None, "Маратовна", "Ким оглы")

Planted = tuple[str, str, str]


@dataclass(frozen=True)
class Case:
    """A workbook.

    Attributes:
        faults: (code, sheet, cell); the cell is empty where the sheet or the file is meant.
        taken: Rows, or cells of a page, that are in order.
    """

    name: str
    write: Callable[[Path], None]
    faults: frozenset[Planted] = frozenset()
    taken: int = 0


@dataclass
class Table:
    """A table to be written in several formats.

    Attributes:
        plant: (code, row of `rows` from 0 or -1 for the head, key of the column).
    """

    name: str
    sheet: str
    heads: list[tuple[str, Any]]
    rows: list[dict[str, Any]]
    taken: int
    above: list[list[Any]] = field(default_factory=list)
    below: list[list[Any]] = field(default_factory=list)
    plant: list[tuple[str, int, str]] = field(default_factory=list)
    merges: list[tuple[int, int, int, int]] = field(default_factory=list)
    upper: list[Any] = field(default_factory=list)
    formats: tuple[str, ...] = ("xlsx", "ods", "csv")

    def page(self) -> Page:
        keys = [key for key, _ in self.heads]
        rows: list[list[Any]] = [*self.above, *([self.upper] if self.upper else []), [head for _, head in self.heads]]
        rows += [[row.get(key) for key in keys] for row in self.rows]
        return Page(self.sheet, [*rows, *self.below], merges=self.merges)

    def planted(self, *, sheet: str | None = None) -> frozenset[Planted]:
        keys = [key for key, _ in self.heads]
        first = len(self.above) + (2 if self.upper else 1) + 1
        name = self.sheet if sheet is None else sheet
        return frozenset(
            (code, name, "" if not key else f"{letters(keys.index(key))}{first + row}") for code, row, key in self.plant
        )

    def shuffled(self, chance: random.Random) -> Table:
        heads = self.heads[:]
        chance.shuffle(heads)
        return Table(**{**self.__dict__, "heads": heads, "name": f"{self.name}-shuffled"})


def letters(column: int) -> str:
    return chr(65 + column) if column < 26 else chr(64 + column // 26) + chr(65 + column % 26)


def cases(seed: int = SEED) -> list[Case]:
    """All cases but the one of a million rows."""
    chance = random.Random(seed)
    tables = [*rosters(), *timetables(), *pages(), *plans()]
    tables += [table.shuffled(chance) for table in tables if table.name.startswith(("roster", "lessons", "entries"))]
    return [*(case for table in tables for case in in_formats(table)), *texts(), *hostile(), *broken()]


def in_formats(table: Table) -> Iterator[Case]:
    if "xlsx" in table.formats:
        yield Case(f"{table.name}.xlsx", lambda path: write_xlsx(path, [table.page()]), table.planted(), table.taken)
    if "ods" in table.formats:
        yield Case(f"{table.name}.ods", lambda path: write_ods(path, [table.page()]), table.planted(), table.taken)
    if "csv" in table.formats:
        yield Case(
            f"{table.name}.csv", lambda path: write_csv(path, table.page()), table.planted(sheet=""), table.taken
        )


def pupil(number: int, **changes: Any) -> dict[str, Any]:
    at = number % len(LAST)
    usual = {
        "last": LAST[at],
        "first": FIRST[at],
        "middle": MIDDLE[at],
        "full": " ".join(part for part in (LAST[at], FIRST[at], MIDDLE[at]) if part),
        "birth": date(2013, 1 + number % 12, 1 + number % 28),
        "class": "7А",
        "email": f"parent{number}@example.org",
        "phone": "+7 900 000-00-00",
        "number": number + 1,
    }
    return usual | changes


def rosters() -> Iterator[Table]:
    plain = [
        ("last", "Фамилия"),
        ("first", "Имя"),
        ("middle", "Отчество"),
        ("birth", "Дата рождения"),
        ("class", "Класс"),
    ]
    yield Table("roster-plain", "Ученики", plain, [pupil(at) for at in range(10)], 10)
    yield Table(
        "roster-other-words",
        "Лист1",
        [
            ("number", "№ п/п"),
            ("class", "Класс (литера)"),
            ("full", "Ф.И.О. учащегося:"),
            ("birth", "ДР"),
            ("email", "Эл. почта законного представителя"),
            ("phone", "Телефон мамы"),
            ("note", "Примечание"),
        ],
        [
            pupil(at, **{"class": form})
            for at, form in enumerate(("7А", "7 А", "7-а", "7 «А»", "7A", '7"А"', "7а класс"))
        ],
        7,
        above=[["ГБОУ Школа № 1234"], [], ["Список обучающихся на 01.09.2026"], []],
        below=[["Итого: 7"]],
    )
    yield Table(
        "roster-class-in-title",
        "Список",
        [("number", "№"), ("full", "Ученик"), ("birth", "День рождения")],
        [pupil(at, birth=f"{at + 1:02d}.02.2013") for at in range(9)],
        9,
        above=[["Список 7 «А» класса"], []],
        below=[["Всего", 9]],
    )
    yield Table(
        "roster-look-alike-letters",
        "Ученики",
        # Latin letters among Cyrillic ones in heads, names and classes
        [("last", "Фaмилия"), ("first", "Имя"), ("class", "Kласс")],
        [pupil(0), pupil(1, last="Петpoв"), pupil(2, **{"class": "7B"})],
        3,
    )
    yield Table(
        "roster-faults",
        "Ученики",
        [*plain, ("email", "Почта родителя"), ("odd", "Любимый цвет")],
        [
            pupil(0),
            pupil(1, **{"class": None}),
            pupil(2, birth="весной 2013"),
            pupil(3, last="Королёва 2"),
            pupil(4, email="нет"),
            pupil(5, birth=date(2031, 1, 1)),
            pupil(6, first=None),
            pupil(7, **{"class": "седьмой"}),
            pupil(8, last="Х" * 400),
            pupil(0),
            pupil(9),
        ],
        2,
        plant=[
            ("WB_COLUMN_UNREAD", -1, "odd"),
            ("WB_EMPTY_CELL", 1, "class"),
            ("WB_DATE", 2, "birth"),
            ("WB_NAME", 3, "last"),
            ("WB_ADDRESS", 4, "email"),
            ("WB_DATE", 5, "birth"),
            ("WB_EMPTY_CELL", 6, "first"),
            ("WB_CLASS", 7, "class"),
            ("WB_TEXT_TOO_LONG", 8, "last"),
            ("WB_ROW_TWICE", 9, ""),
        ],
    )
    yield Table(
        "roster-formulas",
        "Ученики",
        plain,
        [
            pupil(0),
            pupil(1, last=F("=B1", "Петров")),
            pupil(2, **{"class": Error()}),
            pupil(3, middle=F('=CONCAT("a","b")', "x")),
        ],
        1,
        plant=[("WB_FORMULA", 1, "last"), ("WB_FORMULA", 2, "class"), ("WB_FORMULA", 3, "middle")],
        formats=("xlsx", "ods"),
    )
    for name, title in (("phrase", "Список класса 7А"), ("bare", "7-А")):
        yield Table(
            f"list-under-a-{name}-class",
            "Ученики",
            [one for one in plain if one[0] != "class"],
            [pupil(0), pupil(1)],
            2,
            above=[[title]],
        )
    yield Table(
        "merged-class",
        "Ученики",
        plain,
        [pupil(0), pupil(1, **{"class": None}), pupil(2, **{"class": None}), pupil(3)],
        4,
        merges=[(1, 4, 3, 4)],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "merged-names",
        "Ученики",
        plain,
        [pupil(0), pupil(1, last=None), pupil(2)],
        2,
        merges=[(1, 0, 2, 0)],
        plant=[("WB_MERGED", 1, "last")],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "shifted-row",
        "Ученики",
        [*plain, ("over", None)],
        [
            pupil(0),
            {"first": LAST[1], "middle": FIRST[1], "birth": MIDDLE[1], "class": date(2013, 2, 2), "over": "7А"},
            pupil(2),
        ],
        2,
        plant=[("WB_SHIFTED_ROW", 1, "first")],
    )


def timetables() -> Iterator[Table]:
    heads = [
        ("class", "Класс"),
        ("subject", "Предмет"),
        ("weekday", "День недели"),
        ("ordinal", "№ урока"),
        ("starts", "Начало"),
        ("form", "Формат"),
    ]
    week = ("понедельник", "Вт.", "СР", "четверг", "пятница")
    rows = [
        {"class": "7А", "subject": "Алгебра", "weekday": day, "ordinal": at + 1, "starts": time(8, 30), "form": "очно"}
        for at, day in enumerate(week)
    ]
    yield Table("timetable-list", "Расписание", heads, rows, 5)
    yield Table(
        "timetable-faults",
        "Расписание",
        heads,
        [
            rows[0],
            rows[1] | {"weekday": "седьмой день"},
            rows[2] | {"starts": "25:70"},
            rows[3] | {"ordinal": 40},
            rows[4] | {"form": "на Луне"},
            rows[0] | {"subject": None, "starts": "8.30"},
            rows[1] | {"starts": "08:30–09:15"},
        ],
        2,
        plant=[
            ("WB_WEEKDAY", 1, "weekday"),
            ("WB_TIME", 2, "starts"),
            ("WB_NUMBER", 3, "ordinal"),
            ("WB_CHOICE", 4, "form"),
            ("WB_EMPTY_CELL", 5, "subject"),
        ],
    )
    grid = [
        {"weekday": "Понедельник", "ordinal": 1, "7А": "Алгебра", "7Б": "Физика", "11А": "История"},
        {"ordinal": 2, "7А": "Химия", "7Б": None, "11А": "История"},
        {"weekday": "Вторник", "ordinal": 1, "7А": "Алгебра", "7Б": "Физика"},
        {"ordinal": 2, "7А": "Русский язык\nкаб. 12"},
    ]
    yield Table(
        "timetable-grid",
        "Расписание",
        [("weekday", "День"), ("ordinal", "Урок"), ("7А", "7А"), ("7Б", "7 «Б»"), ("11А", "11-А")],
        grid,
        8,
        above=[["Расписание уроков"], ["на 2026/27 учебный год"]],
        merges=[(3, 0, 4, 0), (5, 0, 6, 0)],
    )
    yield Table(
        "timetable-grid-without-lessons",
        "Расписание",
        [("weekday", "День"), ("ordinal", "Урок"), ("7А", "7А"), ("7Б", "7Б"), ("11А", "11А")],
        [
            {"weekday": "Понедельник", "ordinal": 1, "7А": "—", "7Б": "Физика", "11А": "-"},
            {"ordinal": 2, "7А": "Окно", "7Б": "–", "11А": "нет"},
            {"ordinal": 3, "7А": "---", "7Б": "Окноведение", "11А": "нет урока"},
        ],
        2,
    )
    yield Table(
        "timetable-grid-shared-lesson",
        "Расписание",
        [("weekday", "День"), ("ordinal", "Урок"), ("7А", "7А"), ("7Б", "7Б"), ("11А", "11А")],
        [{"weekday": "Понедельник", "ordinal": 1, "7А": "Физкультура", "11А": "История"}, {"ordinal": 2, "7А": "—"}],
        2,
        merges=[(1, 2, 1, 3), (2, 2, 2, 4)],
        plant=[("WB_MERGED", 0, "7Б")],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "timetable-list-without-lessons",
        "Расписание",
        [
            ("class", "Класс"),
            ("weekday", "День недели"),
            ("ordinal", "№ урока"),
            ("subject", "Предмет"),
            ("at", "Начало"),
        ],
        [
            {"class": "7А", "weekday": "понедельник", "ordinal": 1, "subject": "—", "at": "—"},
            {"class": "7А", "ordinal": 2, "subject": "Алгебра", "at": "09:25"},
            {"class": "7А", "ordinal": 3, "subject": "окно", "at": "10:20"},
            {"class": "7А", "ordinal": 4, "subject": "Химия", "at": "11:20"},
        ],
        2,
    )
    yield Table(
        "timetable-grid-merged-lesson",
        "Расписание",
        [("weekday", "День"), ("ordinal", "Урок"), ("7А", "7А"), ("7Б", "7Б")],
        [grid[0], grid[1] | {"7А": None}],
        2,
        merges=[(1, 2, 2, 2)],
        plant=[("WB_MERGED", 1, "7А")],
        formats=("xlsx", "ods"),
    )


def pages() -> Iterator[Table]:
    names = [pupil(at)["full"] for at in range(4)]
    title = [["Журнал"], ["Класс:", "7А"], ["Предмет:", "Алгебра"], []]
    days = [("name", "ФИО"), ("a", "05.09"), ("b", "12.09.2026"), ("c", "19 сентября"), ("d", date(2026, 9, 26))]
    cells = [
        {"name": names[0], "a": "н,5(1),4(2К)", "b": 5, "c": "5/4", "d": None},
        {"name": names[1], "a": "4", "b": "б", "c": None, "d": "3(2С) н"},
        {"name": names[2], "a": ".", "b": "-", "c": "о", "d": "2"},
        {"name": names[3]},
    ]
    yield Table("page", "Журнал", days, cells, 8, above=title)
    yield Table(
        "page-months-above-days",
        "7А Алгебра",
        [("name", None), ("a", 5), ("b", 12), ("c", 3), ("d", 10)],
        cells,
        8,
        upper=["Ученик", "Сентябрь", None, "Октябрь", None],
        merges=[(0, 1, 0, 2), (0, 3, 0, 4)],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "page-faults",
        "7А Алгебра",
        [*days, ("e", "о6.1о"), ("f", None)],
        [
            {"name": names[0], "a": "5(", "b": 6, "c": "5(0)", "d": "5(Ж)"},
            {"name": names[1], "a": "зачёт", "b": "45", "c": "н/о", "d": "4"},
            {"name": "12345", "a": "5"},
            {"name": names[2], "a": F("=B2", 5), "b": "-3", "c": "5(1),", "d": "5(1)4"},
            {"name": names[3], "a": "1", "b": "=cmd|'/c calc'!A1"},
        ],
        3,
        plant=[
            ("WB_DATE", -1, "e"),
            ("WB_MARK", 0, "a"),
            ("WB_MARK_SCALE", 0, "b"),
            ("WB_MARK_WEIGHT", 0, "c"),
            ("WB_MARK_FORM", 0, "d"),
            ("WB_MARK", 1, "a"),
            ("WB_MARK_SCALE", 1, "b"),
            ("WB_MARK", 1, "c"),
            ("WB_NAME", 2, "name"),
            ("WB_FORMULA", 3, "a"),
            ("WB_MARK_SCALE", 3, "b"),
            ("WB_MARK", 3, "d"),
            ("WB_MARK", 4, "b"),
        ],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "page-column-without-a-day",
        "Лист1",
        [("name", "ФИО"), ("a", "05.09"), ("x", None), ("b", "12.09")],
        [{"name": names[0], "a": 5, "x": 4, "b": 3}, {"name": names[1], "x": 2}],
        2,
        above=[["Класс: 7А"], ["Предмет: Алгебра"]],
        plant=[("WB_DATE", -1, "x")],
    )
    yield Table(
        "page-merged-marks",
        "7А Алгебра",
        [("name", "ФИО"), ("a", "05.09"), ("b", "12.09")],
        [
            {"name": names[0], "a": 5, "b": 4},
            {"name": names[1], "a": None, "b": 3},
            {"name": names[2], "a": 2, "b": None},
        ],
        2,
        merges=[(1, 1, 2, 1), (3, 1, 3, 2)],
        plant=[("WB_MERGED", 0, "a"), ("WB_MERGED", 1, "a"), ("WB_MERGED", 2, "a"), ("WB_MERGED", 2, "b")],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "page-of-pupils-in-two-rows-each",
        "7А Алгебра",
        [("name", "ФИО"), ("a", "05.09"), ("x", None), ("b", "12.09")],
        [
            {"name": names[0], "a": 5, "b": 4},
            {},
            {"name": names[1], "a": 3, "b": 2},
        ],
        4,
        merges=[(0, 1, 0, 2), (1, 0, 2, 0), (1, 1, 2, 2), (1, 3, 2, 3)],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "merged-mark-of-a-list",
        "Отметки",
        [("day", "Дата урока"), ("class", "Класс"), ("subject", "Предмет"), ("name", "Ученик"), ("mark", "Отметка")],
        [
            {"day": "05.09", "class": "7А", "subject": "Алгебра", "name": names[0], "mark": "5"},
            {"day": "05.09", "class": "7А", "subject": "Алгебра", "name": names[1], "mark": None},
            {"day": "05.09", "class": "7А", "subject": "Алгебра", "name": names[2], "mark": "4"},
        ],
        1,
        merges=[(1, 4, 2, 4)],
        plant=[("WB_MERGED", 0, "mark"), ("WB_MERGED", 1, "mark")],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "plan-merged-hours",
        "Учебный план",
        [("subject", "Предмет"), ("a", "5 класс"), ("b", "6 класс"), ("c", "7 класс")],
        [{"subject": "Алгебра", "a": 5, "b": None, "c": 4}, {"subject": "Музыка", "a": 1, "b": 1, "c": 1}],
        4,
        merges=[(1, 1, 1, 2)],
        plant=[("WB_MERGED", 0, "a"), ("WB_MERGED", 0, "b")],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "page-without-a-title",
        "Журнал",
        [("name", "ФИО"), ("a", "05.09"), ("b", "12.09")],
        [{"name": names[0], "a": 5}],
        0,
        plant=[("WB_TITLE_MISSING", 0, "")],
        formats=("xlsx",),
    )
    yield Table(
        "entries",
        "Отметки",
        [("day", "Дата урока"), ("class", "Класс"), ("subject", "Предмет"), ("name", "Ученик"), ("mark", "Отметка")],
        [
            {"day": "05.09", "class": "7А", "subject": "Алгебра", "name": names[0], "mark": "5(2К)"},
            {"day": "05.09", "class": "7А", "subject": "Алгебра", "name": names[1], "mark": "7"},
            {"day": "05.09.2024", "class": "7А", "subject": "Алгебра", "name": names[2], "mark": "4"},
            {"day": date(2026, 9, 7), "class": "7А", "subject": "Алгебра", "name": names[3], "mark": "н"},
        ],
        2,
        plant=[("WB_MARK_SCALE", 1, "mark"), ("WB_DATE_OUTSIDE_YEAR", 2, "day")],
    )
    ends = [("name", "ФИО"), ("a", "05.09"), ("r", "Комментарий 05.09"), ("p1", "I триместр"), ("p2", "2-й триместр")]
    ends += [("pa", "Промежуточная аттестация"), ("y", "Годовая отметка"), ("f", "Итог"), ("m", "Средний балл")]
    yield Table(
        "page-ends",
        "7А Алгебра",
        ends,
        [
            {
                "name": names[0],
                "a": 5,
                "r": "Помогал другим",
                "p1": 5,
                "p2": "4",
                "pa": "зачёт",
                "y": 5,
                "f": 5,
                "m": 4.7,
            },
            {"name": names[1], "a": "о", "p1": "н/а", "p2": 6, "pa": 1, "y": "5-"},
            {"name": names[2], "r": F("=B2"), "p1": "-", "pa": "4", "f": F("=E2", 5)},
        ],
        11,
        plant=[("WB_MARK_SCALE", 1, "p2"), ("WB_MARK", 1, "y"), ("WB_FORMULA", 2, "r"), ("WB_FORMULA", 2, "f")],
        formats=("xlsx", "ods"),
    )
    yield Table(
        "page-of-final-marks-alone",
        "Итоговые отметки",
        [("name", "Ученик"), ("p1", "Отметка за 1 полугодие"), ("p2", "2 полугодие"), ("y", "Год"), ("x", "Поведение")],
        [{"name": names[0], "p1": 4, "p2": 5, "y": 5}, {"name": names[1], "p1": "осв", "p2": None, "y": 0}],
        4,
        above=[["Класс: 10А"], ["Предмет: Алгебра"]],
        plant=[("WB_COLUMN_UNREAD", -1, "x"), ("WB_MARK_SCALE", 1, "y")],
    )
    yield Table(
        "entries-remarks",
        "Замечания",
        [("day", "Дата"), ("class", "Класс"), ("subject", "Предмет"), ("name", "Ученик"), ("remark", "Замечание")],
        [
            {"day": "05.09", "class": "7А", "subject": "Алгебра", "name": names[0], "remark": "Без тетради"},
            {"day": "05.09", "class": "7А", "subject": "Алгебра", "name": names[1], "remark": "=1+1"},
            {"day": "45.09", "class": "7А", "subject": "Алгебра", "name": names[2], "remark": "Молодец"},
            {"day": "05.09", "class": "7А", "subject": "Алгебра", "name": names[3], "remark": None},
        ],
        2,
        plant=[("WB_DATE", 2, "day"), ("WB_EMPTY_CELL", 3, "remark")],
    )
    lessons = [
        ("day", "Дата"),
        ("ordinal", "№ урока"),
        ("topic", "Что пройдено на уроке"),
        ("homework", "Д/з"),
        ("due", "К какому дню"),
    ]
    forms = [
        *(
            "05.09",
            "5 сентября",
            "5 сент. 2026 г.",
            "05.09.26",
            "5.9.2026",
            "05/09/2026",
            "2026-09-05",
            "2026-09-05 00:00:00",
            "5.IX",
        ),
        *(
            "сб 05.09",
            "05.09 (сб)",
            "5-е сентября",
            date(2026, 9, 5),
            datetime(2026, 9, 5, 9, 0),  # noqa: DTZ001  # a spreadsheet's day has no zone
            46270,
            "46270",
            5.09,
            "29.02.2027",
            "31.09",
        ),
        *("10-12", "завтра", 5.1, "05.09.2025", "9/25/2026", "00.09", True),
    ]
    wrong = {
        "29.02.2027": "WB_DATE",
        "31.09": "WB_DATE",
        "10-12": "WB_DATE",
        "завтра": "WB_DATE",
        "5.1": "WB_DATE_AMBIGUOUS",
    }
    wrong |= {"05.09.2025": "WB_DATE_OUTSIDE_YEAR", "9/25/2026": "WB_DATE", "00.09": "WB_DATE", "True": "WB_DATE"}
    yield Table(
        "lessons-days-in-all-forms",
        "Уроки",
        lessons,
        [
            {"day": form, "ordinal": 1, "topic": f"Тема {at}", "homework": "§ 4", "due": "12.09"}
            for at, form in enumerate(forms)
        ],
        len(forms) - len(wrong),
        above=[["Класс: 7А"], ["Предмет: Алгебра"]],
        plant=[(wrong[str(form)], at, "day") for at, form in enumerate(forms) if str(form) in wrong],
    )


def plans() -> Iterator[Table]:
    heads = [
        ("number", "№ урока"),
        ("topic", "Тема урока"),
        ("hours", "Количество часов"),
        ("control", "Контрольные работы"),
        ("practice", "Практические работы"),
        ("study", "Дата изучения"),
    ]
    rows = [
        {"number": at + 1, "topic": f"Тема {at + 1}", "hours": 1, "control": 0, "practice": 0, "study": "05.09"}
        for at in range(6)
    ]
    title = [["ПОУРОЧНОЕ ПЛАНИРОВАНИЕ"], ["7 класс"], ["Предмет: Алгебра"]]
    total = [["ОБЩЕЕ КОЛИЧЕСТВО ЧАСОВ ПО ПРОГРАММЕ", None, 6]]
    yield Table("ktp-constructor", "КТП", heads, rows, 6, above=title, below=total)
    yield Table(
        "ktp-two-storeys",
        "КТП",
        [
            ("number", None),
            ("topic", None),
            ("hours", "Всего"),
            ("control", "Контрольные работы"),
            ("practice", "Практические работы"),
            ("study", None),
        ],
        [
            {"number": "Раздел 1. Степени"},
            *rows[:3],
            {"number": "Итого по разделу", "hours": 3},
            {"number": "Раздел 2"},
            *rows[3:],
        ],
        6,
        above=title,
        below=total,
        upper=["№ п/п", "Тема урока", "Количество часов", None, None, "Дата изучения"],
        merges=[(3, 0, 4, 0), (3, 1, 4, 1), (3, 2, 3, 4), (3, 5, 4, 5), (5, 0, 5, 5)],
    )
    yield Table(
        "ktp-home-made",
        "Лист1",
        [
            ("number", "№"),
            ("topic", "Наименование темы"),
            ("hours", "Кол-во часов"),
            ("study", "Сроки"),
            ("home", "Задание на дом"),
        ],
        [
            {"number": 1, "topic": "Тема", "hours": "1 ч.", "study": "1 неделя"},
            {"number": "2.", "topic": "Тема", "hours": "0,5", "study": "05.09-12.09", "home": "=1+1"},
            {"topic": "Тема без номера", "hours": 2, "study": None},
            {"number": 1, "topic": "№", "hours": 2},
            {"number": 5, "topic": "Итого за год повторение", "hours": 2},
        ],
        5,
        above=[["Календарно-тематическое планирование"], ["Предмет", "Алгебра", "Класс", "7А"]],
    )
    yield Table(
        "ktp-faults",
        "Лист1",
        heads,
        [
            rows[0],
            rows[1] | {"topic": None},
            rows[2] | {"control": 1, "practice": 1},
            rows[3] | {"hours": "много"},
            rows[4] | {"study": "31.02"},
            rows[5] | {"number": "шестой"},
        ],
        1,
        above=[["Класс: 7А"], ["Предмет: Алгебра"]],
        plant=[
            ("WB_EMPTY_CELL", 1, "topic"),
            ("WB_HOURS", 2, "hours"),
            ("WB_NUMBER", 3, "hours"),
            ("WB_DATE", 4, "study"),
            ("WB_NUMBER", 5, "number"),
        ],
    )
    yield Table(
        "ktp-plan-and-fact",
        "КТП",
        [("number", None), ("topic", None), ("hours", None), ("study", "План"), ("fact", "Факт")],
        [
            {"number": 1, "topic": "Всего хорошего: проверка", "hours": 1, "study": "05.09"},
            {"topic": "Всего понемногу", "hours": 1, "study": "12.09", "fact": "14.09"},
            {"topic": "Тема без часов"},
            {"number": "Всего часов", "hours": 2},
        ],
        2,
        above=title,
        upper=["№", "Тема урока", "Кол-во часов", "Дата проведения", None],
        merges=[(3, 3, 3, 4)],
        plant=[("WB_EMPTY_CELL", 2, "hours")],
    )
    yield Table("ktp-of-a-sheet", "КТП 7 Алгебра", heads, rows, 6, formats=("xlsx", "ods"))
    yield Table(
        "ktp-sum",
        "Лист1",
        heads,
        [*rows, {"number": "Итого", "hours": 7}],
        6,
        above=[["Класс: 7А"], ["Предмет: Алгебра"]],
        plant=[("WB_HOURS_SUM", 6, "hours")],
    )
    yield Table(
        "programme",
        "Программа",
        [
            ("number", "№ п/п"),
            ("topic", "Наименование разделов и тем учебного предмета"),
            ("hours", "Количество часов"),
            ("content", "Программное содержание"),
            ("activities", "Основные виды деятельности обучающихся"),
        ],
        [
            {"number": at + 1, "topic": f"Тема {at}", "hours": 10, "content": "о числах", "activities": "решать"}
            for at in range(3)
        ],
        3,
        above=[["ТЕМАТИЧЕСКОЕ ПЛАНИРОВАНИЕ"], ["7 КЛАСС"], ["Учебный предмет: Алгебра"]],
        below=[["ОБЩЕЕ КОЛИЧЕСТВО ЧАСОВ", None, 30]],
    )
    yield Table(
        "curriculum",
        "Учебный план",
        [
            ("area", "Предметные области"),
            ("subject", "Учебные предметы"),
            ("5", "5 класс"),
            ("6", "6"),
            ("7А", "7А"),
            ("all", "Всего"),
        ],
        [
            {"area": "Математика", "subject": "Математика", "5": 5, "6": 5, "all": 10},
            {"subject": "Алгебра", "7А": 3, "all": 3},
            {"area": "Наука", "subject": "Физика", "7А": "две"},
            {"area": "Итого", "5": 5, "6": 5, "7А": 5},
        ],
        3,
        merges=[(1, 0, 2, 0)],
        plant=[("WB_NUMBER", 2, "7А")],
    )
    yield Table(
        "curriculum-list",
        "Учебный план",
        [("subject", "Предмет"), ("level", "Параллель"), ("hours", "Часы")],
        [{"subject": "Алгебра", "level": 7, "hours": 102}, {"subject": "Физика", "level": "12", "hours": 2}],
        1,
        plant=[("WB_CLASS", 1, "level")],
    )


def texts() -> Iterator[Case]:
    """CSV in what people and programs make of it."""
    roster = Page(
        "", [["Фамилия", "Имя", "Класс"], *[[one["last"], one["first"], "7А"] for one in map(pupil, range(10))]]
    )
    for encoding in ("cp1251", "utf-8", "utf-8-sig", "utf-16"):
        for name, delimiter in (("semicolon", ";"), ("comma", ","), ("tab", "\t")):
            yield Case(
                f"text-{encoding}-{name}.csv",
                lambda path, encoding=encoding, delimiter=delimiter: write_csv(
                    path, roster, encoding=encoding, delimiter=delimiter
                ),
                taken=10,
            )
    for encoding in ("utf-16-le", "utf-16-be"):
        yield Case(
            f"text-{encoding}.csv", lambda path, encoding=encoding: write_csv(path, roster, encoding=encoding), taken=10
        )
    yield Case("text-sep-line.csv", lambda path: write_csv(path, roster, start="sep=;\r\n"), taken=10)
    for encoding in ("koi8-r", "cp866"):
        yield Case(
            f"text-{encoding}.csv",
            lambda path, encoding=encoding: write_csv(path, Page("", roster.rows[:4]), encoding=encoding),
            frozenset({("WB_ENCODING", "", "")}),
        )
    yield Case(
        "text-encoded-twice.csv",
        lambda path: path.write_bytes(_rows_text(roster).encode("utf-8").decode("latin-1").encode("utf-8")) and None,
        frozenset({("WB_ENCODING", "", "")}),
    )
    yield Case(
        "text-half.csv",
        lambda path: path.write_bytes(_rows_text(roster).encode("cp1251")[:-8]) and None,
        frozenset({("WB_HALF_WRITTEN", "", "")}),
    )
    yield Case(
        "7А Алгебра.csv",
        lambda path: write_csv(path, Page("", [["Дата", "Тема урока"], ["05.09", "Степень"]]), encoding="utf-8"),
        taken=1,
    )
    yield Case("named-xls-is-csv.xls", lambda path: write_csv(path, roster), taken=10)
    yield Case("named-csv-is-xlsx.csv", lambda path: write_xlsx(path, [Page("Список", roster.rows)]), taken=10)
    yield Case("old.xls", lambda path: write_xls(path, Page("Список", roster.rows)), taken=10)


def _rows_text(page: Page) -> str:
    return "".join(";".join(str(cell) for cell in row) + "\r\n" for row in page.rows)


def hostile() -> Iterator[Case]:
    """Texts and parts that try to be something else."""
    heads = ["Дата", "Тема", "Домашнее задание"]
    nasty = [
        "=cmd|'/c calc'!A1",
        "<script>alert(1)</script>",
        "\u202eабв",
        "@SUM(A1)",
        "+7",
        "-1",
        "'; DROP TABLE record;--",
        "a" * 9_000,
    ]
    rows = [["Класс: 7А"], ["Предмет: Алгебра"], heads, *[["05.09", "Тема", text] for text in nasty]]
    yield Case("hostile-texts.xlsx", lambda path: write_xlsx(path, [Page("Уроки", rows)]), taken=len(nasty))
    yield Case("hostile-texts.ods", lambda path: write_ods(path, [Page("Уроки", rows)]), taken=len(nasty))
    yield Case(
        "hostile-texts.csv",
        lambda path: write_csv(
            path,
            Page("", [*rows, ["05.09", "Тема", "a\0b"], ["05.09", "Тема", "я" * 200_000], ["06.09", "б", "в"]]),
            encoding="utf-8",
        ),
        frozenset({("WB_TEXT_TOO_LONG", "", "A13")}),
        len(nasty) + 2,
    )
    yield Case(
        "text-of-a-megabyte.xlsx",
        lambda path: write_long_text(path, rows),
        frozenset({("WB_TEXT_TOO_LONG", "Уроки", "C4")}),
        len(nasty) - 1,
    )
    roster = Page("Список", [["Фамилия", "Имя", "Класс"], ["Ким", "Роман", "7А"]])
    yield Case(
        "hidden-sheets.xlsx",
        lambda path: write_xlsx(path, [roster, Page("Старый", roster.rows, is_hidden=True)]),
        frozenset({("WB_HIDDEN_SHEET", "Старый", "")}),
        1,
    )
    yield Case(
        "hidden-sheets.ods",
        lambda path: write_ods(path, [roster, Page("Старый", roster.rows, is_hidden=True)]),
        frozenset({("WB_HIDDEN_SHEET", "Старый", "")}),
        1,
    )
    yield Case(
        "two-heads-of-one-meaning.xlsx",
        lambda path: write_xlsx(
            path, [Page("Список", [["Фамилия", "Имя", "Класс", "Фамилия"], ["Ким", "Роман", "7А", "Цой"]])]
        ),
        frozenset({("WB_HEAD_TWICE", "Список", "")}),
    )
    yield Case(
        "no-heads.xlsx",
        lambda path: write_xlsx(path, [Page("Лист", [["Фамилеи", "Имя", "Класс"], ["Ким", "Роман", "7А"]])]),
        frozenset({("WB_NO_HEADS", "Лист", "")}),
    )
    yield Case("empty.xlsx", lambda path: write_xlsx(path, [Page("Лист", [])]), frozenset({("WB_EMPTY", "", "")}))
    yield Case(
        "far-corners.xlsx",
        lambda path: write_xlsx(path, [Page("Список", [*roster.rows, *[[]] * 1_000, [None] * 300 + ["x"]])]),
        taken=1,
    )
    yield Case("far-corner-of-all.xlsx", write_far_corner, frozenset({("WB_TOO_MANY_COLUMNS", "Список", "")}))


def write_far_corner(path: Path) -> None:
    write_xlsx(path, [Page("Список", [["Фамилия", "Имя", "Класс"], ["Ким", "Роман", "7А"], ["x"]])])
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    repack(
        path,
        {
            "xl/worksheets/sheet1.xml": sheet.replace(b'<row r="3"', b'<row r="1048576"').replace(
                b'r="A3"', b'r="XFD1048576"'
            )
        },
    )


def write_long_text(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    write_xlsx(path, [Page("Уроки", rows)])
    with zipfile.ZipFile(path) as archive:
        strings = archive.read("xl/sharedStrings.xml")
    repack(path, {"xl/sharedStrings.xml": strings.replace(b"=cmd|'/c calc'!A1", b"a" * 1_000_000)})


def broken() -> Iterator[Case]:
    """Files that can't or must not be opened."""
    roster = [Page("Список", [["Фамилия", "Имя", "Класс"], ["Ким", "Роман", "7А"]])]

    def fault(code: str) -> frozenset[Planted]:
        return frozenset({(code, "", "")})

    def half(path: Path) -> None:
        write_xlsx(path, roster)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    yield Case("half.xlsx", half, fault("WB_HALF_WRITTEN"))
    yield Case("no-bytes.xlsx", lambda path: path.write_bytes(b"") and None, fault("WB_HALF_WRITTEN"))
    yield Case(
        "html.xls",
        lambda path: path.write_text("<html><table><tr><td>Фамилия</td></tr></table></html>") and None,
        fault("WB_FORMAT"),
    )
    yield Case("pdf.xlsx", lambda path: path.write_bytes(b"%PDF-1.7\n") and None, fault("WB_FORMAT"))
    yield Case(
        "picture.csv", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)) and None, fault("WB_FORMAT")
    )
    yield Case("zip-of-something.xlsx", lambda path: _zip(path, {"a.txt": b"a"}), fault("WB_FORMAT"))
    yield Case(
        "locked.xlsx",
        lambda path: (
            path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"))
            and None
        ),
        fault("WB_LOCKED"),
    )
    yield Case(
        "broken-old.xls",
        lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)) and None,
        fault("WB_UNREADABLE"),
    )

    def bomb(path: Path) -> None:
        write_xlsx(path, roster)
        repack(path, {"xl/worksheets/sheet1.xml": b"<worksheet>" + b" " * 30_000_000 + b"</worksheet>"})

    yield Case("zip-bomb.xlsx", bomb, fault("WB_BOMB"))

    def lying_bomb(path: Path) -> None:
        """Says in its directory that it unpacks to little."""
        bomb(path)
        body = bytearray(path.read_bytes())
        at = body.rfind(b"xl/worksheets/sheet1.xml") - 46
        body[at + 24 : at + 28] = (1000).to_bytes(4, "little")
        path.write_bytes(bytes(body))

    yield Case("lying-zip-bomb.xlsx", lying_bomb, frozenset({("WB_HALF_WRITTEN", "Список", "")}))
    yield Case("many-parts.xlsx", lambda path: _zip(path, {f"{at}": b"" for at in range(3_000)}), fault("WB_BOMB"))

    laughs = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'

    def entities(path: Path) -> None:
        write_xlsx(path, roster)
        with zipfile.ZipFile(path) as archive:
            sheet = archive.read("xl/worksheets/sheet1.xml")
        repack(path, {"xl/worksheets/sheet1.xml": laughs + sheet.partition(b"?>")[2]})

    yield Case("xml-bomb.xlsx", entities, frozenset({("WB_BOMB", "Список", "")}))

    def outside(path: Path) -> None:
        write_xlsx(path, roster)
        with zipfile.ZipFile(path) as archive:
            strings = archive.read("xl/sharedStrings.xml")
        head = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        repack(path, {"xl/sharedStrings.xml": head + strings.partition(b"?>")[2].replace("Ким".encode(), b"&x;")})

    yield Case("xml-outside-entity.xlsx", outside, frozenset({("WB_BOMB", "Список", "")}))
    yield Case(
        "xml-bomb.ods",
        lambda path: _zip(path, {"mimetype": ODS_TYPE.encode(), "content.xml": laughs + b"<a>&b;</a>"}),
        fault("WB_BOMB"),
    )
    yield Case("repeats-bomb.ods", write_repeats_bomb, frozenset({("WB_TOO_MANY_COLUMNS", "Лист", "")}))
    yield Case(
        "bad-xml.xlsx",
        lambda path: (write_xlsx(path, roster), repack(path, {"xl/workbook.xml": b"<workbook><she"}))[1],
        fault("WB_UNREADABLE"),
    )
    yield Case(
        "part-missing.xlsx", lambda path: _zip(path, {"xl/workbook.xml": b"<workbook/>"}), fault("WB_UNREADABLE")
    )


def write_repeats_bomb(path: Path) -> None:
    """Sixteen billion cells in three hundred bytes."""
    write_ods(path, [Page("Лист", [["REPEAT"]])])
    with zipfile.ZipFile(path) as archive:
        content = archive.read("content.xml").decode()
    cell = '<table:table-row><table:table-cell office:value-type="string"><text:p>REPEAT'
    blown = '<table:table-row table:number-rows-repeated="1000000"><table:table-cell table:number-columns-repeated="16384" office:value-type="string"><text:p>REPEAT'
    assert cell in content
    write_ods_content(path, content.replace(cell, blown))


def _zip(path: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in parts.items():
            archive.writestr(name, body)


def write_million(path: Path, rows: int) -> frozenset[Planted]:
    """A roster of so many rows with a fault in every hundred thousandth (or tenth) of them."""
    step = max(1, rows // 10)
    planted: set[Planted] = set()

    def lines() -> Iterator[list[Any]]:
        yield ["Фамилия", "Имя", "Дата рождения", "Класс", "Почта родителя"]
        for at in range(rows):
            wrong = at % step == step // 2
            if wrong:
                planted.add(("WB_CLASS", "Ученики", f"D{at + 2}"))
            yield [
                "Фамилия" + "".join("абвгдежзик"[int(digit)] for digit in str(at)),
                "Имя",
                "01.02.2013",
                "х" if wrong else "7А",
                f"p{at}@example.org",
            ]

    write_xlsx(path, [Page("Ученики", lines())], constant=True, shared=False)  # type: ignore[arg-type]  # rows come one by one: a million would not fit
    return frozenset(planted)


def spoil(path: Path, chance: random.Random) -> None:
    """Make of a workbook what a bad disk, a bad copy or a bad writer makes of it."""
    body = bytearray(path.read_bytes())
    how = chance.choice(("flip", "cut", "part", "part"))
    if how == "cut":
        body = body[: chance.randrange(len(body))]
    elif how == "flip" or body[:2] != b"PK":
        for _ in range(chance.randint(1, 8)):
            body[chance.randrange(len(body))] = chance.randrange(256)
    else:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        name = chance.choice([name for name in parts if name.endswith((".xml", ".rels"))])
        repack(path, {name: _scrambled(bytearray(parts[name]), chance)})
        return
    path.write_bytes(bytes(body))


def _scrambled(part: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(max(1, len(part)))
        match chance.choice(("byte", "delete", "repeat", "number")):
            case "byte":
                part[at : at + 1] = bytes([chance.choice(b'<>"=/0123456789AZaz &;')])
            case "delete":
                del part[at : at + chance.randint(1, 40)]
            case "repeat":
                part[at:at] = part[at : at + chance.randint(1, 60)]
            case "number":
                digits = [place for place, byte in enumerate(part) if 48 <= byte <= 57]
                if digits:
                    place = chance.choice(digits)
                    part[place : place + 1] = chance.choice((b"0", b"-1", b"99999999999", b"1048577", b"x"))
    return bytes(part)
