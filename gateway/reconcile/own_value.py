"""A third value that a person types for a mark: whether it is one, and whether it fits the scale of the mark's control form.

Pure. Source: city-journal.md R8, V3: what lies outside of a form's grade system is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from gateway.domain.city import MarkAtom
from gateway.mapping.atoms import atom_of_intent, canonical_value
from gateway.mapping.rules import Rules
from gateway.mapping.values import allowed_values
from gateway.reconcile.discrepancies import Effect
from gateway.reconcile.resolve import INTENT_TYPES


def is_own_value(text: str) -> bool:
    """Whether a typed mark can be one on some scale: the city's scales are whole numbers (city-journal.md R8)."""
    value = canonical_value(text)
    return value.isascii() and value.isdigit() and value == str(int(value)) and int(value) <= 100


def find_off_scale(
    taken: Sequence[tuple[Row[Any], Effect]], own_value: str, systems: Mapping[int, str], rules: Rules
) -> tuple[list[int], list[int]]:
    """Find the marks that a typed value does not fit. Pure.

    Args:
        taken: From `sort_out`, marks only.
        own_value: As typed; a whole number by `is_own_value`.
        systems: Control form → its grade system, by the city's dictionary as last read.
        rules: Those that count: a five-point mark may be a 1 only where they say so.

    Returns:
        Numbers of the discrepancies, and the values that all of these would take. A form that the dictionary does not
        name counts as five-point: what fits there fits every scale of the city.
    """
    value = int(canonical_value(own_value))
    numbers: list[int] = []
    fitting: set[int] | None = None
    for row, _ in taken:
        atom = atom_of_intent(msgspec.json.decode(row.intent or row.meant, type=INTENT_TYPES[row.kind]))
        scale = allowed_values(systems.get(atom.form_id, "five") if isinstance(atom, MarkAtom) else "", rules)
        if value not in scale:
            numbers.append(row.id)
            fitting = set(scale) if fitting is None else fitting & set(scale)
    return numbers, sorted(fitting or ())
