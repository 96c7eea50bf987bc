"""Laws of mapping one record: the linked pupil and nobody else, a lesson of his group that has begun, or a reason."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.city import (
    CityForm,
    CityGroup,
    CityLesson,
    CityMembership,
    CityPeriod,
    CityPupil,
    HomeworkIntent,
    MarkIntent,
)
from gateway.domain.clock import moscow_day
from gateway.domain.reasons import REASONS
from gateway.domain.records import Absence, Group, Homework, Mark, Scale
from gateway.mapping.lessons import Chosen, NotYet, choose_lesson
from gateway.mapping.mesh import GroupContext, map_record
from gateway.mapping.normalise import class_key, name_part_key, normal_text
from gateway.mapping.rules import everything_on, load_rules

FIRST_ON = date(2026, 11, 2)
DAYS = st.integers(0, 27).map(lambda shift: FIRST_ON + timedelta(days=shift))
MOMENTS = st.integers(0, 30 * 24 * 4).map(
    lambda quarters: datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=15 * quarters)
)
REFS = ["user:1", "user:2", "user:3"]
RULES = everything_on(load_rules(None))
PERIODS = (
    CityPeriod(id=1, schedule_id=1, name="1", begins_on=date(2026, 11, 2), ends_on=date(2026, 11, 12)),
    CityPeriod(id=2, schedule_id=1, name="2", begins_on=date(2026, 11, 16), ends_on=date(2026, 11, 29)),
)


def lessons() -> st.SearchStrategy[tuple[CityLesson, ...]]:
    return st.lists(st.tuples(MOMENTS, st.booleans(), st.sampled_from([900, None])), max_size=8).map(
        lambda rows: tuple(
            CityLesson(
                id=at,
                group_id=7,
                subject_id=70,
                starts_at=moment,
                duration_min=45,
                number=1,
                teacher_id=teacher,
                is_cancelled=is_cancelled,
            )
            for at, (moment, is_cancelled, teacher) in enumerate(rows, start=100)
        )
    )


def mark(pupil: str, day: date, points: float = 4.0) -> Mark:
    return Mark(
        ref=f"cell:5/{pupil}",
        pupil=pupil,
        programme="course:2",
        group="group:1",
        item="item:5",
        item_name=f"Урок {day:%d.%m.%Y}",
        item_form="manual",
        scale=Scale("points", 0, 5),
        raw_points=points,
    )


@st.composite
def contexts(draw: st.DrawFn) -> GroupContext:
    links = draw(st.dictionaries(st.sampled_from(REFS), st.integers(40, 43), max_size=3))
    known = draw(st.sets(st.integers(40, 43)))
    members = {
        pupil_id: CityPupil(
            id=pupil_id,
            person_id=f"p-{pupil_id}",
            last_name=None,
            first_name=None,
            middle_name=None,
            birth_on=None,
            class_id=1,
            class_name="7А",
            is_active=True,
            memberships=(CityMembership(group_id=7, begins_on=draw(st.one_of(st.none(), DAYS))),),
        )
        for pupil_id in known
    }
    timetable = draw(lessons())
    return GroupContext(
        group=Group(ref="group:1", programme="course:2", subject="s:1", name="7А", class_name="7А"),
        city_group=CityGroup(
            id=7,
            name="7А — Алгебра",
            subject_id=70,
            subject_name="Алгебра",
            class_ids=(1,),
            class_name="7А",
            level=7,
            schedule_id=1,
            teacher_ids=tuple(draw(st.lists(st.sampled_from([900, 901]), max_size=2, unique=True))),
        ),
        subject="Алгебра",
        class_name="7А",
        pupils=links,
        pupils_waiting=draw(st.dictionaries(st.sampled_from(REFS), st.just("AMBIGUOUS_LINK"), max_size=1)),
        city_pupils=members,
        lessons=timetable,
        lesson_links={f"session:{one.id}": one.id for one in timetable},
        periods=PERIODS,
        forms=(
            CityForm(
                id=21,
                name="Работа на уроке",
                weight=1,
                grade_system_id=31,
                grade_system="five",
                subject_id=70,
                level=2,
            ),
        ),
        attempts={},
        chosen={},
        rules=RULES,
        now=draw(MOMENTS),
        absence_reason_id=2,
    )


@given(contexts(), st.sampled_from(REFS), DAYS, st.sampled_from([0.0, 1.5, 4.5, 5.0]))
def test_a_mark_lands_on_the_linked_pupil_and_on_a_begun_lesson_or_has_a_reason(
    context: GroupContext, pupil: str, day: date, points: float
) -> None:
    mapped = map_record(mark(pupil, day, points), context)

    assert (mapped.state == "sendable") == (mapped.reason == "")
    assert mapped.reason == "" or REASONS[mapped.reason].category == mapped.state
    if mapped.intent is None:
        return
    assert isinstance(mapped.intent, MarkIntent)
    assert mapped.intent.pupil_id == context.pupils[pupil]
    assert pupil not in context.pupils_waiting
    lesson = next(one for one in context.lessons if one.id == mapped.intent.lesson_id)
    assert lesson.starts_at <= context.now
    assert not lesson.is_cancelled
    assert moscow_day(lesson.starts_at) == mapped.on == mapped.intent.on


@given(contexts(), st.sampled_from(REFS), st.integers(100, 108))
def test_an_absence_is_sent_for_the_linked_pupil_on_the_linked_lesson_only(
    context: GroupContext, pupil: str, lesson_id: int
) -> None:
    absence = Absence(ref="a", pupil=pupil, lesson=f"session:{lesson_id}", group="group:1", form="absent")

    mapped = map_record(absence, context)

    if mapped.state == "sendable":
        assert mapped.intent is not None
        assert mapped.intent.object_key == f"absence/{context.pupils[pupil]}/{lesson_id}"


@given(contexts(), DAYS, st.lists(st.sampled_from(REFS)))
def test_homework_reaches_linked_pupils_only(context: GroupContext, day: date, pupils: list[str]) -> None:
    homework = Homework(
        ref="h",
        group="group:1",
        programme="course:2",
        title="ДЗ",
        text="",
        assigned_on=day,
        prepared_for=day,
        pupils=tuple(pupils),
    )

    mapped = map_record(homework, context)

    if mapped.intent is not None:
        assert isinstance(mapped.intent, HomeworkIntent)
        allowed = {context.pupils[ref] for ref in (pupils or REFS) if ref in context.pupils}
        assert set(mapped.intent.pupil_ids) <= allowed
        assert list(mapped.intent.pupil_ids) == sorted(set(mapped.intent.pupil_ids))


@given(lessons(), DAYS, MOMENTS, st.integers(0, 60))
def test_the_lesson_of_a_mark_stays_in_its_period_and_does_not_depend_on_the_day_of_asking(
    timetable: tuple[CityLesson, ...], day: date, now: datetime, later: int
) -> None:
    def choose(moment: datetime) -> object:
        return choose_lesson(
            mark("user:1", day), lessons=timetable, periods=PERIODS, attempts=(), rules=RULES, now=moment
        )

    first, second = choose(now), choose(now + timedelta(days=later))

    if isinstance(first, Chosen):
        assert second == first
        assert first.lesson.starts_at <= now
        assert first.on == day or any(
            period.begins_on <= min(day, first.on) and max(day, first.on) <= period.ends_on for period in PERIODS
        )
    elif not isinstance(first, NotYet):
        assert second == first


@given(lessons(), DAYS, MOMENTS, st.data())
def test_the_order_of_lessons_and_periods_changes_no_choice(
    timetable: tuple[CityLesson, ...], day: date, now: datetime, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(timetable))

    assert choose_lesson(
        mark("user:1", day), lessons=shuffled, periods=PERIODS[::-1], attempts=(), rules=RULES, now=now
    ) == choose_lesson(mark("user:1", day), lessons=timetable, periods=PERIODS, attempts=(), rules=RULES, now=now)


@given(st.text())
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    part, name = name_part_key(text), class_key(text)

    assert normal_text(normal_text(text)) == normal_text(text)
    assert part is None or name_part_key(part) == part
    assert name is None or class_key(name) == name
