"""Theirs as last read: the stored stand-ins of the city's objects, scope by scope.

A complete read of a scope removes what it did not meet (and keeps it in `shadow_version`); a discarded read changes
nothing. Objects dated outside the days that were asked for are not concluded about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select

from gateway.connectors.port import CityRead, CityScope
from gateway.domain.city import CityHomework, CityObject
from gateway.domain.records import digest_of, to_body, xor_of
from gateway.mapping.atoms import atom_digest, atom_of_city, object_key_of
from gateway.reconcile.snapshot import CITY_SIDE
from gateway.reconcile.tables import scope_state, shadow, shadow_version
from gateway.store.transaction import upsert

T = TypeVar("T", bound=msgspec.Struct)

_STATE = select(
    scope_state.c.digest,
    scope_state.c.records,
    scope_state.c.from_on,
    scope_state.c.to_on,
    select(func.count())
    .select_from(shadow)
    .where(shadow.c.place_id == bindparam("place_id"), shadow.c.scope == bindparam("scope"))
    .scalar_subquery(),
).where(
    scope_state.c.place_id == bindparam("place_id"),
    scope_state.c.side == CITY_SIDE,
    scope_state.c.scope == bindparam("scope"),
)
_KNOWN = select(shadow.c.city_id, shadow.c.row_digest).where(
    shadow.c.place_id == bindparam("place_id"), shadow.c.scope == bindparam("scope")
)


def scope_of(scope: CityScope) -> str:
    """Name a scope of the city's side: kind × the city's group."""
    return city_scope(scope.kind.value, scope.group_id)


def city_scope(kind: str, group_id: int) -> str:
    """Name a scope of the city's side by its parts."""
    return f"{kind}|city-group:{group_id}"


class Stored(msgspec.Struct, frozen=True):
    """What a read of the city came to.

    Attributes:
        written: Rows new, changed and removed; 0 for a discarded read or one that changed nothing.
        digest: Stands for everything that was read; zeros for a discarded read.
    """

    written: int
    digest: bytes


def store_city_scope(conn: Connection, place_id: int, read: CityRead, *, run_id: int) -> Stored:
    """Store one scope of the city as read, in the caller's transaction."""
    scope = scope_of(read.scope)
    if read.problem is not None:
        _note(conn, place_id, scope, read, 0, bytes(16), run_id)
        return Stored(0, bytes(16))
    return _store_rows(
        conn,
        place_id,
        kind=read.scope.kind.value,
        scope=scope,
        objects=read.objects,
        days=(read.scope.from_on, read.scope.to_on),
        seen_at=read.read_at,
        run_id=run_id,
    )


def _store_rows(
    conn: Connection,
    place_id: int,
    *,
    kind: str,
    scope: str,
    objects: Iterable[CityObject],
    days: tuple[date, date],
    seen_at: datetime,
    run_id: int,
) -> Stored:
    """Store a completely read scope: write what differs, remove what is gone within the days."""
    # On an ordinary night nearly every object is as it was, so nothing more is made of it than its digest.
    found = list(objects)
    digests = list(map(digest_of, map(to_body, found)))
    scope_digest = xor_of(digests)
    written = 0
    if not _stands(conn, place_id, scope, scope_digest, len(found), days):
        written = _store_differences(conn, place_id, kind, scope, found, digests, days, seen_at, run_id)
    upsert(
        conn,
        scope_state,
        [
            {
                "place_id": place_id,
                "side": CITY_SIDE,
                "scope": scope,
                "digest": scope_digest,
                "records": len(found),
                "from_on": days[0],
                "to_on": days[1],
                "tried_at": seen_at,
                "complete_at": seen_at,
                "complete_reads": 1,
                "problem": None,
                "run_id": run_id,
            }
        ],
        keys=("place_id", "side", "scope"),
        update=("digest", "records", "from_on", "to_on", "tried_at", "complete_at", "problem", "run_id"),
    )
    return Stored(written, scope_digest)


def _stands(conn: Connection, place_id: int, scope: str, digest: bytes, count: int, days: tuple[date, date]) -> bool:
    """Whether the rows of the scope are what was read, so that none of them need be looked at.

    The digest is of the last complete read, and only reads of a scope write rows of it. Another scope's read may have taken
    rows over; then they are fewer than that read brought.
    """
    before = conn.execute(_STATE, {"place_id": place_id, "scope": scope}).one_or_none()
    return before is not None and tuple(before) == (digest, count, *days, count)


