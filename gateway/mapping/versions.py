"""The life of the school's rules: Draft → Proposed → Active → Deprecated, one active at a time.

As long as a place has no version, the mapping file counts by itself. From the first one on the file is the form of the
next draft, and only what was activated counts. Runs in the caller's transaction; audit entries are the flows'.

Source: design, "Mapping life"; product.md §3.7 (states after midPoint's lifecycle).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from gateway.domain.errors import ConfigurationError
from gateway.mapping.dictionaries import load_subjects, save_rule_set
from gateway.mapping.rules import Rules, build_rules
from gateway.mapping.tables import mapping_step, mapping_version, rule_set


class VersionState(StrEnum):
    """Where a version is in its life."""

    DRAFT = "draft"
    PROPOSED = "proposed"
    ACTIVE = "active"
    DEPRECATED = "deprecated"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the rules.

    Attributes:
        number: Counted within the place, from 1.
        version: 64 hex digits that stand for the content (`rules.rule_version`).
        backtest: Counts of its last back-test, with when it was made and against which rules; None = none yet.
    """

    id: int
    number: int
    version: str
    state: VersionState
    drafted_by: str
    drafted_at: datetime
    proposed_by: str | None
    activated_at: datetime | None
    backtest: dict[str, Any] | None


class VersionStep(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a version, by whom; `since` of an activation that corrects what was sent from then on."""

    at: datetime
    step: str
    actor: str
    since: datetime | None
    note_id: int | None


def load_counting_rules(conn: Connection, place_id: int, of_file: Rules) -> Rules:
    """Return the rules that count: the active version's, else the file's with the place's own dictionary entries.

    Args:
        of_file: The mapping file's rules, as the composition root read them.

    Raises:
        ConfigurationError: A stored dictionary entry breaks a rule.
    """
    return find_active_rules(conn, place_id) or load_subjects(conn, place_id, of_file)


def find_active_rules(conn: Connection, place_id: int) -> Rules | None:
    """Return the active version's rules; None where the file counts."""
    row = conn.execute(
        select(rule_set.c.version, rule_set.c.body)
        .join(mapping_version, mapping_version.c.version == rule_set.c.version)
        .where(mapping_version.c.place_id == place_id, mapping_version.c.state == VersionState.ACTIVE.value)
    ).one_or_none()
    return None if row is None else _parse(row.body)


def get_rules(conn: Connection, version: str) -> Rules:
    """Return the rules kept under a version.

    Raises:
        ConfigurationError: They were never kept: the database is not whole.
    """
    body = conn.execute(select(rule_set.c.body).where(rule_set.c.version == version)).scalar_one_or_none()
    if body is None:
        raise ConfigurationError(f"Правил версии {version[:12]} в базе нет: восстановите копию")
    return _parse(body)


@lru_cache(maxsize=8)
def _parse(body: str) -> Rules:
    """Rules are frozen, so one copy serves every run of a process."""
    return build_rules(msgspec.json.decode(body))


def load_versions(conn: Connection, place_id: int) -> list[Version]:
    """Load all versions of a place, the newest first."""
    rows = conn.execute(
        select(mapping_version).where(mapping_version.c.place_id == place_id).order_by(mapping_version.c.number.desc())
    )
    return [_to_version(row) for row in rows]


def get_version(conn: Connection, place_id: int, number: int) -> Version:
    """Return one version.

    Raises:
        ConfigurationError: There is none of that number.
    """
    row = conn.execute(
        select(mapping_version).where(mapping_version.c.place_id == place_id, mapping_version.c.number == number)
    ).one_or_none()
    if row is None:
        raise ConfigurationError(f"Версии правил {number} нет: gateway mapping list")
    return _to_version(row)


def find_active(conn: Connection, place_id: int) -> Version | None:
    """Return the active version; None where the file counts."""
    row = conn.execute(
        select(mapping_version).where(
            mapping_version.c.place_id == place_id, mapping_version.c.state == VersionState.ACTIVE.value
        )
    ).one_or_none()
    return None if row is None else _to_version(row)


def get_source(conn: Connection, version_id: int) -> str:
    """Return the TOML of a version as it was drafted."""
    return str(conn.execute(select(mapping_version.c.source).where(mapping_version.c.id == version_id)).scalar_one())


def load_steps(conn: Connection, version_id: int) -> list[VersionStep]:
    """Load what happened to a version, in order."""
    rows = conn.execute(select(mapping_step).where(mapping_step.c.version_id == version_id).order_by(mapping_step.c.id))
    return [
        VersionStep(at=row.at, step=row.step, actor=row.actor, since=row.since, note_id=row.note_id) for row in rows
    ]


def find_last_activation(conn: Connection, place_id: int) -> int:
    """Return the number of the last step that changed what counts, 0 where none did: part of what scopes are decided by."""
    found = conn.execute(
        select(func.max(mapping_step.c.id))
        .join(mapping_version, mapping_version.c.id == mapping_step.c.version_id)
        .where(mapping_version.c.place_id == place_id, mapping_step.c.step.in_(("activated", "rolled_back")))
    ).scalar_one_or_none()
    return int(found or 0)


def find_former(conn: Connection, place_id: int) -> Version | None:
    """Return the version to go back to: the one before the active one, past all that was rolled back since.

    What was rolled back is never gone back to by this: after 1, 2, 3 a rollback leads to 2 and the next one to 1.
    """
    steps = conn.execute(
        select(mapping_version.c.number, mapping_step.c.step)
        .join(mapping_step, mapping_step.c.version_id == mapping_version.c.id)
        .where(mapping_version.c.place_id == place_id, mapping_step.c.step.in_(("activated", "rolled_back")))
        .order_by(mapping_step.c.id)
    )
    standing = trace_back((row.number, row.step) for row in steps)
    return get_version(conn, place_id, standing[-2]) if len(standing) > 1 else None


def trace_back(steps: Iterable[tuple[int, str]]) -> list[int]:
    """Follow what counted, one version over another, the active one last. Pure.

    Args:
        steps: Number and step (`activated` or `rolled_back`) of everything that changed what counts, in order.
    """
    standing: list[int] = []
    for number, step in steps:
        if step == "rolled_back" and number in standing:
            while standing[-1] != number:
                standing.pop()
        elif standing[-1:] != [number]:
            standing.append(number)
    return standing


def add_version(
    conn: Connection,
    place_id: int,
    rules: Rules,
    source: str,
    *,
    actor: str,
    note_id: int | None,
    now: datetime,
    is_active: bool = False,
) -> Version:
    """Store a new version as a draft, or as the active one where it is what has counted so far.

    Raises:
        ConfigurationError: A version of exactly these rules is still in its life; names it.
    """
    version = save_rule_set(conn, rules, now)
    same = conn.execute(
        select(mapping_version).where(
            mapping_version.c.place_id == place_id,
            mapping_version.c.version == version,
            mapping_version.c.state != VersionState.DEPRECATED.value,
        )
    ).first()
    if same is not None:
        raise ConfigurationError(f"Такие же правила уже есть: версия {same.number} ({same.state})")
    number = conn.execute(
        select(func.coalesce(func.max(mapping_version.c.number), 0) + 1).where(mapping_version.c.place_id == place_id)
    ).scalar_one()
    state = VersionState.ACTIVE if is_active else VersionState.DRAFT
    conn.execute(
        insert(mapping_version).values(
            place_id=place_id,
            number=number,
            version=version,
            state=state.value,
            source=source,
            drafted_by=actor,
            drafted_at=now,
            activated_at=now if is_active else None,
        )
    )
    added = get_version(conn, place_id, number)
    add_step(conn, added.id, "activated" if is_active else "drafted", actor=actor, note_id=note_id, now=now)
    return added


def move_version(conn: Connection, version_id: int, state: VersionState, **values: object) -> None:
    """Set a version's state and whatever goes with it."""
    conn.execute(update(mapping_version).where(mapping_version.c.id == version_id).values(state=state.value, **values))


def add_step(
    conn: Connection,
    version_id: int,
    step: str,
    *,
    actor: str,
    now: datetime,
    note_id: int | None = None,
    since: datetime | None = None,
) -> None:
    """Note what happened to a version."""
    conn.execute(
        insert(mapping_step).values(version_id=version_id, at=now, step=step, actor=actor, since=since, note_id=note_id)
    )


def _to_version(row: Row[Any]) -> Version:
    return Version(
        id=row.id,
        number=row.number,
        version=row.version,
        state=VersionState(row.state),
        drafted_by=row.drafted_by,
        drafted_at=row.drafted_at,
        proposed_by=row.proposed_by,
        activated_at=row.activated_at,
        backtest=row.backtest,
    )


__all__ = [
    "Version",
    "VersionState",
    "VersionStep",
    "add_step",
    "add_version",
    "find_active",
    "find_active_rules",
    "find_former",
    "find_last_activation",
    "get_rules",
    "get_source",
    "get_version",
    "load_counting_rules",
    "load_steps",
    "load_versions",
    "move_version",
]
