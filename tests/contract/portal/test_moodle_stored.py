"""What the store keeps of the Moodle reads: one lesson of stored scopes, on both databases."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import select

from gateway.domain.identifiers import Kind, Place
from gateway.mapping.links import get_place_id
from gateway.reconcile.snapshot import store_scope
from gateway.reconcile.tables import record
from gateway.store.transaction import Store

PLACE = Place(city="city.invalid/1", portal="portal", year="2026/27")


def keep(store: Store, scopes: dict[str, Any], run_id: int) -> Counter[str]:
    total: Counter[str] = Counter()
    for scope in scopes.values():
        with store.write() as conn:
            counts = store_scope(conn, get_place_id(conn, PLACE), scope, run_id=run_id)
        total.update(new=counts.new, changed=counts.changed, gone=counts.gone)
    return total


def gone_kinds(store: Store) -> Counter[tuple[str, str]]:
    with store.read() as conn:
        rows = conn.execute(select(record.c.kind, record.c.gone).where(record.c.gone.is_not(None))).all()
    return Counter((row.kind, row.gone) for row in rows)


def test_a_second_read_of_the_same_portal_changes_nothing(store: Store, reader: Any) -> None:
    keep(store, reader.read(), 1)

    assert keep(store, reader.read(), 2) == {"new": 0, "changed": 0, "gone": 0}


def test_one_mark_changed_is_one_record_changed(store: Store, portal: Any, reader: Any) -> None:
    keep(store, reader.read(), 1)
    portal.edit("set_grade", courseid=2, userid=16, itemid=5, grade=4)

    assert keep(store, reader.read(), 2) == {"new": 0, "changed": 1, "gone": 0}


def test_an_unenrolled_pupils_records_are_kept_as_left(store: Store, portal: Any, reader: Any) -> None:
    keep(store, reader.read(), 1)
    portal.edit("unenrol", courseid=3, userid=4)

    keep(store, reader.read(), 2)

    assert {kind for name, kind in gone_kinds(store) if name in {Kind.MARK, Kind.ABSENCE}} == {"pupil_left"}


def test_a_record_that_is_parked_now_has_not_gone(store: Store, reader: Any) -> None:
    keep(store, reader.read(), 1)
    statuses = {"present": ["P"], "absent": ["A"], "excused": ["E"], "late": []}

    scopes = reader.read(statuses=statuses)

    assert any(scope.faults for scope in scopes.values())
    assert keep(store, scopes, 2) == {"new": 0, "changed": 0, "gone": 0}
    assert gone_kinds(store) == {}
