"""What should stand in the city's journal for one record of the school, or why nothing should.

Pure: everything that is known of the group comes in a `GroupContext`. After correlation, before comparison. A record
that can't go carries its reason; one that may not go *now* (`held`) carries its intent as well where it is known, so that
what is already delivered can still be seen as unchanged.

Source: design, "What is sent at all", "What identifies a mark"; city-journal.md R4–R7, R14, R17, V4–V7.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

import msgspec

from gateway.domain import reasons
from gateway.domain.city import (
    AbsenceIntent,
    CityForm,
    CityGroup,
    CityLesson,
    CityPeriod,
    CityPupil,
    HomeworkIntent,
    Intent,
    MarkIntent,
    education_level,
)
from gateway.domain.clock import moscow_day
from gateway.domain.errors import RecordError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Absence, Attempt, Group, Homework, Mark
from gateway.mapping.atoms import (
    atom_digest,
    atom_of_city,
    atom_of_intent,
    canonical_text,
    object_key_of,
)
from gateway.mapping.lessons import Chosen, NoLesson, NotYet, Timetable, choose_in
from gateway.mapping.normalise import normal_text
from gateway.mapping.rules import ItemRule, Modes, Rules
from gateway.mapping.values import city_value

MappedState = Literal["sendable", "out_of_scope", "waiting", "rejected", "held"]


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
    book: Timetable | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "book", build_timetable(self.city_group, self.lessons, self.periods))

    @property
    def timetable(self) -> Timetable:
        """The index of the lessons."""
        return self.book or build_timetable(self.city_group, self.lessons, self.periods)


class Mapped(msgspec.Struct, frozen=True, kw_only=True):
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


class _Stop(Exception):  # noqa: N818  # not an error: it ends the mapping of one record with its reason
    def __init__(self, state: MappedState, reason: str, *, on: date | None = None, due_on: date | None = None) -> None:
        super().__init__(reason)
        self.state: MappedState = state
        self.reason = reason
        self.on = on
        self.due_on = due_on


class _Found(msgspec.Struct, frozen=True):
    """An intent, and why it may not go now (empty reason = it may)."""

    intent: Intent
    on: date
    rule: str | None = None
    held: str = ""
    due_on: date | None = None


def build_timetable(group: CityGroup, lessons: tuple[CityLesson, ...], periods: tuple[CityPeriod, ...]) -> Timetable:
    """Index a group's lessons with the periods of its own schedule (R13: periods differ by grade)."""
    own = [one for one in periods if group.schedule_id is None or one.schedule_id == group.schedule_id]
    return Timetable([lesson for lesson in lessons if lesson.group_id == group.id], own)


def map_record(record: Mark | Absence | Homework, context: GroupContext) -> Mapped:
    """Say what should stand in the city for a record, or why nothing should. Never raises for one bad record."""
    modes: Modes | None = None
    try:
        modes = _modes_of(record, context)
        match record:
            case Mark():
                found = _map_mark(record, context)
            case Absence():
                found = _map_absence(record, context)
            case Homework():
                found = _map_homework(record, context)
    except _Stop as stop:
        return Mapped(
            ref=record.ref,
            kind=record.kind,
            state=stop.state,
            reason=stop.reason,
            on=stop.on,
            due_on=stop.due_on,
            mode=modes,
        )
    except RecordError as exc:
        return Mapped(ref=record.ref, kind=record.kind, state="rejected", reason=exc.reason_code, mode=modes)
    return Mapped(
        ref=record.ref,
        kind=record.kind,
        state="held" if found.held else "sendable",
        reason=found.held,
        intent=found.intent,
        on=found.on,
        due_on=found.due_on,
        lesson_rule=found.rule,
        mode=modes,
    )


def _modes_of(record: Mark | Absence | Homework, context: GroupContext) -> Modes:
    class_name = context.class_name
    if class_name is None and not isinstance(record, Homework):
        # A metagroup is of no single class: there the pupil's own class says what is sent of him.
        pupil = context.city_pupils.get(context.pupils.get(record.pupil, 0))
        class_name = pupil.class_name if pupil else None
    subjects = (context.subject, context.city_group.subject_name)
    decision = context.rules.scope_for(record.kind, subjects, class_name)
    if not decision.is_sent:
        raise _Stop("out_of_scope", reasons.OUT_OF_SCOPE)
    if not isinstance(record, Mark):
        return decision.modes
    value = context.rules.field("mark.value")
    if value.owner == "city":
        raise _Stop("out_of_scope", reasons.OUT_OF_SCOPE)
    if value.strength == "only_if_empty":
        return Modes(decision.modes.create, "off", decision.modes.delete)
    return decision.modes


