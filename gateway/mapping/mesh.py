"""What should stand in the city's journal for one record of the school, or why nothing should.

Pure: everything that is known of the group comes in a `GroupContext`. After correlation, before comparison. A record
that can't go carries its reason; one that may not go *now* (`held`) carries its intent as well where it is known, so that
what is already delivered can still be seen as unchanged.

Source: design, "What is sent at all", "What identifies a mark"; city-journal.md R4–R7, R14, R17, V4–V7.
"""

from __future__ import annotations

from typing import assert_never

from gateway.domain import reasons
from gateway.domain.city import (
    AbsenceIntent,
    CityForm,
    CityLesson,
    HomeworkIntent,
    MarkIntent,
    education_level,
)
from gateway.domain.clock import moscow_day
from gateway.domain.errors import RecordError
from gateway.domain.records import Absence, Attempt, Final, Homework, LessonComment, Mark, Topics
from gateway.mapping.atoms import (
    atom_digest,
    atom_of_city,
    atom_of_intent,
    canonical_text,
    object_key_of,
)
from gateway.mapping.chosen import map_comment, map_final, map_topics
from gateway.mapping.context import (
    Found,
    GroupContext,
    Mapped,
    MappedState,
    Stop,
    build_timetable,
    is_member,
    linked_pupil,
    require_member,
    teacher_of,
    why_held,
    window_reason,
)
from gateway.mapping.lessons import Chosen, NoLesson, NotYet, choose_in
from gateway.mapping.normalise import normal_text
from gateway.mapping.rules import ItemRule, Modes
from gateway.mapping.values import city_value

Sent = Mark | Absence | Homework | LessonComment | Final | Topics
"""Records that may have a counterpart in the city's journal."""


def map_record(record: Sent, context: GroupContext) -> Mapped:
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
            case LessonComment():
                found = map_comment(record, context)
            case Final():
                found = map_final(record, context)
            case Topics():
                found = map_topics(record, context)
            case _:
                assert_never(record)
    except Stop as stop:
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


def _modes_of(record: Sent, context: GroupContext) -> Modes:
    class_name = context.class_name
    if class_name is None and not isinstance(record, Homework | Topics):
        # A metagroup is of no single class: there the pupil's own class says what is sent of him.
        pupil = context.city_pupils.get(context.pupils.get(record.pupil, 0))
        class_name = pupil.class_name if pupil else None
    subjects = (context.subject, context.city_group.subject_name)
    decision = context.rules.scope_for(record.kind, subjects, class_name)
    if not decision.is_sent:
        raise Stop("out_of_scope", reasons.OUT_OF_SCOPE)
    if not isinstance(record, Mark):
        return decision.modes
    value = context.rules.field("mark.value")
    if value.owner == "city":
        raise Stop("out_of_scope", reasons.OUT_OF_SCOPE)
    if value.strength == "only_if_empty":
        return Modes(decision.modes.create, "off", decision.modes.delete)
    return decision.modes


def _map_mark(mark: Mark, context: GroupContext) -> Found:
    if mark.is_hidden:
        raise Stop("out_of_scope", reasons.HIDDEN_AT_SOURCE)
    item_rule = context.rules.find_item_rule(mark)
    if item_rule is None:
        raise Stop("rejected", reasons.NO_CONTROL_FORM)
    if not item_rule.send:
        raise Stop("out_of_scope", reasons.OUT_OF_SCOPE)
    attempts = context.attempts.get((mark.activity or "", mark.pupil), ())
    if attempts and not mark.is_overridden and all(one.state == "unfinished" for one in attempts):
        raise Stop("out_of_scope", reasons.ATTEMPT_UNFINISHED)
    pupil = linked_pupil(mark.pupil, context)
    lesson, rule = _lesson_of_mark(mark, item_rule, attempts, context)
    on = context.timetable.day_of[lesson.id]
    require_member(pupil, context.city_group, on)
    form = _find_form(item_rule, context)
    if form is None:
        raise Stop("rejected", reasons.NO_CONTROL_FORM, on=on)
    weight = form.weight
    if item_rule.weight is not None and context.rules.field("mark.weight").owner == "school":
        weight = item_rule.weight
    intent = MarkIntent(
        pupil_id=pupil.id,
        lesson_id=lesson.id,
        group_id=context.city_group.id,
        subject_id=context.city_group.subject_id,
        teacher_id=teacher_of(lesson, context.city_group, on),
        on=on,
        value=city_value(mark, form, context.rules, on),
        weight=weight,
        form_id=form.id,
        grade_system_id=form.grade_system_id,
    )
    held, due_on = why_held(lesson, on, context)
    return Found(intent, on, rule, held, due_on)


