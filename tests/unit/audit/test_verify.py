"""Whoever changes a chain is found, at the entry that he changed."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Connection, Integer, Row, insert, select, text, update

from gateway.audit.chain import FORMAT, GENESIS, entry_hash
from gateway.audit.checkpoint import load_checkpoint
from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.notes import erase_note, get_note, write_note
from gateway.audit.read import EntryFilter, export, iter_entries, verify
from gateway.audit.table import audit_entry, human_note
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import AuditError
from gateway.store.transaction import Store

COLUMNS = [column.name for column in audit_entry.columns if column.name not in ("stream", "seq")]


@pytest.fixture
def open_to_all(filled: Store) -> Store:
    """The filled store with its triggers dropped, as by somebody who owns the database."""
    with filled.write() as conn:
        names = ("no_update", "no_delete", "no_replace") if filled.dialect == "sqlite" else ("no_change", "no_truncate")
        for name in names:
            where = "" if filled.dialect == "sqlite" else " ON audit_entry"
            conn.execute(text(f"DROP TRIGGER audit_entry_{name}{where}"))
    return filled


def test_an_untouched_chain_is_whole(filled: Store) -> None:
    report = verify(filled, "deeds")

    assert (report.ok, report.entries, report.first_broken_seq) == (True, 10, None)
    assert "цела" in report.sentence


def test_an_empty_chain_is_whole(store: Store) -> None:
    assert verify(store, "deeds").ok


@pytest.mark.parametrize("name", COLUMNS)
def test_an_edit_of_any_field_is_found_at_its_entry(open_to_all: Store, name: str) -> None:
    column = audit_entry.c[name]
    changed = 77 if isinstance(column.type, Integer | BigInteger) else "e" * 10

    with open_to_all.write() as conn:
        conn.execute(update(audit_entry).where(audit_entry.c.seq == 5).values({name: changed}))

    report = verify(open_to_all, "deeds")
    assert (report.ok, report.entries, report.first_broken_seq) == (False, 4, 5)
    assert " 5 " in report.sentence


def test_a_removed_entry_is_found(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE stream = 'deeds' AND seq = 5"))

    assert verify(open_to_all, "deeds").first_broken_seq == 5


def test_a_removed_entry_whose_gap_was_closed_is_found(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE stream = 'deeds' AND seq = 5"))
        _renumber(conn, from_seq=6, by=-1)

    assert verify(open_to_all, "deeds").first_broken_seq == 5


def test_two_swapped_entries_are_found(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        for old, new in ((3, -1), (7, 3), (-1, 7)):
            conn.execute(text(f"UPDATE audit_entry SET seq = {new} WHERE stream = 'deeds' AND seq = {old}"))

    assert verify(open_to_all, "deeds").first_broken_seq == 3


def test_an_inserted_entry_is_found(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        row = _load_row(conn, 5)
        _renumber(conn, from_seq=5, by=1)
        conn.execute(insert(audit_entry).values({**row._mapping, "operation_id": 666}))

    assert verify(open_to_all, "deeds").first_broken_seq == 5


def test_an_entry_pushed_in_before_the_first_is_found(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        conn.execute(insert(audit_entry).values({**_load_row(conn, 5)._mapping, "seq": 0}))

    assert verify(open_to_all, "deeds").first_broken_seq == 0


def test_an_entry_whose_own_hash_was_made_anew_is_found_at_the_next(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        fields = {**_load_row(conn, 5)._mapping, "outcome": "refused"}
        fields["hash"] = entry_hash(fields)
        conn.execute(
            update(audit_entry).where(audit_entry.c.stream == "deeds", audit_entry.c.seq == 5).values(**fields)
        )

    assert verify(open_to_all, "deeds").first_broken_seq == 6


def test_a_cut_off_tail_is_found_only_with_a_checkpoint(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        checkpoint = load_checkpoint(conn, "deeds")
        conn.execute(text("DELETE FROM audit_entry WHERE stream = 'deeds' AND seq > 8"))

    assert verify(open_to_all, "deeds").ok
    assert verify(open_to_all, "deeds", checkpoints=[checkpoint]).first_broken_seq == 9


def test_a_chain_hashed_anew_is_found_only_with_a_checkpoint(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        checkpoint = load_checkpoint(conn, "deeds")
        head = GENESIS
        for seq in range(1, 11):
            fields = {**_load_row(conn, seq)._mapping, "outcome": "refused", "prev_hash": head}
            fields["hash"] = head = entry_hash(fields)
            conn.execute(
                update(audit_entry).where(audit_entry.c.stream == "deeds", audit_entry.c.seq == seq).values(**fields)
            )

    assert verify(open_to_all, "deeds").ok
    assert verify(open_to_all, "deeds", checkpoints=[checkpoint]).first_broken_seq == 10


def test_a_checkpoint_of_a_chain_that_went_on_still_fits(
    filled: Store, log: AuditLog, build_deed: Callable[[int], Deed]
) -> None:
    with filled.write() as conn:
        checkpoint = load_checkpoint(conn, "deeds")
        log.append(conn, build_deed(11))

    assert (checkpoint.stream, checkpoint.count) == ("deeds", 10)
    assert verify(filled, "deeds", checkpoints=[checkpoint]).ok


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_entry_that_can_not_even_be_decoded_is_named(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        conn.execute(text("UPDATE audit_entry SET actor = CAST(x'ff' AS TEXT) WHERE stream = 'deeds' AND seq = 6"))

    report = verify(open_to_all, "deeds")
    assert (report.entries, report.first_broken_seq) == (5, 6)


def test_the_other_stream_is_not_blamed(open_to_all: Store) -> None:
    with open_to_all.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE stream = 'deeds' AND seq = 5"))

    assert verify(open_to_all, "access").ok


def test_a_changed_note_is_found_and_an_erased_one_is_not_a_break(
    store: Store, log: AuditLog, clock: VirtualClock
) -> None:
    with store.write() as conn:
        first, second = (write_note(conn, sentence, now=clock.now()) for sentence in ("Согласовано", "Проверено"))
        for note in (first, second):
            log.append(conn, Deed(action="plan.approved", actor=Actor("os_user", "root"), note=note))
        erase_note(conn, first.id)
        assert (get_note(conn, first.id), get_note(conn, second.id)) == (None, "Проверено")
    assert verify(store, "deeds").ok

    with store.write() as conn:
        conn.execute(update(human_note).where(human_note.c.id == second.id).values(text="Не проверено"))
    assert verify(store, "deeds").first_broken_seq == 2

    with store.write() as conn:
        conn.execute(text("DELETE FROM human_note WHERE id = :id"), {"id": first.id})
        with pytest.raises(AuditError):
            get_note(conn, first.id)
    assert verify(store, "deeds").first_broken_seq == 1


def test_a_long_chain_is_walked_to_its_end(store: Store, log: AuditLog, build_deed: Callable[[int], Deed]) -> None:
    """Longer than one lot of rows, so that the seams between lots are walked too."""
    with store.write() as conn:
        log.append_many(conn, [build_deed(number) for number in range(1_200)])

    assert verify(store, "deeds").entries == 1_200
    assert sum(1 for _ in iter_entries(store)) == 1_200


def test_entries_are_found_by_what_an_auditor_asks(
    filled: Store, log: AuditLog, clock: VirtualClock, build_deed: Callable[[int], Deed]
) -> None:
    clock.advance(60)
    with filled.write() as conn:
        log.append(conn, build_deed(11))
    later = clock.now()

    def numbers(where: EntryFilter) -> list[tuple[str, int]]:
        return [(entry.stream, entry.seq) for entry in iter_entries(filled, where)]

    assert numbers(EntryFilter(operation_id=4)) == [("deeds", 4)]
    assert numbers(EntryFilter(stream="access", after_seq=1)) == [("access", 2), ("access", 3)]
    assert numbers(EntryFilter(run_id=8, until=later)) == [("deeds", seq) for seq in range(6, 11)]
    assert numbers(EntryFilter(since=later)) == [("deeds", 11)]
    assert numbers(EntryFilter(since=later + timedelta(seconds=1))) == []
    assert numbers(EntryFilter(actor="root", action="passport.seen"))[0] == ("access", 1)


def test_an_export_is_complete_and_is_verified_with_the_standard_library_alone(filled: Store, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    report = export(filled, path)

    *lines, last = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    heads = {"deeds": GENESIS, "access": GENESIS}
    counts = {"deeds": 0, "access": 0}
    for line in lines:
        found = line.pop("hash")
        plain = json.dumps(line, sort_keys=True, separators=(",", ":")).encode()
        assert hashlib.sha256(plain).hexdigest() == found
        assert line["prev_hash"] == heads[line["stream"]]
        heads[line["stream"]] = found
        counts[line["stream"]] += 1
    assert counts == {"deeds": 10, "access": 3}
    assert {name: (part["count"], part["head_hash"]) for name, part in last["streams"].items()} == {
        name: (counts[name], heads[name]) for name in counts
    }
    assert last["format"] == FORMAT
    assert report.entries == 13
    assert report.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir() if "jsonl" in file.name] == ["audit.jsonl"]


def _load_row(conn: Connection, seq: int) -> Row[tuple[object, ...]]:
    return conn.execute(select(audit_entry).where(audit_entry.c.stream == "deeds", audit_entry.c.seq == seq)).one()


def _renumber(conn: Connection, *, from_seq: int, by: int) -> None:
    """Through negative numbers, because the key is checked row by row."""
    where = f"stream = 'deeds' AND seq >= {from_seq}"
    conn.execute(text(f"UPDATE audit_entry SET seq = -(seq + {by}) WHERE {where}"))
    conn.execute(text("UPDATE audit_entry SET seq = -seq WHERE stream = 'deeds' AND seq < 0"))
