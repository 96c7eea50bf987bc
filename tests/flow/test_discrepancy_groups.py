"""Groups of one pattern over any states are what counting every row by hand gives, on both databases."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from benchmarks.discrepancies import fill
from gateway.bootstrap import open_gateway
from gateway.domain.discrepancies import LIVE, DiscrepancyState
from gateway.reconcile.tables import discrepancy
from gateway.report.discrepancies import Sieve, load_groups
from gateway.settings import load_settings

COUNT = 240


@pytest.mark.parametrize(
    "states", [LIVE, (DiscrepancyState.OPEN,), (DiscrepancyState.IGNORED, DiscrepancyState.OPEN), ()], ids=len
)
def test_a_pattern_is_one_group_however_many_states_its_discrepancies_are_in(
    database_url: str, tmp_path: Path, states: tuple[DiscrepancyState, ...]
) -> None:
    settings = load_settings(
        None,
        database={"url": database_url},
        portal={"base_url": "http://127.0.0.1:9", "token": "none"},
        mesh={"base_url": "http://127.0.0.1:9", "school_id": 1, "profile_id": 1, "token": "none"},
        audit={"sink_file": str(tmp_path / "audit.jsonl")},
    )
    every = list(DiscrepancyState)
    with open_gateway(settings) as gateway:
        now = gateway.now()
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
        fill(gateway.store, place_id, COUNT)
        with gateway.store.write() as conn:
            for number in range(1, COUNT + 1):
                moved = {"state": every[number * 7 % len(every)].value, "opened_at": now - timedelta(minutes=number)}
                if number % 3 == 0:
                    moved["due_at"] = now - timedelta(days=1)
                conn.execute(update(discrepancy).where(discrepancy.c.id == number).values(moved))
            rows = conn.execute(select(discrepancy)).all()
        shown = [row for row in rows if not states or row.state in states]
        counts = Counter(row.pattern for row in shown)

        with gateway.store.read() as conn:
            sieve = Sieve(states=tuple(state.value for state in states))
            groups = load_groups(conn, place_id, sieve, now=now, limit=7)

        wanted = sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:7]
        assert [(group.pattern, group.count) for group in groups] == wanted
        for group in groups:
            of_it = [row for row in shown if row.pattern == group.pattern]
            assert group.overdue == sum(row.due_at < now for row in of_it)
            assert group.oldest_at == min(row.opened_at for row in of_it)
            assert group.owner == min(row.owner for row in of_it)
