"""Who brought a record in is found on either database: by its own word, by another source's of the same thing, by a decision since."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import insert

from gateway.audit.originator import originators_of
from gateway.connectors.port import ScopeRead
from gateway.domain.identifiers import Kind, Place
from gateway.domain.records import Absence, Entry, Record
from gateway.mapping.tables import place, record_link
from gateway.reconcile.provenance import load_entries
from gateway.reconcile.snapshot import store_scope
from gateway.store.transaction import Store

AT = datetime(2026, 11, 23, tzinfo=UTC)
PLACE = {"id": 1, "city": "c", "portal": "p", "year": "2026/27"}


def absence(ref: str, entry: Entry | msgspec.UnsetType) -> Absence:
    return Absence(ref=ref, entry=entry, pupil="user:1", lesson="lesson:1", group="group:1", form="absent")


def test_the_record_speaks_first_then_the_other_sources_and_its_way_is_always_told(store: Store) -> None:
    own = Entry(typed_by="user:9", way="portal")
    curator = Entry(typed_by="curator", on_behalf_of="teacher", way="workbook")
    records: list[Record] = [
        absence("absence:1", own),
        absence("absence:2", msgspec.UNSET),
        absence("absence:3", msgspec.UNSET),
        absence("workbook/absence:1", curator),
        absence("workbook/absence:2", curator),
    ]
    with store.write() as conn:
        conn.execute(insert(place), [PLACE])
        read = ScopeRead(scope="absence|x", kind=Kind.ABSENCE, read_at=AT, records=records)
        store_scope(conn, 1, read, run_id=1)
        pairs = [("workbook/absence:1", "absence:1"), ("workbook/absence:2", "absence:2")]
        common = {
            "place_id": 1,
            "kind": "absence",
            "group_ref": "group:1",
            "how": "cell",
            "actor": "",
            "decided_at": AT,
        }
        conn.execute(insert(record_link), [{**common, "ref": ref, "canonical": own} for ref, own in pairs])

        found = load_entries(conn, 1, {("absence", f"absence:{number}") for number in (1, 2, 3)})

    assert found == {
        ("absence", "absence:1"): own,
        ("absence", "absence:2"): curator,
        ("absence", "absence:3"): Entry(way="portal"),
    }


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (Entry(), None),
        (Entry(typed_by="curator", way="workbook"), "typed_by=curator|way=workbook"),
        (Entry(typed_by="account:7", way="journal"), "typed_by=account:7|way=journal"),
    ],
)
def test_posts_and_accounts_stand_as_they_are(store: Store, entry: Entry, told: str | None) -> None:
    with store.write() as conn:
        assert originators_of(conn, Place("c", "p", "2026/27"), [entry]) == [told]


@pytest.mark.parametrize("code", ["user:3", "planner/person:t1", "Иванова", "a" * 150, "x|answers=y"])
def test_a_person_or_anything_odd_is_a_pseudonym(store: Store, code: str) -> None:
    entry = Entry(typed_by=code, on_behalf_of=code, answers=code, way="page")
    with store.write() as conn:
        (told,) = originators_of(conn, Place("c", "p", "2026/27"), [entry])

    assert told is not None
    assert code not in told
    assert len(told) <= 200
