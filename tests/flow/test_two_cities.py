"""One database, two cities: what was sent to the first counts for nothing at the second, and no id of the first goes out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gateway.domain.errors import PlanRefusedError
from gateway.queue.approval import approve
from gateway.queue.outbox import release

NUMBER = re.compile(r"\d{4,}")


def sent_numbers(city: Any) -> set[int]:
    """Every number of four digits and more in paths, queries and bodies that came to a city."""
    found: set[int] = set()
    for asked in city.asked:
        text = " ".join((asked.path, asked.query, asked.body.decode()))
        found |= {int(number) for number in NUMBER.findall(text)}
    return found


def object_ids(city: Any) -> set[int]:
    """Ids of everything the city numbers by itself."""
    found: set[int] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("id"), int):
                found.add(value["id"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(city.state())
    return found


@pytest.fixture
def second(small: Any) -> Any:
    """Another city with the same school, whose ids are all other ones."""
    city = small.serve_city(seed=2)
    shift_ids(city.sandbox, 50_000_000_000)
    return city


def shift_ids(sandbox: Any, by: int) -> None:
    """Renumber everything of a city, so that an id of another city can be told."""
    names = re.compile(r"(^|_)ids?$")
    apart = {"academic_year_id", "school_id", "mark_type_id", "education_level_id", "class_level_id", "role_id"}
    apart |= {"absence_reason_id", "nonattendance_reason_id", "user_id", "user_integration_id"}

    def moved(value: Any, key: str = "", kind: str = "") -> Any:
        if isinstance(value, dict):
            return {name: moved(inner, name, kind) for name, inner in value.items()}
        if isinstance(value, list):
            return [moved(inner, key, kind) for inner in value]
        is_id = names.search(key) and key not in apart and kind not in ("academic_years", "nonattendance_reasons")
        return value + by if is_id and isinstance(value, int) and not isinstance(value, bool) else value

    rows = [(kind, moved(json.loads(json.dumps(row)), kind=kind)) for kind, row in sandbox.state.iter_all()]
    notes = dict(sandbox.state.notes)
    sandbox.state.fill(rows)
    for name, value in notes.items():
        sandbox.state.note(name, value)
    sandbox.sessions.open_all(sandbox.seed)
    sandbox._index_members()


def test_nothing_counts_as_sent_in_another_city_and_no_id_of_the_first_goes_out(small: Any, second: Any) -> None:
    second.profiles = second.sandbox.describe()["profiles"]
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        first_count = len(small.city.ledger())
    small.city.asked.clear()

    with small.open(second) as hand:
        hand.link_everybody()
        synced = hand.sync()
        assert synced.planned.plan.counters["unchanged"] == 0
        assert synced.planned.plan.counters["create"] == first_count
        hand.approve(synced)
        hand.deliver()
        hand.assert_sound()

    assert len(second.ledger()) == first_count
    assert small.city.asked == []
    foreign = object_ids(small.city) - object_ids(second)
    assert len(foreign) > 50
    assert not sent_numbers(second) & foreign
    assert not {entry["id"] for entry in second.ledger()} & foreign


def test_back_in_the_first_city_everything_is_unchanged(small: Any, second: Any) -> None:
    second.profiles = second.sandbox.describe()["profiles"]
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
    with small.open(second) as hand:
        hand.link_everybody()
        hand.through()
    ledgers = small.city.ledger(), second.ledger()

    with small.open() as hand:
        again = hand.sync()

    assert (small.city.ledger(), second.ledger()) == ledgers
    assert again.planned.plan.counters["unchanged"] == len(ledgers[0])


def test_a_plan_of_one_city_can_not_be_approved_or_released_at_another(small: Any, second: Any) -> None:
    second.profiles = second.sandbox.describe()["profiles"]
    with small.open() as hand:
        hand.link_everybody()
        plan_id = hand.sync().planned.plan.id

    with small.open(second) as hand:
        g = hand.gateway
        with pytest.raises(PlanRefusedError, match="друг"):
            approve(
                g.store,
                g.audit,
                g.place,
                plan_id,
                reason="проверено",
                with_deletes=False,
                with_held=False,
                actor=g.actor,
            )
        with pytest.raises(PlanRefusedError, match="друг"):
            release(g.store, g.audit, g.place, plan_id, lane="demand", actor=g.actor)
        hand.deliver()

    assert small.city.ledger() == second.ledger() == []


def test_what_was_approved_for_one_city_waits_there_and_does_not_go_to_another(small: Any, second: Any) -> None:
    """Approved and released, not delivered; then the settings name another city."""
    second.profiles = second.sandbox.describe()["profiles"]
    with small.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        hand.approve(synced)
        wanted = synced.planned.plan.counters["create"]

    with small.open(second) as hand:
        hand.deliver()
    assert second.ledger() == []

    with small.open() as hand:
        hand.deliver()
        assert len(small.city.ledger()) == wanted
