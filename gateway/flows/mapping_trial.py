"""Other rules tried on the records there are: the back-test of a version, and its preview on one record or a sample.

Nothing is sent and no link is kept: who would be who by the tried rules is found in a transaction that is rolled back.
Group by group, so that memory stays flat; the city is asked for its timetable only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection, delete, insert, select

from gateway.audit.deed import Deed
from gateway.connectors.deadline import is_waiting_over, waiting
from gateway.connectors.port import CityDirectory, Want
from gateway.domain.clock import moscow_day
from gateway.domain.errors import (
    ConfigurationError,
    ConnectorError,
    PlanRefusedError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.identifiers import SENT_KINDS, Kind
from gateway.domain.reasons import NOT_REACHED
from gateway.domain.records import Group, to_body
from gateway.flows.city_reads import fetch_directory, find_whole_directory
from gateway.flows.correlate import WhoIsWho, correlate_by
from gateway.flows.gateway import Gateway
from gateway.flows.ground import load_ground
from gateway.flows.linked_scope import Ground, LinkedGroup, LinkedScope
from gateway.flows.runs import year_bounds
from gateway.mapping.mesh import Mapped, Sent
from gateway.mapping.rules import Rules
from gateway.mapping.steps import Step, explain
from gateway.mapping.tables import mapping_case
from gateway.mapping.versions import (
    Version,
    VersionState,
    add_step,
    find_active,
    get_rules,
    get_version,
    load_counting_rules,
    move_version,
)
from gateway.queue.tables import attempt, operation
from gateway.reconcile.backtest import OUTCOMES, Case, compare_rules
from gateway.reconcile.bindings import load_agreed
from gateway.reconcile.tables import record

CHUNK_ROWS = 1_000
REFUSED = "RejectedError"
"""Error of an attempt that the city understood and refused."""
_REFS_AT_ONCE = 500
Silence = Literal["noted", "raises_if_all", "raises"]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One record under one set of rules: the steps, and what they come to."""

    state: str
    reason: str
    output: dict[str, object] | None
    steps: list[Step]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """One record under the rules that count and under those of a version."""

    kind: str
    ref: str
    active: Look
    proposed: Look

    @property
    def is_different(self) -> bool:
        """Whether the version would do anything else."""
        return (self.active.state, self.active.reason, self.active.output) != (
            self.proposed.state,
            self.proposed.reason,
            self.proposed.output,
        )


class UnreadGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group whose timetable could not be read, so that nothing of it is shown.

    Attributes:
        ref: The school's.
        reason: Code of why.
    """

    ref: str
    name: str
    reason: str


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and which groups it leaves out although they were asked."""

    records: list[Preview]
    unread: list[UnreadGroup]


class _Undone(Exception):  # noqa: N818  # not an error: rolls back what was only tried
    pass


