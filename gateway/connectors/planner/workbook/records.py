"""Entries of the workbooks as canonical records. Pure: who a pupil is and when a lesson begins has been looked up before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from gateway.connectors.planner.workbook.ends import FinalCell, FinalColumn
from gateway.connectors.planner.workbook.entries import (
    CurriculumEntry,
    LessonEntry,
    PageEntry,
    PlanEntry,
    ProgrammeEntry,
    RemarkEntry,
)
from gateway.connectors.planner.workbook.faults import Place
from gateway.connectors.planner.workbook.marks import FORMS, CellMark
from gateway.connectors.planner.workbook.names import GroupKey, Names
from gateway.connectors.planner.workbook.register import Pupil, Slot
from gateway.connectors.planner.workbook.words import LEVELS, find_class
from gateway.domain.records import (
    Absence,
    CurriculumHours,
    Entry,
    Final,
    Group,
    Guardian,
    Homework,
    Lesson,
    LessonComment,
    LessonPlan,
    Mark,
    Membership,
    Person,
    Programme,
    ProgrammeSection,
    Scale,
    Subject,
)

PAGE_MODULE = "page"
"""What stands behind a mark of a journal's page, in the words of the rules' `[[items]]`."""
FIVE_POINTS = Scale("points", 0, 5)


def stamp(names: Names, place: Place) -> dict[str, Any]:
    """Where a record stands and who brought it in, as fields of a record.

    File and sheet, not the row, which moves whenever somebody inserts one above.
    """
    return {
        "origins": {"*": "/".join(part for part in (names.source, place.file, place.sheet) if part)},
        "entry": Entry(typed_by=place.typed_by, on_behalf_of=place.on_behalf_of, answers=place.answers, way="workbook"),
    }


def to_person(names: Names, pupil: Pupil, place: Place) -> Person:
    """A pupil of a class list."""
    entry = pupil.entry
    return Person(
        ref=pupil.ref,
        **stamp(names, place),
        role="pupil",
        last_name=entry.name.last,
        first_name=entry.name.first,
        middle_name=entry.name.middle,
        birth_on=entry.birth_on,
        class_name=entry.class_name,
        person_id=entry.person_id,
        school_id=entry.school_id,
    )


def iter_guardians(names: Names, pupil: Pupil, place: Place) -> Iterator[Guardian]:
    """The addresses beside a pupil: an e-mail and a telephone a record, in the order they are written."""
    entry = pupil.entry
    for at in range(max(len(entry.guardian_email), len(entry.guardian_phone), 1 if entry.guardian_name else 0)):
        yield Guardian(
            ref=names.ref("guardian", names.short(pupil.ref), at + 1),
            **stamp(names, place),
            pupil=pupil.ref,
            name=entry.guardian_name,
            email=entry.guardian_email[at] if at < len(entry.guardian_email) else None,
            phone=entry.guardian_phone[at] if at < len(entry.guardian_phone) else None,
        )


def to_subject(names: Names, key: str, written: str, place: Place) -> Subject:
    """A subject as it is written where it stands first."""
    return Subject(ref=names.subject(key), **stamp(names, place), name=written)


def to_programme(names: Names, level: int, key: str, written: str, place: Place) -> Programme:
    """A subject in a grade, in the portal's words for a course."""
    return Programme(
        ref=names.programme(level, key),
        **stamp(names, place),
        name=f"{written}, {level} класс",
        short_name=f"{written} {level}",
    )


def to_group(names: Names, key: GroupKey, written: str, place: Place) -> Group:
    """A group of a class."""
    return Group(
        ref=names.group(key),
        **stamp(names, place),
        programme=names.programme(key.level, key.subject),
        subject=names.subject(key.subject),
        name=" ".join(part for part in (key.class_name, written, key.group) if part),
        class_name=key.class_name,
    )


