"""Emptied: a person says that a journal which shows nothing of what is known was really emptied by people.

A wrong subsystem or a lost right looks the same, so no machine may conclude it (`flows.city_reads`), and a kind of which
people deleted everything in the city would stay unread for ever. Said once, for what two whole reads show now; it writes
nothing to the city. What was deleted there is a difference for a person afterwards, as any deletion by other hands.
"""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

import msgspec
from sqlalchemy import select

from gateway.audit.deed import Deed
from gateway.audit.notes import write_note
from gateway.connectors.deadline import is_waiting_over, waiting
from gateway.connectors.port import CityDirectory, CityRead, CityScope, Want
from gateway.domain.clock import moscow_day
from gateway.domain.errors import ConfigurationError, ConnectorError, UnavailableError, UnreachableError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import INCOMPLETE_READ, NOT_REACHED
from gateway.flows.city_reads import find_whole_directory
from gateway.flows.gateway import Gateway
from gateway.flows.runs import RunState, finish_run, start_run, year_bounds
from gateway.reconcile.shadow import city_scope, store_city_scope
from gateway.reconcile.tables import shadow
from gateway.telemetry import get_logger

LOG = get_logger(__name__)


class EmptiedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group of the city of which nothing that is known of a kind is shown.

    Attributes:
        known: Objects that stood there when it was last read.
        shown: Objects that stand there now, none of them known.
    """

    kind: Kind
    group_id: int
    group: str
    known: int
    shown: int


class UnreadScope(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of a group of which nothing is said, because it could not be read.

    Attributes:
        reason: Code of why.
    """

    kind: Kind
    group_id: int
    group: str
    reason: str


