"""What an entry says of whoever brought a value in: one code of pseudonyms, posts and accounts, never a name.

`typed_by=…|on_behalf_of=…|answers=…|way=…`; what is not known is left out. A person of the school is a pseudonym, as
everywhere in the audit; an account and a post are codes already.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from gateway.audit.redact import is_code
from gateway.audit.subjects import pseudonyms_of
from gateway.domain.identifiers import Place
from gateway.domain.records import Entry

ACCOUNT = "account:"
"""How an actor with an account is named, by its number."""
ACCOUNT_CHARS = 60
"""Longest account that stands there as it is: four parts must fit into one code."""
_PEOPLE = ("typed_by", "on_behalf_of", "answers")


def originators_of(conn: Connection, place: Place, entries: Sequence[Entry]) -> list[str | None]:
    """Say for each entry who brought it in; None where nothing is known.

    Args:
        conn: The caller's write transaction.
        place: Where the people belong to.
        entries: In any order; the answers come in theirs.
    """
    refs = {code for entry in entries for name in _PEOPLE if _is_person(code := getattr(entry, name))}
    known = pseudonyms_of(conn, place, refs, kind="teacher") if refs else {}
    told: list[str | None] = []
    for entry in entries:
        parts = [f"{name}={known.get(code, code)}" for name in _PEOPLE if (code := getattr(entry, name))]
        parts += [f"way={entry.way}"] if entry.way else []
        told.append("|".join(parts) or None)
    return told


def _is_person(code: str) -> bool:
    """Whether it is a person's ref (`user:3`), or something that must not stand in an entry as it is."""
    if code.startswith(ACCOUNT) and len(code) <= ACCOUNT_CHARS and is_code(code):
        return False
    return bool(code) and (":" in code or "=" in code or "|" in code or len(code) > ACCOUNT_CHARS or not is_code(code))


__all__ = ["originators_of"]
