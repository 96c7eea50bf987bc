"""Remarks, final marks and topics: what should stand in the city, or the reason why nothing should."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from gateway.domain.city import CityTopics, CommentIntent, FinalIntent, TopicsIntent
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import CHOSEN_KINDS, Kind
from gateway.domain.records import Final, Lesson, LessonComment, LessonPlan, PlannedLesson, Scale, Topics
from gateway.domain.school_year import SchoolYear, YearPeriod
from gateway.mapping.chosen import find_period, parts_of_year, topics_of_lessons, topics_of_rows
from gateway.mapping.context import periods_of_group
from gateway.mapping.mesh import map_record
from gateway.mapping.rules import Rules, ScopeRule, build_rules

EVERYTHING = tuple(
    ScopeRule(kind=kind, create="automatic", change="automatic") for kind in ("comment", "final", "topics")
)
DECEMBER = datetime(2026, 12, 28, 16, 0, tzinfo=UTC)


def rules(**more: Any) -> Rules:
    return Rules(scope=EVERYTHING, **more)


def final(**changes: Any) -> Final:
    usual: dict[str, Any] = {
        "ref": "final:9:3",
        "pupil": "user:3",
        "group": "group:1",
        "item": "item:9",
        "item_name": "2 четверть",
        "form": "period",
        "period": "2",
        "scale": Scale("points", 0, 5),
        "raw_points": 4.0,
    }
    return Final(**{**usual, **changes})


def comment(**changes: Any) -> LessonComment:
    usual: dict[str, Any] = {
        "ref": "late:2:3",
        "pupil": "user:3",
        "lesson": "session:2",
        "group": "group:1",
        "form": "late",
    }
    return LessonComment(**{**usual, **changes})


def city_plan(*topics: str, **changes: Any) -> CityTopics:
    lessons = tuple(PlannedLesson(topic=topic, module="Степени") for topic in topics)
    return CityTopics(**{"id": 5, "group_id": 7, "name": "КТП", "lessons": lessons, "calendar_id": 6, **changes})


def topics(*names: str, **changes: Any) -> Topics:
    lessons = tuple(PlannedLesson(topic=name) for name in names)
    return Topics(**{"ref": "topics:group:1", "group": "group:1", "name": "7А", "lessons": lessons, **changes})


def context(make: Any, **changes: Any) -> Any:
    return make.context(**{"rules": rules(), "now": DECEMBER, "city_plans": (city_plan(),), **changes})


def test_a_final_mark_stands_in_the_period_of_the_groups_own_schedule(make: Any) -> None:
    mapped = map_record(final(), context(make))

    assert (mapped.state, mapped.on) == ("sendable", date(2026, 12, 30))
    assert mapped.intent == FinalIntent(
        pupil_id=40,
        group_id=7,
        subject_id=mapped.intent.subject_id,
        teacher_id=900,
        on=date(2026, 12, 30),
        form="period",
        period_id=11,
        value="4",
        grade_system="five",
    )


def test_a_period_may_be_named_as_the_city_names_it(make: Any) -> None:
    named = tuple(make.changed(one, name=f"{n} Четверть") for n, one in enumerate(make.periods(), start=1))

    mapped = map_record(final(period="2  четверть"), context(make, periods=named))

    assert mapped.intent.period_id == named[1].id


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("2 полугодие", 11),
        ("2 период", 11),
        ("02", 11),
        ("2 четверть", None),
        ("2 триместр", None),
        ("3 полугодие", None),
    ],
)
def test_a_period_as_people_say_it_counts_only_where_the_year_has_so_many_parts(
    make: Any, said: str, found: int | None
) -> None:
    period = find_period(final(period=said), make.periods())

    assert (period and period.id) == found


YEAR = SchoolYear(
    year="2026/27",
    from_on=date(2026, 9, 1),
    to_on=date(2027, 5, 26),
    periods=(
        YearPeriod(name="1 триместр", from_on=date(2026, 9, 1), to_on=date(2026, 11, 29)),
        YearPeriod(name="2 триместр", from_on=date(2026, 11, 30), to_on=date(2027, 2, 28)),
        YearPeriod(name="3 триместр", from_on=date(2027, 3, 1), to_on=date(2027, 5, 26)),
    ),
)


def calendar_context(make: Any, **changes: Any) -> Any:
    """A group of which the city says no schedule: its days are the school calendar's."""
    usual = context(make)
    group = make.changed(usual.city_group, schedule_id=None)
    periods = periods_of_group(group, make.periods(), YEAR)
    return context(make, city_group=group, periods=periods, **changes)


