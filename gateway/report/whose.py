"""Whose records are: from what an answer shows to the pupils whom it is about, for the entries that say who looked."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, case, select

from gateway.domain.identifiers import Kind
from gateway.reconcile.tables import record
from gateway.report.visible import body_field

REFS_AT_ONCE = 500


def load_pupils_of(conn: Connection, place_id: int, refs: Collection[str]) -> dict[str, str]:
    """Load the pupil of each of these records: ref of the record → ref of the pupil; of a group's work there is none."""
    pupil = case((record.c.kind == Kind.PERSON.value, record.c.ref), else_=body_field(record.c.body, "pupil"))
    wanted = sorted(set(refs))
    found: dict[str, str] = {}
    for start in range(0, len(wanted), REFS_AT_ONCE):
        rows = conn.execute(
            select(record.c.ref, pupil.label("pupil")).where(
                record.c.place_id == place_id,
                record.c.ref.in_(wanted[start : start + REFS_AT_ONCE]),
                pupil.is_not(None),
            )
        )
        found |= {row.ref: row.pupil for row in rows}
    return found
