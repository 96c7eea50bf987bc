"""Days, marks, classes and heads, apart from any file."""

from __future__ import annotations

from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.planner.workbook.days import SchoolYear, find_time, find_weekday, read_birth, read_day
from gateway.connectors.planner.workbook.ends import (
    FinalCell,
    FinalColumn,
    find_final_column,
    find_final_columns,
    read_final_cell,
)
from gateway.connectors.planner.workbook.faults import CellError, column_letters
from gateway.connectors.planner.workbook.marks import CellMark, PageCell, read_page_cell
from gateway.connectors.planner.workbook.words import find_class, head_key, slug
from gateway.domain.records import Scale

YEAR = SchoolYear(2026)
DAYS = st.dates(YEAR.first_on, YEAR.last_on)
MONTHS = [
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
]
ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"]


@given(DAYS)
def test_a_day_is_the_same_in_every_form_people_write(day: date) -> None:
    forms: list[object] = [
        day,
        f"{day:%d.%m.%Y}",
        f"{day:%d.%m.%y}",
        f"{day:%d.%m}",
        f"{day:%d/%m/%Y}",
        f"{day:%d-%m-%Y}",
        f"{day:%Y-%m-%d}",
        f"{day:%Y-%m-%d} 00:00:00",
        f"{day.day} {MONTHS[day.month - 1]}",
        f"{day.day} {MONTHS[day.month - 1]} {day.year} г.",
        f"{day.day} {MONTHS[day.month - 1][:3]}.",
        f"{day.day}.{ROMAN[day.month - 1]}.{day.year}",
        f"пн, {day:%d.%m.%Y}",
        (day - date(1899, 12, 30)).days,
        float((day - date(1899, 12, 30)).days),
    ]

    assert {read_day(form, YEAR) for form in forms} == {day}  # type: ignore[arg-type]  # cells as a workbook gives them, of any type


@given(DAYS)
def test_a_day_that_a_spreadsheet_made_a_number_is_read_or_refused_and_never_another_day(day: date) -> None:
    number = float(f"{day.day}.{day.month:02d}")

    if day.month == 10:  # 5.10 is kept as 5.1
        with pytest.raises(CellError) as caught:
            read_day(number, YEAR)
        assert caught.value.code == "WB_DATE_AMBIGUOUS"
    else:
        assert read_day(number, YEAR) == day


@given(st.text(max_size=30))
def test_no_text_makes_a_day_outside_the_school_year(text: str) -> None:
    try:
        day = read_day(text, YEAR)
    except CellError:
        return
    assert YEAR.first_on <= day <= YEAR.last_on


def test_a_birthday_has_its_year_and_lies_in_the_past() -> None:
    today = date(2026, 11, 23)

    assert read_birth("31.12.12", today) == date(2012, 12, 31)
    for text in ("31.12", "24.11.2026", "01.01.1800"):
        with pytest.raises(CellError):
            read_birth(text, today)


@given(
    st.lists(
        st.builds(CellMark, st.integers(1, 5), st.none() | st.integers(1, 10), st.sampled_from(["", *"КСТПДУ"])),
        max_size=4,
    ),
    st.sampled_from([None, "absent", "excused", "late"]),
    st.sampled_from([",", ", ", "; ", " / ", " "]),
)
def test_what_a_cell_says_is_read_back(marks: list[CellMark], absence: str | None, separator: str) -> None:
    marks = [mark if mark.form or mark.weight else CellMark(mark.value, None, "") for mark in marks]
    spelled = {"absent": "н", "excused": "б", "late": "о"}
    words = [spelled[absence]] if absence else []
    for mark in marks:
        inside = f"{mark.weight or ''}{mark.form}"
        words.append(f"{mark.value}({inside})" if inside else str(mark.value))

    read = read_page_cell(separator.join(words))

    assert read == (PageCell(tuple(marks), absence) if words else None)  # type: ignore[arg-type]  # marks as the strategy made them


@given(st.text(max_size=20))
def test_no_text_makes_a_mark_outside_the_scale(text: str) -> None:
    try:
        read = read_page_cell(text)
    except CellError:
        return
    assert read is None or all(1 <= mark.value <= 5 for mark in read.marks)


