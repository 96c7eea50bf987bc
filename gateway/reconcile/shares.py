"""Whose records a scope holds: a small index of (pupil, group, programme) × kind → scopes, kept as the scopes are stored.

Asked by whoever looks for one pupil's marks among a school's: his scopes are a dozen, the marks in them some thousands.
It may name a scope that no longer holds anything of his; it never leaves one out, because it is written in the
transaction of the record and nothing is taken away.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from gateway.domain.identifiers import Kind
from gateway.domain.records import Absence, Attempt, Homework, Mark, Membership, Record
from gateway.reconcile.tables import scope_share
from gateway.store.transaction import upsert

PUPIL, GROUP, PROGRAMME = "pupil", "group", "programme"
SHARED_KINDS = (Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK, Kind.ATTEMPT, Kind.MEMBERSHIP)
"""Kinds that are somebody's."""


def note_shares(conn: Connection, place_id: int, scope: str, records: Iterable[Record]) -> None:
    """Note whose these new or changed records of a scope are, in the transaction that stores them."""
    shares: set[tuple[str, str, str]] = set()
    for one in records:
        kind = one.kind.value
        if isinstance(one, Mark | Absence):
            shares.add((PUPIL, one.pupil, kind))
        elif isinstance(one, Membership):
            shares.add((PUPIL, one.person, kind))
        elif isinstance(one, Attempt):
            shares |= {(PUPIL, one.pupil, kind), (PROGRAMME, one.programme, kind)}
            continue
        elif not isinstance(one, Homework):
            continue
        if one.group is not None:
            shares.add((GROUP, one.group, kind))
        if isinstance(one, Mark | Homework):
            shares.add((PROGRAMME, one.programme, kind))
    rows = [
        {"place_id": place_id, "form": form, "ref": ref, "kind": kind, "scope": scope}
        for form, ref, kind in sorted(shares)
    ]
    upsert(conn, scope_share, rows, keys=("place_id", "form", "ref", "kind", "scope"), update=())
