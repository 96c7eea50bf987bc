"""What is typed into the gateway itself: a source of its own, heard like the portal and the planner, with declared precedence.

For what has no other way in (a portal that is down on the last day of a period, a word from the teachers' room). Every
entry says who typed it, at whose word and who answers for it; it goes through the same plan, guards and approvals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from gateway.audit.deed import Deed
from gateway.audit.originator import originators_of
from gateway.audit.subjects import pseudonym_of
from gateway.connectors.port import CheckLine, CheckState, ScopeRead, Stored, Want
from gateway.domain.entry_faults import EntryFault, entry_fault
from gateway.domain.errors import ConfigurationError, EntryRefusedError
from gateway.domain.identifiers import Kind, scope_key, sourced
from gateway.domain.records import Absence, Entry, Group, Lesson, Mark, Person, Record, Scale
from gateway.flows.gateway import Gateway
from gateway.flows.journal_checks import (
    find_unknown_work,
    load_standing,
    refuse_second_absence,
    refuse_second_mark,
    work_key,
)
from gateway.flows.tables import journal_entry
from gateway.mapping.links import load_links, lock_place
from gateway.mapping.record_links import load_pairs
from gateway.mapping.rules import Rules
from gateway.mapping.sources import JOURNAL
from gateway.mapping.versions import load_counting_rules
from gateway.reconcile.snapshot import load_records
from gateway.store.transaction import Store

ENTRIES = "entries"
"""Second part of the scopes of entries."""
FIVE = 5.0
LOWEST, HIGHEST = 1, 5
WORK_LENGTH = 200
AbsenceForm = Literal["absent", "excused", "late"]


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as it was asked for.

    Attributes:
        pupil: Ref of a person of the school, as any source names him.
        lesson_at: Start of the lesson, aware.
        value: Five-point mark; None where it is an absence, whose `form` is given then.
        on_behalf_of: Ref of the person at whose word; empty = the typist's own.
        answers: Ref of the person who answers for it; empty = the group's teacher.
        is_again: A second mark of the same work on the same lesson is meant.
    """

    pupil: str
    group: str
    lesson_at: datetime
    value: int | None = None
    work: str = ""
    form: AbsenceForm | None = None
    on_behalf_of: str = ""
    answers: str = ""
    is_again: bool = False


