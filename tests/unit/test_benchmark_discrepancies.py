"""What a curator's screens cost the database: a page costs the same in a long list, an act no statement a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, update

from benchmarks.discrepancies import PATTERNS, fill
from gateway.bootstrap import open_gateway
from gateway.domain.discrepancies import Choice, DiscrepancyState
from gateway.flows.discrepancies import choose
from gateway.flows.gateway import Gateway
from gateway.reconcile.choose import load_for_choice
from gateway.reconcile.tables import base, correction, discrepancy, discrepancy_step
from gateway.report.discrepancies import Sieve, load_ids, load_lines, load_one
from gateway.settings import load_settings

STEPS_AT_ONCE = 10
"""Instructions of SQLite between two calls of its progress handler."""


@pytest.fixture
def filled(tmp_path: Path) -> Callable[[int], Any]:
    @contextmanager
    def make(count: int, name: str = "one") -> Iterator[tuple[Gateway, int]]:
        settings = load_settings(
            None,
            database={"url": f"sqlite:///{tmp_path / name}.sqlite"},
            portal={"base_url": "http://127.0.0.1:9", "token": "none"},
            mesh={"base_url": "http://127.0.0.1:9", "school_id": 1, "profile_id": 1, "token": "none"},
            audit={"sink_file": str(tmp_path / f"{name}.jsonl")},
        )
        with open_gateway(settings) as gateway:
            with gateway.store.write() as conn:
                place_id = gateway.place_id(conn)
            fill(gateway.store, place_id, count)
            yield gateway, place_id

    return make


def cost_of(gateway: Gateway, ask: Callable[[Any], object]) -> int:
    """How many instructions of SQLite a question takes, in tens."""
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    with gateway.store.read() as conn:
        ask(conn)  # statements are built at their first use
        driver: Any = conn.connection.driver_connection
        driver.set_progress_handler(tick, STEPS_AT_ONCE)
        ask(conn)
        driver.set_progress_handler(None, STEPS_AT_ONCE)
    return ticks


def test_a_page_and_a_card_cost_the_same_in_a_list_ten_times_as_long(filled: Callable[..., Any]) -> None:
    asks: dict[str, Callable[[Gateway, int], Callable[[Any], object]]] = {
        "page": lambda gateway, place: (
            lambda conn: load_lines(conn, place, Sieve(), now=gateway.now(), after_id=50, limit=20)
        ),
        "filtered": lambda gateway, place: (
            lambda conn: load_lines(
                conn, place, Sieve(owner="curator", type="fields_differ"), now=gateway.now(), after_id=50, limit=20
            )
        ),
        "card": lambda gateway, place: lambda conn: load_one(conn, place, 77, now=gateway.now()),
        "judged": lambda _gateway, place: lambda conn: load_for_choice(conn, place, [7, 77]),
    }
    costs: dict[str, list[int]] = {name: [] for name in asks}
    for count in (200, 2_000):
        with filled(count, str(count)) as (gateway, place_id):
            for name, ask in asks.items():
                costs[name].append(cost_of(gateway, ask(gateway, place_id)))

    for name, (short, long) in costs.items():
        assert 0 < long < 1.5 * short, name


def test_pages_over_several_states_show_every_number_once_and_in_order(filled: Callable[..., Any]) -> None:
    states = list(DiscrepancyState)
    with filled(60) as (gateway, place_id):
        with gateway.store.write() as conn:
            for number in range(1, 61):
                state = states[number * 7 % len(states)]
                conn.execute(update(discrepancy).where(discrepancy.c.id == number).values(state=state.value))
            rows = conn.execute(select(discrepancy.c.id, discrepancy.c.state)).all()
        wanted = [DiscrepancyState.OPEN.value, DiscrepancyState.IGNORED.value, DiscrepancyState.OPEN.value]
        for sieve in (Sieve(), Sieve(states=wanted), Sieve(states=())):
            seen: list[int] = []
            with gateway.store.read() as conn:
                while page := load_lines(
                    conn, place_id, sieve, now=gateway.now(), after_id=seen[-1] if seen else 0, limit=7
                ):
                    seen += [line.id for line in page]
            assert seen == sorted(row.id for row in rows if not sieve.states or row.state in sieve.states)


@pytest.mark.parametrize("choice", [Choice.OURS, Choice.THEIRS, Choice.OWN])
def test_an_act_on_a_hundred_takes_no_more_statements_than_one_on_two(
    filled: Callable[..., Any], choice: Choice
) -> None:
    counts = [0]  # of what comes before the acts
    with filled(PATTERNS * 100) as (gateway, place_id):

        def note(*_: Any) -> None:
            counts[-1] += 1

        event.listen(gateway.store.engine, "before_cursor_execute", note)
        with gateway.store.read() as conn:
            sieve = Sieve(pattern="fields_differ/DRIFT/mark/value/city-group:3")
            ids = load_ids(conn, place_id, sieve, now=gateway.now(), limit=1_000)
        # the first act of a process also looks at what the audit's sink has
        for asked in (ids[:1], ids[1:3], ids[3:]):
            counts.append(0)
            own = "4" if choice is Choice.OWN else None
            assert choose(gateway, asked, choice, reason="проба", own_value=own).taken == asked
        of_two, of_many = counts[2:]
        with gateway.store.read() as conn:
            chosen = conn.execute(select(discrepancy.c.id).where(discrepancy.c.choice == choice.value)).scalars()
            steps = conn.execute(
                select(discrepancy_step.c.discrepancy_id).where(discrepancy_step.c.choice == choice.value)
            ).scalars()
            agreed = conn.execute(select(base).where(base.c.how == "chosen")).all()
            laid = conn.execute(select(correction.c.discrepancy_id)).scalars()

            assert sorted(chosen) == sorted(steps) == ids
            assert len(ids) == 100
            assert sorted(laid) == ([] if choice is Choice.OURS else ids)
            # what was agreed moved in its place: the same object of the city, and its own value
            assert sorted(row.city_id for row in agreed) == ids
            assert {row.intent.decode().partition('"value":')[2][:3] for row in agreed} == {'"3"'}
    assert of_two == of_many


def test_to_take_many_costs_the_same_statements_whatever_their_count_and_no_write_a_row(
    filled: Callable[..., Any],
) -> None:
    statements: list[str] = []
    with filled(2_000) as (gateway, _):
        # the first act of a process also looks at what the audit's sink has
        choose(gateway, [2_000], Choice.OURS, reason="проба")

        def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)

        event.listen(gateway.store.engine, "before_cursor_execute", note)
        kept = []
        for ids in (range(1, 502), range(502, 1_900)):
            statements.clear()
            assert choose(gateway, ids, Choice.THEIRS, reason="проба").taken == list(ids)
            kept.append(list(statements))

    few, many = kept
    assert few == many
    assert not [one for one in many if one.startswith("UPDATE")]