def test_the_calendar_says_when_only_where_the_city_says_nothing(make: Any) -> None:
    usual = context(make)
    group = make.changed(usual.city_group, schedule_id=None)

    assert periods_of_group(usual.city_group, make.periods(), YEAR) == make.periods()
    assert periods_of_group(group, make.periods(), None) == ()
    assert [(one.id, one.begins_on) for one in periods_of_group(group, make.periods(), YEAR)] == [
        (0, date(2026, 9, 1)),
        (0, date(2026, 11, 30)),
        (0, date(2027, 3, 1)),
    ]


def test_by_the_calendar_a_mark_of_the_year_waits_for_its_end_and_one_of_a_period_has_no_place(make: Any) -> None:
    early = map_record(final(form="year", period=None), calendar_context(make))
    due = datetime(2027, 5, 25, tzinfo=UTC)
    ready = map_record(final(form="year", period=None), calendar_context(make, now=due))
    quarter = map_record(final(period="2"), calendar_context(make))

    assert (early.state, early.reason, early.due_on) == ("held", "PERIOD_NOT_OVER", date(2027, 5, 19))
    assert (ready.state, ready.intent.period_id, ready.on) == ("sendable", 0, date(2027, 5, 26))
    assert (quarter.state, quarter.reason) == ("rejected", "NO_PERIOD")


def test_by_the_calendar_the_nearest_lesson_of_a_mark_stays_in_its_trimester(make: Any) -> None:
    lessons = (make.lesson(date(2026, 11, 27)), make.lesson(date(2026, 12, 3)))
    mark = make.mark(item_name="Урок 30.11.2026: работа на уроке")
    group = make.city_group(schedule_id=None)

    def map_by(year: SchoolYear | None) -> Any:
        periods = periods_of_group(group, make.periods(), year)
        return map_record(mark, make.context(now=DECEMBER, city_group=group, periods=periods, lessons=lessons))

    assert map_by(YEAR).intent.lesson_id == lessons[1].id
    assert map_by(None).reason == "NO_LESSON"


def test_a_year_listed_beside_its_quarters_is_no_period_of_its_own(make: Any) -> None:
    year = make.period(date(2026, 9, 1), date(2027, 5, 31), id=99, name="год")

    assert [one.id for one in parts_of_year((year, *make.periods()))] == [9, 11]


@pytest.mark.parametrize("form", ["year", "final"])
def test_a_mark_of_the_year_waits_for_the_last_period_and_names_none(make: Any, form: str) -> None:
    early = map_record(final(form=form, period=None), context(make, now=datetime(2026, 12, 22, tzinfo=UTC)))
    later = map_record(final(form=form, period=None), context(make))

    assert (early.state, early.reason, early.due_on) == ("held", "PERIOD_NOT_OVER", date(2026, 12, 23))
    assert (later.state, later.intent.period_id, later.intent.form) == ("sendable", 0, form)
    assert early.intent == later.intent


@pytest.mark.parametrize(("word", "value"), [("Зачёт", "1"), ("не зачтено", "0")])
def test_an_intermediate_attestation_is_passed_or_not(make: Any, word: str, value: str) -> None:
    scale = Scale("words", 1, 2)

    mapped = map_record(final(form="intermediate", period=None, scale=scale, word=word), context(make))

    assert (mapped.intent.value, mapped.intent.grade_system) == (value, "approve")


def test_a_final_mark_is_rounded_as_marks_are(make: Any) -> None:
    values = [map_record(final(raw_points=points), context(make)).intent.value for points in (4.49, 4.5)]

    assert values == ["4", "5"]


