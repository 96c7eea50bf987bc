"""Receive: a whole book that the planner pushes, stored as if it had been read.

The API's route calls this; nothing here knows of it. One transaction a batch: the records, the revision and the audit
entry stand together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.audit.deed import Actor, Deed
from gateway.domain.errors import ConfigurationError, RecordError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import PLANNER_INVALID
from gateway.domain.records import RECORD_TYPES, Record
from gateway.flows.gateway import Gateway
from gateway.flows.pull import park_unstorable, store_faults
from gateway.mapping.links import lock_place
from gateway.reconcile.snapshot import load_records, store_scope
from gateway.store.watermark import find_watermark, set_watermark

NO_RUN = 0
"""A push belongs to no run; the next run plans what it changed."""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch did.

    Attributes:
        is_repeated: Exactly this revision had come before: nothing was looked at.
        parked: (ref, sentence) of rows that did not fit; the others are stored.
    """

    book: str
    revision: int
    read: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    unchanged: int = 0
    is_repeated: bool = False
    parked: tuple[tuple[str, str], ...] = ()


def receive_planner_batch(gateway: Gateway, body: bytes, *, sender: Actor) -> Received:
    """Store a pushed book.

    Args:
        gateway: The composed gateway.
        body: JSON as it came, within the caller's cap.
        sender: Who pushes, as the API knows it.

    Raises:
        ConfigurationError: `planner.accepts_push` is off.
        RecordError: The batch can't be used, or is older than what is stored; nothing was stored.
    """
    inbox = gateway.inbox
    if inbox is None:
        raise ConfigurationError("Пакеты планировщика не принимаются: planner.accepts_push = false")
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        # of two pushes at once the later one has to see the revision of the earlier
        lock_place(conn, place_id)
        now = gateway.store.now(conn)

        def load_scope(scope: str) -> Sequence[Record]:
            kind = Kind(scope.partition("|")[0])
            return load_records(conn, place_id, RECORD_TYPES[kind], scope=scope)

        book = inbox.read_batch(body, read_at=now, load_scope=load_scope)
        mark = f"push|{inbox.name}|{book.key}"
        before = find_watermark(conn, gateway.place, mark)
        if before is not None and int(before.value) >= book.revision:
            if int(before.value) == book.revision:
                return Received(book=book.key, revision=book.revision, is_repeated=True)
            sentence = f"Пакет старше принятого: редакция {book.revision}, принята {before.value}"
            raise RecordError(sentence, where="revision", reason=PLANNER_INVALID)
        scopes = [park_unstorable(scope) for scope in book.scopes]
        counts = [store_scope(conn, place_id, scope, run_id=NO_RUN) for scope in scopes]
        for scope in scopes:
            store_faults(conn, place_id, scope, NO_RUN)
        set_watermark(conn, gateway.place, mark, str(book.revision), now=now)
        received = Received(
            book=book.key,
            revision=book.revision,
            read=sum(one.read for one in counts),
            new=sum(one.new for one in counts),
            changed=sum(one.changed for one in counts),
            gone=sum(one.gone for one in counts),
            unchanged=sum(one.unchanged for one in counts),
            parked=tuple((fault.where, fault.sentence) for scope in scopes for fault in scope.faults),
        )
        gateway.audit.append(
            conn,
            Deed(
                action="planner.received",
                actor=sender,
                place=gateway.place,
                object_type="book",
                outcome="stored",
                counts=_counts(received),
            ),
        )
    return received


def _counts(received: Received) -> dict[str, int]:
    names = ("read", "new", "changed", "gone", "unchanged")
    return {**{name: getattr(received, name) for name in names}, "parked": len(received.parked)}


__all__ = ["NO_RUN", "Received", "receive_planner_batch"]
