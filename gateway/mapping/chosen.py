"""What should stand in the city for the kinds that a school chooses by name: remarks, final marks, lesson plans.

Pure; the other half of `mapping.mesh`, which asks it by kind. A final mark is a teacher's word and is never derived: a
running total of the portal waits until its period is nearly over. A lesson plan goes into the КТП that stands in the
city, because the city has no call that makes one.

Source: city-journal.md R9, R12, R13, R16, V9, §1.5 «Final marks», «КТП», «Absences» (late, remark).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec

from gateway.domain import reasons
from gateway.domain.city import (
    CityPeriod,
    CityTopics,
    CommentIntent,
    FinalIntent,
    TopicsIntent,
)
from gateway.domain.clock import moscow_day
from gateway.domain.records import Final, Group, Lesson, LessonComment, LessonPlan, PlannedLesson, Topics
from gateway.mapping.atoms import canonical_text
from gateway.mapping.context import (
    SCHOOL_PERIOD,
    Found,
    GroupContext,
    Stop,
    linked_pupil,
    require_member,
    teacher_of,
    why_held,
    window_reason,
)
from gateway.mapping.normalise import class_key, normal_text
from gateway.mapping.values import final_value

PARTS_COUNT = {"четверть": 4, "триместр": 3, "полугодие": 2}
"""How many parts a year has that is divided so."""
_SAID = re.compile(r"(?P<number>\d{1,2})(?: период| (?P<part>четверть|триместр|полугодие))?")
FIRST_MODULE = "Раздел 1"
"""Name of the section of a plan that names none: the city has no topic outside a section."""


def map_comment(comment: LessonComment, context: GroupContext) -> Found:
    """Say what remark stands at which lesson.

    Raises:
        Stop: With the reason why none does.
    """
    text = context.late_text if comment.form == "late" else canonical_text(comment.text)
    pupil = linked_pupil(comment.pupil, context)
    lesson = context.timetable.by_id.get(context.lesson_links.get(comment.lesson, 0))
    if lesson is None:
        raise Stop("waiting", reasons.LESSON_NOT_LINKED)
    on = context.timetable.day_of[lesson.id]
    if not text:
        raise Stop("rejected", reasons.VALIDATION_LOCAL, on=on)
    require_member(pupil, context.city_group, on)
    intent = CommentIntent(
        pupil_id=pupil.id,
        lesson_id=lesson.id,
        group_id=context.city_group.id,
        subject_id=context.city_group.subject_id,
        teacher_id=teacher_of(lesson, context.city_group, on),
        on=on,
        form=comment.form,
        text=text,
    )
    held, due_on = why_held(lesson, on, context)
    return Found(intent, on, None, held, due_on)


def map_final(final: Final, context: GroupContext) -> Found:
    """Say what final mark stands in which period of the group's own schedule.

    Raises:
        Stop: With the reason why none does.
        RecordError: The value can't be expressed on the kind's axis.
    """
    if final.is_hidden:
        raise Stop("out_of_scope", reasons.HIDDEN_AT_SOURCE)
    pupil = linked_pupil(final.pupil, context)
    period = _period_of(final, context)
    on = period.ends_on
    today = moscow_day(context.now)
    require_member(pupil, context.city_group, min(on, today))
    intent = FinalIntent(
        pupil_id=pupil.id,
        group_id=context.city_group.id,
        subject_id=context.city_group.subject_id,
        teacher_id=_leading_teacher(context, min(on, today)),
        on=on,
        form=final.form,
        period_id=period.id if final.form == "period" else 0,
        value=final_value(final, context.rules, on),
        grade_system="approve" if final.form == "intermediate" else "five",
    )
    due_on = on - timedelta(days=context.rules.finals_before_days)
    if today < due_on:
        return Found(intent, on, None, reasons.PERIOD_NOT_OVER, due_on)
    return Found(intent, on, None, window_reason(on, context))


def _period_of(final: Final, context: GroupContext) -> CityPeriod:
    found = find_period(final, context.timetable.periods)
    if found is None or (found.id == SCHOOL_PERIOD and final.form == "period"):
        raise Stop("rejected", reasons.NO_PERIOD)
    return found


def find_period(final: Final, schedule: Sequence[CityPeriod]) -> CityPeriod | None:
    """Return the period a final mark belongs to; the year's last one for those of the whole year.

    By its number, by the city's own name of it, or as people say it («2 триместр»), then only where the schedule has as many
    parts as such a year has: the second half-year is no quarter.

    Args:
        final: The mark.
        schedule: Periods of the group's own schedule only: the id of another schedule's period was a real incident
            (city-journal.md §6).
    """
    periods = parts_of_year(schedule)
    if not periods:
        return None
    if final.form != "period":
        return periods[-1]
    wanted = normal_text(final.period or "")
    by_name = [one for one in periods if normal_text(one.name) == wanted]
    if len(by_name) == 1:
        return by_name[0]
    said = _SAID.fullmatch(wanted)
    if said is None or (said["part"] and len(periods) != PARTS_COUNT[said["part"]]):
        return None
    number = int(said["number"])
    return periods[number - 1] if 1 <= number <= len(periods) else None


def parts_of_year(periods: Sequence[CityPeriod]) -> list[CityPeriod]:
    """Return the periods in order, without one that others are parts of: a year may be listed beside its quarters."""
    ordered = sorted(periods, key=lambda one: (one.begins_on, one.ends_on, one.id))
    return [
        one
        for one in ordered
        if not any(
            other.id != one.id and one.begins_on <= other.begins_on and other.ends_on < one.ends_on for other in ordered
        )
    ]


def _leading_teacher(context: GroupContext, on: date) -> int:
    """Return who leads the group: its only teacher, else the one of its last lesson up to that day (V5)."""
    if len(context.city_group.teacher_ids) == 1:
        return context.city_group.teacher_ids[0]
    held = [
        lesson
        for lesson in context.timetable.by_id.values()
        if not lesson.is_cancelled and lesson.teacher_id is not None and context.timetable.day_of[lesson.id] <= on
    ]
    last = max(held, key=lambda one: (one.starts_at, one.id), default=None)
    if last is None or last.teacher_id is None:
        raise Stop("rejected", reasons.NO_TEACHER, on=on)
    return last.teacher_id


def map_topics(plan: Topics, context: GroupContext) -> Found:
    """Say which topics stand in the group's КТП.

    Raises:
        Stop: With the reason why none do.
    """
    there = find_city_plan(context.city_plans, context.city_group.id)
    if there is None:
        raise Stop("rejected", reasons.NO_LESSON_PLAN)
    lessons = _with_modules(plan.lessons)
    if not lessons or not all(one.topic for one in lessons):
        raise Stop("rejected", reasons.LESSON_WITHOUT_TOPIC)
    periods = parts_of_year(context.timetable.periods)
    on = periods[0].begins_on if periods else moscow_day(context.now)
    intent = TopicsIntent(
        plan_id=there.id,
        calendar_id=there.calendar_id,
        group_id=context.city_group.id,
        subject_id=context.city_group.subject_id,
        teacher_id=_leading_teacher(context, date.max),
        on=on,
        name=there.name,
        lessons=lessons,
    )
    return Found(intent, on)


def find_city_plan(plans: Sequence[CityTopics], group_id: int) -> CityTopics | None:
    """Return the one КТП that is the group's alone; None where there is none, several, or one that others share."""
    own = [one for one in plans if one.group_id == group_id]
    return own[0] if len(own) == 1 and not own[0].is_shared else None


