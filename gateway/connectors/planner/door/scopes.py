"""Books of the door turned into the scopes that the gateway stores. Pure; pulled and pushed books go the same way."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from gateway.connectors.planner.door import records as made
from gateway.connectors.planner.door import wire
from gateway.connectors.planner.door.records import Names, Read, read_rows
from gateway.connectors.port import ScopeRead
from gateway.domain.errors import RecordError
from gateway.domain.identifiers import Kind, scope_key
from gateway.domain.reasons import PLANNER_INVALID
from gateway.domain.records import Lesson, Membership, Person, TeachingAssignment

BOOK_KINDS = {
    "people": Kind.PERSON,
    "subjects": Kind.SUBJECT,
    "groups": Kind.GROUP,
    "lessons": Kind.LESSON,
    "marks": Kind.MARK,
    "absences": Kind.ABSENCE,
    "homework": Kind.HOMEWORK,
}

Rows = Iterable[Mapping[str, object]]


def site_scope(book: str, rows: Rows, names: Names, read_at: datetime) -> ScopeRead:
    """Build the scope of a book of the whole school.

    Raises:
        IncompleteReadError: The book can't be used.
    """
    read: Read
    if book == "people":
        read = read_rows(book, rows, names, read_at, partial(made.to_person, names=names))
    elif book == "subjects":
        read = read_rows(book, rows, names, read_at, partial(made.to_subject, names=names))
    else:
        read = read_rows(book, rows, names, read_at, partial(made.to_group, names=names))
    return ScopeRead(
        scope=scope_key(BOOK_KINDS[book], names.site),
        kind=BOOK_KINDS[book],
        read_at=read_at,
        records=read.records,
        faults=read.faults,
        pupils_present=frozenset(one.ref for one in read.records if isinstance(one, Person) and one.role == "pupil"),
        items_present=frozenset(one.ref for one in read.records),
    )


def valid_groups(rows: Rows) -> list[wire.GroupRow]:
    """Return the rows of the book of groups that fit; the others are faults of its scope."""
    found = []
    for row in rows:
        try:
            found.append(wire.GroupRow.model_validate(row))
        except ValueError:
            continue
    return found


def iter_group_directory(
    groups: Iterable[wire.GroupRow], names: Names, read_at: datetime, people: Collection[str]
) -> Iterator[ScopeRead]:
    """Yield who is in each group and who teaches it. Somebody who is not in the book of people is a remark and stays.

    Args:
        people: Refs of all people that are known; empty = their book has not come yet, nobody is remarked on.
    """
    for group in groups:
        members: tuple[tuple[Kind, Sequence[Membership | TeachingAssignment]], ...] = (
            (Kind.MEMBERSHIP, made.memberships(group, names)),
            (Kind.ASSIGNMENT, made.assignments(group, names)),
        )
        for kind, found in members:
            yield ScopeRead(
                scope=group_scope_key(kind, group.id, names),
                kind=kind,
                read_at=read_at,
                records=found,
                faults=[
                    RecordError(
                        f"Группа {group.id}: этого человека нет среди people", where=one.ref, reason=PLANNER_INVALID
                    )
                    for one in found
                    if people and one.person not in people
                ],
                pupils_present=pupils_of(group, names),
                items_present=frozenset(one.ref for one in found),
            )


def group_scope(
    book: str,
    rows: Rows,
    group: wire.GroupRow,
    names: Names,
    read_at: datetime,
    *,
    lessons: Mapping[str, Lesson],
) -> ScopeRead:
    """Build the scope of a book of one group.

    Args:
        lessons: Ref → lesson of the group; of the book of lessons itself nothing is needed.

    Raises:
        IncompleteReadError: The book can't be used.
    """
    ref = names.ref("group", group.id)
    read: Read
    if book == "lessons":
        read = read_rows(book, rows, names, read_at, partial(made.to_lesson, names=names, group=ref))
        own = made.numbered([one for one in read.records if isinstance(one, Lesson)])
        read = Read(records=list(own), faults=read.faults)
        items = frozenset(one.ref for one in own)
    elif book == "homework":
        read = read_rows(book, rows, names, read_at, partial(made.to_homework, names=names, group=ref))
        items = frozenset(one.ref for one in read.records)
    elif book == "marks":
        read = read_rows(book, rows, names, read_at, partial(made.to_mark, names=names, group=ref, lessons=lessons))
        items = frozenset(lessons)
    else:
        read = read_rows(book, rows, names, read_at, partial(made.to_absence, names=names, group=ref, lessons=lessons))
        items = frozenset(lessons)
    return ScopeRead(
        scope=group_scope_key(BOOK_KINDS[book], group.id, names),
        kind=BOOK_KINDS[book],
        read_at=read_at,
        records=read.records,
        faults=read.faults,
        pupils_present=pupils_of(group, names),
        items_present=items,
    )


def group_scope_key(kind: Kind, group_id: str, names: Names) -> str:
    """`mark|planner/school|planner/group:7a-alg`."""
    return scope_key(kind, names.programme, names.ref("group", group_id))


def pupils_of(group: wire.GroupRow, names: Names) -> frozenset[str]:
    """Refs of the group's pupils."""
    return frozenset(names.ref("person", pupil) for pupil in group.pupils)
