"""The stored side of doubts: links with what their deciders saw, pairs that a person refused, and what speaks against a link.

Runs in the caller's transaction; audit entries and discrepancies are the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from gateway.domain.identifiers import Kind
from gateway.mapping.doubts import DAYS_OF_ANOTHER_CLASS, Code, Doubt, Standing
from gateway.mapping.links import MACHINE
from gateway.mapping.tables import link, link_doubt, link_rejection
from gateway.store.transaction import upsert


class StoredDoubt(msgspec.Struct, frozen=True, kw_only=True):
    """A doubt with the moment at which it was first seen (aware UTC)."""

    local_ref: str
    city_id: int
    code: Code
    fingerprint: bytes
    seen_at: datetime

    def is_ripe(self, now: datetime) -> bool:
        """Whether it holds the pupil's records: another class only once it can be no delay any more."""
        return self.code is not Code.CLASS or now - self.seen_at >= timedelta(days=DAYS_OF_ANOTHER_CLASS)


def load_standing(conn: Connection, place_id: int, kind: Kind) -> list[Standing]:
    """Load the links of one kind with what was seen when they were decided."""
    rows = conn.execute(select(link).where(link.c.place_id == place_id, link.c.kind == kind.value))
    return [
        Standing(
            local_ref=row.local_ref,
            city_id=int(row.city_id),
            is_machine=row.actor == MACHINE,
            evidence=row.evidence,
        )
        for row in rows
    ]


def keep_evidence(conn: Connection, place_id: int, kind: Kind, local_ref: str, evidence: Mapping[str, str]) -> None:
    """Put what is known of a link beside it, in place of what stood there."""
    conn.execute(
        update(link)
        .where(link.c.place_id == place_id, link.c.kind == kind.value, link.c.local_ref == local_ref)
        .values(evidence=dict(evidence))
    )


def load_rejections(conn: Connection, place_id: int, kind: Kind) -> dict[tuple[str, int], bytes]:
    """Load (local ref, city id) → fingerprint of the refused pairs."""
    rows = conn.execute(
        select(link_rejection).where(link_rejection.c.place_id == place_id, link_rejection.c.kind == kind.value)
    )
    return {(row.local_ref, int(row.city_id)): row.fingerprint for row in rows}


def save_rejection(
    conn: Connection,
    place_id: int,
    kind: Kind,
    local_ref: str,
    city_id: int,
    *,
    fingerprint: bytes,
    actor: str,
    note_id: int | None,
    now: datetime,
) -> None:
    """Remember that a person refused a pair, as both sides are now."""
    upsert(
        conn,
        link_rejection,
        [
            {
                "place_id": place_id,
                "kind": kind.value,
                "local_ref": local_ref,
                "city_id": str(city_id),
                "fingerprint": fingerprint,
                "actor": actor,
                "note_id": note_id,
                "rejected_at": now,
            }
        ],
        keys=("place_id", "kind", "local_ref", "city_id"),
        update=("fingerprint", "actor", "note_id", "rejected_at"),
    )


def drop_rejection(conn: Connection, place_id: int, kind: Kind, local_ref: str, city_id: int) -> None:
    """Forget a refusal: a person has confirmed the pair since."""
    conn.execute(
        delete(link_rejection).where(
            link_rejection.c.place_id == place_id,
            link_rejection.c.kind == kind.value,
            link_rejection.c.local_ref == local_ref,
            link_rejection.c.city_id == str(city_id),
        )
    )


def load_doubts(conn: Connection, place_id: int, kind: Kind) -> list[StoredDoubt]:
    """Load what speaks against links, in the order of their refs."""
    rows = conn.execute(
        select(link_doubt)
        .where(link_doubt.c.place_id == place_id, link_doubt.c.kind == kind.value)
        .order_by(link_doubt.c.local_ref, link_doubt.c.code)
    )
    return [
        StoredDoubt(
            local_ref=row.local_ref,
            city_id=int(row.city_id),
            code=Code(row.code),
            fingerprint=row.fingerprint,
            seen_at=row.seen_at,
        )
        for row in rows
    ]


def save_doubts(
    conn: Connection, place_id: int, kind: Kind, doubts: Iterable[Doubt], now: datetime
) -> list[StoredDoubt]:
    """Replace what speaks against links by what speaks now; what goes on keeps its first moment."""
    known = {(one.local_ref, one.code): one for one in load_doubts(conn, place_id, kind)}
    found = []
    for one in doubts:
        before = known.get((one.local_ref, one.code))
        goes_on = before is not None and before.fingerprint == one.fingerprint
        found.append(
            StoredDoubt(
                local_ref=one.local_ref,
                city_id=one.city_id,
                code=one.code,
                fingerprint=one.fingerprint,
                seen_at=before.seen_at if before is not None and goes_on else now,
            )
        )
    if known.values() and list(known.values()) == found:
        return found
    if known:
        conn.execute(delete(link_doubt).where(link_doubt.c.place_id == place_id, link_doubt.c.kind == kind.value))
    if found:
        conn.execute(
            insert(link_doubt),
            [
                {
                    "place_id": place_id,
                    "kind": kind.value,
                    "local_ref": one.local_ref,
                    "code": one.code.value,
                    "city_id": str(one.city_id),
                    "fingerprint": one.fingerprint,
                    "seen_at": one.seen_at,
                }
                for one in found
            ],
        )
    return found


def drop_doubts(conn: Connection, place_id: int, kind: Kind, local_ref: str) -> None:
    """Forget what spoke against a link: a person has looked at it, or the link is gone."""
    conn.execute(
        delete(link_doubt).where(
            link_doubt.c.place_id == place_id, link_doubt.c.kind == kind.value, link_doubt.c.local_ref == local_ref
        )
    )


__all__ = [
    "StoredDoubt",
    "drop_doubts",
    "drop_rejection",
    "keep_evidence",
    "load_doubts",
    "load_rejections",
    "load_standing",
    "save_doubts",
    "save_rejection",
]
