"""A person is a random pseudonym, a value a salted digest, and both can be made meaningless without a broken chain."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text

from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.read import EntryFilter, iter_entries, verify
from gateway.audit.subjects import digest_value, erase, load_salts, place_digest, pseudonym_of, pseudonyms_of
from gateway.audit.table import audit_subject
from gateway.domain.errors import AuditError
from gateway.domain.identifiers import ExternalRef, Place
from gateway.store.transaction import Store

HERE = Place("city-a#1", "portal", "2026/27")
THERE = Place("city-b#1", "portal", "2026/27")


def test_a_person_keeps_the_pseudonym(store: Store) -> None:
    with store.write() as conn:
        first = pseudonym_of(conn, HERE, "user:3")
    with store.write() as conn:
        assert pseudonym_of(conn, HERE, "user:3") == first


def test_the_same_ref_elsewhere_or_of_another_kind_is_another_person(store: Store) -> None:
    with store.write() as conn:
        found = {
            pseudonym_of(conn, HERE, "user:3"),
            pseudonym_of(conn, THERE, "user:3"),
            pseudonym_of(conn, HERE, "user:3", kind="teacher"),
            pseudonym_of(conn, HERE, ExternalRef("portal", "person", "3")),
        }

    assert len(found) == 4


def test_many_people_are_named_at_once_as_they_are_one_by_one(store: Store) -> None:
    refs = [f"user:{number}" for number in range(1_100)]
    with store.write() as conn:
        early = pseudonym_of(conn, HERE, "user:7")
        named = pseudonyms_of(conn, HERE, [*refs, "user:7"])

        assert named["user:7"] == early
        assert len(set(named.values())) == 1_100
        assert len(load_salts(conn, named.values())) == 1_100


def test_a_pseudonym_comes_from_the_given_randomness_and_not_from_the_ref(store: Store) -> None:
    source = (bytes([number]) * 16 for number in itertools.count(1))

    with store.write() as conn:
        assert pseudonym_of(conn, HERE, "user:3", random=lambda _: next(source)) == "s" + "01" * 16


def test_two_threads_that_meet_a_person_first_agree_on_the_pseudonym(store: Store) -> None:
    def name(_: int) -> str:
        with store.write() as conn:
            return pseudonym_of(conn, HERE, "user:3")

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(name, range(16)))) == 1


def test_the_same_value_of_two_people_has_two_digests(store: Store) -> None:
    with store.write() as conn:
        one, other = pseudonym_of(conn, HERE, "user:3"), pseudonym_of(conn, HERE, "user:4")

        assert digest_value(conn, one, b"5") == digest_value(conn, one, b"5")
        assert digest_value(conn, one, b"5") != digest_value(conn, other, b"5")
        assert len(digest_value(conn, one, b"5")) == 64


def test_erasing_a_person_keeps_the_chain_and_loses_the_person(store: Store, log: AuditLog) -> None:
    actor = Actor("service", "worker")
    with store.write() as conn:
        person = pseudonym_of(conn, HERE, "user:3")
        deed = Deed(
            action="operation.verified", actor=actor, subject=person, new_digest=digest_value(conn, person, b"5")
        )
        log.append(conn, deed)
    before = verify(store, "deeds")

    with store.write() as conn:
        erase(conn, person)
        log.append(conn, Deed(action="subject.erased", actor=actor, subject=person))

    after = verify(store, "deeds")
    assert (before.ok, after.ok, after.entries) == (True, True, 2)
    assert len(list(iter_entries(store, EntryFilter(subject=person)))) == 2
    with store.write() as conn:
        row = conn.execute(select(audit_subject.c.ref, audit_subject.c.salt)).one()
        assert tuple(row) == (None, None)
        assert pseudonym_of(conn, HERE, "user:3") != person


def test_an_erased_person_has_no_digest_and_an_unknown_one_can_not_be_erased(store: Store) -> None:
    with store.write() as conn:
        person = pseudonym_of(conn, HERE, "user:3")
        erase(conn, person)
        with pytest.raises(AuditError):
            digest_value(conn, person, b"5")
        with pytest.raises(AuditError):
            erase(conn, "s" + "0" * 32)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_link_of_an_erased_person_is_not_left_in_the_file(store: Store, tmp_path: Path) -> None:
    canary = "user:kanarejka-4931"
    with store.write() as conn:
        # long, because the row that is left is written over the end of the one that was
        person = pseudonym_of(conn, HERE, canary + "x" * 150)
        (salt,) = load_salts(conn, [person]).values()
    with store.write() as conn:
        conn.exec_driver_sql("PRAGMA secure_delete=OFF")  # some builds of SQLite have it on from the start
        erase(conn, person)
    with store.engine.connect() as conn:
        conn.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert canary.encode() not in kept
    assert salt not in kept
    assert person.encode() in kept


def test_a_place_is_named_by_a_digest_that_its_parts_can_not_be_shifted_into() -> None:
    assert place_digest(HERE) != place_digest(THERE)
    assert place_digest(Place("a", "bc", "y")) != place_digest(Place("ab", "c", "y"))


def test_what_is_stored_of_a_deed_holds_neither_ref_nor_value(store: Store, log: AuditLog) -> None:
    with store.write() as conn:
        person = pseudonym_of(conn, HERE, "user:kanarejka")
        digest = digest_value(conn, person, b"4.37")
        log.append(
            conn, Deed(action="operation.verified", actor=Actor("service", "worker"), subject=person, new_digest=digest)
        )
    with store.read() as conn:
        row = " ".join(str(value) for value in conn.execute(text("SELECT * FROM audit_entry")).one())

    assert "kanarejka" not in row
    assert "4.37" not in row
