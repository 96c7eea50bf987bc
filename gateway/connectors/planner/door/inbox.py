"""What a planner pushes: one whole book a batch, read by the same models as what is pulled.

Below the flow that stores it. Knows no transport: bytes in, scopes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from pydantic import ValidationError

from gateway.connectors.planner.door import wire
from gateway.connectors.planner.door.records import Names
from gateway.connectors.planner.door.scopes import (
    group_scope,
    group_scope_key,
    iter_group_directory,
    site_scope,
    valid_groups,
)
from gateway.connectors.port import CheckLine, CheckState, PushedBook, ScopeRead, Stored, Want
from gateway.connectors.strict_json import parse_json
from gateway.domain.errors import IncompleteReadError, RecordError
from gateway.domain.identifiers import Kind, scope_key
from gateway.domain.reasons import PLANNER_INVALID
from gateway.domain.records import Group, Lesson, Membership, Record
from gateway.domain.storable import storable_text


class DoorInbox:
    """Understands batches; as a source it has nothing to be asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._names = Names(name, "push")

    def check(self) -> Iterator[CheckLine]:
        """Say that the planner is waited for."""
        sentence = "Планировщик присылает записи сам: PUT /api/v1/planner/books"
        yield CheckLine(subject="planner.push", state=CheckState.OK, sentence=sentence)

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        """Nothing: what was pushed is stored already."""
        del want, stored
        yield from ()

    def read_batch(
        self, body: bytes, *, read_at: datetime, load_scope: Callable[[str], Sequence[Record]]
    ) -> PushedBook:
        """Read one batch (`connectors.port.BatchInbox`).

        Raises:
            RecordError: Not a batch, rows missing, or its group was not pushed before.
        """
        batch = _to_batch(body)
        if len(batch.rows) != batch.total:
            raise RecordError(
                f"В пакете {len(batch.rows)} строк вместо {batch.total}", where="total", reason=PLANNER_INVALID
            )
        if (batch.group is None) is (batch.book in wire.GROUP_BOOKS):
            raise RecordError(
                "Книга группы без группы, или книга школы с группой", where="group", reason=PLANNER_INVALID
            )
        try:
            if batch.group is None:
                scopes = self._site(batch, read_at, load_scope)
            else:
                scopes = (self._group(batch, batch.group, read_at, load_scope),)
        except IncompleteReadError as exc:
            raise RecordError(exc.sentence, where="rows", reason=PLANNER_INVALID) from exc
        return PushedBook(key=f"{batch.book}|{batch.group or ''}", revision=batch.revision, scopes=scopes)

    def _site(
        self, batch: wire.Batch, read_at: datetime, load_scope: Callable[[str], Sequence[Record]]
    ) -> tuple[ScopeRead, ...]:
        scope = site_scope(batch.book, batch.rows, self._names, read_at)
        if batch.book != "groups":
            return (scope,)
        people = {one.ref for one in load_scope(scope_key(Kind.PERSON, self._names.site))}
        return (scope, *iter_group_directory(valid_groups(batch.rows), self._names, read_at, people))

    def _group(
        self, batch: wire.Batch, group_id: str, read_at: datetime, load_scope: Callable[[str], Sequence[Record]]
    ) -> ScopeRead:
        names = self._names
        groups = load_scope(scope_key(Kind.GROUP, names.site))
        if not any(isinstance(one, Group) and one.ref == names.ref("group", group_id) for one in groups):
            raise RecordError(
                "Группы нет среди присланных: сначала книги people, subjects и groups",
                where="group",
                reason=PLANNER_INVALID,
            )
        members = load_scope(group_scope_key(Kind.MEMBERSHIP, group_id, names))
        prefix = names.ref("person", "")
        group = wire.GroupRow(
            id=group_id,
            subject="-",
            name="-",
            pupils=tuple(one.person.removeprefix(prefix) for one in members if isinstance(one, Membership)),
        )
        lessons = load_scope(group_scope_key(Kind.LESSON, group_id, names))
        known = {one.ref: one for one in lessons if isinstance(one, Lesson)}
        return group_scope(batch.book, batch.rows, group, names, read_at, lessons=known)


def _to_batch(body: bytes) -> wire.Batch:
    try:
        return wire.Batch.model_validate(parse_json(body))
    except ValidationError as exc:
        places = sorted({".".join(map(str, error["loc"])) or "batch" for error in exc.errors()})
        sentence = storable_text(f"Пакет не по форме: {', '.join(places[:5])}")
        raise RecordError(sentence, where=storable_text(places[0]), reason=PLANNER_INVALID) from None
    except ValueError:
        raise RecordError("Пакет не разобран: нужен JSON в UTF-8", where="batch", reason=PLANNER_INVALID) from None
