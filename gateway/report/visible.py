"""What a scope sees of the school's records: predicates over `record` that every query of a door is joined with.

The floor `access` knows accounts and their ties; which pupil is in which class, group and programme is in the records,
and is asked of them in the same statement: nothing is cached that a transfer would make wrong. Refs are compared as the
portal spells them, classes by `mapping.normalise.class_key`, because people spell them in four ways.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, String, and_, cast, false, or_, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from gateway.access.roles import Reach
from gateway.access.scope import Scope
from gateway.domain.identifiers import Kind
from gateway.mapping.normalise import class_key
from gateway.reconcile.shares import GROUP, PUPIL
from gateway.reconcile.tables import record, scope_share


class body_field(FunctionElement[str]):  # noqa: N801  # an SQL function, written as one
    """A field of a record's stored JSON body as text, on both databases; NULL where it is absent or null.

    Truth is spelled `1` or `true`, by the database.
    """

    inherit_cache = True
    type = String()

    def __init__(self, body: ColumnElement[bytes], field: str) -> None:
        super().__init__(body, field)


@compiles(body_field, "sqlite")
def _of_sqlite(element: body_field, compiler: SQLCompiler, **more: Any) -> str:
    body, field = (compiler.process(clause, **more) for clause in element.clauses)
    # a BLOB is refused by json_extract; the body is UTF-8 by `domain.records.to_body`
    return f"CAST(json_extract(CAST({body} AS TEXT), '$.' || {field}) AS TEXT)"


@compiles(body_field, "postgresql")
def _of_postgresql(element: body_field, compiler: SQLCompiler, **more: Any) -> str:
    body, field = (compiler.process(clause, **more) for clause in element.clauses)
    return f"(convert_from({body}, 'UTF8')::jsonb ->> {field})"


class Seen:
    """What one scope sees at one place, in the terms of one transaction.

    Args:
        conn: The transaction in which the predicates are used.
        scope: The principal's reach.
        place_id: The scope's place.
    """

    def __init__(self, conn: Connection, scope: Scope, place_id: int) -> None:
        self._scope = scope
        self._place_id = place_id
        self._on = scope.principal.on
        self._classes = _load_led_classes(conn, scope, place_id) if scope.reach is Reach.OWN_CLASS else []

    def pupil_refs(self) -> Select[Any]:
        """Refs of the pupils whom the scope may be shown at all."""
        person = record.alias()
        pupils = select(person.c.ref).where(
            self._live(person, Kind.PERSON), body_field(person.c.body, "role") == "pupil"
        )
        match self._scope.reach:
            case Reach.SCHOOL | Reach.PSEUDONYMS | Reach.GLASS:
                return pupils
            case Reach.SELF | Reach.OWN_CHILD:
                return pupils.where(person.c.ref.in_(self._scope.tied_refs()))
            case Reach.OWN_CLASS:
                return pupils.where(body_field(person.c.body, "class_name").in_(self._classes))
            case Reach.OWN_GROUP | Reach.OWN_PROGRAMME:
                return pupils.where(person.c.ref.in_(self._members_of(self.group_refs())))
            case _:
                return pupils.where(false())

    def group_refs(self) -> Select[Any]:
        """Refs of the groups whose lessons, homework and journal page the scope may be shown."""
        group = record.alias()
        groups = select(group.c.ref).where(self._live(group, Kind.GROUP))
        match self._scope.reach:
            case Reach.SCHOOL | Reach.PSEUDONYMS | Reach.GLASS:
                return groups
            case Reach.OWN_GROUP:
                return groups.where(group.c.ref.in_(self._scope.tied_refs()))
            case Reach.OWN_PROGRAMME:
                return groups.where(body_field(group.c.body, "programme").in_(self._scope.tied_refs()))
            case Reach.SELF | Reach.OWN_CHILD | Reach.OWN_CLASS:
                return groups.where(group.c.ref.in_(self.groups_of(self.pupil_refs())))
            case _:
                return groups.where(false())

    def covers(self, row: FromClause) -> ColumnElement[bool]:
        """Whether the scope may be shown a row of `record` (or its outer-joined alias) that is a mark, absence or homework.

        A teacher sees what belongs to his group, not all that belongs to his pupil; a row that no record stands behind
        (only in the city) is the whole school's.
        """
        pupil, group = body_field(row.c.body, "pupil"), body_field(row.c.body, "group")
        match self._scope.reach:
            case Reach.SCHOOL | Reach.PSEUDONYMS | Reach.GLASS:
                return true()
            case Reach.SELF | Reach.OWN_CHILD:
                return or_(
                    pupil.in_(self._scope.tied_refs()), and_(row.c.kind == Kind.HOMEWORK, group.in_(self.group_refs()))
                )
            case Reach.OWN_CLASS:
                return or_(
                    pupil.in_(self.pupil_refs()), and_(row.c.kind == Kind.HOMEWORK, group.in_(self.group_refs()))
                )
            case Reach.OWN_GROUP:
                return group.in_(self.group_refs())
            case Reach.OWN_PROGRAMME:
                return or_(
                    group.in_(self.group_refs()),
                    and_(group.is_(None), body_field(row.c.body, "programme").in_(self._scope.tied_refs())),
                )
            case _:
                return false()

    def covers_columns(
        self, *, pupil: ColumnElement[Any], group: ColumnElement[Any] | None, programme: ColumnElement[Any]
    ) -> ColumnElement[bool]:
        """Whether the scope may be shown a row that is a pupil's and keeps whose it is in columns.

        Args:
            pupil: Ref of the pupil.
            group: Ref of his group in the row's subject; None where such rows know no group, but only a programme.
            programme: Ref of the programme; NULL in a row that belongs to none.
        """
        match self._scope.reach:
            case Reach.SCHOOL | Reach.PSEUDONYMS | Reach.GLASS:
                return true()
            case Reach.SELF | Reach.OWN_CHILD:
                return pupil.in_(self._scope.tied_refs())
            case Reach.OWN_CLASS:
                return pupil.in_(self.pupil_refs())
            case Reach.OWN_GROUP if group is not None:
                return group.in_(self.group_refs())
            case Reach.OWN_GROUP:
                return and_(pupil.in_(self.pupil_refs()), programme.in_(self._programmes_of(self.group_refs())))
            case Reach.OWN_PROGRAMME if group is not None:
                return or_(group.in_(self.group_refs()), and_(group.is_(None), programme.in_(self._scope.tied_refs())))
            case Reach.OWN_PROGRAMME:
                return and_(pupil.in_(self.pupil_refs()), programme.in_(self._scope.tied_refs()))
            case _:
                return false()

    def _programmes_of(self, groups: Select[Any]) -> Select[Any]:
        group = record.alias()
        return select(body_field(group.c.body, "programme")).where(
            self._live(group, Kind.GROUP), group.c.ref.in_(groups)
        )

    def scopes_of(self, kind: Kind, form: str, refs: Select[Any]) -> Select[Any]:
        """The scopes that hold records of a kind of these pupils, groups or programmes, and perhaps a few more."""
        share = scope_share.alias()
        return select(share.c.scope).where(
            share.c.place_id == self._place_id,
            share.c.form == form,
            share.c.ref.in_(refs),
            share.c.kind == kind.value,
        )

    def groups_of(self, pupils: Select[Any]) -> Select[Any]:
        """Refs of the groups that these pupils are in today."""
        member = record.alias()
        return select(body_field(member.c.body, "group")).where(
            self._is_member(member),
            member.c.scope.in_(self.scopes_of(Kind.MEMBERSHIP, PUPIL, pupils)),
            body_field(member.c.body, "person").in_(pupils),
        )

    def _members_of(self, groups: Select[Any]) -> Select[Any]:
        member = record.alias()
        return select(body_field(member.c.body, "person")).where(
            self._is_member(member),
            member.c.scope.in_(self.scopes_of(Kind.MEMBERSHIP, GROUP, groups)),
            body_field(member.c.body, "group").in_(groups),
        )

    def _is_member(self, member: FromClause) -> ColumnElement[bool]:
        return and_(self._live(member, Kind.MEMBERSHIP), _is_within(member, self._on))

    def _live(self, row: FromClause, kind: Kind) -> ColumnElement[bool]:
        return and_(row.c.place_id == self._place_id, row.c.kind == kind.value, row.c.gone.is_(None))


def _is_within(row: FromClause, on: date) -> ColumnElement[bool]:
    # ISO days compare as texts in the order of time, so nothing has to be cast in every row
    begins, ends = (body_field(row.c.body, name) for name in ("begins_on", "ends_on"))
    return and_(
        or_(begins.is_(None), cast(begins, String) <= on.isoformat()),
        or_(ends.is_(None), cast(ends, String) >= on.isoformat()),
    )


def _load_led_classes(conn: Connection, scope: Scope, place_id: int) -> list[str]:
    """Class names as the records spell them that are the classes which the principal leads."""
    led = {class_key(ref) for ref in conn.execute(scope.tied_refs()).scalars()} - {None}
    if not led:
        return []
    spelled = (
        select(body_field(record.c.body, "class_name"))
        .where(record.c.place_id == place_id, record.c.kind == Kind.PERSON.value, record.c.gone.is_(None))
        .distinct()
    )
    return [name for name in conn.execute(spelled).scalars() if class_key(name) in led]