Case = Callable[[Any], tuple[Any, dict[str, Any]]]
CASES: dict[str, tuple[str, str, Case]] = {
    "a final mark before its period's last days": (
        "held",
        "PERIOD_NOT_OVER",
        lambda m: (final(), {"now": m.now}),
    ),
    "a period that the schedule has not": ("rejected", "NO_PERIOD", lambda m: (final(period="3"), {})),
    "period zero": ("rejected", "NO_PERIOD", lambda m: (final(period="0"), {})),
    "a period nobody named so": ("rejected", "NO_PERIOD", lambda m: (final(period="триместр"), {})),
    "no periods at all": ("rejected", "NO_PERIOD", lambda m: (final(), {"periods": ()})),
    "a closed period": (
        "held",
        "WINDOW_CLOSED",
        lambda m: (final(), {"periods": m.periods(is_closed=True)}),
    ),
    "a final mark's edit window is over": (
        "held",
        "WINDOW_EDIT_OVER",
        lambda m: (final(), {"periods": m.periods(edit_until_on=date(2026, 12, 20))}),
    ),
    "hidden at the source": ("out_of_scope", "HIDDEN_AT_SOURCE", lambda m: (final(is_hidden=True), {})),
    "a value that is none": ("rejected", "VALUE_OUT_OF_RANGE", lambda m: (final(raw_points=1.0), {})),
    "points instead of passed": (
        "rejected",
        "VALUE_OUT_OF_RANGE",
        lambda m: (final(form="intermediate", period=None), {}),
    ),
    "a pupil without a link": ("waiting", "NOT_LINKED", lambda m: (final(), {"pupils": {}})),
    "nobody leads the group": (
        "rejected",
        "NO_TEACHER",
        lambda m: (final(), {"city_group": m.city_group(teacher_ids=(1, 2)), "lessons": ()}),
    ),
    "a final mark that is not chosen": (
        "out_of_scope",
        "OUT_OF_SCOPE",
        lambda m: (final(), {"rules": Rules(scope=(ScopeRule(create="automatic"),))}),
    ),
    "a remark without words": ("rejected", "VALIDATION_LOCAL", lambda m: (comment(form="remark", text=" "), {})),
    "a remark at no lesson": ("waiting", "LESSON_NOT_LINKED", lambda m: (comment(lesson="session:9"), {})),
    "a remark at a lesson to come": (
        "held",
        "LESSON_NOT_YET",
        lambda m: (comment(), {"now": datetime(2026, 11, 1, tzinfo=UTC)}),
    ),
    "no plan in the city": ("rejected", "NO_LESSON_PLAN", lambda m: (topics("Степень"), {"city_plans": ()})),
    "a plan that other groups share": (
        "rejected",
        "NO_LESSON_PLAN",
        lambda m: (topics("Степень"), {"city_plans": (city_plan(is_shared=True),)}),
    ),
    "two plans": (
        "rejected",
        "NO_LESSON_PLAN",
        lambda m: (topics("Степень"), {"city_plans": (city_plan(), city_plan(id=9))}),
    ),
    "a lesson without a topic": ("rejected", "LESSON_WITHOUT_TOPIC", lambda m: (topics("Степень", ""), {})),
    "a plan without lessons": ("rejected", "LESSON_WITHOUT_TOPIC", lambda m: (topics(), {})),
}


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_go_says_why(make: Any, name: str) -> None:
    state, reason, build = CASES[name]
    record, changes = build(make)

    mapped = map_record(record, context(make, **changes))

    assert (mapped.state, mapped.reason) == (state, reason)
    assert (mapped.intent is not None) == (state == "held")


def test_lateness_is_the_letter_of_the_settings(make: Any) -> None:
    mapped = map_record(comment(), context(make, late_text="оп"))

    assert isinstance(mapped.intent, CommentIntent)
    assert (mapped.intent.text, mapped.intent.form) == ("оп", "late")
    assert mapped.intent.object_key == f"comment/40/{mapped.intent.lesson_id}/late"


def test_topics_go_into_the_plan_that_stands_there(make: Any) -> None:
    mapped = map_record(topics("Степень", "Свойства степени"), context(make))

    assert isinstance(mapped.intent, TopicsIntent)
    assert (mapped.intent.plan_id, mapped.intent.calendar_id) == (5, 6)
    assert [(one.module, one.topic) for one in mapped.intent.lessons] == [
        ("Раздел 1", "Степень"),
        ("Раздел 1", "Свойства степени"),
    ]


