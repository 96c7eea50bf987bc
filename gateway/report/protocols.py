"""Protocols of tests as they are kept: written by the flow that reads them, shown through a `Scope`.

A row is written only where it says something new. What was taken out of a protocol is in no other row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, select, update

from gateway.access.scope import Scope
from gateway.domain.errors import NotVisibleError
from gateway.domain.protocols import Part, Protocol, Review, Why, limited
from gateway.domain.records import digest_of, to_body
from gateway.mapping.tables import place
from gateway.report.pupils import require_pupil
from gateway.report.tables import attempt_protocol, test_review
from gateway.report.visible import Seen
from gateway.store.transaction import upsert

_PROTOCOL = msgspec.json.Decoder(Protocol)
_ABSENT = dict[Part, Why]
_COLUMNS = ("pupil", "group_ref", "programme", "activity", "finished_at", "attempt_digest", "absent", "digest", "body")
CHUNK_COUNT = 200


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an attempt's protocol without looking into it.

    Attributes:
        absent: Parts it lacks, and why.
        problem: Why it could not be read; then there is no protocol.
    """

    group_ref: str | None
    attempt_digest: bytes
    absent: dict[Part, Why]
    problem: str | None
    read_at: datetime


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """A protocol that was just read and limited, or why it was not."""

    ref: str
    pupil: str
    group_ref: str | None
    programme: str
    activity: str
    finished_at: datetime | None
    attempt_digest: bytes
    protocol: Protocol | None
    problem: str | None = None


class ProtocolView(msgspec.Struct, frozen=True, kw_only=True):
    """A protocol in a list.

    Attributes:
        points: Of `maximum`; None where the test hides it.
        absent: Part → why it is not kept.
    """

    ref: str
    pupil: str
    group: str | None
    activity: str
    number: int
    started_at: datetime | None
    finished_at: datetime | None
    points: float | None
    maximum: float | None
    questions: int
    absent: dict[str, str]


class QuestionView(msgspec.Struct, frozen=True, kw_only=True):
    """One question, its answer and result."""

    number: str
    form: str
    text: str | None
    answer: str | None
    result: str | None
    points: float | None
    maximum: float | None
    absent: dict[str, str]


