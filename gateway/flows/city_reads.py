"""City reads: a scope of the city's journal, and whether what was shown is all that stands there.

Between the port and everybody who concludes something from absence (the plan, the read-back). What is known to stand in
a scope is its own canary: where some of it is missing the scope is read until two passes agree; where nothing of it is
shown, another scope of that kind says whether the city shows this kind to us at all. A wrong subsystem, a lost right or a
list that moved under its pages would otherwise look like a journal from which everything was deleted, and everything
would be written once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, or_, select

from gateway.connectors.port import CityDirectory, CityRead, CityScope
from gateway.domain.errors import ContractError, IncompleteReadError
from gateway.domain.identifiers import Kind
from gateway.flows.gateway import Gateway
from gateway.queue.states import State
from gateway.queue.tables import operation
from gateway.reconcile.shadow import city_scope, scope_of
from gateway.reconcile.tables import city_directory, shadow

# built once: putting a statement together costs more than running it
_DELETED_BY_US = select(operation.c.city_id).where(
    operation.c.place_id == bindparam("place_id"),
    operation.c.scope == bindparam("scope"),
    operation.c.op == "delete",
    operation.c.state.in_((State.ACCEPTED.value, State.UNKNOWN.value)),
    operation.c.city_id.is_not(None),
)
_KNOWN = select(shadow.c.city_id).where(
    shadow.c.place_id == bindparam("place_id"),
    shadow.c.scope == bindparam("scope"),
    or_(shadow.c.on_date.is_(None), shadow.c.on_date.between(bindparam("from_on"), bindparam("to_on"))),
    shadow.c.city_id.not_in(_DELETED_BY_US),
)
DRIFT_RATIO = 0.01
"""Groups whose rows do not fit, above which the kind's form has changed (reliability.md A26); never fewer than two."""
PASSES_COUNT = 3
"""Reads of one scope before it is discarded: of a list that changes in each of them nothing can be concluded."""


def fetch_directory(gateway: Gateway, today: date) -> CityDirectory:
    """Read the city's directory; what only a teacher could read gives way to what was last read whole.

    A namesake, a subgroup or a whole class that he is not shown would otherwise turn «several» into «the only one». The
    scopes themselves are read by somebody who sees them, or not at all.

    Raises:
        ConnectorError: As its type says.
    """
    directory = gateway.city.fetch_directory(today)
    if not directory.is_partial:
        return directory
    with gateway.store.write() as conn:
        whole = find_whole_directory(conn, gateway.place_id(conn))
    if whole is None or whole.year != directory.year:
        return directory
    # still said to be partial: what is new in the city since is not in it
    return msgspec.structs.replace(whole, is_partial=True)


def find_whole_directory(conn: Connection, place_id: int) -> CityDirectory | None:
    """Find the directory as it was last read by somebody who sees all of it."""
    body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one_or_none()
    directory = None if body is None else msgspec.json.decode(body, type=CityDirectory)
    return None if directory is None or directory.is_partial else directory