def _lesson_of_mark(
    mark: Mark, item_rule: ItemRule, attempts: tuple[Attempt, ...], context: GroupContext
) -> tuple[CityLesson, str]:
    if mark.ref in context.chosen:
        lesson = context.timetable.by_id.get(context.chosen[mark.ref])
        if lesson is None:  # the timetable was republished: finding its new id is a person's decision, not a new choice
            raise Stop("waiting", reasons.LESSON_NOT_LINKED)
        return lesson, "chosen"
    match choose_in(context.timetable, mark, attempts=attempts, lesson_date=item_rule.lesson, now=context.now):
        case Chosen(lesson=lesson, rule=rule):
            return lesson, rule
        case NotYet(due_on=due_on):
            raise Stop("held", reasons.LESSON_NOT_YET, due_on=due_on)
        case NoLesson(reason=reason):
            raise Stop("rejected", reason)


def _map_absence(absence: Absence, context: GroupContext) -> Found:
    if absence.form == "late":
        # He came: an «н» that was sent before must not stay, and there is none to be sent.
        raise Stop("cleared", reasons.LATE_NOT_SENT)
    pupil = linked_pupil(absence.pupil, context)
    lesson = context.timetable.by_id.get(context.lesson_links.get(absence.lesson, 0))
    if lesson is None:
        raise Stop("waiting", reasons.LESSON_NOT_LINKED)
    on = context.timetable.day_of[lesson.id]
    require_member(pupil, context.city_group, on)
    intent = AbsenceIntent(
        pupil_id=pupil.id,
        lesson_id=lesson.id,
        group_id=context.city_group.id,
        teacher_id=teacher_of(lesson, context.city_group, on),
        on=on,
        reason_id=context.absence_reason_id,
    )
    held, due_on = why_held(lesson, on, context)
    return Found(intent, on, None, held, due_on)


def _map_homework(homework: Homework, context: GroupContext) -> Found:
    on = homework.assigned_on
    text = _homework_text(homework)
    if homework.prepared_for < on or not text:  # V11: the city refuses it
        raise Stop("rejected", reasons.VALIDATION_LOCAL, on=on)
    linked = [
        context.city_pupils.get(context.pupils[ref])
        for ref in (homework.pupils or context.pupils)
        if ref in context.pupils
    ]
    pupil_ids = sorted({one.id for one in linked if one is not None and is_member(one, context.city_group, on)})
    if not pupil_ids:
        raise Stop("waiting", reasons.NOT_LINKED, on=on)
    intent = HomeworkIntent(
        group_id=context.city_group.id,
        subject_id=context.city_group.subject_id,
        teacher_id=teacher_of(context.timetable.find_on(on), context.city_group, on),
        assigned_on=on,
        prepared_for=homework.prepared_for,
        text=text,
        pupil_ids=tuple(pupil_ids),
    )
    if on > moscow_day(context.now):  # not yet shown to the pupils at the portal
        return Found(intent, on, None, reasons.LESSON_NOT_YET, on)
    return Found(intent, on, None, window_reason(on, context))


def _homework_text(homework: Homework) -> str:
    title, text = canonical_text(homework.title), canonical_text(homework.text)
    if not text or normal_text(title) == normal_text(text):
        return title
    return f"{title}\n{text}" if title else text


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


__all__ = [
    "GroupContext",
    "Mapped",
    "MappedState",
    "Modes",
    "Sent",
    "atom_digest",
    "atom_of_city",
    "atom_of_intent",
    "build_timetable",
    "map_record",
    "object_key_of",
]
