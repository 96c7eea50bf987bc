"""Values of the school that no rule or dictionary leads to the city: which, how often, since when.

The first half is pure and names what of a refused record is not mapped; the second keeps a count a scope, replaced each
time the scope is planned, so that a value that was mapped is gone from the list by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, func, select

from gateway.domain.reasons import NO_CONTROL_FORM, VALUE_OUT_OF_RANGE
from gateway.domain.records import Final, Group, Mark, Record, Subject
from gateway.mapping.context import Mapped
from gateway.mapping.normalise import class_key, normal_text
from gateway.mapping.rules import Rules
from gateway.mapping.tables import unmapped_value
from gateway.store.transaction import upsert

MAPPED_NAMES = ("subjects", "classes", "forms", "words", "passes", "items")
"""Dictionaries in which a value can be missing; `items` is the table of works."""
LONGEST = 300
Unmapped = tuple[str, str]
"""(dictionary, local value)."""


class UnmappedValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value that leads nowhere, with how many records wait for it."""

    name: str
    local_value: str
    count: int
    first_seen_at: datetime


def count_unmapped(records: Iterable[Record], mapped: Iterable[Mapped], rules: Rules) -> Counter[Unmapped]:
    """Count what is not mapped among a scope's refused records. Pure."""
    refused = {one.ref: one.reason for one in mapped if one.state == "rejected"}
    found: Counter[Unmapped] = Counter()
    for one in records if refused else ():
        value = _find_unmapped(one, refused.get(one.ref, ""), rules)
        if value is not None:
            found[value[0], value[1][:LONGEST]] += 1
    return found


def find_unmapped_group(
    group: Group, subject: Subject | None, rules: Rules, *, city_subjects: Iterable[str], city_classes: Iterable[str]
) -> Unmapped | None:
    """Say what of a group without a counterpart leads nowhere: its subject, or its class. Pure."""
    name = subject.name if subject is not None else group.subject
    if normal_text(rules.city_subject(group.subject, name)) not in {normal_text(one) for one in city_subjects}:
        return "subjects", name[:LONGEST]
    local = group.class_name or group.name
    if rules.city_class(local) not in {class_key(one) for one in city_classes}:
        return "classes", local[:LONGEST]
    return None


def save_unmapped(
    conn: Connection,
    place_id: int,
    scope: str,
    found: Mapping[Unmapped, int],
    now: datetime,
    *,
    former: str | None = None,
) -> None:
    """Replace what is known of a scope; a value that was known keeps when it was first seen.

    Args:
        former: Name under which the scope waited as long as its group had no counterpart; what was kept there is over.
    """
    upsert(
        conn,
        unmapped_value,
        [
            {
                "place_id": place_id,
                "scope": scope,
                "name": name,
                "local_value": value,
                "count": count,
                "first_seen_at": now,
                "seen_at": now,
            }
            for (name, value), count in sorted(found.items())
        ],
        keys=("place_id", "scope", "name", "local_value"),
        update=("count", "seen_at"),
    )
    conn.execute(
        delete(unmapped_value).where(
            unmapped_value.c.place_id == place_id,
            unmapped_value.c.scope.in_((scope, former or scope)),
            unmapped_value.c.seen_at < now,
        )
    )


def load_unmapped(conn: Connection, place_id: int, *, limit: int = 500) -> list[UnmappedValue]:
    """Load what is not mapped, the most used first."""
    count = func.sum(unmapped_value.c.count)
    rows = conn.execute(
        select(
            unmapped_value.c.name,
            unmapped_value.c.local_value,
            count.label("how_many"),
            func.min(unmapped_value.c.first_seen_at).label("first"),
        )
        .where(unmapped_value.c.place_id == place_id)
        .group_by(unmapped_value.c.name, unmapped_value.c.local_value)
        .order_by(count.desc(), unmapped_value.c.name, unmapped_value.c.local_value)
        .limit(limit)
    )
    return [
        UnmappedValue(name=row.name, local_value=row.local_value, count=int(row.how_many), first_seen_at=row.first)
        for row in rows
    ]


def _find_unmapped(record: Record, reason: str, rules: Rules) -> Unmapped | None:
    if isinstance(record, Mark) and reason == NO_CONTROL_FORM:
        rule = rules.find_item_rule(record)
        return ("items", record.item_name) if rule is None else ("forms", rule.form)
    if isinstance(record, Mark | Final) and reason == VALUE_OUT_OF_RANGE and record.word and record.word.strip():
        word = record.word.strip()
        is_pass = isinstance(record, Final) and record.form == "intermediate"
        known = rules.passes if is_pass else rules.words
        if not word.isdecimal() and normal_text(word) not in {normal_text(one) for one in known}:
            return "passes" if is_pass else "words", word
    return None
