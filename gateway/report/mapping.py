"""The life of the rules as people see it: what a version would change, and how far a correction has come. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, exists, func, or_, select

from gateway.mapping.tables import mapping_case, mapping_version, rule_binding
from gateway.reconcile.joins import same_object, same_record
from gateway.reconcile.resolve import INTENT_TYPES
from gateway.reconcile.tables import base, intended, plan, shadow


class CaseLine(msgspec.Struct, frozen=True, kw_only=True):
    """One record that a back-tested version would treat otherwise; values are the city's, empty where nothing goes."""

    seq: int
    kind: str
    ref: str
    outcome: str
    old: str
    new: str
    old_reason: str
    new_reason: str
    is_delivered: bool


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How many records a version would treat otherwise in one way; `delivered` of them the city holds."""

    kind: str
    outcome: str
    old_reason: str
    new_reason: str
    count: int
    delivered: int


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What an activation corrects of what was sent.

    Attributes:
        number: The version whose activation corrects.
        left: Records that do not yet stand as it says.
        pupils: The city's ids of the pupils they are of.
        edited: Refs of those that a person has changed or removed in the city since: never written over, each a discrepancy.
        is_planned: A plan has been made by these rules since; before it nobody knows yet what there is to correct.
    """

    number: int
    left: int
    pupils: Sequence[int]
    edited: Sequence[str]
    is_planned: bool


def load_cases(
    conn: Connection, version_id: int, *, after: int = 0, limit: int = 50, outcome: str | None = None
) -> list[CaseLine]:
    """Load one page of what a back-test found to differ."""
    query = select(mapping_case).where(mapping_case.c.version_id == version_id, mapping_case.c.seq > after)
    if outcome is not None:
        query = query.where(mapping_case.c.outcome == outcome)
    return [_to_line(row) for row in conn.execute(query.order_by(mapping_case.c.seq).limit(limit))]


def load_differences(conn: Connection, version_id: int) -> list[Difference]:
    """Count what a back-test found to differ, the most frequent first; no record is named."""
    columns = (mapping_case.c.kind, mapping_case.c.outcome, mapping_case.c.old_reason, mapping_case.c.new_reason)
    delivered = func.sum(case((mapping_case.c.is_delivered, 1), else_=0))
    rows = conn.execute(
        select(*columns, func.count().label("how_many"), delivered.label("delivered"))
        .where(mapping_case.c.version_id == version_id)
        .group_by(*columns)
        .order_by(func.count().desc(), *columns)
    )
    return [
        Difference(
            kind=row.kind,
            outcome=row.outcome,
            old_reason=row.old_reason,
            new_reason=row.new_reason,
            count=row.how_many,
            delivered=int(row.delivered),
        )
        for row in rows
    ]


def load_correction(conn: Connection, place_id: int) -> Correction | None:
    """Load how far the newest correction is; None where nothing is being corrected."""
    newest = conn.execute(
        select(func.max(rule_binding.c.correction_id)).where(rule_binding.c.place_id == place_id)
    ).scalar_one_or_none()
    if newest is None:
        return None
    made = conn.execute(
        select(mapping_version.c.number, mapping_version.c.version, mapping_version.c.activated_at).where(
            mapping_version.c.id == newest
        )
    ).one()
    is_planned = conn.execute(
        select(
            exists().where(
                plan.c.place_id == place_id,
                plan.c.rule_version == made.version,
                plan.c.created_at >= made.activated_at,
                plan.c.undoes.is_(None),
            )
        )
    ).scalar_one()
    rows = conn.execute(
        select(rule_binding.c.ref, base.c.object_key, base.c.digest, shadow.c.digest.label("theirs"))
        .select_from(
            rule_binding.join(base, same_record(base, rule_binding))
            .outerjoin(intended, same_record(intended, rule_binding))
            .outerjoin(
                shadow,
                same_object(),
            )
        )
        .where(
            rule_binding.c.place_id == place_id,
            rule_binding.c.correction_id.is_not(None),
            or_(intended.c.digest.is_(None), intended.c.digest != base.c.digest),
        )
        .order_by(rule_binding.c.ref)
    ).all()
    return Correction(
        number=made.number,
        left=len(rows),
        pupils=sorted({int(row.object_key.split("/")[1]) for row in rows}),
        edited=[row.ref for row in rows if row.theirs != row.digest],
        is_planned=is_planned,
    )


def _to_line(row: Row[Any]) -> CaseLine:
    return CaseLine(
        seq=row.seq,
        kind=row.kind,
        ref=row.ref,
        outcome=row.outcome,
        old=_words(row.kind, row.old),
        new=_words(row.kind, row.new),
        old_reason=row.old_reason,
        new_reason=row.new_reason,
        is_delivered=row.is_delivered,
    )


def _words(kind: str, body: bytes | None) -> str:
    """A value in few words: the mark and its weight; of what has none, that there is something."""
    if body is None:
        return ""
    intent = msgspec.json.decode(body, type=INTENT_TYPES[kind])
    value = getattr(intent, "value", None)
    if value is None:
        return "есть"
    weight = getattr(intent, "weight", None)
    form = getattr(intent, "form_id", None)
    return str(value) if weight is None else f"{value}, вес {weight}, форма {form}"


__all__ = ["CaseLine", "Correction", "Difference", "load_cases", "load_correction", "load_differences"]
