"""What an entry typed into the gateway is held against before it is stored: kinds of work, and what stands already.

Works are pure; what stands is looked up inside the caller's transaction, one caller at a time a place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, or_, select

from gateway.domain.entry_faults import EntryFault, entry_fault
from gateway.domain.errors import EntryRefusedError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Mark
from gateway.flows.tables import journal_entry
from gateway.mapping.normalise import normal_text
from gateway.mapping.record_links import load_pairs
from gateway.mapping.rules import Rules


def find_unknown_work(rules: Rules, mark: Mark) -> EntryFault | None:
    """Say what is wrong with a named work that no rule knows by its name: it would go out under the form of any work. Pure.

    Args:
        mark: The entry as a record; a work without a name is no matter of the dictionary.

    Returns:
        A fault with the works that are known; None where nothing is wrong.
    """
    if not mark.item_name or _knows(rules, mark):
        return None
    known = ", ".join(f"«{name}»" for name in _known_works(rules, mark))
    return entry_fault("work", "work", known=known) if known else entry_fault("work", "no_work")


def work_key(rules: Rules, mark: Mark) -> str:
    """Comparable form of a mark's work; one without a name is the work that the rules make of it. Pure."""
    rule = None if mark.item_name else rules.find_item_rule(mark)
    return normal_text(mark.item_name if rule is None else rules.form_name(rule))


def load_standing(
    conn: Connection, place_id: int, kind: Kind, *, pupil: str, group: str, lesson: str, lesson_at: datetime
) -> Sequence[Row[Any]]:
    """Load the entries of a kind that stand for a pupil on a lesson, whichever source's codes they were typed with."""
    pupils = _same(load_pairs(conn, place_id, Kind.PERSON), pupil)
    groups = _same(load_pairs(conn, place_id, Kind.GROUP), group)
    query = select(journal_entry).where(
        journal_entry.c.place_id == place_id,
        journal_entry.c.kind == kind.value,
        journal_entry.c.withdrawn_at.is_(None),
        journal_entry.c.group_ref.in_(sorted(groups)),
        journal_entry.c.pupil.in_(sorted(pupils)),
        or_(journal_entry.c.lesson == lesson, journal_entry.c.lesson_at == lesson_at),
    )
    return conn.execute(query.order_by(journal_entry.c.id)).all()


def refuse_second_absence(standing: Sequence[Row[Any]], form: str | None) -> None:
    """Refuse an absence where one stands: the same is there already, another one contradicts it.

    Raises:
        EntryRefusedError: Names the standing entry and what to do about it.
    """
    for row in standing:
        name = "same_absence" if row.form == form else "other_absence"
        raise EntryRefusedError([entry_fault("form", name, number=row.id)])


def refuse_second_mark(standing: Sequence[Row[Any]], value: int | None) -> None:
    """Refuse a mark where one of the same work stands.

    Raises:
        EntryRefusedError: Names the standing entry and what to do about it.
    """
    for row in standing:
        name = "same_mark" if row.value == value else "other_mark"
        raise EntryRefusedError([entry_fault("value", name, number=row.id)])


def _knows(rules: Rules, mark: Mark) -> bool:
    rule = rules.find_item_rule(mark)
    if rule is None:
        return False
    # a row that takes the entry whatever it is called says nothing of this name
    if not rule.matches(msgspec.structs.replace(mark, item_name="")):
        return True
    return normal_text(mark.item_name) in {normal_text(rule.form), normal_text(rules.form_name(rule))}


def _known_works(rules: Rules, mark: Mark) -> list[str]:
    names = dict.fromkeys(rule.form for rule in rules.items if rule.send)  # once each, in the rules' order
    return [name for name in names if _knows(rules, msgspec.structs.replace(mark, item_name=name))]


def _same(pairs: Mapping[str, str], ref: str) -> set[str]:
    own = pairs.get(ref, ref)
    return {ref, own, *(one for one, canonical in pairs.items() if canonical == own)}


__all__ = [
    "find_unknown_work",
    "load_standing",
    "refuse_second_absence",
    "refuse_second_mark",
    "work_key",
]
