"""A directory whose ids or classes changed all at once holds what stands on it, until a person has let it out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

import gateway.flows.plan
from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityPupil
from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import Kind
from gateway.flows.city_reads import fetch_directory
from gateway.flows.correlate import correlate
from gateway.flows.undo import begin_undo, undo_run
from gateway.reconcile.tables import city_directory


def as_read_before(hand: Any, change: Callable[[CityPupil], CityPupil]) -> None:
    """Let the last whole read have been another one."""
    with hand.gateway.store.write() as conn:
        body = conn.execute(select(city_directory.c.body)).scalar_one()
        found = msgspec.json.decode(body, type=CityDirectory)
        found = msgspec.structs.replace(found, pupils=tuple(change(one) for one in found.pupils))
        conn.execute(update(city_directory).values(body=msgspec.json.encode(found)))


def of_other_ids(one: CityPupil) -> CityPupil:
    return msgspec.structs.replace(one, id=one.id + 900_000)


def of_other_class(one: CityPupil) -> CityPupil:
    return msgspec.structs.replace(one, class_name="5Ж")


@pytest.mark.parametrize(
    ("change", "guard", "row"),
    [(of_other_ids, "identity_churn", "person|*"), (of_other_class, "class_transfer", "person|7А")],
)
def test_what_changed_at_once_is_held_from_plan_to_plan_until_it_is_let_out(
    small: Any, change: Callable[[CityPupil], CityPupil], guard: str, row: str
) -> None:
    small.settings_changes["school"] = {"guard_minimum_count": 0, "guard_transfer_count": 1}
    with small.open() as hand:
        hand.link_everybody()
        free = hand.sync().planned.plan
        as_read_before(hand, change)
        held = [hand.sync().planned.plan for _ in range(2)]
        last = hand.sync()
        before = len(hand.city.machine_ledger())
        hand.approve(last, with_held=True)
        hand.deliver()
        after = hand.sync().planned.plan
        sent = len(hand.city.machine_ledger()) - before

    assert [(one.guard, one.scope) for one in free.guards if one.guard == guard] == []
    for plan in (*held, last.planned.plan):
        assert [(one.guard, one.scope) for one in plan.guards if one.guard == guard] == [(guard, row)]
        assert plan.counters["create"] == 0
        assert plan.by_reason["GUARD_HOLD"] == free.counters["create"] > 0
    assert [one for one in after.guards if one.guard == guard] == []
    assert sent == free.counters["create"]
    assert after.counters["create"] == 0


@pytest.mark.parametrize("between", ["a killed run", "a run that is undone", "a list of links"])
def test_what_changed_at_once_is_held_whatever_comes_between_its_being_read_and_its_being_seen(
    small: Any, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    """Whoever reads the directory takes the older one away: the next plan can't see any more what has changed."""
    small.settings_changes["school"] = {"guard_minimum_count": 0, "guard_transfer_count": 1}
    with small.open() as hand:
        hand.link_everybody()
        free = hand.sync().planned.plan
        as_read_before(hand, of_other_ids)
        if between == "a killed run":
            with monkeypatch.context() as patch:
                patch.setattr(gateway.flows.plan, "hold_directory", _be_killed)
                with pytest.raises(KeyboardInterrupt):
                    hand.sync()
        elif between == "a run that is undone":
            hand.sync()
            undo_run(hand.gateway, 1, begin_undo(hand.gateway, 1))
        else:
            correlate(hand.gateway, fetch_directory(hand.gateway, moscow_day(hand.gateway.now())))
        held = hand.sync().planned.plan

    assert [row.guard for row in held.guards if row.guard == "identity_churn"] == ["identity_churn"]
    assert held.counters["create"] == 0
    assert held.by_reason["GUARD_HOLD"] == free.counters["create"] > 0


@pytest.mark.parametrize(
    "narrow",
    [{"class_names": frozenset({"7А"})}, {"kinds": frozenset(Kind) - {Kind.ABSENCE}}, {"from_on": date(2026, 11, 10)}],
    ids=["a class", "some kinds", "some days"],
)
def test_a_narrow_plan_lets_out_its_own_lines_and_the_row_stays_for_the_rest(
    small: Any, narrow: dict[str, Any]
) -> None:
    small.settings_changes["school"] = {"guard_minimum_count": 0}
    with small.open() as hand:
        hand.link_everybody()
        free = hand.sync().planned.plan
        as_read_before(hand, of_other_ids)
        hand.sync()
        before = len(hand.city.machine_ledger())
        part = hand.sync(want=msgspec.structs.replace(hand.want, **narrow))
        hand.approve(part, with_held=True)
        hand.deliver()
        sent = len(hand.city.machine_ledger()) - before
        rest = hand.sync()
        hand.approve(rest, with_held=True)
        after = hand.sync().planned.plan

    assert [row.guard for row in part.planned.plan.guards if row.guard == "identity_churn"] == ["identity_churn"]
    assert sent == part.planned.plan.by_reason["GUARD_HOLD"] > 0
    assert [row.guard for row in rest.planned.plan.guards if row.guard == "identity_churn"] == ["identity_churn"]
    assert rest.planned.plan.counters["create"] == 0
    assert rest.planned.plan.by_reason.get("GUARD_HOLD", 0) == free.counters["create"] - sent
    assert [row for row in after.guards if row.guard == "identity_churn"] == []


def test_a_transfer_into_a_class_is_let_out_by_a_plan_of_that_class_and_shown_in_no_others(small: Any) -> None:
    small.settings_changes["school"] = {"guard_minimum_count": 0, "guard_transfer_count": 1}
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        as_read_before(hand, of_other_class)
        held = hand.sync(want=msgspec.structs.replace(hand.want, class_names=frozenset({"7А"})))
        hand.approve(held, with_held=True)
        after = hand.sync().planned.plan

    assert [(row.guard, row.scope) for row in held.planned.plan.guards if row.guard == "class_transfer"] == [
        ("class_transfer", "person|7А")
    ]
    assert [row for row in after.guards if row.guard == "class_transfer"] == []


def _be_killed(*_: object) -> None:
    raise KeyboardInterrupt
