"""The two joins that most questions are made of: rows of one record, and the object that a record's base is.

And how discrepancies are named by their numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_

from gateway.reconcile.tables import base, discrepancy, shadow
from gateway.store.among import among


def same_record(one: Any, other: Any) -> ColumnElement[bool]:
    """Rows of one record: a record's name is its place, its kind and its ref.

    Args:
        one: A table or an alias with `place_id`, `kind` and `ref`; `other` too.
    """
    return and_(one.c.place_id == other.c.place_id, one.c.kind == other.c.kind, one.c.ref == other.c.ref)


def same_object() -> ColumnElement[bool]:
    """The city's object of a base, as it was last read: an object's name is its place, its kind and the city's id."""
    return and_(shadow.c.place_id == base.c.place_id, shadow.c.kind == base.c.kind, shadow.c.city_id == base.c.city_id)


def these(conn: Connection, place_id: int, ids: Iterable[int]) -> ColumnElement[bool]:
    """Discrepancies of a place by their numbers."""
    return and_(among(conn, discrepancy.c.id, ids), is_here(place_id))


def is_here(place_id: int) -> ColumnElement[bool]:
    """Whether a discrepancy that is found by its number is one of this place.

    Asked in a way that no index serves: asked plainly, SQLite takes an index of the whole place and walks all of it, though
    the number leads to the row at once.
    """
    return discrepancy.c.place_id + 0 == place_id


__all__ = ["is_here", "same_object", "same_record", "these"]