def to_membership(names: Names, key: GroupKey, pupil: str, place: Place) -> Membership:
    """A pupil's place in a group."""
    return Membership(
        ref=names.ref("member", names.short(pupil), key.name),
        **stamp(names, place),
        person=pupil,
        group=names.group(key),
    )


def to_lesson(names: Names, key: GroupKey, slot: Slot, ordinal: int, topic: str | None, place: Place) -> Lesson:
    """A lesson of the timetable with the topic that a list or page gives it."""
    return Lesson(
        ref=names.lesson(key, slot.starts_at),
        **stamp(names, place),
        group=names.group(key),
        starts_at=slot.starts_at,
        duration_min=slot.duration_min,
        ordinal=ordinal,
        form=slot.form,
        topic=topic,
    )


def column_item(names: Names, key: GroupKey, day: date, nth: int, slot: Slot | None) -> str:
    """What a mark of a page hangs on: its lesson, or the column where the lesson is not known."""
    return names.page_column(key, day, nth) if slot is None else names.lesson(key, slot.starts_at)


def iter_marks(
    names: Names, key: GroupKey, pupil: str, entry: PageEntry, slot: Slot | None, place: Place
) -> Iterator[Mark]:
    """The marks of a cell, told apart by their place in it."""
    cell = names.cell("mark", pupil, key, entry.day, entry.nth)
    for at, mark in enumerate(entry.content.marks, start=1):
        yield Mark(
            ref=f"{cell}:{at}",
            **stamp(names, place),
            pupil=pupil,
            programme=names.programme(key.level, key.subject),
            group=names.group(key),
            item=column_item(names, key, entry.day, entry.nth, slot),
            item_name=_work(mark),
            item_number="" if slot is not None else entry.day.isoformat(),
            item_form="manual",
            module=PAGE_MODULE,
            scale=FIVE_POINTS,
            raw_points=float(mark.value),
            weight=None if mark.weight is None else float(mark.weight),
            lesson_at=None if slot is None else slot.starts_at,
        )


def _work(mark: CellMark) -> str:
    """The kind of work where a letter names it; no letter is no word about it, so that another source may say."""
    return FORMS[mark.form] if mark.form else ""


def to_absence(names: Names, key: GroupKey, pupil: str, entry: PageEntry, slot: Slot, place: Place) -> Absence | None:
    """What a cell says of the pupil's presence, if anything."""
    if entry.content.absence is None:
        return None
    return Absence(
        ref=names.cell("absence", pupil, key, entry.day, entry.nth),
        **stamp(names, place),
        pupil=pupil,
        lesson=names.lesson(key, slot.starts_at),
        group=names.group(key),
        form=entry.content.absence,
    )


def to_late(absence: Absence) -> LessonComment:
    """Being late as the city knows it: a remark beside no absence."""
    return LessonComment(
        ref=late_ref(absence.ref),
        origins=absence.origins,
        entry=absence.entry,
        pupil=absence.pupil,
        lesson=absence.lesson,
        group=absence.group,
        form="late",
    )


def late_ref(absence: str) -> str:
    """The ref of a lateness, by that of its absence."""
    source, _, rest = absence.partition("/absence:")
    return f"{source}/late:{rest}"


def to_remark(names: Names, key: GroupKey, pupil: str, entry: RemarkEntry, slot: Slot, place: Place) -> LessonComment:
    """A remark on a pupil at a lesson."""
    return LessonComment(
        ref=names.cell("remark", pupil, key, entry.day, entry.nth),
        **stamp(names, place),
        pupil=pupil,
        lesson=names.lesson(key, slot.starts_at),
        group=names.group(key),
        form="remark",
        text=entry.text,
    )


def final_ref(names: Names, key: GroupKey, pupil: str, column: FinalColumn) -> str:
    """A final mark's ref: one a pupil, group and column."""
    return names.ref("final", names.short(pupil), key.name, column.key)


