"""The two joins that most questions are made of: rows of one record, and the object that a record's base is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_

from gateway.reconcile.tables import base, shadow


def same_record(one: Any, other: Any) -> ColumnElement[bool]:
    """Rows of one record: a record's name is its place, its kind and its ref.

    Args:
        one: A table or an alias with `place_id`, `kind` and `ref`; `other` too.
    """
    return and_(one.c.place_id == other.c.place_id, one.c.kind == other.c.kind, one.c.ref == other.c.ref)


def same_object() -> ColumnElement[bool]:
    """The city's object of a base, as it was last read: an object's name is its place, its kind and the city's id."""
    return and_(shadow.c.place_id == base.c.place_id, shadow.c.kind == base.c.kind, shadow.c.city_id == base.c.city_id)


__all__ = ["same_object", "same_record"]