class CityReads:
    """Reads scopes of the city in one run, and vouches for them.

    Args:
        gateway: The composed gateway.
        place_id: Where.
        not_read: Kinds that are not asked for, because their form has changed (`drifted` of an earlier pass).
    """

    def __init__(self, gateway: Gateway, place_id: int, *, not_read: frozenset[Kind] = frozenset()) -> None:
        self._gateway = gateway
        self._place_id = place_id
        self._not_read = not_read
        self._asked: Counter[Kind] = Counter()
        self._misfits: Counter[Kind] = Counter()
        self._shown: dict[Kind, bool] = {}

    @property
    def drifted(self) -> frozenset[Kind]:
        """Kinds of which more than one group in a hundred, and two at least, held rows that do not fit.

        One such row is one record's matter. Many mean that the payload's form has changed, and rows that still fit may
        no longer mean what they meant: then nothing of the kind is written.
        """
        return frozenset(
            kind for kind, count in self._misfits.items() if count > 1 and count > DRIFT_RATIO * self._asked[kind]
        )

    def fetch(self, scope: CityScope) -> CityRead:
        """Read one scope; one that can't be whole comes back with its problem, as any failed read does."""
        if scope.kind in self._not_read:
            problem = ContractError(
                "Строки журнала этого вида изменили форму в нескольких группах: ничего этого вида не передаётся",
                method="GET",
            )
            return CityRead(scope=scope, read_at=self._gateway.now(), problem=problem)
        read = self._fetch(scope)
        self._asked[scope.kind] += 1
        self._misfits[scope.kind] += read.problem is not None and read.problem.reason_code == ContractError.reason
        return read

    def _fetch(self, scope: CityScope) -> CityRead:
        known = self._load_known(scope)
        read = self._gateway.city.fetch_scope(scope)
        if read.is_complete and known - _ids(read):
            read = self._read_until_two_agree(read)
        if not read.is_complete:
            return read
        seen = _ids(read)
        if seen & known or (seen and not known):
            self._shown[scope.kind] = True
            return read
        # what was shown a while ago does not vouch for a group of which nothing known is shown now
        is_shown = self._is_shown(scope, is_asked_anew=bool(known))
        # without another scope to ask, a few objects may well have been deleted by a person, and many hardly
        may_be = is_shown if is_shown is not None else len(known) <= self._gateway.limits.minimum_count
        if may_be:
            return read
        words = f"Журнал не показывает ничего из известного ({len(known)}): чтение отброшено; если это стёрли люди: gateway emptied"
        return _discarded(read, words)

    def _read_until_two_agree(self, read: CityRead) -> CityRead:
        for _ in range(PASSES_COUNT - 1):
            before = _ids(read)
            read = self._gateway.city.fetch_scope(read.scope)
            if not read.is_complete or _ids(read) == before:
                return read
        return _discarded(read, "Журнал: список менялся во время чтения, чтение отброшено")

    def _load_known(self, scope: CityScope) -> Set[int]:
        """The city's ids that stood in the scope within its days when it was last read, less those that we may have deleted."""
        days = {"from_on": scope.from_on, "to_on": scope.to_on}
        with self._gateway.store.read() as conn:
            rows = conn.execute(_KNOWN, {"place_id": self._place_id, "scope": scope_of(scope), **days})
            return frozenset(rows.scalars())

    def _is_shown(self, scope: CityScope, *, is_asked_anew: bool) -> bool | None:
        """Whether the city shows us any object of the kind that we know; None = nothing else is known.

        Args:
            is_asked_anew: A yes of earlier in the run does not count; a no does.
        """
        if scope.kind not in self._shown or (is_asked_anew and self._shown[scope.kind]):
            canary = self._find_canary(scope)
            if canary is None:
                return None
            known = self._load_known(canary)
            if not known:
                return None  # what stood there we have just deleted: it can't say anything
            read = self._gateway.city.fetch_scope(canary)
            self._shown[scope.kind] = read.is_complete and bool(_ids(read) & known)
        return self._shown[scope.kind]

    def _find_canary(self, scope: CityScope) -> CityScope | None:
        """The group of which most objects of the kind are known, over the days that they lie in.

        Another one, or the same where more of its days are known than were read.
        """
        count = func.count()
        with self._gateway.store.read() as conn:
            rows = conn.execute(
                select(
                    shadow.c.scope,
                    func.min(shadow.c.on_date).label("from_on"),
                    func.max(shadow.c.on_date).label("to_on"),
                )
                .where(
                    shadow.c.place_id == self._place_id,
                    shadow.c.kind == scope.kind.value,
                    shadow.c.on_date.is_not(None),
                )
                .group_by(shadow.c.scope)
                .order_by(count.desc(), shadow.c.scope)
            ).all()
            body = conn.execute(
                select(city_directory.c.body).where(city_directory.c.place_id == self._place_id)
            ).scalar_one_or_none()
        if not rows or body is None:
            return None
        others = [row for row in rows if row.scope != scope_of(scope) or _is_wider(row, scope)]
        return _to_scope(scope.kind, others, msgspec.json.decode(body, type=CityDirectory))


def _is_wider(row: Any, scope: CityScope) -> bool:
    return bool(row.from_on < scope.from_on or row.to_on > scope.to_on)


def _to_scope(kind: Kind, rows: Iterable[Any], directory: CityDirectory) -> CityScope | None:
    groups = {city_scope(kind.value, group.id): group for group in directory.groups}
    for row in rows:
        group = groups.get(row.scope)
        if group is not None:
            return CityScope(
                kind=kind,
                group_id=group.id,
                subject_id=group.subject_id,
                level=group.level,
                from_on=row.from_on,
                to_on=row.to_on,
            )
    return None


def _ids(read: CityRead) -> Set[int]:
    return frozenset(item.id for item in read.objects)


def _discarded(read: CityRead, sentence: str) -> CityRead:
    return CityRead(scope=read.scope, read_at=read.read_at, problem=IncompleteReadError(sentence, method="GET"))


__all__ = ["CityReads", "fetch_directory", "find_whole_directory"]
