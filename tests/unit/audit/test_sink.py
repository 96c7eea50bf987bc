"""The second sink holds every committed entry, in the export's own bytes, and what the database has lost."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select, text

from gateway.audit import lines
from gateway.audit.checkpoint import find_checkpoints
from gateway.audit.deed import Actor, Deed
from gateway.audit.log import AuditLog
from gateway.audit.read import EntryFilter, export, iter_entries, verify
from gateway.audit.sink import SinkFile
from gateway.audit.sink_place import find_sink_path, is_on_databases_disk
from gateway.audit.sink_read import SinkReport, compare_sink, read_sink
from gateway.audit.table import audit_entry
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import AuditError, GatewayError
from gateway.store.epoch import bump_epoch
from gateway.store.transaction import Store

Grow = Callable[..., None]
OpenLog = Callable[..., AuditLog]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "away" / "gateway-audit.jsonl"


@pytest.fixture
def open_log(path: Path) -> OpenLog:
    """A process's view of the log: its own knowledge of the sink, none of anybody else's."""
    path.parent.mkdir()

    def build(store: Store, hours: float | None = None) -> AuditLog:
        stop_after_s = None if hours is None else hours * 3600
        return AuditLog(
            store, environment="test", code_version="0.1.0", sink=SinkFile(path), stop_without_sink_s=stop_after_s
        )

    return build


@pytest.fixture
def fed(store: Store, open_log: OpenLog) -> AuditLog:
    return open_log(store)


def entry_lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines(keepends=True) if not line.startswith(lines.MARK_START)]


def exported_lines(store: Store, folder: Path) -> list[bytes]:
    export(store, folder / "export.jsonl")
    return (folder / "export.jsonl").read_bytes().splitlines(keepends=True)[:-1]


def deeds_of(store: Store, path: Path) -> SinkReport:
    return compare_sink(store, path)["deeds"]


def see(store: Store, log: AuditLog) -> None:
    with store.write() as conn:
        log.append(conn, Deed(stream="access", action="passport.seen", actor=Actor("os_user", "root")))


def block(path: Path) -> None:
    """Make the sink unwritable, for the administrator of the machine too."""
    path.rename(path.with_name("aside"))
    path.mkdir()


def unblock(path: Path) -> None:
    path.rmdir()
    path.with_name("aside").rename(path)


def test_the_sink_has_the_exports_bytes_as_soon_as_the_deed_is_committed(
    store: Store, fed: AuditLog, grow: Grow, path: Path, tmp_path: Path
) -> None:
    for first in range(1, 240, 7):
        grow(store, 7, first=first, by=fed)
        see(store, fed)
        assert sum(1 for _ in iter_entries(store)) == len(entry_lines(path))

    assert sorted(entry_lines(path)) == sorted(exported_lines(store, tmp_path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_sinks_marks_are_the_databases_checkpoints(store: Store, fed: AuditLog, grow: Grow, path: Path) -> None:
    grow(store, 250, by=fed)
    with store.write() as conn:
        end = Deed(action="run.finished", actor=Actor("service", "worker"), run_id=7)
        fed.append(conn, end, is_run_end=True)

    kept = find_checkpoints(path.read_text(encoding="utf-8"))
    assert [point.count for point in kept] == [100, 200, 251]
    assert verify(store, "deeds", checkpoints=kept).ok


def test_a_rolled_back_deed_never_reaches_the_sink(store: Store, fed: AuditLog, grow: Grow, path: Path) -> None:
    def append_and_fail() -> None:
        with store.write() as conn:
            fed.append(conn, Deed(action="run.began", actor=Actor("service", "worker")))
            raise KeyError

    grow(store, 3, by=fed)
    with pytest.raises(KeyError):
        append_and_fail()
    grow(store, 1, first=4, by=fed)

    assert len(entry_lines(path)) == 4
    assert deeds_of(store, path).ok


@pytest.mark.row("G7")
def test_a_crash_between_commit_and_line_is_caught_up_at_the_next_opening(
    store: Store, log: AuditLog, open_log: OpenLog, grow: Grow, path: Path
) -> None:
    """The plain log commits and writes no line, as a process killed right after its commit."""
    grow(store, 5, by=open_log(store))
    grow(store, 1_200, first=6, by=log)
    assert deeds_of(store, path).pending == 1_200

    assert open_log(store).feed() is True

    report = deeds_of(store, path)
    assert (report.ok, report.entries, report.pending, report.lost) == (True, 1_205, 0, 0)


def test_a_crash_between_commit_and_line_is_caught_up_at_the_next_append(
    store: Store, log: AuditLog, fed: AuditLog, grow: Grow, path: Path
) -> None:
    grow(store, 5, by=fed)
    grow(store, 5, first=6, by=log)
    grow(store, 1, first=11, by=fed)

    assert deeds_of(store, path).entries == 11


@pytest.mark.parametrize("torn", [b'{"action":"operation.ver', b"\0" * 5_000, b'{"action":"x"\0\0\0\0', b"\n\0\0"])
def test_a_torn_last_line_is_repaired_at_the_next_opening(
    store: Store, open_log: OpenLog, grow: Grow, path: Path, tmp_path: Path, torn: bytes
) -> None:
    grow(store, 150, by=open_log(store))
    if torn.startswith(b"\n"):
        path.write_bytes(path.read_bytes()[:-1])
    with path.open("ab") as file:
        file.write(torn)

    assert open_log(store).feed() is True

    assert sorted(entry_lines(path)) == sorted(exported_lines(store, tmp_path))
    assert deeds_of(store, path).ok


@pytest.mark.parametrize("at", [0, 1, 300, 700])
def test_a_first_line_torn_anywhere_is_repaired(
    store: Store, open_log: OpenLog, grow: Grow, path: Path, at: int
) -> None:
    grow(store, 2, by=open_log(store))
    path.write_bytes(path.read_bytes()[:at])

    assert open_log(store).feed() is True

    assert deeds_of(store, path).entries == 2


def test_every_cut_of_the_last_lines_is_repaired(store: Store, open_log: OpenLog, grow: Grow, path: Path) -> None:
    """A mark is among them, so that it is torn too; it is not written again, its checkpoint is in the table."""
    grow(store, 101, by=open_log(store))
    whole, entries = path.read_bytes(), entry_lines(path)
    for size in range(len(whole) - 1_900, len(whole), 19):
        path.write_bytes(whole[:size])
        assert open_log(store).feed() is True
        assert entry_lines(path) == entries
        assert read_sink(path)["deeds"].size == 101


@pytest.mark.parametrize("content", [b"SQLite format 3\0 and more", b"# my notes", b'{"name":"other"}\n{"a":'])
def test_a_file_that_is_not_ours_is_left_as_it_is(
    store: Store, fed: AuditLog, grow: Grow, path: Path, content: bytes
) -> None:
    """A wrong path in the settings must not cost anybody's file, the database itself least of all."""
    path.write_bytes(content)
    grow(store, 3, by=fed)

    assert path.read_bytes() == content
    assert fed.find_sink_outage() is not None


