"""One cell of a journal page: «н, 5 (2КР), 4 (1РУ)» is an absence and two marks.

Pure. Between the workbook's text and the city's objects.

Source: city-journal.md R2 (S7 for the form of a cell), R3, R18; grade D for all else.
"""

from __future__ import annotations

import re

import msgspec

ABSENT = {"н": 0, "б": 1}
"""«н» is the plain absence, «б» one of illness; both are absences for the gateway."""
POINT = "•"
"""Before a value: a «точка», a debt and not a mark yet."""
_ENTRY = re.compile(
    r"(?P<point>[•·])?\s*(?P<value>[^\s()•·,;]+)\s*(?:\(\s*(?P<weight>\d{1,3})?\s*(?P<form>[^()]*?)\s*\))?"
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a cell.

    Attributes:
        absence: 0 «н», 1 «б»; None for a mark.
        weight: None where the cell does not say.
        form: Short name of the control form, empty where the cell does not say.
    """

    value: str
    absence: int | None = None
    weight: int | None = None
    form: str = ""
    is_point: bool = False


def read_cell(text: str) -> list[Entry] | None:
    """Read a cell; None where it is not of that form. An empty cell has no entries."""
    entries: list[Entry] = []
    for part in re.split(r"[,;](?![^()]*\))", text):
        told = part.strip()
        if not told:
            continue
        found = _ENTRY.fullmatch(told)
        if found is None:
            return None
        value = found["value"]
        entries.append(
            Entry(
                value=value,
                absence=ABSENT.get(value.casefold()),
                weight=int(found["weight"]) if found["weight"] else None,
                form=found["form"] or "",
                is_point=bool(found["point"]),
            )
        )
    return entries


__all__ = ["ABSENT", "POINT", "Entry", "read_cell"]