class EntryLine(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it stands."""

    id: int
    kind: Kind
    pupil: str
    group: str
    lesson_at: datetime
    value: int | None
    form: str | None
    work: str
    typed_by: str
    on_behalf_of: str
    answers: str
    entered_at: datetime
    withdrawn_at: datetime | None


class JournalSource:
    """The entries as a source; implements `gateway.connectors.port.PortalSource`."""

    name = JOURNAL

    def __init__(self, store: Store, place_id: int) -> None:
        self._store = store
        self._place_id = place_id

    def check(self) -> Iterator[CheckLine]:
        """Count what stands."""
        count = sum(1 for row in self._load() if row.withdrawn_at is None)
        if count:
            yield CheckLine(subject="journal", state=CheckState.OK, sentence=f"Внесено в сам шлюз записей: {count}")

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Yield a scope a kind and group that ever had an entry: one that was withdrawn is seen to be gone."""
        del stored
        read_at = self._store.now()
        rows: Mapping[tuple[str, str], list[Row[Any]]] = defaultdict(list)
        for row in self._load():
            rows[row.kind, row.group_ref].append(row)
        for (kind, group), found in sorted(rows.items()):
            if Kind(kind) not in want.kinds:
                continue
            yield ScopeRead(
                scope=scope_key(Kind(kind), sourced(JOURNAL, ENTRIES), group),
                kind=Kind(kind),
                read_at=read_at,
                records=[_to_record(row) for row in found if row.withdrawn_at is None],
                pupils_present=frozenset(row.pupil for row in found),
                items_present=frozenset(_item(row) for row in found),
            )

    def _load(self) -> Sequence[Row[Any]]:
        # all at once: the consumer writes between two scopes
        with self._store.read() as conn:
            return _load_rows(conn, self._place_id)


def add_entry(gateway: Gateway, typed: Typed) -> int:
    """Store an entry; the next pull hears it.

    Returns:
        Its number.

    Raises:
        EntryRefusedError: No such pupil, group, lesson, work or value, with all that is wrong; or it stands already or
            contradicts what does. Nothing is stored.
    """
    faults = _find_faults_of_form(typed)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        lock_place(conn, place_id)
        faults += _find_unknown_people(conn, place_id, typed)
        lesson = _find_lesson(conn, place_id, typed)
        if isinstance(lesson, EntryFault):
            faults.append(lesson)
        rules = load_counting_rules(conn, place_id, gateway.rules)
        if typed.value is not None and (unknown := find_unknown_work(rules, _mark_of(typed, ""))):
            faults.append(unknown)
        if faults or isinstance(lesson, EntryFault):
            raise EntryRefusedError(faults)
        kind = Kind.MARK if typed.value is not None else Kind.ABSENCE
        _refuse_standing(conn, place_id, rules, typed, lesson)
        number = conn.execute(
            insert(journal_entry)
            .values(
                place_id=place_id,
                kind=kind.value,
                group_ref=typed.group,
                pupil=typed.pupil,
                lesson=lesson.ref,
                lesson_at=lesson.starts_at,
                value=typed.value,
                work=typed.work[:WORK_LENGTH],
                form=typed.form,
                typed_by=gateway.actor.name,
                on_behalf_of=typed.on_behalf_of,
                answers=typed.answers,
                entered_at=gateway.store.now(conn),
            )
            .returning(journal_entry.c.id)
        ).scalar_one()
        entry = Entry(typed_by=gateway.actor.name, on_behalf_of=typed.on_behalf_of, answers=typed.answers, way=JOURNAL)
        _note(gateway, conn, place_id, kind, number, typed.pupil, entry, action="journal.entered")
    return int(number)


def withdraw_entry(gateway: Gateway, number: int) -> None:
    """Take an entry back; what stands in the city by it becomes a delete that waits for a person, by the usual rules.

    Raises:
        ConfigurationError: No such entry, or it was taken back already.
    """
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        here = (
            journal_entry.c.id == number,
            journal_entry.c.place_id == place_id,
            journal_entry.c.withdrawn_at.is_(None),
        )
        row = conn.execute(select(journal_entry).where(*here)).one_or_none()
        if row is None:
            raise ConfigurationError("Записи с таким номером нет, или она уже отозвана")
        now = gateway.store.now(conn)
        conn.execute(update(journal_entry).where(*here).values(withdrawn_at=now, withdrawn_by=gateway.actor.name))
        _note(gateway, conn, place_id, Kind(row.kind), number, row.pupil, _entry(row), action="journal.withdrawn")


def load_entries(gateway: Gateway) -> list[EntryLine]:
    """Load all entries of the place, the newest first."""
    with gateway.store.write() as conn:
        rows = _load_rows(conn, gateway.place_id(conn))
    return [to_line(row) for row in reversed(rows)]


def to_line(row: Row[Any]) -> EntryLine:
    """A row of `journal_entry` as it is shown."""
    return EntryLine(
        id=row.id,
        kind=Kind(row.kind),
        pupil=row.pupil,
        group=row.group_ref,
        lesson_at=row.lesson_at,
        value=row.value,
        form=row.form,
        work=row.work,
        typed_by=row.typed_by,
        on_behalf_of=row.on_behalf_of,
        answers=row.answers,
        entered_at=row.entered_at,
        withdrawn_at=row.withdrawn_at,
    )


def _load_rows(conn: Connection, place_id: int) -> Sequence[Row[Any]]:
    query = select(journal_entry).where(journal_entry.c.place_id == place_id).order_by(journal_entry.c.id)
    return conn.execute(query).all()


def _find_faults_of_form(typed: Typed) -> list[EntryFault]:
    """What is wrong with an entry by itself."""
    faults: list[EntryFault] = []
    if (typed.value is None) is (typed.form is None):
        faults.append(entry_fault("value", "one_of_two"))
    if typed.value is not None and not LOWEST <= typed.value <= HIGHEST:
        faults.append(entry_fault("value", "value"))
    return faults


def _find_unknown_people(conn: Connection, place_id: int, typed: Typed) -> list[EntryFault]:
    people = {one.ref: one for one in load_records(conn, place_id, Person)}
    faults: list[EntryFault] = []
    if typed.pupil not in people or people[typed.pupil].role != "pupil":
        faults.append(entry_fault("pupil", "pupil"))
    for field in ("on_behalf_of", "answers"):
        ref = getattr(typed, field)
        if ref and ref not in people:
            faults.append(entry_fault(field, "person"))
    return faults


def _find_lesson(conn: Connection, place_id: int, typed: Typed) -> Lesson | EntryFault:
    """The lesson that an entry names, or why there is none."""
    if typed.lesson_at.tzinfo is None:
        return entry_fault("lesson_at", "zone")
    groups = {one.ref for one in load_records(conn, place_id, Group)}
    if typed.group not in groups:
        return entry_fault("group", "group")
    same = {typed.group, *(ref for ref, own in load_pairs(conn, place_id, Kind.GROUP).items() if own == typed.group)}
    lessons = [
        one for one in load_records(conn, place_id, Lesson) if one.group in same and one.starts_at == typed.lesson_at
    ]
    if not lessons:
        return entry_fault("lesson_at", "lesson")
    return min(lessons, key=lambda one: (one.group != typed.group, one.ref))


def _refuse_standing(conn: Connection, place_id: int, rules: Rules, typed: Typed, lesson: Lesson) -> None:
    kind = Kind.ABSENCE if typed.value is None else Kind.MARK
    where = {"pupil": typed.pupil, "group": typed.group, "lesson": lesson.ref}
    standing = load_standing(conn, place_id, kind, **where, lesson_at=lesson.starts_at)
    if typed.value is None:
        refuse_second_absence(standing, typed.form)
        return
    if not typed.is_again:
        mark = _mark_of(typed, lesson.ref)
        key = work_key(rules, mark)
        same = [row for row in standing if work_key(rules, msgspec.structs.replace(mark, item_name=row.work)) == key]
        refuse_second_mark(same, typed.value)


def _mark_of(typed: Typed, lesson: str) -> Mark:
    return _to_mark(typed.pupil, typed.group, lesson, typed.lesson_at, typed.value or LOWEST, typed.work[:WORK_LENGTH])


def _to_mark(pupil: str, group: str, lesson: str, lesson_at: datetime, value: int, work: str) -> Mark:
    return Mark(
        ref="",
        pupil=pupil,
        programme=sourced(JOURNAL, ENTRIES),
        group=group,
        item=lesson,
        item_name=work,
        item_form="manual",
        module="page",
        scale=Scale("points", 0, FIVE),
        raw_points=float(value),
        lesson_at=lesson_at,
    )


def _entry(row: Row[Any]) -> Entry:
    return Entry(typed_by=row.typed_by, on_behalf_of=row.on_behalf_of, answers=row.answers, way=JOURNAL)


def _to_record(row: Row[Any]) -> Record:
    entry = _entry(row)
    origins = {"*": f"{JOURNAL}/entry/{row.id}"}
    if row.kind == Kind.ABSENCE.value:
        return Absence(
            ref=sourced(JOURNAL, f"absence:{row.id}"),
            origins=origins,
            entry=entry,
            pupil=row.pupil,
            lesson=row.lesson,
            group=row.group_ref,
            form=row.form,
        )
    mark = _to_mark(row.pupil, row.group_ref, _item(row), row.lesson_at, row.value, row.work)
    return msgspec.structs.replace(mark, ref=sourced(JOURNAL, f"mark:{row.id}"), origins=origins, entry=entry)


def _item(row: Row[Any]) -> str:
    return str(row.lesson)


def _note(
    gateway: Gateway,
    conn: Connection,
    place_id: int,
    kind: Kind,
    number: int,
    pupil: str,
    entry: Entry,
    *,
    action: str,
) -> None:
    city_id = load_links(conn, place_id, Kind.PERSON).get(pupil)
    subject = f"city-pupil:{city_id}" if city_id is not None else pupil
    gateway.audit.append(
        conn,
        Deed(
            action=action,
            actor=gateway.actor,
            originator=originators_of(conn, gateway.place, [entry])[0],
            place=gateway.place,
            object_type=kind.value,
            object_id=f"journal:{number}",
            subject=pseudonym_of(conn, gateway.place, subject),
            city_id=city_id,
            outcome="decided",
        ),
    )


__all__ = ["EntryLine", "JournalSource", "Typed", "add_entry", "load_entries", "to_line", "withdraw_entry"]
