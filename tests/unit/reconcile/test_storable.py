"""Records that no store can keep are faults of their own and end no run, whichever source tells them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gateway.connectors.port import ScopeRead
from gateway.connectors.portal.moodle.dates import day_of, from_unix
from gateway.domain.errors import RecordError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Entry, Group, Lesson, Mark, Membership, PlannedLesson, Scale, Topics
from gateway.domain.storable import find_unstorable, storable_text
from gateway.flows.pull import park_unstorable, store_faults
from gateway.mapping.tables import place
from gateway.reconcile.snapshot import store_scope
from gateway.reconcile.tables import record, record_fault
from gateway.store.transaction import Store

AT = datetime(2026, 11, 23, tzinfo=UTC)
PLACE = {"id": 1, "city": "c", "portal": "p", "year": "2026/27"}
MARK = Mark(
    ref="mark:1",
    pupil="user:1",
    programme="course:1",
    group="group:1",
    item="item:1",
    item_name="Контрольная\n\tработа",
    item_form="manual",
    scale=Scale("points", 0, 5),
    raw_points=4.0,
)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ref": "mark:\ud800"}, "ref"),
        ({"ref": "mark:a\0b"}, "ref"),
        ({"ref": "m" * 201}, "ref"),
        ({"pupil": "user:\0"}, "pupil"),
        ({"comment": "да\ud800"}, "comment"),
        ({"origins": {"*": "x\0"}}, "origins"),
        ({"entry": Entry(typed_by="a\0")}, "entry"),
        ({"due_at": LAST}, "due_at"),
        ({"lesson_at": datetime.fromisoformat("0001-01-01T00:00:00+03:00")}, "lesson_at"),
        ({}, None),
    ],
)
def test_the_field_that_can_not_be_kept_is_named(changes: dict[str, Any], field: str | None) -> None:
    assert find_unstorable(msgspec.structs.replace(MARK, **changes)) == field


def test_texts_within_texts_are_looked_at_and_an_open_end_is_no_fault() -> None:
    topics = Topics(ref="t:1", group="g:1", name="т", lessons=(PlannedLesson(topic="а\ud800"),))
    member = Membership(ref="m:1", person="user:1", group="group:1", ends_on=date(9999, 12, 31))

    assert (find_unstorable(topics), find_unstorable(member)) == ("lessons", None)
    assert storable_text("а\0\ud800\n") == "а\ufffd\ufffd\n"


def test_a_moment_of_moodle_that_no_calendar_reaches_is_not_set() -> None:
    for seconds in (10**18, -(10**18), 253_402_300_799, 1_790_000_000_000):
        assert (from_unix(seconds), day_of(seconds)) == (None, None)
    assert from_unix(1_790_000_000) is not None


def test_they_are_parked_with_their_place_and_the_others_are_stored(store: Store) -> None:
    lesson = Lesson(ref="lesson:1", group="group:\0", starts_at=AT, duration_min=45, ordinal=1)
    marks = [MARK, *(msgspec.structs.replace(MARK, ref=ref) for ref in ("mark:\ud800", "mark:\0"))]
    faults = [RecordError("Плохо \0\ud800", where="mark:x\0")]
    read = ScopeRead(scope="mark|course:1", kind=Kind.MARK, read_at=AT, records=[*marks, lesson], faults=faults)

    with store.write() as conn:
        conn.execute(place.insert(), PLACE)
        kept = park_unstorable(read)
        counts = store_scope(conn, 1, kept, run_id=0)
        store_faults(conn, 1, kept, 0)

    with store.read() as conn:
        stored = list(conn.execute(select(record.c.ref)).scalars())
        found = conn.execute(select(record_fault.c.location, record_fault.c.sentence))
        rows = {row.location: row.sentence for row in found}
    assert (stored, counts.new) == (["mark:1"], 1)
    assert set(rows) == {"mark:x\ufffd", "mark:\ufffd", "lesson:1"}
    assert "group" in rows["lesson:1"]


def test_a_read_without_faults_is_handed_on_as_it_is() -> None:
    group = Group(ref="group:1", programme="course:1", subject="subject:1", name="7А")
    read = ScopeRead(scope="group|site", kind=Kind.GROUP, read_at=AT, records=[group])

    assert park_unstorable(read) is read