class Emptied(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        groups: Emptied ones.
        unread: How many could not be read whole twice with one result: nothing is said of them.
        not_read: Which those are, and why.
        run_id: The run in which it was believed; None = only looked at.
    """

    groups: list[EmptiedGroup]
    unread: int
    not_read: list[UnreadScope]
    run_id: int | None = None


class _Found(NamedTuple):
    group: EmptiedGroup
    read: CityRead


def find_emptied(
    gateway: Gateway,
    kinds: Set[Kind] = frozenset(),
    class_names: Set[str] = frozenset(),
    *,
    within_s: float | None = None,
) -> Emptied:
    """Look for groups of which the city shows nothing that is known; nothing is written.

    Args:
        gateway: The composed gateway.
        kinds: Which kinds; empty = all.
        class_names: Which classes; empty = all.
        within_s: Somebody waits for the answer so long; what is not reached by then is said to be unread.

    Raises:
        ConfigurationError: The city was never read.
        ConnectorError: The city does not answer.
    """
    found, unread = _look(gateway, kinds, class_names, within_s)
    return Emptied(groups=[one.group for one in found], unread=len(unread), not_read=unread)


def believe_emptied(
    gateway: Gateway,
    kinds: Set[Kind] = frozenset(),
    class_names: Set[str] = frozenset(),
    *,
    reason: str,
    within_s: float | None = None,
) -> Emptied:
    """Take what two reads show now for what stands in the city, on a person's word.

    Args:
        gateway: The composed gateway; its actor is who says so.
        kinds: Which kinds; empty = all.
        class_names: Which classes; empty = all.
        reason: Why it is known to be so.
        within_s: As for `find_emptied`; of what was not reached nothing is believed.

    Raises:
        ConfigurationError: No reason, or the city was never read.
        ConnectorError: The city does not answer.
    """
    if not reason.strip():
        raise ConfigurationError("Подтвердить можно только с причиной: --reason")
    found, unread = _look(gateway, kinds, class_names, within_s)
    if not found:
        return Emptied(groups=[], unread=len(unread), not_read=unread)
    first, last = year_bounds(moscow_day(gateway.now()))
    run_id = start_run(gateway, "emptied", Want(from_on=first, to_on=last))
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        note = write_note(conn, reason, now=gateway.store.now(conn))
        for one in found:
            store_city_scope(conn, place_id, one.read, run_id=run_id)
            gateway.audit.append(
                conn,
                Deed(
                    action="city.emptiness_confirmed",
                    actor=gateway.actor,
                    originator=gateway.originator,
                    place=gateway.place,
                    object_type="scope",
                    object_id=city_scope(one.group.kind.value, one.group.group_id),
                    run_id=run_id,
                    outcome="decided",
                    counts={"known": one.group.known, "shown": one.group.shown},
                    note=note,
                ),
            )
    sentence = f"Подтверждено человеком: в {len(found)} группах города стёрто всё известное"
    finish_run(gateway, run_id, RunState.DONE, counters={"groups": len(found)}, sentence=sentence)
    LOG.warning("city.emptiness_confirmed", run_id=run_id, scope_count=len(found))
    return Emptied(groups=[one.group for one in found], unread=len(unread), not_read=unread, run_id=run_id)


def _look(
    gateway: Gateway, kinds: Set[Kind], class_names: Set[str], within_s: float | None
) -> tuple[list[_Found], list[UnreadScope]]:
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        directory = find_whole_directory(conn, place_id)
        known_scopes = set(
            conn.execute(select(shadow.c.scope).where(shadow.c.place_id == place_id).distinct()).scalars()
        )
    if directory is None:
        raise ConfigurationError("Журнал города ещё не читался целиком: сначала gateway plan")
    found: list[_Found] = []
    unread: list[UnreadScope] = []
    scopes = [one for one in _list_scopes(directory, known_scopes, class_names) if not kinds or one[0].kind in kinds]
    silence: ConnectorError | None = None
    with waiting(within_s):
        for done, (scope, name) in enumerate(scopes, start=1):
            reason: str | None = NOT_REACHED
            if not is_waiting_over():
                known = _load_known(gateway, place_id, scope)
                first, second = _read_twice(gateway, scope)
                problem = first.problem or second.problem
                seen = {item.id for item in second.objects}
                if problem is None:
                    reason = None if seen == {item.id for item in first.objects} else INCOMPLETE_READ
                else:
                    reason = NOT_REACHED if is_waiting_over() else problem.reason_code
                    silence = silence or problem
                if reason is None and not seen & known:
                    group = EmptiedGroup(
                        kind=scope.kind, group_id=scope.group_id, group=name, known=len(known), shown=len(seen)
                    )
                    found.append(_Found(group, second))
            if reason is not None:
                unread.append(UnreadScope(kind=scope.kind, group_id=scope.group_id, group=name, reason=reason))
            if isinstance(silence, UnreachableError) and len(unread) == done:
                raise silence  # there is no way to the city, and would be none for the others
            gateway.progress("emptied", done, len(scopes))
    if isinstance(silence, UnreachableError | UnavailableError) and len(unread) == len(scopes):
        raise silence
    return found, unread


def _read_twice(gateway: Gateway, scope: CityScope) -> tuple[CityRead, CityRead]:
    """Two reads; the second one is not asked where the first one failed."""
    first = gateway.city.fetch_scope(scope)
    return (first, first) if first.problem is not None else (first, gateway.city.fetch_scope(scope))


def _load_known(gateway: Gateway, place_id: int, scope: CityScope) -> set[int]:
    name = city_scope(scope.kind.value, scope.group_id)
    with gateway.store.read() as conn:
        query = select(shadow.c.city_id).where(shadow.c.place_id == place_id, shadow.c.scope == name)
        return set(conn.execute(query).scalars())


def _list_scopes(
    directory: CityDirectory, known_scopes: Set[str], class_names: Set[str]
) -> list[tuple[CityScope, str]]:
    """Scopes of the year of which anything is known, with the names of their groups."""
    return [
        (directory.scope_of_year(kind, group), group.name)
        for kind in Kind
        for group in directory.groups
        if city_scope(kind.value, group.id) in known_scopes and (not class_names or group.class_name in class_names)
    ]


__all__ = ["Emptied", "EmptiedGroup", "UnreadScope", "believe_emptied", "find_emptied"]
