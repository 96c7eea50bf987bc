"""«One of these many numbers», and «these texts by their numbers», as one bound value.

An IN list is written out with a parameter a number: five thousand of them cost more to put together than to look up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    any_,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY


def among(conn: Connection, column: ColumnElement[Any], numbers: Iterable[int]) -> ColumnElement[bool]:
    """Say that a column of whole numbers holds one of the given ones.

    Args:
        conn: Tells which database it is.
        column: An integer column.
        numbers: Any count, none included.
    """
    if conn.dialect.name == "postgresql":
        return column == any_(cast(list(numbers), ARRAY(BigInteger)))
    listed = literal(msgspec.json.encode(list(numbers)).decode())
    return column.in_(select(func.json_each(listed).table_valued("value").c.value))


def listed(conn: Connection, bodies: Sequence[tuple[int, bytes]]) -> CTE:
    """A table of `id` and `body` to be joined: five thousand rows bound one by one cost more than what is done with them.

    Materialised, because SQLite would else read the list anew for every row that it joins.

    Args:
        conn: Tells which database it is.
        bodies: Number → UTF-8 text; each number once.
    """
    if conn.dialect.name == "postgresql":
        ids = cast([number for number, _ in bodies], ARRAY(BigInteger))
        texts = cast([body for _, body in bodies], ARRAY(LargeBinary))
        found = select(func.unnest(ids).label("id"), func.unnest(texts).label("body"))
        return found.cte("listed").prefix_with("MATERIALIZED")
    told = msgspec.json.encode({str(number): body.decode() for number, body in bodies}).decode()
    each = func.json_each(literal(told)).table_valued("key", "value")
    found = select(cast(each.c.key, Integer).label("id"), cast(each.c.value, LargeBinary).label("body"))
    return found.cte("listed").prefix_with("MATERIALIZED")
