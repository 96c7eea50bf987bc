"""A plan in words: class → pupil → what would be done and why not, for the person who approves it.

Names come from the school's own records and are shown to the operator only; they go into no log and no audit entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from gateway.connectors.port import CityDirectory
from gateway.domain.city import (
    AbsenceAtom,
    AbsenceIntent,
    Atom,
    CommentAtom,
    CommentIntent,
    FinalAtom,
    FinalIntent,
    HomeworkAtom,
    HomeworkIntent,
    Intent,
    MarkAtom,
    MarkIntent,
    TopicsAtom,
    TopicsIntent,
)
from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import OWNER_RU, REASONS
from gateway.domain.records import (
    RECORD_TYPES,
    Absence,
    Final,
    Homework,
    LessonComment,
    Mark,
    Person,
    Record,
    Topics,
)
from gateway.mapping.links import load_links
from gateway.queue.deeds import CITY_TEACHER
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.snapshot import load_records
from gateway.reconcile.tables import city_directory, decision, record

WHOLE_GROUP = "вся группа"
UNKNOWN_PUPIL = "ученик не сопоставлен"


class PlanLine(msgspec.Struct, frozen=True, kw_only=True):
    """One decision in words.

    Attributes:
        plan_id: The plan that it is a line of; `seq` is its number there.
        words: What would be done, e.g. «поставить 5 (Проект, вес 2)».
        note: Why it is not sent, and whose move it is; empty where it is sent.
        due_on: Day on which what is held is decided afresh; None where nothing waits.
    """

    plan_id: int
    seq: int
    class_name: str
    pupil: str
    subject: str
    on: date | None
    kind: str
    category: str
    op: str | None
    reason: str
    words: str
    note: str
    owner: str
    outcome: str | None
    due_on: date | None
    ref: str


_OWNERS = OWNER_RU
_POSTS = {**_OWNERS, "methodist": "методист", "office": "канцелярия"}
_VERBS = {"create": "поставить", "change": "исправить на", "delete": "удалить"}
_CATEGORY_WORDS = {
    "adopted": "уже стоит, связать",
    "held": "удержано",
    "waiting": "ждёт",
    "rejected": "нужна правка",
    "out_of_scope": "вне области",
}
_OF_A_GROUP = (Kind.HOMEWORK.value, Kind.TOPICS.value)
_FINAL_WORDS = {
    "period": "итог периода",
    "intermediate": "промежуточная аттестация",
    "year": "годовая",
    "final": "итоговая",
}


def iter_plan_lines(
    conn: Connection, place_id: int, plan_id: int, *, category: str | None = None, reason: str | None = None
) -> Iterator[PlanLine]:
    """Yield the plan's lines by class, pupil, subject and day.

    Args:
        conn: A read transaction.
        place_id: Where we are.
        plan_id: A sealed plan.
        category: Only this category.
        reason: Only this reason.
    """
    query = select(decision, record.c.body).select_from(
        decision.outerjoin(
            record,
            (record.c.place_id == place_id) & (record.c.kind == decision.c.kind) & (record.c.ref == decision.c.ref),
        )
    )
    query = query.where(decision.c.plan_id == plan_id)
    if category is not None:
        query = query.where(decision.c.category == category)
    if reason is not None:
        query = query.where(decision.c.reason == reason)
    words = Words(conn, place_id)
    lines = [words.line(row) for row in conn.execute(query)]
    yield from sorted(
        lines, key=lambda line: (line.class_name, line.pupil, line.subject, line.on or date.min, line.seq)
    )


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Where a record hangs, in words."""

    class_name: str
    pupil: str
    subject: str


