"""A backup of PostgreSQL that takes longer than a session may stand idle in a transaction."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.domain.clock import SystemClock
from gateway.flows.backup import check_backup, make_backup
from gateway.store import engine as engines
from gateway.store.transaction import Store

IDLE_MS = 500
WITHIN_S = 60.0
_DUMP_WAITS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND datname = current_database()"
    " AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '2 s'"
)


@pytest.mark.row("G6")
@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_a_dump_that_takes_long_is_not_given_up_at_its_end(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that keeps the snapshot does nothing meanwhile: after two minutes it was ended, and the copy thrown away."""
    first = Store.open(database_url, SystemClock())
    monkeypatch.setattr(engines, "IDLE_IN_TRANSACTION_TIMEOUT_MS", IDLE_MS)
    store = Store.open(database_url, SystemClock())
    audit = AuditLog(store, environment="test", code_version="test")
    path, faults = tmp_path / "copy.dump", list[BaseException]()

    def back_up() -> None:
        try:
            make_backup(store, audit, path, actor=Actor(kind="service", name="test"))
        except BaseException as exc:  # noqa: BLE001  # told by the test's own thread
            faults.append(exc)

    thread = threading.Thread(target=back_up)
    with first.engine.connect() as busy, first.engine.connect() as seen:
        busy.execute(text("LOCK TABLE run IN ACCESS EXCLUSIVE MODE"))
        thread.start()
        give_up_at, pause = time.monotonic() + WITHIN_S, threading.Event()
        while not seen.execute(_DUMP_WAITS).scalar_one():
            assert time.monotonic() < give_up_at
            assert thread.is_alive(), faults
            pause.wait(0.1)
            seen.rollback()
        busy.rollback()
    thread.join(WITHIN_S)

    assert faults == []
    assert check_backup(path, SystemClock()).manifest.dialect == "postgresql"
    store.close()
    first.close()
