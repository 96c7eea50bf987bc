"""The lesson a mark hangs on."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway.mapping.lessons import Choice, Chosen, NoLesson, NotYet, choose_lesson, find_counted
from gateway.mapping.rules import build_rules, load_rules


def choose(make: Any, mark: Any, **changes: Any) -> Choice:
    usual: dict[str, Any] = {
        "lessons": make.lessons(),
        "periods": make.periods(),
        "attempts": (),
        "rules": load_rules(None),
        "now": make.now,
    }
    return choose_lesson(mark, **(usual | changes))


def chosen(make: Any, mark: Any, **changes: Any) -> tuple[date, str]:
    choice = choose(make, mark, **changes)
    assert isinstance(choice, Chosen), choice
    return choice.on, choice.rule


def by_graded_date() -> Any:
    return build_rules({"items": [{"form": "Тест", "lesson": "graded"}]})


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Урок 10.11.2026: работа на уроке", ""),
        ("Урок 10.11.26", ""),
        ("Урок 10.11", ""),
        ("Урок 2026-11-10", ""),
        ("Ответ 10 ноября", ""),
        ("Ответ 10 Ноября 2026 года", ""),
        ("Урок — 10 ноября", ""),
        ("Урок 10.11.2026 (10.11)", ""),
        ("§ 3.04, 10.11.2026", ""),
        ("Работа на уроке", "lesson-10.11.2026"),
        ("Работа № 31.02.2026", "10.11"),
    ],
)
def test_a_manual_item_hangs_on_the_day_in_its_name_else_in_its_number(make: Any, name: str, number: str) -> None:
    assert chosen(make, make.mark(item_name=name, item_number=number)) == (date(2026, 11, 10), "name_date")


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("Работа на уроке", "no_date"),
        ("Упражнение § 10.11", "no_date"),
        ("Задача №10.11", "no_date"),
        ("Раздел 1.10.11", "no_date"),
        ("Уроки 10–12.11.2026", "no_date"),
        ("Уроки 10-12 ноября", "no_date"),
        ("Уроки 10.11 и 11.11", "several_dates"),
        ("Урок 10.11.2026, перенос с 09.11.2026", "several_dates"),
        ("Урок 31.02.2026", "no_date"),
    ],
)
def test_an_item_without_exactly_one_day_gets_no_lesson(make: Any, name: str, detail: str) -> None:
    assert choose(make, make.mark(item_name=name)) == NoLesson(reason="NO_LESSON", detail=detail)


def test_the_grading_date_never_counts_unless_a_rule_says_so(make: Any) -> None:
    mark = make.mark(item_name="Работа на уроке")

    assert isinstance(choose(make, mark), NoLesson)
    assert chosen(make, mark, rules=by_graded_date()) == (date(2026, 11, 23), "graded")


def test_homework_of_the_recording_due_on_16_november_hangs_on_the_13th(make: Any) -> None:
    assert chosen(make, make.homework_mark(date(2026, 11, 16))) == (date(2026, 11, 13), "due.nearest")


def test_of_two_equally_near_lessons_the_earlier_one_is_taken(make: Any) -> None:
    assert chosen(make, make.homework_mark(date(2026, 11, 18))) == (date(2026, 11, 13), "due.nearest")


def test_a_nearest_lesson_that_has_not_begun_is_waited_for(make: Any) -> None:
    now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    assert choose(make, make.homework_mark(date(2026, 11, 20)), now=now) == NotYet(due_on=date(2026, 11, 23))


def test_the_choice_is_the_same_on_whatever_later_day_it_is_made(make: Any) -> None:
    mark = make.homework_mark(date(2026, 11, 20))
    answers = {
        chosen(make, mark, now=datetime(2026, 11, 23, 6, 0, tzinfo=UTC) + timedelta(days=shift)) for shift in range(9)
    }

    assert answers == {(date(2026, 11, 23), "due.nearest")}


def test_work_of_a_later_day_is_not_yet(make: Any) -> None:
    assert choose(make, make.homework_mark(date(2026, 11, 25))) == NotYet(due_on=date(2026, 11, 25))


def test_todays_lesson_counts_from_its_first_minute(make: Any) -> None:
    mark = make.homework_mark(date(2026, 11, 23))
    begins = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)

    assert choose(make, mark, now=begins - timedelta(seconds=1)) == NotYet(due_on=date(2026, 11, 23))
    assert chosen(make, mark, now=begins) == (date(2026, 11, 23), "due")


def test_with_two_lessons_on_a_day_the_first_is_taken(make: Any) -> None:
    day = date(2026, 11, 10)
    lessons = (make.lesson(day, 9, id=2, number=4), make.lesson(day, 6, id=1, number=1))

    choice = choose(make, make.mark(), lessons=lessons)

    assert isinstance(choice, Chosen)
    assert choice.lesson.id == 1


@pytest.mark.row("E10")
def test_a_cancelled_lesson_gives_way_to_the_days_other_one(make: Any) -> None:
    day = date(2026, 11, 10)
    lessons = (make.lesson(day, 6, id=1, is_cancelled=True), make.lesson(day, 9, id=2))

    choice = choose(make, make.mark(), lessons=lessons)

    assert isinstance(choice, Chosen)
    assert choice.lesson.id == 2


def test_a_day_of_which_all_lessons_are_cancelled_goes_to_the_nearest(make: Any) -> None:
    lessons = (
        make.lesson(date(2026, 11, 10), is_cancelled=True),
        make.lesson(date(2026, 11, 12)),
    )

    assert chosen(make, make.mark(), lessons=lessons) == (date(2026, 11, 12), "name_date.nearest")


def test_the_nearest_lesson_is_never_taken_across_a_periods_end(make: Any) -> None:
    lessons = (make.lesson(date(2026, 10, 23)), make.lesson(date(2026, 11, 20)))

    assert chosen(make, make.mark(item_name="Урок 03.11.2026"), lessons=lessons)[0] == date(2026, 11, 20)
    assert choose(make, make.mark(item_name="Урок 03.11.2026"), lessons=lessons[:1]) == NoLesson(
        reason="NO_LESSON", detail="no_lesson_in_period"
    )


@pytest.mark.parametrize("periods", [(), None])
def test_a_day_outside_every_period_has_only_its_own_lessons(make: Any, periods: tuple[()] | None) -> None:
    periods = make.periods() if periods is None else periods
    mark = make.mark(item_name="Урок 28.10.2026")

    assert choose(make, mark, periods=periods) == NoLesson(reason="NO_LESSON", detail="no_period")
    assert chosen(make, mark, periods=periods, lessons=(make.lesson(date(2026, 10, 28)),))[1] == "name_date"


def test_a_quarter_counts_where_the_whole_year_is_listed_beside_it(make: Any) -> None:
    periods = (*make.periods(), make.period(date(2026, 9, 1), date(2027, 8, 31), id=99))
    lessons = (make.lesson(date(2026, 11, 2)), make.lesson(date(2026, 10, 1)))

    assert chosen(make, make.mark(item_name="Урок 20.10.2026"), periods=periods, lessons=lessons)[0] == date(
        2026, 10, 1
    )


@pytest.mark.row("D5")
def test_a_due_moment_at_half_past_ten_in_the_evening_utc_is_the_next_day_in_moscow(make: Any) -> None:
    mark = make.homework_mark(date(2026, 11, 10), due_at=datetime(2026, 11, 10, 22, 30, tzinfo=UTC))

    assert chosen(make, mark) == (date(2026, 11, 11), "due")


@pytest.mark.row("D5")
def test_a_lesson_late_in_the_evening_utc_belongs_to_the_next_day_in_moscow(make: Any) -> None:
    lesson = make.lesson(date(2026, 11, 9), starts_at=datetime(2026, 11, 9, 22, 30, tzinfo=UTC))

    assert chosen(make, make.mark(), lessons=(lesson,)) == (date(2026, 11, 10), "name_date")


def test_a_quiz_hangs_on_the_day_its_counted_attempt_was_finished(make: Any) -> None:
    assert chosen(make, make.quiz_mark(), attempts=(make.attempt(),)) == (date(2026, 11, 11), "finish")


def test_a_quiz_without_a_finished_attempt_hangs_on_its_close(make: Any) -> None:
    mark = make.quiz_mark(closes_at=datetime(2026, 11, 12, 20, 59, tzinfo=UTC))

    assert chosen(make, mark) == (date(2026, 11, 12), "close")


def test_a_quiz_without_either_has_no_lesson(make: Any) -> None:
    unfinished = make.attempt(state="unfinished", finished_at=None, points=None)

    assert isinstance(choose(make, make.quiz_mark(), attempts=(unfinished,)), NoLesson)


@pytest.mark.parametrize(("counting", "number"), [("first", 1), ("last", 3), ("average", 3), ("highest", 2)])
def test_the_counted_attempt_is_the_one_the_test_counts(make: Any, counting: str, number: int) -> None:
    attempts = [
        make.attempt(3, points=7.0, counting=counting),
        make.attempt(1, points=5.0, counting=counting),
        make.attempt(2, points=9.0, counting=counting),
        make.attempt(4, state="unfinished", finished_at=None, points=None, counting=counting),
    ]

    counted = find_counted(attempts)

    assert counted is not None
    assert counted.number == number


def test_of_equally_high_attempts_the_first_is_counted(make: Any) -> None:
    counted = find_counted([make.attempt(2, points=9.0), make.attempt(1, points=9.0)])

    assert counted is not None
    assert counted.number == 1


def test_an_assignment_without_a_due_date_has_no_lesson(make: Any) -> None:
    mark = make.homework_mark(date(2026, 11, 10), due_at=None, item_name="ДЗ 10.11.2026")

    assert isinstance(choose(make, mark), NoLesson)


@pytest.mark.row("E10")
def test_an_attendance_item_hangs_on_its_session_even_if_it_is_not_the_first_of_the_day(make: Any) -> None:
    day = date(2026, 11, 10)
    lessons = (make.lesson(day, 6, id=1), make.lesson(day, 9, id=2))
    mark = make.mark(
        item_form="mod", module="attendance", item_name="Посещаемость", due_at=datetime(2026, 11, 10, 9, 0, tzinfo=UTC)
    )

    choice = choose(make, mark, lessons=lessons)

    assert isinstance(choice, Chosen)
    assert (choice.lesson.id, choice.rule) == (2, "session")


def test_a_module_of_another_type_hangs_on_the_day_in_its_name_else_on_its_due_day(make: Any) -> None:
    due_at = datetime(2026, 11, 12, 6, 0, tzinfo=UTC)
    usual: dict[str, Any] = {"item_form": "mod", "module": "workshop", "due_at": due_at}

    assert chosen(make, make.mark(item_name="Семинар 10.11", **usual)) == (date(2026, 11, 10), "name_date")
    assert chosen(make, make.mark(item_name="Семинар", **usual)) == (date(2026, 11, 12), "due")


def test_a_rule_may_name_another_date_than_the_items_type(make: Any) -> None:
    rules = build_rules({"items": [{"form": "Домашнее задание", "lesson": "name_date"}]})
    mark = make.homework_mark(date(2026, 11, 16), item_name="ДЗ на 12.11")

    assert chosen(make, mark, rules=rules) == (date(2026, 11, 12), "name_date")


def test_a_day_of_spring_written_without_a_year_is_in_the_school_years_second_half(make: Any) -> None:
    spring = (make.period(date(2026, 9, 1), date(2027, 5, 31)),)
    now = datetime(2027, 4, 1, tzinfo=UTC)

    assert chosen(
        make, make.mark(item_name="Урок 10.03"), periods=spring, lessons=(make.lesson(date(2027, 3, 10)),), now=now
    ) == (date(2027, 3, 10), "name_date")