class Words:
    """Names of people, groups, subjects and forms of one place."""

    def __init__(self, conn: Connection, place_id: int) -> None:
        self._people = {person.ref: person for person in load_records(conn, place_id, Person)}
        pupils = load_links(conn, place_id, Kind.PERSON)
        self._by_city = {city_id: ref for ref, city_id in pupils.items()}
        body = conn.execute(
            select(city_directory.c.body).where(city_directory.c.place_id == place_id)
        ).scalar_one_or_none()
        directory = msgspec.json.decode(body, type=CityDirectory) if body is not None else None
        self._forms: Mapping[int, str] = {form.id: form.name for form in directory.forms} if directory else {}
        self._groups = {group.id: group for group in directory.groups} if directory else {}
        self._periods = directory.periods if directory else ()
        self._teachers = {teacher.id: teacher for teacher in directory.teachers} if directory else {}

    def line(self, row: Row[Any]) -> PlanLine:
        """Put one decision row into words."""
        intent = _intent_of(row)
        local = msgspec.json.decode(row.body, type=RECORD_TYPES[Kind(row.kind)]) if row.body is not None else None
        cell = self.cell(row.kind, intent, local)
        reason = REASONS.get(row.reason)
        is_sent = row.category in ("create", "update", "delete", "adopted", "unchanged")
        return PlanLine(
            plan_id=row.plan_id,
            seq=row.seq,
            class_name=cell.class_name,
            pupil=cell.pupil,
            subject=cell.subject,
            on=row.on_date,
            kind=row.kind,
            category=row.category,
            op=row.op,
            reason=row.reason,
            words=self._words(row, intent, local),
            note="" if is_sent or reason is None else f"{reason.what_ru} {reason.todo_ru}".strip(),
            owner="" if is_sent or reason is None else _OWNERS.get(reason.owner, reason.owner),
            outcome=row.outcome,
            due_on=row.due_on,
            ref=row.ref or "",
        )

    def cell(self, kind: str, intent: Intent | None, local: Record | None) -> Cell:
        """Say whose and of which subject a record is."""
        person = self._person(intent, local)
        return Cell(
            class_name=(person.class_name if person is not None else None) or self._class(intent) or "—",
            pupil=full_name(person) if person else (WHOLE_GROUP if kind in _OF_A_GROUP else UNKNOWN_PUPIL),
            subject=self._subject(intent),
        )

    def who(self, code: str) -> str:
        """Name whoever brought something in: a person of the school, a post, a teacher of the city, an account."""
        if code in self._people:
            return full_name(self._people[code])
        number = code.removeprefix(CITY_TEACHER)
        if number != code and number.isdecimal():
            teacher = self._teachers.get(int(number))
            return f"учитель № {number}" if teacher is None else f"{teacher.last_name} {teacher.first_name}"
        return _POSTS.get(code, code)

    def person_of(self, ref: str) -> Person | None:
        """The person of a ref, where he is known."""
        return self._people.get(ref)

    def period_left(self, intent: Intent | None, on: date | None, now: datetime) -> timedelta | None:
        """How long the marking period of a day of the group goes on; None where no period is known for it."""
        group = self._groups.get(intent.group_id) if intent is not None else None
        for period in self._periods:
            if group is None or on is None or period.schedule_id != group.schedule_id:
                continue
            if period.begins_on <= on <= period.ends_on:
                return timedelta(days=(period.ends_on - moscow_day(now)).days)
        return None

    def fields(self, atom: Atom | None) -> dict[str, str]:
        """Name the compared fields of one side, each in words; empty where the side has nothing."""
        match atom:
            case MarkAtom():
                form = self._forms.get(atom.form_id, f"№ {atom.form_id}")
                return {"отметка": atom.value, "вес": str(atom.weight), "форма": form}
            case AbsenceAtom():
                return {"пропуск": "н"}
            case HomeworkAtom():
                return {
                    "задание": atom.text,
                    "на день": f"{atom.prepared_for:%d.%m.%Y}",
                    "учеников": str(len(atom.pupil_ids)),
                }
            case CommentAtom():
                return {"замечание": atom.text}
            case FinalAtom():
                return {"итог": atom.value}
            case TopicsAtom():
                return {"тем": str(len(atom.lessons))}
            case None:
                return {}

    def _person(self, intent: Intent | None, local: Record | None) -> Person | None:
        if isinstance(local, Mark | Absence | LessonComment | Final):
            return self._people.get(local.pupil)
        if isinstance(local, Person):
            return local
        if isinstance(intent, MarkIntent | AbsenceIntent | CommentIntent | FinalIntent):
            return self._people.get(self._by_city.get(intent.pupil_id, ""))
        return None

    def _class(self, intent: Intent | None) -> str | None:
        group = self._groups.get(intent.group_id) if intent is not None else None
        return group.class_name if group is not None else None

    def _subject(self, intent: Intent | None) -> str:
        group = self._groups.get(intent.group_id) if intent is not None else None
        return group.subject_name if group is not None else "—"

    def _words(self, row: Row[Any], intent: Intent | None, local: Record | None) -> str:
        verb = _VERBS.get(row.op or "", _CATEGORY_WORDS.get(row.category, ""))
        if isinstance(intent, MarkIntent):
            form = self._forms.get(intent.form_id, "форма не найдена")
            return f"{verb} {intent.value} ({form}, вес {intent.weight})".strip()
        if isinstance(intent, AbsenceIntent):
            return f"{verb} «н»".strip()
        if isinstance(intent, HomeworkIntent):
            return f"{verb} домашнее задание на {intent.prepared_for:%d.%m} ({len(intent.pupil_ids)} чел.)".strip()
        if isinstance(intent, CommentIntent):
            what = "опоздание" if intent.form == "late" else "замечание"
            return f"{verb} «{intent.text}» ({what})".strip()
        if isinstance(intent, FinalIntent):
            return f"{verb} {intent.value} ({_FINAL_WORDS[intent.form]})".strip()
        if isinstance(intent, TopicsIntent):
            return f"{verb} КТП: тем {len(intent.lessons)}".strip()
        if isinstance(local, Mark):
            return f"{verb}: {local.item_name}"
        if isinstance(local, Homework):
            return f"{verb}: домашнее задание"
        if isinstance(local, Final):
            return f"{verb}: {_FINAL_WORDS[local.form]}"
        if isinstance(local, Absence):
            return f"{verb}: пропуск"
        if isinstance(local, LessonComment):
            return f"{verb}: замечание"
        return f"{verb}: КТП" if isinstance(local, Topics) else verb


def _intent_of(row: Row[Any]) -> Intent | None:
    body = row.intent if row.intent is not None else row.old
    if body is None:
        return None
    intent: Intent = msgspec.json.decode(body, type=INTENT_TYPES[row.kind])
    return intent


def full_name(person: Person) -> str:
    return f"{person.last_name} {person.first_name}"


def build_plan_lines(conn: Connection, place_id: int, rows: Sequence[Row[Any]]) -> list[PlanLine]:
    """Put decision rows, each with its record's `body`, into words, in their own order."""
    words = Words(conn, place_id)
    return [words.line(row) for row in rows]
