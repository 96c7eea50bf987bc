"""Turns that processes take on PostgreSQL for what no row stands for: a place, a cell of the journal, the end of a chain.

An advisory lock belongs to the whole database. The schema is part of each name, so that two gateways that keep their
tables in two schemas of one database never wait for each other. SQLite has one writer, who needs no turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Function, Select, Text, bindparam, cast, func, select, text

Manner = Literal["pg_advisory_xact_lock", "pg_advisory_xact_lock_shared"]


def _key(name: Any) -> Function[Any]:
    """A turn's name as one signed 64-bit number; two names of one number only wait for each other."""
    return func.hashtextextended(func.concat(func.current_schema(), " ", cast(name, Text)), 0)


def _waiting(manner: Manner) -> Select[Any]:
    return select(getattr(func, manner)(_key(bindparam("name"))))


# built once: putting a statement together costs more than running it
_ALONE = _waiting("pg_advisory_xact_lock")
_BESIDE = _waiting("pg_advisory_xact_lock_shared")
# text, because the driver's list is no type of the portable ones; each name is asked once, in the order of the list
_TRIED = text(
    "SELECT pg_try_advisory_xact_lock(hashtextextended(concat(current_schema(), ' ', one.name), 0))"
    " FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS one(name, place) ORDER BY one.place"
)


def take_turn(conn: Connection, name: str) -> None:
    """Wait until no other transaction has the turn of this name, and keep it until ours ends."""
    if conn.dialect.name == "postgresql":
        conn.execute(_ALONE, {"name": name})


def stand_beside(conn: Connection, name: str) -> None:
    """As `take_turn`, but beside others who do the same: only who takes the turn waits for us, and we for him."""
    if conn.dialect.name == "postgresql":
        conn.execute(_BESIDE, {"name": name})


def try_turns(conn: Connection, names: Sequence[str]) -> list[bool]:
    """Take those turns of different names that nobody has, without waiting; whether each was taken."""
    if not names or conn.dialect.name != "postgresql":
        return [True] * len(names)
    return list(conn.execute(_TRIED, {"names": list(names)}).scalars())


__all__ = ["stand_beside", "take_turn", "try_turns"]