def _with_modules(lessons: Sequence[PlannedLesson]) -> tuple[PlannedLesson, ...]:
    module = FIRST_MODULE
    told: list[PlannedLesson] = []
    for lesson in lessons:
        module = canonical_text(lesson.module) or module
        told.append(msgspec.structs.replace(lesson, module=module, topic=canonical_text(lesson.topic)))
    return tuple(told)


def topics_of_rows(group: Group, level: int, rows: Sequence[LessonPlan]) -> Topics | None:
    """Build what a group is taught out of the rows of a lesson plan (КТП), a row of two hours twice.

    Args:
        level: The city's grade of the group, for plans that are a whole grade's.
        rows: Rows of any plans; the narrowest plan of the group's subject counts: its own, its class's, its grade's.

    Returns:
        None where no plan speaks of the group.
    """
    own = [row for row in rows if row.group == group.ref]
    named = [row for row in rows if row.group is None and row.subject == group.subject]
    of_class = [row for row in named if row.class_name is not None and class_key(row.class_name) == group_key(group)]
    of_level = [row for row in named if row.class_name is None and row.level == level]
    chosen = own or of_class or of_level
    if not chosen:
        return None
    lessons: list[PlannedLesson] = []
    for row in sorted(chosen, key=lambda one: (one.number, one.ref)):
        lesson = PlannedLesson(
            topic=row.topic, module=row.section or "", has_homework=bool(row.homework), has_test=row.control > 0
        )
        lessons += [lesson] * max(1, round(row.hours))
    return Topics(
        ref=f"topics:{group.ref}",
        origins={"*": "lesson_plan"},
        group=group.ref,
        name=group.name,
        lessons=tuple(lessons),
    )


def group_key(group: Group) -> str | None:
    """The comparable form of the class a group is of; None where it is of no single one."""
    return class_key(group.class_name) if group.class_name else None


def topics_of_lessons(group: Group, lessons: Sequence[Lesson], context: GroupContext) -> Topics | None:
    """Build the lesson plan of a group that has none at school, out of the topics its lessons have.

    What is not known here stays as it stands in the city: lessons to come, sections, flags.

    Returns:
        None where no lesson of the group has a topic; an empty topic where neither side knows one in the middle.
    """
    places = _places_of_lessons(context)
    topics: Mapping[int, str] = {
        place: canonical_text(lesson.topic)
        for lesson in lessons
        if lesson.topic and (place := places.get(context.lesson_links.get(lesson.ref, 0))) is not None
    }
    if not topics:
        return None
    there = find_city_plan(context.city_plans, context.city_group.id)
    standing = there.lessons if there is not None else ()
    told: list[PlannedLesson] = []
    for place in range(max(len(standing), max(topics) + 1)):
        known = standing[place] if place < len(standing) else PlannedLesson(topic="")
        told.append(msgspec.structs.replace(known, topic=topics.get(place) or known.topic))
    return Topics(
        ref=f"topics:{group.ref}", origins={"*": "lessons"}, group=group.ref, name=group.name, lessons=tuple(told)
    )


def _places_of_lessons(context: GroupContext) -> dict[int, int]:
    """City lesson id → its place among those that are held: the n-th entry of a plan is the n-th of them (R16)."""
    held = [lesson for lesson in context.timetable.by_id.values() if not lesson.is_cancelled]
    ordered = sorted(held, key=lambda one: (one.starts_at, one.number, one.id))
    return {lesson.id: place for place, lesson in enumerate(ordered)}


__all__ = [
    "find_city_plan",
    "find_period",
    "map_comment",
    "map_final",
    "map_topics",
    "parts_of_year",
    "topics_of_lessons",
    "topics_of_rows",
]