def _map_mark(mark: Mark, context: GroupContext) -> _Found:
    if mark.is_hidden:
        raise _Stop("out_of_scope", reasons.HIDDEN_AT_SOURCE)
    item_rule = context.rules.find_item_rule(mark)
    if item_rule is None:
        raise _Stop("rejected", reasons.NO_CONTROL_FORM)
    if not item_rule.send:
        raise _Stop("out_of_scope", reasons.OUT_OF_SCOPE)
    attempts = context.attempts.get((mark.activity or "", mark.pupil), ())
    if attempts and not mark.is_overridden and all(one.state == "unfinished" for one in attempts):
        raise _Stop("out_of_scope", reasons.ATTEMPT_UNFINISHED)
    pupil = _linked_pupil(mark.pupil, context)
    lesson, rule = _lesson_of_mark(mark, item_rule, attempts, context)
    on = context.timetable.day_of[lesson.id]
    _require_member(pupil, context.city_group, on)
    form = _find_form(item_rule, context)
    if form is None:
        raise _Stop("rejected", reasons.NO_CONTROL_FORM, on=on)
    weight = form.weight
    if item_rule.weight is not None and context.rules.field("mark.weight").owner == "school":
        weight = item_rule.weight
    intent = MarkIntent(
        pupil_id=pupil.id,
        lesson_id=lesson.id,
        group_id=context.city_group.id,
        subject_id=context.city_group.subject_id,
        teacher_id=_teacher_of(lesson, context.city_group, on),
        on=on,
        value=city_value(mark, form, context.rules, on),
        weight=weight,
        form_id=form.id,
        grade_system_id=form.grade_system_id,
    )
    held, due_on = _why_held(lesson, on, context)
    return _Found(intent, on, rule, held, due_on)


def _lesson_of_mark(
    mark: Mark, item_rule: ItemRule, attempts: tuple[Attempt, ...], context: GroupContext
) -> tuple[CityLesson, str]:
    if mark.ref in context.chosen:
        lesson = context.timetable.by_id.get(context.chosen[mark.ref])
        if lesson is None:  # the timetable was republished: finding its new id is a person's decision, not a new choice
            raise _Stop("waiting", reasons.LESSON_NOT_LINKED)
        return lesson, "chosen"
    match choose_in(context.timetable, mark, attempts=attempts, lesson_date=item_rule.lesson, now=context.now):
        case Chosen(lesson=lesson, rule=rule):
            return lesson, rule
        case NotYet(due_on=due_on):
            raise _Stop("held", reasons.LESSON_NOT_YET, due_on=due_on)
        case NoLesson(reason=reason):
            raise _Stop("rejected", reason)


def _map_absence(absence: Absence, context: GroupContext) -> _Found:
    if absence.form == "late":
        raise _Stop("out_of_scope", reasons.LATE_NOT_SENT)
    pupil = _linked_pupil(absence.pupil, context)
    lesson = context.timetable.by_id.get(context.lesson_links.get(absence.lesson, 0))
    if lesson is None:
        raise _Stop("waiting", reasons.LESSON_NOT_LINKED)
    on = context.timetable.day_of[lesson.id]
    _require_member(pupil, context.city_group, on)
    intent = AbsenceIntent(
        pupil_id=pupil.id,
        lesson_id=lesson.id,
        group_id=context.city_group.id,
        teacher_id=_teacher_of(lesson, context.city_group, on),
        on=on,
        reason_id=context.absence_reason_id,
    )
    held, due_on = _why_held(lesson, on, context)
    return _Found(intent, on, None, held, due_on)


