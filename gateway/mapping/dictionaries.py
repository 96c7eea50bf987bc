"""The dictionaries in the store: seeded from the mapping file, and changed by the school afterwards.

A change made in the store later wins over the file, and a new edition of the file does not undo it. Rules that have
been used are kept whole under their version, so that an old plan can be read by the rules it was made with.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import Connection, delete, select

from gateway.mapping.normalise import normal_text
from gateway.mapping.rules import Rules, build_rules, rule_version, rules_body
from gateway.mapping.tables import dictionary_entry, rule_set
from gateway.store.transaction import upsert

DictionaryName = Literal["subjects", "classes", "forms", "words"]


def seed_dictionaries(conn: Connection, place_id: int, rules: Rules, now: datetime) -> None:
    """Bring the seeded entries to what the file says; entries changed by the school stay as they are."""
    own = {(name, local) for name, entries in load_changes(conn, place_id).items() for local in entries}
    conn.execute(
        delete(dictionary_entry).where(dictionary_entry.c.place_id == place_id, dictionary_entry.c.is_seeded.is_(True))
    )
    rows = [
        _row(place_id, name, local, city, is_seeded=True, now=now)
        for name, entries in dictionaries_of(rules).items()
        for local, city in entries.items()
        if (name, local) not in own
    ]
    upsert(conn, dictionary_entry, rows, keys=("place_id", "name", "local_value"), update=())


def change_entry(conn: Connection, place_id: int, name: DictionaryName, local: str, city: str, now: datetime) -> None:
    """Store a school's own entry; it wins over the file from now on. The audit entry is the caller's."""
    row = _row(place_id, name, local, city, is_seeded=False, now=now)
    upsert(
        conn,
        dictionary_entry,
        [row],
        keys=("place_id", "name", "local_value"),
        update=("city_value", "is_seeded", "changed_at"),
    )


def load_changes(conn: Connection, place_id: int) -> dict[str, dict[str, str]]:
    """Return the school's own entries: dictionary → local value → city value."""
    changes: dict[str, dict[str, str]] = {name: {} for name in get_args(DictionaryName)}
    for row in conn.execute(
        select(dictionary_entry).where(dictionary_entry.c.place_id == place_id, dictionary_entry.c.is_seeded.is_(False))
    ):
        changes.setdefault(row.name, {})[row.local_value] = row.city_value
    return changes


def load_dictionaries(conn: Connection, place_id: int) -> dict[str, dict[str, tuple[str, bool]]]:
    """Return all entries for showing: dictionary → local value → (city value, whether it came from the file)."""
    shown: dict[str, dict[str, tuple[str, bool]]] = {name: {} for name in get_args(DictionaryName)}
    for row in conn.execute(
        select(dictionary_entry)
        .where(dictionary_entry.c.place_id == place_id)
        .order_by(dictionary_entry.c.name, dictionary_entry.c.local_value)
    ):
        shown.setdefault(row.name, {})[row.local_value] = (row.city_value, row.is_seeded)
    return shown


def load_subjects(conn: Connection, place_id: int, rules: Rules) -> Rules:
    """Return the rules with the place's own dictionary entries (subjects, classes, forms, words) laid over the file's.

    These are the rules that count: correlate and map by them, and take `rule_version` of them.

    Raises:
        ConfigurationError: A stored entry breaks a rule (a word that stands for no mark).
    """
    return with_changes(rules, load_changes(conn, place_id))


def with_changes(rules: Rules, changes: Mapping[str, Mapping[str, str]]) -> Rules:
    """Lay changes over the dictionaries of the rules."""
    if not any(changes.values()):
        return rules
    merged = {}
    for name, entries in dictionaries_of(rules).items():
        own = changes.get(name, {})
        spelled = {normal_text(local) for local in own}  # «алгебра» in the file must not outlive the school's «Алгебра»
        merged[name] = {local: city for local, city in entries.items() if normal_text(local) not in spelled} | {**own}
    return build_rules(rules.model_dump() | merged)


def dictionaries_of(rules: Rules) -> dict[str, dict[str, str]]:
    """Return the dictionaries that the file carries."""
    return {
        "subjects": dict(rules.subjects),
        "classes": dict(rules.classes),
        "forms": dict(rules.forms),
        "words": dict(rules.words),
    }


def save_rule_set(conn: Connection, rules: Rules, now: datetime) -> str:
    """Keep the rules under their version, once; return the version."""
    version = rule_version(rules)
    row = {"version": version, "body": rules_body(rules), "first_used_at": now}
    upsert(conn, rule_set, [row], keys=("version",), update=())
    return version


def find_rule_set(conn: Connection, version: str) -> str | None:
    """Return the kept rules of a version as canonical JSON."""
    body = conn.execute(select(rule_set.c.body).where(rule_set.c.version == version)).scalar_one_or_none()
    return None if body is None else str(body)


def _row(place_id: int, name: str, local: str, city: str, *, is_seeded: bool, now: datetime) -> dict[str, object]:
    return {
        "place_id": place_id,
        "name": name,
        "local_value": local,
        "city_value": city,
        "is_seeded": is_seeded,
        "changed_at": now,
    }