def _store_differences(
    conn: Connection,
    place_id: int,
    kind: str,
    scope: str,
    found: Sequence[CityObject],
    digests: Sequence[bytes],
    days: tuple[date, date],
    seen_at: datetime,
    run_id: int,
) -> int:
    """Write the rows that differ, remove those that are gone within the days.

    Returns:
        Rows written.
    """
    rows = conn.execute(_KNOWN, {"place_id": place_id, "scope": scope}).all()
    known = {city_id: digest for city_id, digest in rows}  # noqa: C416  # dict() is slower: it takes a row for a sequence
    changed: list[dict[str, object]] = []
    versions: list[dict[str, object]] = []
    for item, row_digest in zip(found, digests, strict=True):
        if known.pop(item.id, None) == row_digest:
            continue
        body = to_body(item)
        changed.append(
            {
                "place_id": place_id,
                "kind": kind,
                "city_id": item.id,
                "scope": scope,
                "object_key": object_key_of(item),
                "digest": atom_digest(atom_of_city(item)),
                "body": body,
                "on_date": item.assigned_on if isinstance(item, CityHomework) else item.on,
                "seen_at": seen_at,
                "row_digest": row_digest,
            }
        )
        versions.append(_version(place_id, kind, item.id, body, seen_at, run_id))
    removed = _within(conn, place_id, scope, known, days) if known else []
    versions.extend(_version(place_id, kind, city_id, None, seen_at, run_id) for city_id in removed)
    upsert(
        conn,
        shadow,
        changed,
        keys=("place_id", "kind", "city_id"),
        update=("scope", "object_key", "digest", "body", "on_date", "seen_at", "row_digest"),
    )
    if removed:
        conn.execute(
            delete(shadow).where(
                shadow.c.place_id == place_id, shadow.c.kind == kind, shadow.c.city_id == bindparam("b_city_id")
            ),
            [{"b_city_id": city_id} for city_id in removed],
        )
    if versions:
        conn.execute(insert(shadow_version), versions)
    return len(changed) + len(removed)


def load_objects(conn: Connection, place_id: int, scope: str, cls: type[T]) -> list[T]:
    """Load the city's objects of a scope as last read, in order of their ids."""
    query = select(shadow.c.body).where(shadow.c.place_id == place_id, shadow.c.scope == scope)
    return [msgspec.json.decode(body, type=cls) for body in conn.execute(query.order_by(shadow.c.city_id)).scalars()]


def _within(
    conn: Connection, place_id: int, scope: str, city_ids: Collection[int], days: tuple[date, date]
) -> list[int]:
    """Of the objects that were not met, those dated within the days that were asked for, or not dated at all."""
    rows = conn.execute(
        select(shadow.c.city_id).where(
            shadow.c.place_id == place_id,
            shadow.c.scope == scope,
            or_(shadow.c.on_date.is_(None), shadow.c.on_date.between(*days)),
        )
    ).scalars()
    return sorted(set(city_ids).intersection(rows))


def _note(
    conn: Connection, place_id: int, scope: str, read: CityRead, records: int, digest: bytes, run_id: int
) -> None:
    upsert(
        conn,
        scope_state,
        [
            {
                "place_id": place_id,
                "side": CITY_SIDE,
                "scope": scope,
                "digest": digest,
                "records": records,
                "from_on": None,
                "to_on": None,
                "tried_at": read.read_at,
                "complete_at": None,
                "complete_reads": 0,
                "problem": read.problem.reason_code if read.problem else None,
                "run_id": run_id,
            }
        ],
        keys=("place_id", "side", "scope"),
        update=("tried_at", "problem", "run_id"),
    )


def _version(
    place_id: int, kind: str, city_id: int, body: bytes | None, seen_at: datetime, run_id: int
) -> dict[str, object]:
    return {
        "place_id": place_id,
        "kind": kind,
        "city_id": city_id,
        "body": body,
        "valid_from": seen_at,
        "run_id": run_id,
    }