def test_several_processes_feed_one_file(open_store: Callable[[], Store], open_log: OpenLog, path: Path) -> None:
    stores = [open_store(), open_store()]

    def append(store: Store) -> None:
        log = open_log(store)
        for number in range(60):
            with store.write() as conn:
                log.append(conn, Deed(action="run.began", actor=Actor("service", "worker"), run_id=number))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(append, stores))

    assert len(entry_lines(path)) == 120
    assert deeds_of(stores[0], path).entries == 120


def test_a_file_that_was_moved_away_is_begun_anew_and_whole(
    store: Store, fed: AuditLog, grow: Grow, path: Path
) -> None:
    grow(store, 120, by=fed)
    path.rename(path.with_name("moved"))
    grow(store, 1, first=121, by=fed)

    assert deeds_of(store, path).entries == 121


@pytest.mark.row("G7")
def test_an_unwritable_sink_stops_nothing_and_is_noted_once(
    store: Store, fed: AuditLog, open_log: OpenLog, grow: Grow, path: Path, clock: VirtualClock
) -> None:
    grow(store, 2, by=fed)
    block(path)
    began_at = clock.now()
    for number in range(3):
        grow(store, 2, first=3 + 2 * number, by=fed)
        clock.advance(60)
    later = open_log(store)
    assert later.feed() is False
    assert later.find_sink_outage() == began_at
    unblock(path)
    grow(store, 1, first=9, by=later)

    assert later.find_sink_outage() is None
    told = [entry.action for entry in iter_entries(store, EntryFilter(stream="deeds")) if "sink" in entry.action]
    assert told == ["sink.failed", "sink.recovered"]
    report = deeds_of(store, path)
    assert (report.ok, report.entries, report.pending) == (True, 11, 0)