class WholeProtocol(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt with all that is kept of it."""

    protocol: ProtocolView
    questions: list[QuestionView]


def load_stored(conn: Connection, place_id: int, refs: Sequence[str]) -> dict[str, Stored]:
    """Load what is known of these attempts' protocols."""
    table = attempt_protocol.c
    found: dict[str, Stored] = {}
    for start in range(0, len(refs), CHUNK_COUNT):
        rows = conn.execute(
            select(table.ref, table.group_ref, table.attempt_digest, table.absent, table.problem, table.read_at).where(
                table.place_id == place_id, table.ref.in_(refs[start : start + CHUNK_COUNT])
            )
        )
        for row in rows:
            found[row.ref] = Stored(
                group_ref=row.group_ref,
                attempt_digest=row.attempt_digest,
                absent=msgspec.convert(row.absent, _ABSENT),
                problem=row.problem,
                read_at=row.read_at,
            )
    return found


def store_fresh(conn: Connection, place_id: int, fresh: Sequence[Fresh], *, now: datetime) -> None:
    """Store protocols that were read, in the caller's transaction."""
    rows: list[dict[str, object]] = []
    for one in fresh:
        body = None if one.protocol is None else to_body(one.protocol)
        rows.append(
            {
                "place_id": place_id,
                "ref": one.ref,
                "pupil": one.pupil,
                "group_ref": one.group_ref,
                "programme": one.programme,
                "activity": one.activity,
                "finished_at": one.finished_at or now,  # by it its time is counted
                "attempt_digest": one.attempt_digest,
                "absent": {} if one.protocol is None else one.protocol.absent,
                "digest": None if body is None else digest_of(body),
                "body": body,
                "problem": one.problem,
                "read_at": now,
            }
        )
    upsert(conn, attempt_protocol, rows, ("place_id", "ref"), (*_COLUMNS, "problem", "read_at"))


def limit_stored(conn: Connection, place_id: int, hidden: Mapping[str, Mapping[Part, Why]]) -> int:
    """Take out of stored protocols what may no longer be kept, or say anew why it is not there.

    Args:
        hidden: Attempt → what may not be kept now.

    Returns:
        Protocols out of which something was taken.
    """
    _leave_no_bytes(conn)
    table = attempt_protocol.c
    refs, taken = list(hidden), 0
    for start in range(0, len(refs), CHUNK_COUNT):
        chosen = select(table.ref, table.body).where(
            table.place_id == place_id, table.ref.in_(refs[start : start + CHUNK_COUNT]), table.body.is_not(None)
        )
        for row in conn.execute(chosen).all():
            before = _PROTOCOL.decode(row.body)
            after = limited(before, hidden[row.ref])
            taken += bool(set(after.absent) - set(before.absent))
            body = to_body(after)
            conn.execute(
                update(attempt_protocol)
                .where(table.place_id == place_id, table.ref == row.ref)
                .values(body=body, digest=digest_of(body), absent=after.absent)
            )
    return taken


def remove_all(conn: Connection, place_id: int, *, limit: int) -> int:
    """Remove a place's protocols, at most `limit` at once.

    Returns:
        How many were removed.
    """
    table = attempt_protocol.c
    refs = conn.execute(select(table.ref).where(table.place_id == place_id).limit(limit)).scalars().all()
    return remove_stored(conn, place_id, refs)


def _leave_no_bytes(conn: Connection) -> None:
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("PRAGMA secure_delete=ON")  # else what was freed stays in the page


def move_stored(conn: Connection, place_id: int, groups: Mapping[str, str | None]) -> None:
    """Note that these attempts' pupils are read with another group now: attempt → group."""
    for ref, group in groups.items():
        conn.execute(
            update(attempt_protocol)
            .where(attempt_protocol.c.place_id == place_id, attempt_protocol.c.ref == ref)
            .values(group_ref=group)
        )


def remove_stored(conn: Connection, place_id: int, refs: Sequence[str]) -> int:
    """Remove the protocols of attempts that are no longer there.

    Returns:
        How many there were.
    """
    _leave_no_bytes(conn)
    count = 0
    for start in range(0, len(refs), CHUNK_COUNT):
        count += conn.execute(
            delete(attempt_protocol).where(
                attempt_protocol.c.place_id == place_id, attempt_protocol.c.ref.in_(refs[start : start + CHUNK_COUNT])
            )
        ).rowcount
    return count


def purge_protocols(conn: Connection, *, before: datetime, limit: int) -> int:
    """Remove protocols of attempts that ended before a moment, of all years, at most `limit` at once.

    Returns:
        How many were removed.
    """
    table = attempt_protocol.c
    old = conn.execute(select(table.place_id, table.ref).where(table.finished_at < before).limit(limit)).all()
    by_place: dict[int, list[str]] = {}
    for row in old:
        by_place.setdefault(row.place_id, []).append(row.ref)
    return sum(remove_stored(conn, place_id, refs) for place_id, refs in by_place.items())


def load_earlier_places(conn: Connection, place_id: int) -> list[int]:
    """Load the same portal's and city's other school years that have protocols."""
    own = place.alias()
    rows = conn.execute(
        select(place.c.id)
        .join(own, (own.c.city == place.c.city) & (own.c.portal == place.c.portal))
        .where(
            own.c.id == place_id,
            place.c.id != place_id,
            select(attempt_protocol.c.ref).where(attempt_protocol.c.place_id == place.c.id).exists(),
        )
        .order_by(place.c.id)
    )
    return [int(one) for one in rows.scalars()]


def load_reviews(conn: Connection, place_id: int) -> dict[str, Review]:
    """Load the settings of tests as they were last shown."""
    rows = conn.execute(select(test_review.c.activity, test_review.c.review).where(test_review.c.place_id == place_id))
    return {row.activity: msgspec.convert(row.review, Review) for row in rows}


def store_reviews(
    conn: Connection, place_id: int, known: Mapping[str, Review], shown: Iterable[Review], *, now: datetime
) -> int:
    """Remember the settings that are new or other than known ones.

    Returns:
        Rows written.
    """
    rows = [
        {"place_id": place_id, "activity": one.activity, "review": msgspec.to_builtins(one), "seen_at": now}
        for one in shown
        if known.get(one.activity) != one
    ]
    upsert(conn, test_review, rows, ("place_id", "activity"), ("review", "seen_at"))
    return len(rows)


def load_protocols(
    conn: Connection, scope: Scope, place_id: int, *, pupil_ref: str, after: str, limit: int
) -> list[ProtocolView]:
    """Load a pupil's protocols that a scope sees, by ref.

    Raises:
        NotVisibleError: That pupil is not the scope's.
    """
    require_pupil(conn, scope, place_id, pupil_ref)
    table = attempt_protocol.c
    rows = conn.execute(
        select(attempt_protocol)
        .where(
            table.place_id == place_id,
            table.pupil == pupil_ref,
            table.ref > after,
            table.body.is_not(None),
            _covers(conn, scope, place_id),
        )
        .order_by(table.ref)
        .limit(limit)
    )
    return [_view(row)[0] for row in rows]


def get_protocol(conn: Connection, scope: Scope, place_id: int, ref: str) -> WholeProtocol:
    """Load one protocol that a scope sees.

    Raises:
        NotVisibleError: It is somebody else's, or there is none: the same words for both.
    """
    table = attempt_protocol.c
    row = conn.execute(
        select(attempt_protocol).where(
            table.place_id == place_id, table.ref == ref, table.body.is_not(None), _covers(conn, scope, place_id)
        )
    ).one_or_none()
    if row is None:
        raise NotVisibleError("Такой записи нет")
    return _whole(row)


def load_of_person(conn: Connection, place_id: int, pupil_ref: str) -> list[WholeProtocol]:
    """Load all protocols of a pupil, for the operator of the machine."""
    table = attempt_protocol.c
    rows = conn.execute(
        select(attempt_protocol)
        .where(table.place_id == place_id, table.pupil == pupil_ref, table.body.is_not(None))
        .order_by(table.finished_at, table.ref)
    )
    return [_whole(row) for row in rows]


def find_protocol(conn: Connection, place_id: int, ref: str) -> WholeProtocol | None:
    """Load one protocol for the operator of the machine."""
    table = attempt_protocol.c
    row = conn.execute(
        select(attempt_protocol).where(table.place_id == place_id, table.ref == ref, table.body.is_not(None))
    ).one_or_none()
    return None if row is None else _whole(row)


def _covers(conn: Connection, scope: Scope, place_id: int) -> Any:
    table = attempt_protocol.c
    return Seen(conn, scope, place_id).covers_columns(
        pupil=table.pupil, group=table.group_ref, programme=table.programme
    )


def _view(row: Row[Any]) -> tuple[ProtocolView, Protocol]:
    one = _PROTOCOL.decode(row.body)
    return (
        ProtocolView(
            ref=one.ref,
            pupil=one.pupil,
            group=row.group_ref,
            activity=one.activity,
            number=one.number,
            started_at=one.started_at,
            finished_at=one.finished_at,
            points=one.points,
            maximum=one.maximum,
            questions=len(one.questions),
            absent={part.value: why.value for part, why in one.absent.items()},
        ),
        one,
    )


def _whole(row: Row[Any]) -> WholeProtocol:
    view, one = _view(row)
    return WholeProtocol(
        protocol=view,
        questions=[
            QuestionView(
                number=asked.number,
                form=asked.form,
                text=asked.text,
                answer=asked.answer,
                result=asked.result,
                points=asked.points,
                maximum=asked.maximum,
                absent={field: why.value for field, why in asked.absent.items()},
            )
            for asked in one.questions
        ],
    )