class _Side:
    """The records of the place under one set of rules."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    def link(self, group: Group, lessons_of: dict[int, tuple[object, ...]]) -> LinkedGroup | None:
        """The group with its counterpart; None where these rules find none."""
        city_id = self.ground.who.groups.get(group.ref)
        return None if city_id is None else LinkedGroup(self.ground, group, lessons_of[city_id])  # type: ignore[arg-type]  # lessons, by the id of their group


def backtest_version(gateway: Gateway, number: int) -> Version:
    """Try a version on every stored record and keep what would differ, with its counts.

    Args:
        gateway: The composed gateway.
        number: A draft or a proposal.

    Returns:
        The version with the counts of its back-test.

    Raises:
        ConfigurationError: There is no such version, or nothing was ever read.
        PlanRefusedError: It is active or over.
    """
    found, active, sides, directory = _open(gateway, number)
    with gateway.store.write() as conn:
        conn.execute(delete(mapping_case).where(mapping_case.c.version_id == found.id))
    counts: Counter[str] = Counter()
    rows: list[dict[str, object]] = []
    unread: list[UnreadGroup] = []
    for case in _iter_cases(gateway, sides, directory, unread):
        counts[case.outcome] += 1
        counts["records"] += 1
        if case.outcome == "same":
            continue
        counts["delivered"] += case.is_delivered
        rows.append(_to_row(found.id, sum(counts[name] for name in OUTCOMES if name != "same"), case))
        if len(rows) >= CHUNK_ROWS:
            _flush(gateway, rows)
    _flush(gateway, rows)
    told = {**{name: counts[name] for name in ("records", *OUTCOMES, "delivered")}, "unread": len(unread)}
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        tested = {"version": found.version, "against": active.version, "at": now.isoformat(), **told}
        move_version(conn, found.id, found.state, backtest=tested)
        add_step(conn, found.id, "backtested", actor=gateway.actor.name, now=now)
        gateway.audit.append(
            conn,
            Deed(
                action="mapping.backtested",
                actor=gateway.actor,
                originator=gateway.originator,
                place=gateway.place,
                object_type="mapping",
                object_id=f"mapping:{number}",
                rule_version=found.version,
                outcome="decided",
                counts=told,
            ),
        )
        return get_version(conn, gateway.place_id(conn), number)


def preview_version(
    gateway: Gateway,
    number: int,
    *,
    ref: str | None = None,
    sample: int = 20,
    only_different: bool = False,
    within_s: float | None = None,
) -> Previewed:
    """Show what a version makes of one record, or of a sample spread over the groups.

    Args:
        gateway: The composed gateway.
        number: Any version.
        ref: Only this record.
        sample: How many records; counted after `only_different`.
        only_different: Only records for which it would do anything else.
        within_s: Somebody waits for the answer so long; groups that are not reached by then are said to be unread.

    Raises:
        ConfigurationError: There is no such version or record, or nothing was ever read.
        ConnectorError: The city does not answer, so that there is nothing to show.
    """
    _, _, sides, directory = _open(gateway, number, any_state=True)
    shown: list[Preview] = []
    unread: list[UnreadGroup] = []
    groups = len(sides[0].ground.who.local_groups) or 1
    share = sample if ref is not None or only_different else max(1, sample // groups)
    silence: Silence = "raises_if_all" if ref is None else "raises"
    with waiting(within_s):
        for scopes in _iter_scopes(gateway, sides, directory, unread, ref=ref, silence=silence):
            with gateway.store.read() as conn:
                shown += _previews(conn, scopes, ref=ref, limit=min(share, sample - len(shown)), only=only_different)
            if len(shown) >= sample or (ref is not None and shown):
                break
    if ref is not None and not shown:
        raise ConfigurationError("Такой записи среди прочитанных и сопоставленных нет: --ref")
    return Previewed(records=shown, unread=unread)


def _previews(
    conn: Connection, scopes: tuple[LinkedScope | None, LinkedScope | None], *, ref: str | None, limit: int, only: bool
) -> list[Preview]:
    looks = [{} if scope is None else dict(_looks(conn, scope, ref)) for scope in scopes]
    found: list[Preview] = []
    for key in sorted(looks[0].keys() | looks[1].keys()):
        one = Preview(kind=key[0], ref=key[1], active=looks[0].get(key, _NOWHERE), proposed=looks[1].get(key, _NOWHERE))
        if len(found) < limit and (not only or one.is_different):
            found.append(one)
    return found


_NOWHERE = Look(state="waiting", reason="GROUP_NOT_LINKED", output=None, steps=[])


def _looks(conn: Connection, scope: LinkedScope, ref: str | None) -> Iterator[tuple[tuple[str, str], Look]]:
    records, context = scope.load(conn)
    by_ref = {one.ref: one for one in records if isinstance(one, Sent)}
    for mapped in scope.map_records(conn):
        if (ref is not None and mapped.ref != ref) or mapped.ref not in by_ref:
            continue
        yield (
            (mapped.kind.value, mapped.ref),
            Look(
                state=mapped.state,
                reason=mapped.reason,
                output=None if mapped.intent is None else msgspec.to_builtins(mapped.intent),
                steps=explain(by_ref[mapped.ref], mapped, context),
            ),
        )


def _open(
    gateway: Gateway, number: int, *, any_state: bool = False
) -> tuple[Version, Version, tuple[_Side, _Side], CityDirectory]:
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        found = get_version(conn, place_id, number)
        if not any_state and found.state not in (VersionState.DRAFT, VersionState.PROPOSED):
            raise PlanRefusedError(
                f"Версия {number} {found.state.value}: проверяют черновик или предложение", reason="WRONG_STATE"
            )
        active = find_active(conn, place_id) or found
        directory = find_whole_directory(conn, place_id)
        both = (load_counting_rules(conn, place_id, gateway.rules), get_rules(conn, found.version))
    if directory is None:
        directory = fetch_directory(gateway, moscow_day(gateway.now()))
    sides = tuple(_Side(_try_ground(gateway, place_id, directory, rules)) for rules in both)
    return found, active, (sides[0], sides[1]), directory


def _try_ground(gateway: Gateway, place_id: int, directory: CityDirectory, rules: Rules) -> Ground:
    found: list[WhoIsWho] = []
    try:
        with gateway.store.write() as conn:
            found.append(correlate_by(conn, place_id, directory, rules, now=gateway.store.now(conn)))
            raise _Undone
    except _Undone:
        pass
    today = moscow_day(gateway.now())
    from_on, to_on = year_bounds(today)
    with gateway.store.read() as conn:
        return load_ground(
            gateway,
            conn,
            place_id,
            directory,
            found[0],
            rules,
            want=Want(from_on=from_on, to_on=to_on),
            today=today,
            run_id=0,
            is_bound=False,
        )


def _iter_scopes(
    gateway: Gateway,
    sides: tuple[_Side, _Side],
    directory: CityDirectory,
    unread: list[UnreadGroup],
    *,
    ref: str | None = None,
    silence: Silence = "noted",
) -> Iterator[tuple[LinkedScope | None, LinkedScope | None]]:
    """Yield every kind of every group under both rules.

    Args:
        unread: Groups whose timetable can't be read are added to it.
        silence: What a city that does not answer is: noted, an error where it answers to nothing, or an error at once.

    Raises:
        ConnectorError: By `silence`.
    """
    only = None if ref is None else _find_place(gateway, sides[0].ground, ref)
    local = sides[0].ground.who.local_groups
    sent = frozenset().union(*(side.ground.rules.sent_kinds for side in sides))
    kinds = [kind for kind in SENT_KINDS if kind in sent]
    is_silent = True
    first_error: ConnectorError | None = None
    for done, group_ref in enumerate(sorted(local), start=1):
        if only is not None and group_ref not in only:
            continue
        group = local[group_ref]
        if is_waiting_over() and not is_silent:
            unread.append(UnreadGroup(ref=group_ref, name=group.name, reason=NOT_REACHED))
            continue
        lessons_of: dict[int, tuple[object, ...]] = {}
        try:
            for city_id in sorted({one for side in sides if (one := side.ground.who.groups.get(group_ref))}):
                year = directory.year
                lessons_of[city_id] = tuple(gateway.city.fetch_lessons([city_id], year.begins_on, year.ends_on))
                is_silent = False
        except ConnectorError as error:
            first_error = first_error or error
            if silence == "raises" or (
                silence == "raises_if_all" and is_silent and isinstance(error, UnreachableError)
            ):
                raise
            reason = NOT_REACHED if is_waiting_over() else error.reason_code
            unread.append(UnreadGroup(ref=group_ref, name=group.name, reason=reason))
            continue
        old, new = (side.link(group, lessons_of) for side in sides)
        for kind in kinds if old is not None or new is not None else ():
            yield _scope(old, kind), _scope(new, kind)
        gateway.progress("plan", done, len(local))
    if is_silent and silence == "raises_if_all" and isinstance(first_error, UnreachableError | UnavailableError):
        raise first_error


def _scope(linked: LinkedGroup | None, kind: Kind) -> LinkedScope | None:
    return None if linked is None else LinkedScope(linked, kind, None, is_whole=True)


def _iter_cases(
    gateway: Gateway, sides: tuple[_Side, _Side], directory: CityDirectory, unread: list[UnreadGroup]
) -> Iterator[Case]:
    place_id = sides[0].ground.place_id
    for old, new in _iter_scopes(gateway, sides, directory, unread):
        some = old or new
        if some is None:
            continue
        with gateway.store.read() as conn:
            before, after = (() if one is None else one.map_records(conn) for one in (old, new))
            before, after = _even(before, after), _even(after, before)
            refs = [one.ref for one in after]
            refused = _load_refused(conn, place_id, some.kind, refs)
            delivered = load_agreed(conn, place_id, some.kind, refs).keys()
        yield from compare_rules(before, after, refused=refused, delivered=delivered)


def _even(mine: Sequence[Mapped], others: Sequence[Mapped]) -> Sequence[Mapped]:
    """Records that the other rules see and these do not wait for their group."""
    known = {one.ref for one in mine}
    missing = [one for one in others if one.ref not in known]
    return [
        *mine,
        *(Mapped(ref=one.ref, kind=one.kind, state="waiting", reason="GROUP_NOT_LINKED") for one in missing),
    ]


def _load_refused(conn: Connection, place_id: int, kind: Kind, refs: Sequence[str]) -> dict[str, set[bytes]]:
    """Load what the city has refused for these records: ref → digests."""
    found: dict[str, set[bytes]] = {}
    for start in range(0, len(refs), _REFS_AT_ONCE):
        rows = conn.execute(
            select(operation.c.ref, operation.c.intent_digest)
            .join(attempt, attempt.c.operation_id == operation.c.id)
            .where(
                operation.c.place_id == place_id,
                operation.c.kind == kind.value,
                operation.c.ref.in_(refs[start : start + _REFS_AT_ONCE]),
                operation.c.op != "delete",
                attempt.c.error == REFUSED,
            )
        )
        for row in rows:
            found.setdefault(row.ref, set()).add(row.intent_digest)
    return found


def _find_place(gateway: Gateway, ground: Ground, ref: str) -> frozenset[str]:
    """The groups whose scopes hold a record."""
    with gateway.store.read() as conn:
        scopes = set(
            conn.execute(
                select(record.c.scope).where(record.c.place_id == ground.place_id, record.c.ref == ref)
            ).scalars()
        )
    return frozenset(group for group, some in ground.scopes.items() if any(one.scope in scopes for one in some))


def _to_row(version_id: int, seq: int, case: Case) -> dict[str, object]:
    return {
        "version_id": version_id,
        "seq": seq,
        "kind": case.kind,
        "ref": case.ref,
        "outcome": case.outcome,
        "old_reason": case.old_reason,
        "new_reason": case.new_reason,
        "old": None if case.old is None else to_body(case.old),
        "new": None if case.new is None else to_body(case.new),
        "is_delivered": case.is_delivered,
    }


def _flush(gateway: Gateway, rows: list[dict[str, object]]) -> None:
    if rows:
        with gateway.store.write() as conn:
            conn.execute(insert(mapping_case), rows)
        rows.clear()


__all__ = ["Look", "Preview", "Previewed", "UnreadGroup", "backtest_version", "preview_version"]