@pytest.mark.row("B4", "G7")
def test_a_process_that_stands_still_with_the_sink_keeps_nobody_waiting(
    store: Store, open_log: OpenLog, grow: Grow, path: Path
) -> None:
    """Frozen between its lock and its line, one worker stopped all others of the machine, and `stop-sending` too."""
    log = open_log(store)
    grow(store, 1, by=log)
    frozen = os.open(path, os.O_RDWR)
    fcntl.flock(frozen, fcntl.LOCK_EX)
    began = time.monotonic()

    for number in range(2, 9):
        grow(store, 1, first=number, by=log)

    assert time.monotonic() - began < 5.0, "it is waited for once, and only tried from then on"
    assert log.find_sink_outage() is not None
    told = [entry.action for entry in iter_entries(store, EntryFilter(stream="deeds")) if "sink" in entry.action]
    assert told == ["sink.failed"]
    os.close(frozen)
    grow(store, 1, first=9, by=log)
    assert log.find_sink_outage() is None
    assert entry_lines(path) == exported_lines(store, path.parent)


@pytest.mark.row("G7")
def test_without_a_sink_for_too_long_nothing_more_is_done_where_the_school_wants_it_so(
    store: Store, open_log: OpenLog, grow: Grow, path: Path, clock: VirtualClock
) -> None:
    log = open_log(store, hours=2)
    grow(store, 2, by=log)
    block(path)
    grow(store, 1, first=3, by=log)
    clock.advance(2 * 3600)
    grow(store, 1, first=4, by=log)
    clock.advance(1)

    with pytest.raises(AuditError, match="stop_without_sink_hours"):
        grow(store, 1, first=5, by=log)
    restarted = open_log(store, hours=2)
    restarted.feed()
    with pytest.raises(AuditError, match="stop_without_sink_hours"):
        grow(store, 1, first=5, by=restarted)

    unblock(path)
    grow(store, 1, first=5, by=restarted)
    numbers = [entry.operation_id for entry in iter_entries(store) if entry.operation_id is not None]
    assert numbers == [1, 2, 3, 4, 5]
    assert deeds_of(store, path).pending == 0


