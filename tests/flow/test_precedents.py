"""What people settle alike becomes a rule: tried on history, switched on by a person, taking only the untouched, with an end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

import gateway.flows.precedents
from gateway.domain.discrepancies import Choice
from gateway.domain.errors import PlanRefusedError
from gateway.flows.discrepancies import choose, dispute
from gateway.flows.precedents import apply_precedents, backtest_rule, make_rule, switch_off, switch_on
from gateway.reconcile.precedents import PrecedentState, change_rule, get_rule, load_offers, load_rules
from gateway.reconcile.tables import hold
from gateway.report.discrepancies import Line, Sieve, load_lines, load_steps


@pytest.fixture
def delivered(build_world: Any, database_url: str) -> Iterator[Any]:
    """A class whose marks all stand in the city, at a school that takes two choices for a precedent."""
    world = build_world(pupils=4, database_url=database_url)
    world.settings_changes["school"] = {"precedent_count": 2}
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        yield hand


def change_there(hand: Any, count: int) -> set[str]:
    """A person gives some of our untouched marks another value in the city's own pages."""
    known = {line.ref for line in lines(hand, every=True)}
    rows = [row for row in hand.base_rows() if row.kind == "mark" and row.ref not in known]
    rows = [row for row in rows if msgspec.json.decode(row.intent)["value"] != "2"]
    for row in rows[:count]:
        hand.world.city.human("change", "mark", id=row.city_id, value="2")
    assert len(rows) >= count
    return {row.ref for row in rows[:count]}


def lines(hand: Any, *, every: bool = False) -> list[Line]:
    with hand.gateway.store.read() as conn:
        sieve = Sieve(states=(), type="fields_differ") if every else Sieve(type="fields_differ")
        return load_lines(conn, hand.place_id_now, sieve, now=hand.gateway.now(), limit=500)


def offers(hand: Any) -> list[Any]:
    with hand.gateway.store.read() as conn:
        return load_offers(conn, hand.place_id_now, at_least=2)


def ruled(hand: Any, choice: Choice, count: int) -> tuple[Any, list[Line]]:
    """A rule in force of two choices of people, and the discrepancies that wait for it."""
    hand.place_id_now = hand.place_id()
    change_there(hand, 2 + count)
    hand.sync()
    found = lines(hand)
    choose(hand.gateway, [line.id for line in found[:2]], choice, reason="так и было")
    until = hand.gateway.now() + timedelta(days=10)
    rule = make_rule(hand.gateway, found[0].pattern, choice, until=until, reason="так и было")
    backtest_rule(hand.gateway, rule.id)
    switch_on(hand.gateway, rule.id, reason="до конца четверти")
    return rule, found[2:]