def final_item(names: Names, key: GroupKey, column: FinalColumn) -> str:
    """The column that a final mark stands in."""
    return names.ref("final_column", key.name, column.key)


def to_final(names: Names, key: GroupKey, pupil: str, column: FinalColumn, content: FinalCell, place: Place) -> Final:
    """A final mark of a page."""
    return Final(
        ref=final_ref(names, key, pupil, column),
        **stamp(names, place),
        pupil=pupil,
        group=names.group(key),
        item=final_item(names, key, column),
        item_name=column.period or column.form,
        form=column.form,
        period=column.period or None,
        scale=content.scale,
        raw_points=content.points,
        word=content.word,
    )


def homework_ref(names: Names, key: GroupKey, day: date, nth: int) -> str:
    """A homework's ref: one is given at a lesson."""
    return names.ref("homework", key.name, day, nth)


def to_homework(names: Names, key: GroupKey, entry: LessonEntry, nth: int, due_on: date, place: Place) -> Homework:
    """A homework of a list of lessons; its title is the lesson's topic."""
    return Homework(
        ref=homework_ref(names, key, entry.day, nth),
        **stamp(names, place),
        group=names.group(key),
        programme=names.programme(key.level, key.subject),
        title=entry.topic or "Домашнее задание",
        text=entry.homework or "",
        assigned_on=entry.day,
        prepared_for=due_on,
    )


def to_plan(names: Names, entry: PlanEntry, place: Place) -> LessonPlan:
    """A row of a КТП."""
    level, class_name = _level(entry.level_name)
    key = GroupKey.of(class_name or "", entry.subject, None)
    return LessonPlan(
        ref=names.ref("plan", entry.level_name.lower(), key.subject, entry.number),
        **stamp(names, place),
        programme=names.programme(level, key.subject),
        subject=names.subject(key.subject),
        level=level,
        class_name=class_name,
        group=names.group(key) if class_name else None,
        number=entry.number,
        section=entry.section,
        topic=entry.topic,
        hours=entry.hours,
        control=entry.control,
        practice=entry.practice,
        study_on=entry.study if isinstance(entry.study, date) and not isinstance(entry.study, datetime) else None,
        study_text=entry.study if isinstance(entry.study, str) else None,
        homework=entry.homework,
        resources=entry.resources,
    )


def to_section(names: Names, entry: ProgrammeEntry, place: Place) -> ProgrammeSection:
    """A row of a work programme."""
    level, _ = _level(entry.level_name)
    subject = GroupKey.of("", entry.subject, None).subject
    return ProgrammeSection(
        ref=names.ref("section", level, subject, entry.number),
        **stamp(names, place),
        programme=names.programme(level, subject),
        subject=names.subject(subject),
        level=level,
        number=entry.number,
        section=entry.section,
        topic=entry.topic,
        hours=entry.hours,
        content=entry.content,
        activities=entry.activities,
        resources=entry.resources,
    )


def to_curriculum(names: Names, entry: CurriculumEntry, place: Place) -> CurriculumHours:
    """Hours of a subject."""
    level, class_name = _level(entry.level_name)
    subject = GroupKey.of("", entry.subject, None).subject
    return CurriculumHours(
        ref=names.ref("curriculum", entry.level_name.lower(), subject),
        **stamp(names, place),
        subject=names.subject(subject),
        level=level,
        class_name=class_name,
        hours=entry.hours,
        unit=entry.unit,
    )


def _level(name: str) -> tuple[int, str | None]:
    found = find_class(name)
    if found is None:
        return LEVELS.start, None
    return found[0], None if found[1].isdecimal() else found[1]


def place_key(file_key: str, place: Place, cell: str, row: int | None) -> str:
    """Where a fault lies, short enough for a key: file and sheet by their digests, the cell by its address."""
    sheet = hashlib.blake2b(place.sheet.encode(), digest_size=4).hexdigest()
    return f"{file_key}/{sheet}/{cell or row or ''}"