def test_a_fault_of_ours_after_a_commit_is_not_the_callers(
    store: Store, fed: AuditLog, grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wide `except` of `feed`: the deed is committed, so its author must not hear that it failed."""

    def fail(*_args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SinkFile, "feed", fail)
    grow(store, 2, by=fed)

    assert verify(store, "deeds").entries == 2


def test_what_waits_for_a_commit_is_refused_outside_of_a_write(store: Store) -> None:
    with pytest.raises(GatewayError):
        store.after_commit(list)


@pytest.mark.row("G7")
def test_a_disk_that_fills_up_in_the_middle_of_a_line_costs_no_line(
    store: Store, fed: AuditLog, grow: Grow, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(store, 2, by=fed)
    write = os.write

    def fill_up(fd: int, content: bytes) -> int:
        write(fd, bytes(content)[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", fill_up)
        grow(store, 2, first=3, by=fed)
    grow(store, 1, first=5, by=fed)

    report = deeds_of(store, path)
    assert (report.ok, report.pending) == (True, 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_restored_database_is_seen_with_numbers_and_goes_on_in_the_same_sink(
    open_store: Callable[[], Store],
    open_log: OpenLog,
    build_deed: Callable[[int], Deed],
    path: Path,
    tmp_path: Path,
) -> None:
    """M16: an older file is put back; what came after it is only in the sink."""
    file, backup = tmp_path / "gateway.sqlite", tmp_path / "backup"

    def grow(store: Store, count: int) -> None:
        with store.write() as conn:
            open_log(store).append_many(conn, [build_deed(number) for number in range(count)])

    def restart(*, from_backup: bool = False) -> Store:
        store.close()
        if from_backup:
            shutil.copy(backup, file)
        return open_store()

    store = open_store()
    grow(store, 20)
    store.close()
    shutil.copy(file, backup)
    store = restart()
    grow(store, 12)
    store = restart(from_backup=True)
    cut = deeds_of(store, path)
    with store.write() as conn:
        bump_epoch(conn)
    waiting = deeds_of(store, path)
    open_log(store).feed()
    grow(store, 5)
    grow(store, 130)
    gone_on = deeds_of(store, path)

    assert (cut.ok, cut.is_restored, cut.entries, cut.lost) == (False, False, 20, 12)
    assert "12 записей, которых в базе нет: 21–32 (эпоха 1)" in cut.sentence
    assert "отрезан" in cut.sentence
    assert (waiting.ok, waiting.is_restored, waiting.lost) == (True, True, 12)
    assert (gone_on.ok, gone_on.is_restored) == (True, True)
    assert (gone_on.entries, gone_on.pending, gone_on.lost) == (155, 0, 12)
    assert "восстановлена из копии" in gone_on.sentence
    assert verify(store, "deeds").ok


def test_a_cut_off_end_is_seen_and_never_passes_for_a_restore(
    store: Store, fed: AuditLog, open_log: OpenLog, grow: Grow, path: Path, drop_triggers: Callable[[Store], None]
) -> None:
    grow(store, 150, by=fed)
    drop_triggers(store)
    with store.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE seq > 90"))
        conn.execute(text("DELETE FROM audit_checkpoint"))
    assert verify(store, "deeds").ok
    grow(store, 80, first=500, by=open_log(store))

    report = deeds_of(store, path)
    assert (report.ok, report.is_restored, report.entries, report.lost) == (False, False, 170, 60)


def test_an_edit_that_was_hashed_anew_is_seen(
    store: Store, fed: AuditLog, grow: Grow, path: Path, drop_triggers: Callable[[Store], None]
) -> None:
    grow(store, 9, by=fed)
    drop_triggers(store)
    with store.write() as conn:
        conn.execute(text("UPDATE audit_entry SET hash = :hash WHERE seq = 4"), {"hash": "ab" * 32})

    report = deeds_of(store, path)
    assert (report.ok, report.entries, report.lost) == (False, 3, 6)


def test_a_hole_in_the_table_is_not_made_one_in_the_sink(
    store: Store, fed: AuditLog, log: AuditLog, grow: Grow, path: Path, drop_triggers: Callable[[Store], None]
) -> None:
    grow(store, 3, by=fed)
    grow(store, 3, first=4, by=log)
    drop_triggers(store)
    with store.write() as conn:
        conn.execute(text("DELETE FROM audit_entry WHERE seq = 5"))

    assert fed.feed() is False
    assert read_sink(path)["deeds"].size == 3


@pytest.mark.parametrize("kind", ["edit", "delete", "swap", "double", "foreign"])
def test_a_tampered_sink_is_found(store: Store, fed: AuditLog, grow: Grow, path: Path, kind: str) -> None:
    grow(store, 120, by=fed)
    held = path.read_bytes().splitlines(keepends=True)
    changed = {
        "edit": [*held[:49], held[49].replace(b"confirmed", b"refused"), *held[50:]],
        "delete": [*held[:49], *held[50:]],
        "swap": [*held[:49], held[50], held[49], *held[51:]],
        "double": [*held[:49], held[49], held[49], *held[50:]],
        "foreign": [*held[:49], b'{"hello":"world"}\n', *held[49:]],
    }[kind]
    path.write_bytes(b"".join(changed))

    if kind == "double":  # a line that is there twice is a fork of one entry into itself
        assert deeds_of(store, path).ok is False
    else:
        with pytest.raises(AuditError, match=r"строка (49|50|51) "):
            read_sink(path)


def test_a_missing_sink_can_not_be_compared(store: Store, path: Path) -> None:
    with pytest.raises(AuditError, match="не читается"):
        compare_sink(store, path)


def test_the_sink_stands_beside_a_sqlite_file_unless_it_is_told_where(store: Store, tmp_path: Path) -> None:
    beside = find_sink_path(None, store)

    assert find_sink_path(tmp_path / "else.jsonl", store) == tmp_path / "else.jsonl"
    if store.dialect == "sqlite":
        assert beside == tmp_path / "gateway-audit.jsonl"
        assert is_on_databases_disk(beside, store)
    else:
        assert beside is None
        assert find_sink_path(None, store, tmp_path) == tmp_path / "gateway-audit.jsonl"
        assert not is_on_databases_disk(tmp_path / "else.jsonl", store)


def test_the_sink_is_told_by_a_code_and_not_by_its_path(path: Path) -> None:
    name = SinkFile(path).name

    assert name == SinkFile(path).name != SinkFile(path.with_name("other")).name
    assert path.stem not in name


def test_no_row_is_read_back_while_the_sink_is_up_to_date(
    store: Store, fed: AuditLog, grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps an append as fast as it was: the committed rows themselves are written."""
    grow(store, 1, by=fed)
    monkeypatch.setattr(SinkFile, "_copy", None)
    grow(store, 150, first=2, by=fed)

    with store.read() as conn:
        assert len(conn.execute(select(audit_entry.c.seq)).all()) == 151
    assert fed.find_sink_outage() is None
