"""Pull: read the portal and what stands beside it scope by scope and keep what changed.

A discarded scope is a remark and not the end; a record that can't be normalised is parked with its place and reason;
what vanished is explained before it may mean anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, bindparam, delete

from gateway.connectors.port import PortalSource, ScopeRead, Want
from gateway.domain.errors import ConnectorError, RecordError
from gateway.domain.identifiers import CHOSEN_KINDS, PLANNER_KINDS, PORTAL, REPORTED_KINDS, Kind
from gateway.domain.reasons import YEAR_OVER
from gateway.domain.storable import find_unstorable, storable_text
from gateway.flows.gateway import Gateway
from gateway.flows.scopes import load_owed_marks
from gateway.mapping.rules import Rules
from gateway.mapping.versions import load_counting_rules
from gateway.queue.last_year import park_earlier_years
from gateway.reconcile.snapshot import (
    ScopeCounts,
    StoredScopes,
    mark_removed_scopes,
    note_source_unread,
    store_scope,
)
from gateway.reconcile.tables import record_fault
from gateway.report.activity import load_tried
from gateway.store.transaction import upsert
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
_FORGET_FAULTS = delete(record_fault).where(
    record_fault.c.place_id == bindparam("place_id"), record_fault.c.scope == bindparam("scope")
)
TRIED_SINCE = timedelta(days=14)
"""Attempts that the portal's log told of within this are looked for: longer than the runs of a school ever stand still."""
COUNTED = ("read", "new", "changed", "gone", "unchanged")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A scope or a record that did not come through, for the person who mends it."""

    scope: str
    where: str = ""
    reason: str
    sentence: str


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What a pull counted: kind → read, new, changed, gone, unchanged; and what did not come through."""

    kinds: dict[str, dict[str, int]]
    problems: list[Problem]


def pull(gateway: Gateway, want: Want, run_id: int) -> Pulled:
    """Read every source and store what changed. One beside the portal that can't be read is a remark.

    Args:
        gateway: The composed gateway.
        want: What to read.
        run_id: The run it belongs to.

    Raises:
        ConnectorError: Of the portal nothing could be read at all.
    """
    with gateway.store.write() as conn:
        rules = load_counting_rules(conn, gateway.place_id(conn), gateway.rules)
    reading = _Reading(gateway, asked_of_sources(want, rules), run_id)
    reading.problems.extend(_park_earlier_years(gateway))
    first_error: ConnectorError | None = None
    for number, source in enumerate(gateway.sources):
        try:
            reading.read(source, is_portal=number == 0)
        except ConnectorError as error:
            if number == 0:
                first_error = error
            else:
                reading.note_unread(source, error)
    if first_error is not None:
        # What the others said is stored; without the portal nothing may be decided.
        raise first_error
    return Pulled(kinds=_report(reading.totals), problems=reading.problems)


def _park_earlier_years(gateway: Gateway) -> list[Problem]:
    with gateway.store.write() as conn:
        parked = park_earlier_years(conn, gateway.audit, gateway.place, gateway.store.now(conn))
    return [
        Problem(
            scope=f"operations|{year}",
            reason=YEAR_OVER,
            sentence=f"Учебный год {year} закончился: не дошло до журнала и отложено записей: {count}; "
            f"их список покажет gateway queue при school.year = {year}",
        )
        for year, count in parked.items()
    ]


