"""A journal page of one group, out of an exported workbook: directory, timetable and everything that stands there.

Between `workbook` and the connector. What can't be read makes its kind of that page unknown, as in the city's own lists:
what looks absent would be written once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import cast

import msgspec

from gateway.connectors.mesh.file.cells import Entry, read_cell
from gateway.connectors.mesh.file.layout import plain
from gateway.connectors.mesh.file.roll import Listed, Roll, stable_id
from gateway.connectors.mesh.file.workbook import Book, Row, Sheet, to_day, to_text, to_time, to_utc
from gateway.domain.city import (
    CityAbsence,
    CityClass,
    CityComment,
    CityFinal,
    CityForm,
    CityGroup,
    CityHomework,
    CityLesson,
    CityMark,
    CityObject,
    CityPeriod,
    CityTeacher,
    CityTopics,
    education_level,
)
from gateway.domain.errors import RecordError
from gateway.domain.identifiers import Kind
from gateway.domain.records import FinalForm, PlannedLesson

LESSON_MIN = 45
_DAY_AND_NUMBER = re.compile(r"(\d{2}\.\d{2}\.\d{4})(?:\D+(\d{1,2}))?.*", re.DOTALL)
_SYSTEMS = {"5": "five", "10": "ten", "100": "hundred"}
_FINAL_FORMS: dict[str, FinalForm] = {
    "период": "period",
    "за период": "period",
    "промежуточная": "intermediate",
    "промежуточная аттестация": "intermediate",
    "год": "year",
    "годовая": "year",
    "итоговая": "final",
}


@dataclass(frozen=True)
class Plain:
    """What of the settings an export is read by.

    Attributes:
        absence_ids: The city's ids of «н» and «б».
        late_text: The remark that means being late.
    """

    absence_ids: tuple[int, int]
    late_text: str


@dataclass
class Page:
    """Everything of one group."""

    group: CityGroup
    class_: CityClass | None
    exported_at: datetime
    periods: list[CityPeriod] = field(default_factory=list)
    forms: list[CityForm] = field(default_factory=list)
    teachers: dict[int, CityTeacher] = field(default_factory=dict)
    lessons: list[CityLesson] = field(default_factory=list)
    objects: dict[Kind, list[CityObject]] = field(default_factory=dict)
    faults: dict[Kind, list[RecordError]] = field(default_factory=dict)


def read_page(book: Book, roll: Roll, words: Plain) -> Page:
    """Read the page of a group.

    Raises:
        RecordError: It does not say whose page it is.
    """
    return _Reading(book, roll, words).read()


class _Reading:
    """One page being read."""

    def __init__(self, book: Book, roll: Roll, words: Plain) -> None:
        self._book = book
        self._roll = roll
        self._words = words
        self._members: dict[str, Listed] = {}
        self._lessons: dict[tuple[date, int], CityLesson] = {}
        self._forms: dict[str, CityForm] = {}
        self._counts: dict[tuple[object, ...], int] = {}

    def read(self) -> Page:
        group, class_ = self._read_group()
        page = self._page = Page(group=group, class_=class_, exported_at=self._book.exported_at)
        self._collect(Kind.LESSON, "periods", self._read_period)
        self._collect(Kind.LESSON, "forms", self._read_form)
        self._collect(Kind.LESSON, "lessons", self._read_lesson)
        journal = self._book.sheets.get("journal")
        if journal is not None:
            self._read_journal(journal)
        self._collect(Kind.HOMEWORK, "homework", self._read_homework)
        self._collect(Kind.FINAL, "finals", self._read_final)
        self._collect(Kind.COMMENT, "comments", self._read_comment)
        topics = self._book.sheets.get("topics")
        if topics is not None:
            self._add(Kind.TOPICS, self._read_topics(topics))
        pupils = tuple(sorted(one.id for one in self._members.values()))
        teachers = tuple(sorted({one.teacher_id for one in page.lessons if one.teacher_id is not None}))
        page.group = msgspec.structs.replace(group, pupil_ids=pupils, teacher_ids=teachers)
        if self._book.faults:  # a sheet without its heads: nobody knows which kind it would have been
            for kind in (Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK, Kind.FINAL, Kind.COMMENT, Kind.TOPICS, Kind.LESSON):
                page.faults.setdefault(kind, []).extend(self._book.faults)
        return page

    # --- whose page it is

    def _read_group(self) -> tuple[CityGroup, CityClass | None]:
        titles = self._book.titles
        subject = titles.get("subject", "")
        name = titles.get("group") or f"{titles.get('class', '')} — {subject}"
        if not subject or not (titles.get("group") or titles.get("class")):
            raise RecordError("В книге не названы группа и предмет", where=self._book.file)
        class_name = titles.get("class") or None
        level = int(found[0]) if (found := re.match(r"\d+", titles.get("level") or class_name or name)) else 0
        class_ = None
        if class_name is not None:
            class_ = CityClass(id=stable_id("class", plain(class_name)), name=class_name, level=level)
        group_id = stable_id("group", plain(name), plain(subject))
        group = CityGroup(
            id=group_id,
            name=name,
            subject_id=stable_id("subject", plain(subject)),
            subject_name=subject,
            class_ids=(class_.id,) if class_ is not None else (),
            class_name=class_name,
            level=level,
            schedule_id=stable_id("schedule", group_id),
            teacher_ids=(),
        )
        return group, class_

    def _teacher(self, name: str) -> int | None:
        if not name:
            return None
        teacher_id = stable_id("teacher", plain(name))
        parts = [*name.split(" ", 2), "", ""]
        known = CityTeacher(
            id=teacher_id,
            last_name=parts[0],
            first_name=parts[1],
            middle_name=parts[2] or None,
            group_ids=(self._page.group.id,),
        )
        self._page.teachers.setdefault(teacher_id, known)
        return teacher_id

    # --- rows of the sheets

    def _collect(self, kind: Kind, sheet_name: str, read: Callable[[Sheet, Row], CityObject | None]) -> None:
        sheet = self._book.sheets.get(sheet_name)
        for row in sheet.rows if sheet is not None else ():
            try:
                found = read(cast("Sheet", sheet), row)
            except RecordError as exc:
                self._page.faults.setdefault(kind, []).append(exc)
            else:
                if found is not None:
                    self._add(kind, found)

    def _add(self, kind: Kind, found: CityObject) -> None:
        self._page.objects.setdefault(kind, []).append(found)

    def _read_period(self, sheet: Sheet, row: Row) -> None:
        name, begins, ends = sheet.text(row, "name"), self._day(sheet, row, "begins"), self._day(sheet, row, "ends")
        schedule_id = self._page.group.schedule_id or 0
        self._page.periods.append(
            CityPeriod(
                id=stable_id("period", schedule_id, plain(name), begins),
                schedule_id=schedule_id,
                name=name,
                begins_on=begins,
                ends_on=ends,
                is_closed=plain(sheet.text(row, "closed")) in ("да", "закрыт", "+"),
                edit_until_on=to_day(sheet.value(row, "until")),
            )
        )

    def _read_form(self, sheet: Sheet, row: Row) -> None:
        name, short = sheet.text(row, "name"), sheet.text(row, "short")
        weight = sheet.text(row, "weight")
        if not name or not short or not weight.isdecimal():
            raise sheet.fault(row, "name", "Форма контроля без названия, сокращения или веса")
        group = self._page.group
        number = re.match(r"\d+", sheet.text(row, "system"))
        system = (
            _SYSTEMS.get(number[0], "approve") if number else "five" if not sheet.text(row, "system") else "approve"
        )
        form = CityForm(
            id=stable_id("form", plain(name), group.subject_id, education_level(group.level)),
            name=name,
            weight=int(weight),
            grade_system_id=stable_id("system", system),
            grade_system=system,
            subject_id=group.subject_id,
            level=education_level(group.level),
        )
        self._page.forms.append(form)
        self._forms[plain(short)] = form

    def _read_lesson(self, sheet: Sheet, row: Row) -> None:
        day, begins = self._day(sheet, row, "date"), to_time(sheet.value(row, "begins"))
        number, minutes = sheet.text(row, "number"), sheet.text(row, "minutes")
        if begins is None or not number.isdecimal():
            raise sheet.fault(row, "begins", "У урока нет начала или номера")
        group = self._page.group
        lesson = CityLesson(
            id=stable_id("lesson", group.id, day, number),
            group_id=group.id,
            subject_id=group.subject_id,
            starts_at=to_utc(day, begins),
            duration_min=int(minutes) if minutes.isdecimal() else LESSON_MIN,
            number=int(number),
            teacher_id=self._teacher(sheet.text(row, "teacher")),
            replacement_teacher_id=self._teacher(sheet.text(row, "replacement")),
            is_cancelled=plain(sheet.text(row, "cancelled")) in ("да", "отменен", "+"),
            topic=sheet.text(row, "topic") or None,
        )
        self._page.lessons.append(lesson)
        self._lessons[day, int(number)] = lesson

    def _read_journal(self, sheet: Sheet) -> None:
        columns = self._lesson_columns(sheet)
        for row in sheet.rows:
            name = sheet.text(row, "pupil")
            if not name:
                continue
            try:
                pupil = self._pupil(sheet, row)
            except RecordError as exc:
                for kind in (Kind.MARK, Kind.ABSENCE):
                    self._page.faults.setdefault(kind, []).append(exc)
                continue
            self._members[plain(name)] = pupil
            self._roll.enter(pupil, self._page.group.id)
            for column, lesson in columns.items():
                text = to_text(row.cells[column]) if column < len(row.cells) else ""
                entries = read_cell(text)
                if entries is None or (text and lesson is None):
                    fault = sheet.fault(row, column, "Клетка журнала не разобрана")
                    for kind in (Kind.MARK, Kind.ABSENCE):
                        self._page.faults.setdefault(kind, []).append(fault)
                elif lesson is not None:
                    self._add_entries(sheet, row, column, pupil, lesson, entries)

    def _lesson_columns(self, sheet: Sheet) -> dict[int, CityLesson | None]:
        """Column → its lesson; None where the head names a day without a lesson that is known."""
        columns: dict[int, CityLesson | None] = {}
        for column, cell in enumerate(sheet.head_row.cells):
            found = _DAY_AND_NUMBER.fullmatch(to_text(cell))
            day = to_day(cell) if found is None else to_day(found[1])
            if day is None:
                continue
            numbers = [number for on, number in self._lessons if on == day]
            number = int(found[2]) if found is not None and found[2] else numbers[0] if len(numbers) == 1 else 0
            columns[column] = self._lessons.get((day, number))
        return columns

    def _add_entries(
        self, sheet: Sheet, row: Row, column: int, pupil: Listed, lesson: CityLesson, entries: list[Entry]
    ) -> None:
        on = to_day(sheet.head_row.cells[column]) or lesson.starts_at.date()
        met: dict[str, int] = {}
        for entry in entries:
            if entry.absence is not None:
                self._add(
                    Kind.ABSENCE,
                    CityAbsence(
                        id=stable_id("absence", pupil.id, lesson.id),
                        pupil_id=pupil.id,
                        lesson_id=lesson.id,
                        on=on,
                        reason_id=self._words.absence_ids[entry.absence],
                    ),
                )
                continue
            form = self._forms.get(plain(entry.form))
            if entry.form and form is None:
                fault = sheet.fault(row, column, "Форма контроля отметки не из списка")
                self._page.faults.setdefault(Kind.MARK, []).append(fault)
                continue
            met[entry.form] = met.get(entry.form, 0) + 1
            self._add(
                Kind.MARK,
                CityMark(
                    id=stable_id("mark", pupil.id, lesson.id, plain(entry.form), met[entry.form]),
                    pupil_id=pupil.id,
                    lesson_id=lesson.id,
                    group_id=self._page.group.id,
                    subject_id=self._page.group.subject_id,
                    value=entry.value,
                    weight=entry.weight or (form.weight if form is not None else 1),
                    form_id=form.id if form is not None else 0,
                    on=on,
                    teacher_id=lesson.teacher_id,
                    created_at=None,
                    updated_at=None,
                    is_point=entry.is_point,
                ),
            )

    def _read_homework(self, sheet: Sheet, row: Row) -> CityHomework:
        assigned, prepared = self._day(sheet, row, "assigned"), self._day(sheet, row, "prepared")
        names = [one.strip() for one in re.split(r"[;\n]", sheet.text(row, "pupils")) if one.strip()]
        if not names or plain(names[0]) in ("все", "вся группа"):
            pupils = {one.id for one in self._members.values()}
        else:
            pupils = {self._by_name(sheet, row, "pupils", name).id for name in names}
        group = self._page.group
        teacher_id = self._teacher(sheet.text(row, "teacher"))
        text = sheet.text(row, "text")
        return CityHomework(
            id=stable_id(
                "homework", group.id, assigned, prepared, teacher_id, self._nth("homework", assigned, prepared)
            ),
            group_id=group.id,
            subject_id=group.subject_id,
            teacher_id=teacher_id,
            assigned_on=assigned,
            prepared_for=prepared,
            text=text,
            pupil_ids=tuple(sorted(pupils)),
        )

    def _nth(self, *parts: object) -> int:
        """How many of the same place came before it on the page."""
        self._counts[parts] = self._counts.get(parts, 0) + 1
        return self._counts[parts]

    def _read_final(self, sheet: Sheet, row: Row) -> CityFinal:
        pupil = self._pupil(sheet, row)
        form = _FINAL_FORMS.get(plain(sheet.text(row, "form")))
        if form is None:
            raise sheet.fault(row, "form", "Вид итоговой отметки не из известных")
        period_id = 0
        if form == "period":
            wanted = plain(sheet.text(row, "period"))
            period = next((one for one in self._page.periods if plain(one.name) == wanted), None)
            if period is None:
                raise sheet.fault(row, "period", "Такого периода на листе периодов нет")
            period_id = period.id
        group = self._page.group
        return CityFinal(
            id=stable_id("final", pupil.id, group.subject_id, form, period_id),
            pupil_id=pupil.id,
            group_id=group.id,
            subject_id=group.subject_id,
            form=form,
            period_id=period_id,
            value=sheet.text(row, "value"),
        )

    def _read_comment(self, sheet: Sheet, row: Row) -> CityComment:
        pupil = self._pupil(sheet, row)
        day, number = self._day(sheet, row, "date"), sheet.text(row, "number")
        lesson = self._lessons.get((day, int(number) if number.isdecimal() else 0))
        if lesson is None:
            raise sheet.fault(row, "number", "Такого урока на листе уроков нет")
        text = sheet.text(row, "text")
        nth = self._nth("comment", pupil.id, lesson.id, plain(text))
        return CityComment(
            id=stable_id("comment", pupil.id, lesson.id, plain(text), nth),
            pupil_id=pupil.id,
            lesson_id=lesson.id,
            form="late" if plain(text) == plain(self._words.late_text) else "remark",
            text=text,
            teacher_id=lesson.teacher_id,
            on=day,
        )

    def _read_topics(self, sheet: Sheet) -> CityTopics:
        lessons = tuple(
            PlannedLesson(topic=sheet.text(row, "topic"), module=sheet.text(row, "module")) for row in sheet.rows
        )
        group = self._page.group
        return CityTopics(id=stable_id("topics", group.id), group_id=group.id, name=group.name, lessons=lessons)

    # --- cells

    def _day(self, sheet: Sheet, row: Row, head: str) -> date:
        day = to_day(sheet.value(row, head))
        if day is None:
            raise sheet.fault(row, head, "Не дата")
        return day

    def _pupil(self, sheet: Sheet, row: Row) -> Listed:
        return self._by_name(sheet, row, "pupil", sheet.text(row, "pupil"), to_day(sheet.value(row, "birth")))

    def _by_name(self, sheet: Sheet, row: Row, head: str, name: str, birth_on: date | None = None) -> Listed:
        if not name:
            raise sheet.fault(row, head, "Ученик не назван")
        try:
            return self._roll.find(name, birth_on, tuple(self._class_names()))
        except RecordError as exc:
            raise sheet.fault(row, head, exc.sentence) from exc

    def _class_names(self) -> Iterator[str]:
        if self._page.class_ is not None:
            yield self._page.class_.name


__all__ = ["Page", "Plain", "read_page"]
