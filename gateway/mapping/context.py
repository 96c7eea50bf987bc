"""What mapping knows of one linked group, and what it asks of a pupil, a lesson and a period whatever the kind.

Pure. The first half of `mapping.mesh`: context in, and the reasons that all kinds share.

Source: design, "What is sent at all"; city-journal.md R5, R6, R13, R14, R17, V4–V7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal

import msgspec

from gateway.domain import reasons
from gateway.domain.city import (
    CityForm,
    CityGroup,
    CityLesson,
    CityPeriod,
    CityPupil,
    CityTopics,
    Intent,
)
from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import Kind
from gateway.domain.records import Attempt, Group
from gateway.domain.school_year import SchoolYear
from gateway.mapping.lessons import Timetable
from gateway.mapping.rules import Modes, Rules

MappedState = Literal["sendable", "out_of_scope", "waiting", "rejected", "held", "cleared"]
"""`cleared`: the source has the record and says by it that nothing should stand in the city; what we put there is to go."""


class GroupContext(msgspec.Struct, frozen=True, kw_only=True):
    """All that mapping needs to know of one linked group.

    Attributes:
        subject: The portal's name of the subject, for the scope table; the city's name counts there as well.
        pupils: Local person ref → city pupil id, linked ones only.
        pupils_waiting: Local person ref → reason why there is no link.
        lessons: The group's lessons over whole periods, cancelled and future ones included.
        lesson_links: Local lesson ref → city lesson id.
        attempts: (activity, pupil ref) → attempts.
        chosen: Mark ref → city lesson id chosen earlier; such a mark is never moved.
        now: Aware UTC.
        late_text: What a pupil's being late is told by in the city.
        city_plans: КТП that stand in the city for this group, as last read.
        book: Index of the lessons; made here, given by nobody.
    """

    group: Group
    city_group: CityGroup
    subject: str
    class_name: str | None
    pupils: Mapping[str, int]
    pupils_waiting: Mapping[str, str]
    city_pupils: Mapping[int, CityPupil]
    lessons: tuple[CityLesson, ...]
    lesson_links: Mapping[str, int]
    periods: tuple[CityPeriod, ...]
    forms: tuple[CityForm, ...]
    attempts: Mapping[tuple[str, str], tuple[Attempt, ...]]
    chosen: Mapping[str, int]
    rules: Rules
    now: datetime
    absence_reason_id: int
    late_text: str = "О"
    city_plans: tuple[CityTopics, ...] = ()
    book: Timetable | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "book", build_timetable(self.city_group, self.lessons, self.periods))

    @property
    def timetable(self) -> Timetable:
        """The index of the lessons."""
        return self.book or build_timetable(self.city_group, self.lessons, self.periods)


class Mapped(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What mapping says of one record.

    Attributes:
        reason: Code from `domain.reasons`; empty when sendable.
        intent: What should stand in the city; also on `held` where it is known.
        on: Moscow day of the lesson, or the day a homework is set.
        due_on: Moscow day from which a held record may go.
        lesson_rule: Which rule chose the lesson; `chosen` = it had been chosen before.
        mode: How each operation may go out, by the scope table; None where the table does not send the record.
    """

    ref: str
    kind: Kind
    state: MappedState
    reason: str
    intent: Intent | None = None
    on: date | None = None
    due_on: date | None = None
    lesson_rule: str | None = None
    mode: Modes | None = None


class Stop(Exception):  # noqa: N818  # not an error: it ends the mapping of one record with its reason
    """Nothing goes to the city for this record, because of `reason`."""

    def __init__(self, state: MappedState, reason: str, *, on: date | None = None, due_on: date | None = None) -> None:
        super().__init__(reason)
        self.state: MappedState = state
        self.reason = reason
        self.on = on
        self.due_on = due_on


class Found(msgspec.Struct, frozen=True):
    """An intent, and why it may not go now (empty reason = it may)."""

    intent: Intent
    on: date
    rule: str | None = None
    held: str = ""
    due_on: date | None = None


