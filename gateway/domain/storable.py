"""Texts and moments that every store can keep and every count of days can reach: asked of records of any source. Pure.

PostgreSQL keeps no NUL in a text, no encoding keeps half of a surrogate pair, and days next to the calendar's first or
last one can't be moved into a zone. One such record must not end a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from typing import get_args, get_type_hints

from gateway.domain.records import (
    Absence,
    Attempt,
    Final,
    Homework,
    Lesson,
    LessonComment,
    LessonPlan,
    Mark,
    Record,
    to_body,
)

FIRST_ON, LAST_ON = date(1900, 1, 1), date(2199, 12, 31)
"""Days outside are mistyped, whatever they belong to."""
REF_CHARS = 200
"""Longest ref that the tables keep."""
_REFS = frozenset({"ref", "pupil", "person", "group", "programme", "lesson", "item", "activity"})
_DATED = (Absence, Attempt, Final, Homework, Lesson, LessonComment, LessonPlan, Mark)
"""Kinds whose days are days of school; others may be open until 9999."""
_UNSTORABLE = re.compile("[\\x00\ud800-\udfff]")
_UNFIT = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\ud800-\udfff]")


def storable_text(text: str) -> str:
    """Return a text with a replacement mark for everything that is no character."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)


def find_unstorable(record: Record) -> str | None:
    """Name the first field of a record that can't be kept; None = it can."""
    refs, days = _looked_at(type(record))
    for name in days:
        value = getattr(record, name)
        if isinstance(value, date):
            day = value.date() if isinstance(value, datetime) else value
            if not FIRST_ON <= day <= LAST_ON:
                return name
    for name in refs:
        value = getattr(record, name)
        if value is not None and len(value) > REF_CHARS:
            return name
    # a night asks for every record: the encoder looks at all texts in a sixth of the time that a loop needs
    try:
        if b"\\u0000" not in to_body(record):
            return None
    except UnicodeEncodeError:
        pass
    return next(
        (
            name
            for name in record.__struct_fields__
            if any(_UNSTORABLE.search(text) for text in _texts(getattr(record, name)))
        ),
        None,
    )


@cache
def _looked_at(form: type[Record]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the fields of a kind that are refs, and those that hold days."""
    hints = get_type_hints(form)
    days = [name for name in form.__struct_fields__ if {date, datetime} & {hints[name], *get_args(hints[name])}]
    refs = [name for name in form.__struct_fields__ if name in _REFS]
    return tuple(refs), tuple(days) if form in _DATED else ()


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        yield from (text for pair in value.items() for text in pair if isinstance(text, str))
    elif hasattr(value, "__struct_fields__"):
        for name in value.__struct_fields__:
            yield from _texts(getattr(value, name))


__all__ = ["find_unstorable", "storable_text"]