def local_lesson(session: int, topic: str | None) -> Lesson:
    starts_at = datetime(2026, 11, 8 + session, 6, 0, tzinfo=UTC)
    return Lesson(
        ref=f"session:{session}", group="group:1", starts_at=starts_at, duration_min=45, ordinal=1, topic=topic
    )


def linked(make: Any, count: int = 5) -> dict[str, int]:
    return {f"session:{n}": lesson.id for n, lesson in enumerate(make.lessons()[:count], start=1)}


def test_topics_of_lessons_keep_what_only_the_city_knows(make: Any) -> None:
    there = city_plan("Повторение", "Степень", "Свойства", "Контрольная")
    lessons = [local_lesson(1, None), local_lesson(2, "Степень числа"), local_lesson(3, "Свойства")]

    built = topics_of_lessons(make.group(), lessons, context(make, city_plans=(there,), lesson_links=linked(make)))

    assert built is not None
    assert [one.topic for one in built.lessons] == ["Повторение", "Степень числа", "Свойства", "Контрольная"]
    assert {one.module for one in built.lessons} == {"Степени"}


def test_a_lesson_that_was_cancelled_takes_no_topic(make: Any) -> None:
    lessons = make.lessons()
    cancelled = (make.changed(lessons[0], is_cancelled=True), *lessons[1:])

    built = topics_of_lessons(
        make.group(), [local_lesson(2, "Степень")], context(make, lessons=cancelled, lesson_links=linked(make))
    )

    assert built is not None
    assert [one.topic for one in built.lessons] == ["Степень"]


def test_a_gap_that_nobody_can_fill_is_refused_and_not_closed_up(make: Any) -> None:
    known = context(make, lesson_links=linked(make))

    built = topics_of_lessons(make.group(), [local_lesson(3, "Свойства")], known)

    assert built is not None
    assert [one.topic for one in built.lessons] == ["", "", "Свойства"]
    assert map_record(built, known).reason == "LESSON_WITHOUT_TOPIC"


def test_lessons_without_topics_say_nothing(make: Any) -> None:
    lessons = [local_lesson(n, None) for n in range(1, 4)]

    assert topics_of_lessons(make.group(), lessons, context(make, lesson_links=linked(make))) is None


def row(number: int, topic: str, **changes: Any) -> LessonPlan:
    usual: dict[str, Any] = {
        "ref": f"row:{number}:{topic}",
        "programme": "course:2",
        "subject": "subject:ALG",
        "level": 7,
        "number": number,
        "topic": topic,
        "hours": 1.0,
    }
    return LessonPlan(**{**usual, **changes})


def test_the_rows_of_the_narrowest_plan_count_in_their_order(make: Any) -> None:
    grade = [row(1, "Параллель"), row(2, "Вторая")]
    of_class = [row(2, "Степень", class_name="7 а", hours=2.0), row(1, "Повторение", class_name="7А", section="I")]
    own = [row(1, "Своё", group="group:1")]
    foreign = [row(1, "Чужое", level=8), row(1, "Физика", subject="subject:PHY"), row(1, "Б", class_name="7Б")]
    group = make.group()

    told = [
        [one.topic for one in found.lessons] if (found := topics_of_rows(group, 7, rows)) else None
        for rows in (foreign, [*foreign, *grade], [*foreign, *grade, *of_class], [*grade, *of_class, *own])
    ]

    assert told == [None, ["Параллель", "Вторая"], ["Повторение", "Степень", "Степень"], ["Своё"]]


def test_a_star_in_the_scope_table_means_the_three_kinds_only() -> None:
    starred = Rules(scope=(ScopeRule(create="automatic"),))
    named = Rules(scope=(ScopeRule(create="automatic"), ScopeRule(kind="final", create="approve")))

    assert [starred.scope_for(kind, ["Алгебра"], "7А").is_sent for kind in CHOSEN_KINDS] == [False, False, False]
    assert not set(CHOSEN_KINDS) & starred.sent_kinds
    assert named.sent_kinds & set(CHOSEN_KINDS) == {Kind.FINAL}
    assert named.scope_for(Kind.FINAL, ["Алгебра"], "7А").modes.create == "approve"


def test_a_pass_that_is_neither_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="passes"):
        build_rules({"passes": {"зачёт": "5"}})
