"""Who brought a record in, in words: whose hands typed it, at whose word, who answers for it, which way it came."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection

from gateway.domain.records import Entry
from gateway.queue.deeds import with_teacher
from gateway.reconcile.provenance import load_entries
from gateway.report.plan_view import Words

WAY_WORDS = {
    "portal": "портал",
    "page": "страница планировщика",
    "workbook": "книга планировщика",
    "push": "прислано планировщиком",
    "journal": "внесено в сам шлюз",
    "resolution": "решение расхождения",
}
NOT_SAID = "источник не говорит"


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """Who brought a record in.

    Attributes:
        typed_by: Ref of a person, post or account; empty where the source does not say. `on_behalf_of`, `answers` alike.
        words: The same as people read it, role → name.
    """

    typed_by: str
    on_behalf_of: str
    answers: str
    way: str
    words: Mapping[str, str]


def load_entered(
    conn: Connection, place_id: int, kind: str, ref: str, *, intent: bytes | None, words: Words
) -> Entered:
    """Load who brought a record in.

    Args:
        conn: A read transaction.
        intent: What was meant for the city, which names the teacher who answers where nobody else does.
        words: Names of the place.
    """
    entry: Entry = load_entries(conn, place_id, {(kind, ref)})[kind, ref]
    if intent is not None:
        entry = with_teacher(entry, intent)
    told = {
        "внёс": words.who(entry.typed_by) or NOT_SAID,
        "за кого": words.who(entry.on_behalf_of),
        "отвечает": words.who(entry.answers) or NOT_SAID,
        "как пришло": WAY_WORDS.get(entry.way, entry.way),
    }
    return Entered(
        typed_by=entry.typed_by,
        on_behalf_of=entry.on_behalf_of,
        answers=entry.answers,
        way=entry.way,
        words={role: name for role, name in told.items() if name},
    )


__all__ = ["Entered", "load_entered"]