def _map_homework(homework: Homework, context: GroupContext) -> _Found:
    on = homework.assigned_on
    text = _homework_text(homework)
    if homework.prepared_for < on or not text:  # V11: the city refuses it
        raise _Stop("rejected", reasons.VALIDATION_LOCAL, on=on)
    linked = [
        context.city_pupils.get(context.pupils[ref])
        for ref in (homework.pupils or context.pupils)
        if ref in context.pupils
    ]
    pupil_ids = sorted({one.id for one in linked if one is not None and _is_member(one, context.city_group, on)})
    if not pupil_ids:
        raise _Stop("waiting", reasons.NOT_LINKED, on=on)
    intent = HomeworkIntent(
        group_id=context.city_group.id,
        subject_id=context.city_group.subject_id,
        teacher_id=_teacher_of(context.timetable.find_on(on), context.city_group, on),
        assigned_on=on,
        prepared_for=homework.prepared_for,
        text=text,
        pupil_ids=tuple(pupil_ids),
    )
    if on > moscow_day(context.now):  # not yet shown to the pupils at the portal
        return _Found(intent, on, None, reasons.LESSON_NOT_YET, on)
    return _Found(intent, on, None, _window(on, context))


def _homework_text(homework: Homework) -> str:
    title, text = canonical_text(homework.title), canonical_text(homework.text)
    if not text or normal_text(title) == normal_text(text):
        return title
    return f"{title}\n{text}" if title else text


def _linked_pupil(ref: str, context: GroupContext) -> CityPupil:
    """Return the city's pupil of the confirmed link, and of nothing else."""
    if ref in context.pupils_waiting:
        raise _Stop("waiting", context.pupils_waiting[ref])
    if ref not in context.pupils:
        raise _Stop("waiting", reasons.NOT_LINKED)
    pupil = context.city_pupils.get(context.pupils[ref])
    if pupil is None:  # linked, and no longer among the school's pupils in the city
        raise _Stop("rejected", reasons.NOT_IN_GROUP)
    return pupil


def _require_member(pupil: CityPupil, group: CityGroup, on: date) -> None:
    if not _is_member(pupil, group, on):
        raise _Stop("rejected", reasons.NOT_IN_GROUP, on=on)


def _is_member(pupil: CityPupil, group: CityGroup, on: date) -> bool:
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


def _teacher_of(lesson: CityLesson | None, group: CityGroup, on: date) -> int:
    """Return who may write on the lesson: the replacement, else its teacher, else the group's only one (R17, V5)."""
    if lesson is not None:
        teacher_id = lesson.replacement_teacher_id or lesson.teacher_id
        if teacher_id is not None:
            return teacher_id
    if len(group.teacher_ids) == 1:
        return group.teacher_ids[0]
    raise _Stop("rejected", reasons.NO_TEACHER, on=on)


def _find_form(rule: ItemRule, context: GroupContext) -> CityForm | None:
    """Return the one control form of that name for the group's subject and level (R4), or None; never a guess.

    Of several of one name the five-point one counts, as ordinary marks are five-point.
    """
    group = context.city_group
    name = normal_text(context.rules.form_name(rule))
    named = [
        form
        for form in context.forms
        if normal_text(form.name) == name
        and not form.is_deleted
        and form.subject_id == group.subject_id
        and form.level == education_level(group.level)
    ]
    if len(named) > 1:
        named = [form for form in named if form.grade_system == "five"]
    return named[0] if len(named) == 1 else None


def _why_held(lesson: CityLesson, on: date, context: GroupContext) -> tuple[str, date | None]:
    if lesson.is_cancelled:
        return reasons.LESSON_CANCELLED, None
    if lesson.starts_at > context.now:
        return reasons.LESSON_NOT_YET, on
    return _window(on, context), None


def _window(on: date, context: GroupContext) -> str:
    """Say why the period of a day takes no writes; our own lock, because the city may not refuse at all (R14)."""
    period = context.timetable.find_period(on)
    if period is None:
        return ""
    if period.is_closed:
        return reasons.WINDOW_CLOSED
    if period.edit_until_on is not None and moscow_day(context.now) > period.edit_until_on:
        return reasons.WINDOW_EDIT_OVER
    return ""


__all__ = [
    "GroupContext",
    "Mapped",
    "MappedState",
    "Modes",
    "atom_digest",
    "atom_of_city",
    "atom_of_intent",
    "build_timetable",
    "map_record",
    "object_key_of",
]
