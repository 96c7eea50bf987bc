"""«One of these many numbers» as one bound value.

An IN list is written out with a parameter a number: five thousand of them cost more to put together than to look up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, any_, cast, func, literal, select
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