def build_timetable(group: CityGroup, lessons: tuple[CityLesson, ...], periods: tuple[CityPeriod, ...]) -> Timetable:
    """Index a group's lessons with the periods of its own schedule (R13: periods differ by grade)."""
    known = (group.schedule_id, SCHOOL_PERIOD)
    own = [one for one in periods if group.schedule_id is None or one.schedule_id in known]
    return Timetable([lesson for lesson in lessons if lesson.group_id == group.id], own)


SCHOOL_PERIOD = 0
"""Id of a period that only the school's calendar knows: it says when, and no object of the city can name it."""


def periods_of_group(
    group: CityGroup, periods: Sequence[CityPeriod], year: SchoolYear | None
) -> tuple[CityPeriod, ...]:
    """Return the periods of a group's own schedule in the city; where that says none, those of the school's calendar.

    By the calendar's are chosen the lesson of a mark and the days of a final mark of the year; they close nothing, and
    a final mark of a period finds no period of the city in them.
    """
    own = tuple(one for one in periods if group.schedule_id is not None and one.schedule_id == group.schedule_id)
    if own or year is None:
        return own
    return tuple(
        CityPeriod(id=SCHOOL_PERIOD, schedule_id=SCHOOL_PERIOD, name=one.name, begins_on=one.from_on, ends_on=one.to_on)
        for one in year.periods_of(group.level)
    )


def linked_pupil(ref: str, context: GroupContext) -> CityPupil:
    """Return the city's pupil of the confirmed link, and of nothing else."""
    if ref in context.pupils_waiting:
        raise Stop("waiting", context.pupils_waiting[ref])
    if ref not in context.pupils:
        raise Stop("waiting", reasons.NOT_LINKED)
    pupil = context.city_pupils.get(context.pupils[ref])
    if pupil is None:  # linked, and no longer among the school's pupils in the city
        raise Stop("rejected", reasons.NOT_IN_GROUP)
    return pupil


def require_member(pupil: CityPupil, group: CityGroup, on: date) -> None:
    if not is_member(pupil, group, on):
        raise Stop("rejected", reasons.NOT_IN_GROUP, on=on)


def is_member(pupil: CityPupil, group: CityGroup, on: date) -> bool:
    """Say whether the city has the pupil in the group on that day (R5, R6, V4).

    Dated memberships decide; a list of the group without dates counts where the pupil has no membership of that group,
    and his class only where the city lists no members at all.
    """
    own = [one for one in pupil.memberships if one.group_id == group.id]
    if own:
        return any(
            (one.begins_on is None or one.begins_on <= on) and (one.ends_on is None or on <= one.ends_on) for one in own
        )
    if group.pupil_ids:
        return pupil.id in group.pupil_ids
    return not pupil.memberships and not group.is_subgroup and pupil.class_id in group.class_ids


def teacher_of(lesson: CityLesson | None, group: CityGroup, on: date) -> int:
    """Return who may write on the lesson: the replacement, else its teacher, else the group's only one (R17, V5)."""
    if lesson is not None:
        teacher_id = lesson.replacement_teacher_id or lesson.teacher_id
        if teacher_id is not None:
            return teacher_id
    if len(group.teacher_ids) == 1:
        return group.teacher_ids[0]
    raise Stop("rejected", reasons.NO_TEACHER, on=on)


def why_held(lesson: CityLesson, on: date, context: GroupContext) -> tuple[str, date | None]:
    if lesson.is_cancelled:
        return reasons.LESSON_CANCELLED, None
    if lesson.starts_at > context.now:
        return reasons.LESSON_NOT_YET, on
    return window_reason(on, context), None


def window_reason(on: date, context: GroupContext) -> str:
    """Say why the period of a day takes no writes; our own lock, because the city may not refuse at all (R14)."""
    period = context.timetable.find_period(on)
    if period is None:
        return ""
    if period.is_closed:
        return reasons.WINDOW_CLOSED
    if period.edit_until_on is not None and moscow_day(context.now) > period.edit_until_on:
        return reasons.WINDOW_EDIT_OVER
    return ""
