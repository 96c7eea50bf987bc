"""A page of the database rots overnight: the next run of the whole school sees it before it reads or sends anything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import GatewayError

COURSE = 2


def rot(path: Path) -> None:
    """Overwrite the cells of one index page, as a failing disk does."""
    with closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = conn.execute("PRAGMA page_size").fetchone()[0]
        page = conn.execute(
            "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'record_version' AND rootpage > 0"
        ).fetchone()[0]
    with path.open("r+b") as file:
        file.seek(page * size - 600)
        file.write(bytes(range(200)) * 3)


@pytest.mark.row("C7")
def test_a_rotten_page_stops_sending_for_everybody_until_a_person_allows_it(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        user, item = next((user, item) for user, item in small.portal.cells(COURSE) if item["itemtype"] == "manual")
        value = 5 if round(item["graderaw"]) != 5 else 3
        small.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
    ledger = small.city.ledger()
    rot(Path(small.database_url.removeprefix("sqlite:///")))

    with small.open() as hand:
        with pytest.raises(GatewayError, match="повреждена"):
            hand.sync()
        stopped = hand.deliver()

    assert small.city.ledger() == ledger
    assert stopped.delivered.is_stopped
