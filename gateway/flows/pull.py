"""Pull: read the portal scope by scope and keep what changed.

A discarded scope is a remark and not the end; a record that can't be normalised is parked with its place and reason;
what vanished is explained before it may mean anything.
"""

from __future__ import annotations

from collections import Counter
from itertools import chain

import msgspec
from sqlalchemy import Connection, bindparam, delete

from gateway.connectors.port import ScopeRead, Want
from gateway.domain.identifiers import CHOSEN_KINDS, PLANNER_KINDS, REPORTED_KINDS, Kind
from gateway.flows.gateway import Gateway
from gateway.flows.scopes import load_owed_marks
from gateway.mapping.rules import Rules
from gateway.reconcile.snapshot import ScopeCounts, StoredScopes, mark_removed_scopes, store_scope
from gateway.reconcile.tables import record_fault
from gateway.store.transaction import upsert
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
_FORGET_FAULTS = delete(record_fault).where(
    record_fault.c.place_id == bindparam("place_id"), record_fault.c.scope == bindparam("scope")
)
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
    """Read the portal and store what changed.

    Args:
        gateway: The composed gateway.
        want: What to read.
        run_id: The run it belongs to.

    Raises:
        ConnectorError: Nothing could be read at all.
    """
    want = asked_of_sources(want, gateway.rules)
    totals: dict[Kind, Counter[str]] = {kind: Counter() for kind in Kind}
    problems: list[Problem] = []
    stored = StoredScopes()
    visited: list[str] = []
    reads = chain.from_iterable(source.iter_scopes(want, stored) for source in gateway.sources)
    for count, read in enumerate(reads, start=1):
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
            counts = store_scope(conn, place_id, read, run_id=run_id)
            _store_faults(conn, place_id, read, run_id)
            owed = load_owed_marks(conn, place_id, read)
        stored.note(read.scope, counts, owed)
        visited.append(read.scope)
        _add(totals[read.kind], counts)
        problems.extend(_problems_of(read))
        if read.problem is not None:
            LOG.warning("scope.discarded", run_id=run_id, scope=read.scope, reason=read.problem.reason_code)
        gateway.progress("pull", count)
    if _is_whole(want) and visited and not any(problem.where == "" for problem in problems):
        with gateway.store.write() as conn:
            # Attempts are read for changed cells only: a scope of theirs that was not met is not one that was removed.
            prefixes = sorted(f"{kind.value}|" for kind in want.kinds if kind is not Kind.ATTEMPT)
            lost = mark_removed_scopes(
                conn,
                gateway.place_id(conn),
                prefixes=prefixes,
                visited=visited,
                read_at=gateway.store.now(conn),
                run_id=run_id,
            )
        for kind, number in lost.items():
            totals[Kind(kind)]["gone"] += number
    return Pulled(kinds=_report(totals), problems=problems)


def asked_of_sources(want: Want, rules: Rules) -> Want:
    """Leave out the kinds that the school's scope table does not name: a source is not asked for them."""
    left_out = frozenset(CHOSEN_KINDS) - rules.sent_kinds
    return msgspec.structs.replace(want, kinds=want.kinds - left_out)


def _is_whole(want: Want) -> bool:
    return not (want.class_names or want.subjects or want.pupils)


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


def _store_faults(conn: Connection, place_id: int, read: ScopeRead, run_id: int) -> None:
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