@pytest.mark.row("E12")
@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("6", "WB_MARK_SCALE"),
        ("0", "WB_MARK_SCALE"),
        ("-3", "WB_MARK_SCALE"),
        (55.0, "WB_MARK_SCALE"),
        ("5(0)", "WB_MARK_WEIGHT"),
        ("5(-1)", "WB_MARK_WEIGHT"),
        ("5(11)", "WB_MARK_WEIGHT"),
        ("5()", "WB_MARK_FORM"),
        ("5(2Щ)", "WB_MARK_FORM"),
        ("5+", "WB_MARK"),
        ("4.5", "WB_MARK"),
        ("5(1)4", "WB_MARK"),
        ("н,о", "WB_MARK"),
    ],
)
def test_a_mark_that_can_not_be_is_a_fault_of_its_kind(cell: str | float, code: str) -> None:
    with pytest.raises(CellError) as caught:
        read_page_cell(cell)

    assert caught.value.code == code


def test_words_are_compared_whatever_their_spelling() -> None:
    assert {head_key(head) for head in ("Ф.И.О.  учащегося *", "ф и о УЧАЩЕГОСЯ:", "Ф. И. О. учaщeгocя")} == {
        "ф и о учащегося"
    }
    assert {find_class(name) for name in ("7А", "7 а", "7-A", "7 «А»", '7"А" класс', "7А.")} == {(7, "7А")}
    assert find_class("12А") is find_class("0А") is find_class("7АБВ") is None
    assert find_class("7 класс") == (7, "7")
    assert slug("Русский  язык|7") == "русский-язык-7"
    assert [find_weekday(text) for text in ("Пн", "среда", "СБ.", "день")] == [1, 3, 6, None]
    assert [find_time(cell) for cell in ("8:30", "08.30", 8.3, 0.354166666, time(8, 30), "25:00")] == [
        *[time(8, 30)] * 5,
        None,
    ]
    assert [column_letters(at) for at in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


@pytest.mark.parametrize(
    ("head", "form", "period"),
    [
        ("1 триместр", "period", "1 триместр"),
        ("I четверть", "period", "1 четверть"),
        ("IV чтв.", "period", "4 четверть"),
        ("Итог 2-й четверти", "period", "2 четверть"),
        ("Отметка за второе полугодие", "period", "2 полугодие"),
        ("Триместр 3", "period", "3 триместр"),
        ("2 период", "period", "2 период"),
        ("Год", "year", ""),
        ("Оценка за год", "year", ""),
        ("Годовая отметка", "year", ""),
        ("Экзамен", "intermediate", ""),
        ("Пром. аттестация", "intermediate", ""),
        ("Зачёт", "intermediate", ""),
        ("Итоговая", "final", ""),
    ],
)
def test_a_head_of_final_marks_is_found_by_its_meaning(head: str, form: str, period: str) -> None:
    found = find_final_column(head_key(head))

    assert found is not None
    assert (found.form, found.period) == (form, period)


@pytest.mark.parametrize(
    "head", ["Четверть", "Итог", "Итого", "Год рождения", "1", "Класс", "2 четверть 3", "Средний балл"]
)
def test_a_head_that_does_not_say_which_final_mark_is_none(head: str) -> None:
    assert find_final_column(head_key(head)) is None


def test_a_total_is_the_final_mark_only_beside_the_year_and_two_columns_of_one_kind_are_none() -> None:
    quarter = {1: "1 четверть", 2: "итог"}
    year = {**quarter, 3: "год"}
    twice = {1: "год", 2: "годовая", 3: "1 четверть"}

    assert find_final_columns(quarter) == {1: FinalColumn("period", "1 четверть")}
    assert find_final_columns(year)[2] == FinalColumn("final")
    assert set(find_final_columns(twice)) == {3}


def test_a_final_mark_is_a_mark_or_a_word_and_an_attestation_may_be_passed() -> None:
    period, attested = FinalColumn("period", "1 четверть"), FinalColumn("intermediate")
    five, words = Scale("points", 0, 5), Scale("words", 0, 0)

    assert read_final_cell(4.0, period) == FinalCell(five, 4.0)
    assert read_final_cell("н/а", period) == FinalCell(words, 0.0, "н а")
    assert read_final_cell(1, attested) == FinalCell(Scale("points", 0, 1), 1.0)  # type: ignore[arg-type]  # as a test writes it
    assert read_final_cell("Зачёт", attested) == FinalCell(words, 0.0, "зачет")
    assert read_final_cell(5.0, attested) == FinalCell(words, 5.0, "5")
    assert read_final_cell("-", period) is None
    for wrong in (6.0, 0.0, "5-", "4,5", "=1"):
        with pytest.raises(CellError):
            read_final_cell(wrong, period)
