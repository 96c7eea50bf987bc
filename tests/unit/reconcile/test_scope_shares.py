"""The index of whose records a scope holds: complete for what is stored now, and for what was stored before it existed."""

from __future__ import annotations

from datetime import UTC, date, datetime

from alembic import command
from sqlalchemy import insert, select

from gateway.connectors.port import ScopeRead
from gateway.domain.clock import VirtualClock
from gateway.domain.identifiers import Kind
from gateway.domain.records import Absence, Homework, Mark, Membership, Record, Scale, digest_of, to_body
from gateway.mapping.tables import place
from gateway.reconcile.snapshot import store_scope
from gateway.reconcile.tables import record, scope_share
from gateway.store.engine import make_engine
from gateway.store.schema import make_config
from gateway.store.transaction import Store

AT = datetime(2026, 11, 23, tzinfo=UTC)
PLACE = {"id": 1, "city": "c", "portal": "p", "year": "2026/27"}


def make_records() -> list[Record]:
    cell = {
        "item": "item:1",
        "item_name": "п",
        "item_form": "manual",
        "scale": Scale("points", 0, 5),
        "raw_points": 4.0,
    }
    return [
        Mark(ref="mark:1", pupil="user:1", programme="course:1", group="group:1", **cell),
        Mark(ref="mark:2", pupil="user:2", programme="course:1", group=None, **cell),
        Absence(ref="absence:1", pupil="user:1", lesson="lesson:1", group="group:1", form="absent"),
        Membership(ref="member:1", person="user:3", group="group:2"),
        Homework(
            ref="homework:1",
            group="group:1",
            programme="course:1",
            title="т",
            text="т",
            assigned_on=date(2026, 11, 24),
            prepared_for=date(2026, 11, 25),
        ),
    ]


def load_shares(store: Store) -> set[tuple[str, str, str]]:
    with store.read() as conn:
        return {(row.form, row.ref, row.kind) for row in conn.execute(select(scope_share))}


WANTED = {
    ("pupil", "user:1", "mark"),
    ("pupil", "user:2", "mark"),
    ("pupil", "user:1", "absence"),
    ("pupil", "user:3", "membership"),
    ("group", "group:1", "mark"),
    ("group", "group:1", "absence"),
    ("group", "group:1", "homework"),
    ("group", "group:2", "membership"),
    ("programme", "course:1", "mark"),
    ("programme", "course:1", "homework"),
}


def test_storing_a_scope_notes_whose_records_it_holds_and_a_later_read_takes_nothing_away(store: Store) -> None:
    by_kind: dict[Kind, list[Record]] = {}
    for one in make_records():
        by_kind.setdefault(one.kind, []).append(one)
    with store.write() as conn:
        conn.execute(insert(place).values(PLACE))
        for kind, found in by_kind.items():
            read = ScopeRead(scope=f"{kind.value}|x", kind=kind, read_at=AT, records=found)
            store_scope(conn, 1, read, run_id=1)
    after_the_first = load_shares(store)
    with store.write() as conn:
        store_scope(conn, 1, ScopeRead(scope="mark|x", kind=Kind.MARK, read_at=AT, records=()), run_id=2)

    assert after_the_first == load_shares(store) == WANTED


def test_a_database_from_before_is_filled_from_its_records(database_url: str, clock: VirtualClock) -> None:
    engine = make_engine(database_url)
    with engine.begin() as conn:
        command.upgrade(make_config(connection=conn), "discrepancies")
        conn.execute(insert(place).values(PLACE))
        for one in make_records():
            body = to_body(one)
            conn.execute(
                insert(record).values(
                    place_id=1,
                    kind=one.kind.value,
                    ref=one.ref,
                    scope=f"{one.kind.value}|x",
                    digest=digest_of(body),
                    body=body,
                    first_seen_at=AT,
                    changed_at=AT,
                    absent_reads=0,
                    run_id=1,
                )
            )
    engine.dispose()

    store = Store.open(database_url, clock)

    assert load_shares(store) == WANTED
    store.close()
