"""Pupils and their marks, absences and homework as a door shows them: always through a `Scope`, a page at a time.

Each mark says whether the city's journal holds it, by the last read-back. A teacher's comment, a birth date and the
reason of an absence are not in these views at all: whoever may see a mark may not see them for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Select, literal, or_, select

from gateway.access.roles import Role
from gateway.access.scope import Scope
from gateway.domain.errors import NotVisibleError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Absence, Group, Homework, Lesson, Mark, Person, Record
from gateway.mapping.links import load_links
from gateway.reconcile.joins import same_record
from gateway.reconcile.shares import GROUP, PUPIL
from gateway.reconcile.tables import base, record
from gateway.report.visible import Seen, body_field

R = TypeVar("R", bound=Record)
OUTSIDE = (Role.PUPIL, Role.PARENT)
"""Who is not shown what the teacher has not opened yet."""


class PupilView(msgspec.Struct, frozen=True, kw_only=True):
    """A pupil as a list shows him."""

    ref: str
    last_name: str
    first_name: str
    class_name: str | None


class MarkView(msgspec.Struct, frozen=True, kw_only=True):
    """A mark at the portal, and whether it stands in the city's journal.

    Attributes:
        points: As the gradebook holds it, on a scale up to `maximum`.
        verified_at: When the city's journal was last read back with it; None = not there yet.
    """

    ref: str
    pupil: str
    group: str | None
    item_name: str
    points: float
    maximum: float
    word: str | None
    due_at: datetime | None
    graded_at: datetime | None
    verified_at: datetime | None


class AbsenceView(msgspec.Struct, frozen=True, kw_only=True):
    """An absence; why is health data and is not kept here."""

    ref: str
    pupil: str
    group: str
    form: str
    lesson_at: datetime | None
    verified_at: datetime | None


class HomeworkView(msgspec.Struct, frozen=True, kw_only=True):
    """A task given to a group."""

    ref: str
    group: str
    title: str
    text: str
    assigned_on: date
    prepared_for: date
    verified_at: datetime | None


def load_pupils(conn: Connection, scope: Scope, place_id: int, *, after: str, limit: int) -> list[PupilView]:
    """Load the pupils whom a scope sees, by ref; `after` is the last ref of the page before."""
    seen = Seen(conn, scope, place_id)
    rows = conn.execute(
        select(record.c.body)
        .where(
            record.c.place_id == place_id,
            record.c.kind == Kind.PERSON.value,
            record.c.ref > after,
            record.c.ref.in_(seen.pupil_refs()),
        )
        .order_by(record.c.ref)
        .limit(limit)
    ).scalars()
    people = [msgspec.json.decode(body, type=Person) for body in rows]
    return [
        PupilView(
            ref=person.ref, last_name=person.last_name, first_name=person.first_name, class_name=person.class_name
        )
        for person in people
    ]


def require_pupil(conn: Connection, scope: Scope, place_id: int, pupil_ref: str) -> None:
    """Let a pupil whom the scope sees pass.

    Raises:
        NotVisibleError: He is somebody else's, or nobody: the same words for both.
    """
    if not is_pupil_seen(conn, scope, place_id, pupil_ref):
        raise NotVisibleError("Такой записи нет")


def is_pupil_seen(conn: Connection, scope: Scope, place_id: int, pupil_ref: str) -> bool:
    """Whether a pupil is one whom the scope sees."""
    return bool(conn.execute(select(literal(pupil_ref).in_(Seen(conn, scope, place_id).pupil_refs()))).scalar_one())


def require_group(conn: Connection, scope: Scope, place_id: int, group_ref: str) -> None:
    """Let a group whose page the scope sees pass.

    Raises:
        NotVisibleError: It is somebody else's, or none.
    """
    if not conn.execute(select(literal(group_ref).in_(Seen(conn, scope, place_id).group_refs()))).scalar_one():
        raise NotVisibleError("Такой записи нет")


def load_marks(
    conn: Connection,
    scope: Scope,
    place_id: int,
    *,
    pupil_ref: str | None = None,
    group_ref: str | None = None,
    after: str,
    limit: int,
) -> list[MarkView]:
    """Load marks of one pupil or of one group's page, by ref.

    Raises:
        NotVisibleError: That pupil or group is not the scope's.
    """
    rows = _load(conn, scope, place_id, Mark, pupil_ref, group_ref, after=after, limit=limit)
    return [
        MarkView(
            ref=mark.ref,
            pupil=mark.pupil,
            group=mark.group,
            item_name=mark.item_name,
            points=mark.raw_points,
            maximum=mark.scale.maximum,
            word=mark.word,
            due_at=mark.due_at,
            graded_at=mark.graded_at,
            verified_at=verified_at,
        )
        for mark, verified_at in rows
    ]


def load_absences(
    conn: Connection,
    scope: Scope,
    place_id: int,
    *,
    pupil_ref: str | None = None,
    group_ref: str | None = None,
    after: str,
    limit: int,
) -> list[AbsenceView]:
    """Load absences of one pupil or of one group's page, by ref.

    Raises:
        NotVisibleError: That pupil or group is not the scope's.
    """
    rows = _load(conn, scope, place_id, Absence, pupil_ref, group_ref, after=after, limit=limit)
    lessons = _load_beginnings(conn, place_id, [absence.lesson for absence, _ in rows])
    return [
        AbsenceView(
            ref=absence.ref,
            pupil=absence.pupil,
            group=absence.group,
            form=absence.form,
            lesson_at=lessons.get(absence.lesson),
            verified_at=verified_at,
        )
        for absence, verified_at in rows
    ]


def load_homework(
    conn: Connection, scope: Scope, place_id: int, *, pupil_ref: str, after: str, limit: int
) -> list[HomeworkView]:
    """Load the homework given to a pupil: of his groups, and meant for him.

    Raises:
        NotVisibleError: That pupil is not the scope's.
    """
    require_pupil(conn, scope, place_id, pupil_ref)
    seen = Seen(conn, scope, place_id)
    groups = seen.groups_of(select(literal(pupil_ref)))
    rows = conn.execute(
        _page(
            place_id,
            Kind.HOMEWORK,
            [seen.scopes_of(Kind.HOMEWORK, GROUP, groups)],
            [
                seen.covers(record),
                body_field(record.c.body, "group").in_(groups),
                # ends with the quote, so that user:3 is not found in user:31
                or_(
                    body_field(record.c.body, "pupils") == "[]",
                    body_field(record.c.body, "pupils").contains(f'"{pupil_ref}"', autoescape=True),
                ),
            ],
            after=after,
            limit=limit,
        )
    )
    tasks = [(msgspec.json.decode(row.body, type=Homework), row.verified_at) for row in rows]
    return [
        HomeworkView(
            ref=task.ref,
            group=task.group,
            title=task.title,
            text=task.text,
            assigned_on=task.assigned_on,
            prepared_for=task.prepared_for,
            verified_at=verified_at,
        )
        for task, verified_at in tasks
    ]


def load_groups(conn: Connection, scope: Scope, place_id: int, *, after: str, limit: int) -> list[Group]:
    """Load the groups whose pages a scope sees, by ref."""
    seen = Seen(conn, scope, place_id)
    rows = conn.execute(
        select(record.c.body)
        .where(
            record.c.place_id == place_id,
            record.c.kind == Kind.GROUP.value,
            record.c.ref > after,
            record.c.ref.in_(seen.group_refs()),
        )
        .order_by(record.c.ref)
        .limit(limit)
    ).scalars()
    return [msgspec.json.decode(body, type=Group) for body in rows]


def load_city_ids(conn: Connection, place_id: int) -> dict[str, int]:
    """Confirmed links, pupil ref → city id, by which the audit knows him."""
    return load_links(conn, place_id, Kind.PERSON)


def _load(
    conn: Connection,
    scope: Scope,
    place_id: int,
    cls: type[R],
    pupil_ref: str | None,
    group_ref: str | None,
    *,
    after: str,
    limit: int,
) -> list[tuple[R, datetime | None]]:
    seen = Seen(conn, scope, place_id)
    where: list[ColumnElement[bool]] = [seen.covers(record)]
    scopes: list[Select[Any]] = []
    if pupil_ref is not None:
        require_pupil(conn, scope, place_id, pupil_ref)
        scopes.append(seen.scopes_of(cls.kind, PUPIL, select(literal(pupil_ref))))
        where.append(body_field(record.c.body, "pupil") == pupil_ref)
    if group_ref is not None:
        require_group(conn, scope, place_id, group_ref)
        scopes.append(seen.scopes_of(cls.kind, GROUP, select(literal(group_ref))))
        where.append(body_field(record.c.body, "group") == group_ref)
    if scope.principal.role in OUTSIDE and cls is Mark:
        where.append(body_field(record.c.body, "is_hidden").not_in(("1", "true")))
    rows = conn.execute(_page(place_id, cls.kind, scopes, where, after=after, limit=limit))
    decoder = msgspec.json.Decoder(cls)
    return [(decoder.decode(row.body), row.verified_at) for row in rows]


def _page(
    place_id: int,
    kind: Kind,
    scopes: Sequence[Select[Any]],
    where: Sequence[ColumnElement[bool]],
    *,
    after: str,
    limit: int,
) -> Select[Any]:
    """One page of live records of a kind out of a few scopes, by ref.

    A place's records of a kind by ref is the primary key, and a database that can't know how few scopes are meant walks
    all of it; so the ref is an expression here, and the scopes' index is the one way left.
    """
    ref = record.c.ref.concat("")
    return (
        select(record.c.body, base.c.verified_at)
        .select_from(_with_base())
        .where(
            record.c.place_id == place_id,
            record.c.kind.concat("") == kind.value,
            record.c.gone.is_(None),
            *(record.c.scope.in_(one) for one in scopes),
            ref > after,
            *where,
        )
        .order_by(ref)
        .limit(limit)
    )


def _with_base() -> FromClause:
    return record.outerjoin(base, same_record(base, record))


def _load_beginnings(conn: Connection, place_id: int, refs: Sequence[str]) -> dict[str, datetime]:
    bodies = conn.execute(
        select(record.c.body).where(
            record.c.place_id == place_id, record.c.kind == Kind.LESSON.value, record.c.ref.in_(set(refs))
        )
    ).scalars()
    lessons = [msgspec.json.decode(body, type=Lesson) for body in bodies]
    return {lesson.ref: lesson.starts_at for lesson in lessons}
