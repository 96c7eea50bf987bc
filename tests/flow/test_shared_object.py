"""One object of the city stands in the discrepancies of two records, as after a restore: it becomes one's only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

import gateway.flows.acts
import gateway.flows.discrepancies
from benchmarks.discrepancies import fill
from gateway.bootstrap import open_gateway
from gateway.domain.discrepancies import Choice, DiscrepancyState, DiscrepancyType
from gateway.flows.acts import carry_out
from gateway.flows.discrepancies import choose
from gateway.flows.gateway import Gateway
from gateway.reconcile.choose import Excluded
from gateway.reconcile.tables import base, discrepancy
from gateway.settings import load_settings


@pytest.fixture
def school(database_url: str, tmp_path: Path) -> Iterator[Gateway]:
    """Three discrepancies; the first two look like the same object, which is nobody's yet."""
    settings = load_settings(
        None,
        database={"url": database_url},
        portal={"base_url": "http://127.0.0.1:9", "token": "none"},
        mesh={"base_url": "http://127.0.0.1:9", "school_id": 1, "profile_id": 1, "token": "none"},
        audit={"sink_file": str(tmp_path / "audit.jsonl")},
    )
    with open_gateway(settings) as one:
        with one.store.write() as conn:
            place_id = one.place_id(conn)
        fill(one.store, place_id, 3)
        column = discrepancy.c
        with one.store.write() as conn:
            conn.execute(delete(base).where(base.c.city_id.in_([1, 2])))
            object_1 = conn.execute(
                select(column.city_id, column.their_key, column.theirs, column.city_body).where(column.id == 1)
            ).one()
            likeness = {"type": DiscrepancyType.TWO_CANDIDATES.value, "base": None, "base_intent": None}
            here = {**likeness, **object_1._mapping, "object_key": object_1.their_key}
            conn.execute(update(discrepancy).where(column.id.in_([1, 2])).values(**here))
        yield one


def owners_of(school: Gateway) -> list[str]:
    with school.store.read() as conn:
        return list(conn.execute(select(base.c.ref).where(base.c.city_id == 1)).scalars())


@pytest.mark.parametrize("choice", [Choice.OURS, Choice.THEIRS])
def test_of_two_records_that_wish_one_object_a_choice_gives_it_to_none_and_takes_the_others(
    school: Gateway, choice: Choice
) -> None:
    settled = choose(school, [1, 2, 3], choice, reason="одним решением")

    assert (settled.taken, settled.excluded) == ([3], [Excluded(1, "shared"), Excluded(2, "shared")])
    assert owners_of(school) == []


def test_what_became_another_records_is_not_taken_from_it(school: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose(school, [2], Choice.OURS, reason="это она").taken == [2]
    owner = owners_of(school)

    again = choose(school, [1], Choice.OURS, reason="и эта")
    for module in (gateway.flows.acts, gateway.flows.discrepancies):
        monkeypatch.setattr(module, "PART_ROWS", 1)
    many = choose(school, [1, 3], Choice.OURS, reason="обе")
    (act,) = carry_out(school)

    assert (again.taken, again.excluded) == ([], [Excluded(1, "moved")])
    assert (many.taken, many.excluded, act.taken) == ([3], [Excluded(1, "moved")], 1)
    assert owners_of(school) == owner
    with school.store.read() as conn:
        state = conn.execute(select(discrepancy.c.state).where(discrepancy.c.id == 1)).scalar_one()
    assert state == DiscrepancyState.OPEN.value