def test_a_rule_that_is_switched_off_while_it_is_used_takes_nothing_more(
    delivered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = delivered
    rule, waiting = ruled(hand, Choice.THEIRS, 2)
    apply_chunk, done = gateway.flows.precedents._apply_chunk, list[int]()

    def apply(conn: Any, *arguments: Any) -> Any:
        if done:  # a person was between this chunk and the one before
            change_rule(conn, rule.id, state=PrecedentState.ENDED.value)
        done.append(1)
        return apply_chunk(conn, *arguments)

    monkeypatch.setattr(gateway.flows.precedents, "CHUNK_ROWS", 1)
    monkeypatch.setattr(gateway.flows.precedents, "_apply_chunk", apply)
    apply_precedents(hand.gateway, hand.place_id_now)

    assert [line.state for line in lines(hand, every=True) if line.id in {one.id for one in waiting}] == [
        "waiting_proof",
        "open",
    ]


def test_a_rule_leaves_what_an_undo_keeps_undone_to_a_person(delivered: Any) -> None:
    hand = delivered
    _, (first, second) = ruled(hand, Choice.OURS, 2)
    with hand.gateway.store.write() as conn:
        now = hand.gateway.store.now(conn)
        conn.execute(
            insert(hold).values(
                place_id=hand.place_id_now, kind="mark", ref=first.ref, owner="account:1", placed_at=now,
                until=now + timedelta(days=30), plan_id=1, shown=bytes(16),
            )
        )  # fmt: skip

    apply_precedents(hand.gateway, hand.place_id_now)

    states = {line.id: line.state for line in lines(hand, every=True)}
    assert (states[first.id], states[second.id]) == ("open", "waiting_proof")


def test_equal_choices_become_a_rule_that_ends(delivered: Any) -> None:
    hand = delivered
    hand.place_id_now = hand.place_id()
    until = hand.gateway.now() + timedelta(days=10)
    change_there(hand, 3)
    hand.sync()
    first, second, third = lines(hand)
    pattern = first.pattern
    with pytest.raises(PlanRefusedError, match="не предлагается"):
        make_rule(hand.gateway, pattern, Choice.THEIRS, until=until, reason="рано")
    choose(hand.gateway, [first.id, second.id], Choice.THEIRS, reason="ведут в городе")
    (offer,) = offers(hand)

    rule = make_rule(hand.gateway, pattern, Choice.THEIRS, until=until, reason="ведут в городе")
    with pytest.raises(PlanRefusedError, match="Сначала проверьте"):
        switch_on(hand.gateway, rule.id, reason="рано")
    tested = backtest_rule(hand.gateway, rule.id)
    hand.sync()
    untouched = {line.id for line in lines(hand)}
    switch_on(hand.gateway, rule.id, reason="до конца четверти")
    ours_stood = change_there(hand, 1)
    writes = len(hand.city.machine_ledger())
    hand.sync()
    hand.sync()
    taken = [line for line in lines(hand, every=True) if line.ref in ours_stood or line.id == third.id]
    with hand.gateway.store.read() as conn:
        steps = [(step.step, step.actor, step.note) for step in load_steps(conn, third.id)]

    assert (offer.pattern, offer.choice, offer.times, offer.others, offer.waiting) == (pattern, "theirs", 2, 0, 1)
    assert tested.backtest == {"same": 2, "other": 0, "overturned": 0, "waiting": 1, "taken": 1}
    assert untouched == {third.id}
    assert {line.state for line in taken} == {"resolved"}
    assert len(hand.city.machine_ledger()) == writes
    assert steps[1] == ("chosen", f"precedent:{rule.id}", "ведут в городе")
    applied = [one for one in hand.actions() if one.action == "precedent.applied"]
    assert [(one.actor, one.counts["choice.theirs"]) for one in applied] == [(f"precedent:{rule.id}", 2)]

    dispute(hand.gateway, third.id, reason="это моя отметка")
    hand.sync()
    assert third.id in {line.id for line in lines(hand)}
    with hand.gateway.store.read() as conn:
        chosen = [step.actor for step in load_steps(conn, third.id) if step.step == "chosen"]
    assert chosen == [f"precedent:{rule.id}"]  # what a person disputed is not taken again
    assert offers(hand) == []
    hand.world.clock.advance(11 * 86_400)
    late = change_there(hand, 1)
    hand.sync()
    with hand.gateway.store.read() as conn:
        ended = get_rule(conn, hand.place_id_now, rule.id)
    assert late <= {line.ref for line in lines(hand)}
    assert (ended.state, ended.used_count) == (PrecedentState.ENDED, 2)


def test_a_rule_that_history_speaks_against_has_to_be_named(small: Any) -> None:
    small.settings_changes["school"] = {"precedent_count": 2}
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        hand.place_id_now = hand.place_id()
        change_there(hand, 3)
        hand.sync()
        first, second, third = lines(hand)
        choose(hand.gateway, [first.id, second.id], Choice.THEIRS, reason="ведут в городе")
        until = hand.gateway.now() + timedelta(days=10)
        rule = make_rule(hand.gateway, first.pattern, Choice.THEIRS, until=until, reason="ведут в городе")
        choose(hand.gateway, [third.id], Choice.OURS, reason="а эту нет")
        dispute(hand.gateway, second.id, reason="и эту нет")
        tested = backtest_rule(hand.gateway, rule.id)
        with pytest.raises(PlanRefusedError, match="--with-others"):
            switch_on(hand.gateway, rule.id, reason="всё равно")
        on = switch_on(hand.gateway, rule.id, reason="всё равно", with_others=True)
        off = switch_off(hand.gateway, rule.id, reason="передумали")
        with pytest.raises(PlanRefusedError):
            switch_off(hand.gateway, rule.id, reason="ещё раз")
        for until_wrong in (hand.gateway.now(), hand.gateway.now() + timedelta(days=200)):
            with pytest.raises(PlanRefusedError, match="--until"):
                make_rule(hand.gateway, first.pattern, Choice.THEIRS, until=until_wrong, reason="x")
        with hand.gateway.store.read() as conn:
            rules = load_rules(conn, hand.place_id_now)

    assert tested.backtest == {"same": 2, "other": 1, "overturned": 1, "waiting": 0, "taken": 0}
    assert (on.state, off.state, len(rules)) == (PrecedentState.ON, PrecedentState.ENDED, 1)


@pytest.mark.parametrize(("choice", "offered"), [(Choice.THEIRS, []), (Choice.OURS, ["ours"])])
def test_no_rule_is_offered_that_would_take_records_away_because_it_would_settle_nothing(
    delivered: Any, choice: Choice, offered: list[str]
) -> None:
    hand = delivered
    hand.place_id_now = hand.place_id()
    for row in [row for row in hand.base_rows() if row.kind == "mark"][5:9]:
        hand.world.city.human("delete", "mark", id=row.city_id)
    hand.sync()
    with hand.gateway.store.read() as conn:
        gone = load_lines(conn, hand.place_id_now, Sieve(type="only_here"), now=hand.gateway.now(), limit=500)
    alike = [line.id for line in gone if line.pattern == gone[0].pattern][:2]

    taken = choose(hand.gateway, alike, choice, reason="решено", with_removals=True)

    assert len(taken.taken) == 2
    assert [offer.choice for offer in offers(hand)] == offered
    if not offered:
        until = hand.gateway.now() + timedelta(days=10)
        with pytest.raises(PlanRefusedError, match="не предлагается"):
            make_rule(hand.gateway, gone[0].pattern, choice, until=until, reason="всегда так")