class _Reading:
    """One pull: what its sources share."""

    def __init__(self, gateway: Gateway, want: Want, run_id: int) -> None:
        self._gateway = gateway
        self._want = want
        self._run_id = run_id
        self._stored = StoredScopes()
        self._count = 0
        self._tried: Mapping[tuple[str, int], datetime] | None = None
        self.totals: dict[Kind, Counter[str]] = {kind: Counter() for kind in Kind}
        self.problems: list[Problem] = []

    def read(self, source: PortalSource, *, is_portal: bool) -> None:
        """Read one source and store it scope by scope.

        Raises:
            ConnectorError: Nothing more of it can be read.
        """
        gateway, run_id = self._gateway, self._run_id
        visited: list[str] = []
        is_broken = False
        for found in source.iter_scopes(self._want, self._stored):
            read = park_unstorable(found)
            with gateway.store.write() as conn:
                place_id = gateway.place_id(conn)
                counts = store_scope(conn, place_id, read, run_id=run_id)
                store_faults(conn, place_id, read, run_id)
                owed = load_owed_marks(conn, place_id, read, self._load_tried(conn, place_id))
            self._stored.note(read.scope, counts, owed)
            visited.append(read.scope)
            _add(self.totals[read.kind], counts)
            self.problems.extend(_problems_of(read))
            if read.problem is not None:
                is_broken = True
                LOG.warning("scope.discarded", run_id=run_id, scope=read.scope, reason=read.problem.reason_code)
            self._count += 1
            gateway.progress("pull", self._count)
        if not self._want.is_narrow and visited and not is_broken:
            self._mark_removed(PORTAL if is_portal else source.name, visited)

    def _load_tried(self, conn: Connection, place_id: int) -> Mapping[tuple[str, int], datetime]:
        if self._tried is None:
            since = self._gateway.store.now(conn) - TRIED_SINCE
            self._tried = {} if self._gateway.activity is None else load_tried(conn, place_id, since=since)
        return self._tried

    def note_unread(self, source: PortalSource, error: ConnectorError) -> None:
        """Note that a source beside the portal could not be read: its words stand, stale."""
        with self._gateway.store.write() as conn:
            place_id = self._gateway.place_id(conn)
            note_source_unread(conn, place_id, source.name, error.reason_code, run_id=self._run_id)
        scope = f"source:{source.name}"
        self.problems.append(Problem(scope=scope, reason=error.reason_code, sentence=error.sentence))
        LOG.warning("scope.discarded", run_id=self._run_id, scope=scope, reason=error.reason_code)

    def _mark_removed(self, source: str, visited: Sequence[str]) -> None:
        gateway = self._gateway
        with gateway.store.write() as conn:
            # Attempts are read for changed cells only: a scope of theirs that was not met is not one that was removed.
            prefixes = sorted(f"{kind.value}|" for kind in self._want.kinds if kind is not Kind.ATTEMPT)
            lost = mark_removed_scopes(
                conn,
                gateway.place_id(conn),
                prefixes=prefixes,
                visited=visited,
                read_at=gateway.store.now(conn),
                run_id=self._run_id,
                source=source,
            )
        for kind, number in lost.items():
            self.totals[Kind(kind)]["gone"] += number


def asked_of_sources(want: Want, rules: Rules) -> Want:
    """Leave out the kinds that the school's scope table does not name: a source is not asked for them."""
    left_out = frozenset(CHOSEN_KINDS) - rules.sent_kinds
    return msgspec.structs.replace(want, kinds=want.kinds - left_out)


def _add(total: Counter[str], counts: ScopeCounts) -> None:
    total.update({name: getattr(counts, name) for name in COUNTED})


def _report(totals: dict[Kind, Counter[str]]) -> dict[str, dict[str, int]]:
    totals[Kind.MEMBERSHIP].update(totals[Kind.ASSIGNMENT])
    shown = (*REPORTED_KINDS, *(kind for kind in (*PLANNER_KINDS, *CHOSEN_KINDS) if any(totals[kind].values())))
    return {kind.value: {name: totals[kind][name] for name in COUNTED} for kind in shown}


def _problems_of(read: ScopeRead) -> list[Problem]:
    found = [
        Problem(scope=read.scope, where=fault.where, reason=fault.reason_code, sentence=fault.sentence)
        for fault in read.faults
    ]
    if read.problem is not None:
        found.append(Problem(scope=read.scope, reason=read.problem.reason_code, sentence=read.problem.sentence))
    return found


def park_unstorable(read: ScopeRead) -> ScopeRead:
    """Turn the records of any source that no store can keep into faults, and make the faults' own texts storable."""
    faults = [
        RecordError(storable_text(one.sentence), where=storable_text(one.where), reason=one.reason_code)
        for one in read.faults
    ]
    records = []
    for record in read.records:
        field = find_unstorable(record)
        if field is None:
            records.append(record)
            continue
        sentence = f"Поле {field}: знаки, которых нельзя сохранить, или день не этих лет"
        faults.append(RecordError(sentence, where=storable_text(record.ref)))
    if len(records) == len(read.records) and not faults:
        return read
    return msgspec.structs.replace(read, records=records, faults=faults)


def store_faults(conn: Connection, place_id: int, read: ScopeRead, run_id: int) -> None:
    """Keep the scope's parked records; a complete read replaces what was parked before."""
    if not read.is_complete:
        return
    conn.execute(_FORGET_FAULTS, {"place_id": place_id, "scope": read.scope})
    upsert(
        conn,
        record_fault,
        [
            {
                "place_id": place_id,
                "scope": read.scope,
                "location": fault.where[:300],
                "reason": fault.reason_code,
                "sentence": fault.sentence,
                "seen_at": read.read_at,
                "run_id": run_id,
            }
            for fault in read.faults
        ],
        keys=("place_id", "scope", "location"),
        update=("reason", "sentence", "seen_at", "run_id"),
    )
