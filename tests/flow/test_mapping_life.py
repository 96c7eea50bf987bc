"""Versions of the rules: what was sent keeps its value, a correction is one plan a person lets out, the way back is instant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

import gateway.flows.mapping_life as mapping_life
from gateway.access.roles import Role
from gateway.domain.errors import (
    ConfigurationError,
    PlanRefusedError,
    SecondPersonError,
    UnavailableError,
    UnreachableError,
)
from gateway.flows.mapping_life import (
    activate_version,
    draft_version,
    map_value,
    propose_version,
    roll_back,
    withdraw_version,
)
from gateway.flows.mapping_trial import backtest_version, preview_version
from gateway.flows.passport import show_passport
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from gateway.mapping.tables import mapping_case
from gateway.mapping.unmapped import load_unmapped
from gateway.mapping.versions import VersionState, find_active, load_versions
from gateway.report.mapping import load_cases, load_correction
from gateway.sandbox.portal.school_course import FIRST_COURSE
from tests.flow.persons import as_account, get_post_back, lose_post, person

HEAVIER = DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 7').replace(
    'form = "Домашнее задание"', 'form = "Домашнее задание"\nweight = 7'
)
NO_HOMEWORK = re.sub(r'form = "Домашнее задание"', "send = false", DEFAULT_MAPPING_TOML)


def proposed(hand: Any, source: str = HEAVIER) -> int:
    draft = draft_version(hand.gateway, source, name="mapping.toml", reason="веса по новому положению")
    return propose_version(as_account(hand.gateway, 99), draft.number, reason="решение методсовета").number


def activated(hand: Any, source: str = HEAVIER, **more: Any) -> Any:
    number = proposed(hand, source)
    backtest_version(hand.gateway, number)
    return activate(hand, number, reason="с понедельника", **more)


def activate(hand: Any, number: int, **more: Any) -> Any:
    """Another person than the proposer, with a fresh log-in."""
    who = person(hand.gateway, "director", Role.DIRECTOR)
    return activate_version(replace(hand.gateway, actor=who.actor), number, principal=who, **more)


def weights(hand: Any) -> dict[str, int]:
    return {row.ref: msgspec.json.decode(row.intent)["weight"] for row in hand.base_rows() if row.kind == "mark"}


def heavier_by(hand: Any, number: int) -> set[str]:
    """Refs of the marks that a version's back-test found to change."""
    with hand.gateway.store.read() as conn:
        version = next(one for one in load_versions(conn, hand.place_id_now) if one.number == number)
        return {one.ref for one in load_cases(conn, version.id, limit=5000) if one.outcome == "changed"}


@contextmanager
def sent_to(world: Any) -> Iterator[Any]:
    with world.open() as hand:
        hand.link_everybody()
        hand.through()
        hand.place_id_now = hand.place_id()
        yield hand


@pytest.fixture
def sent(small: Any) -> Iterator[Any]:
    """Everything of a small school is in the city."""
    with sent_to(small) as hand:
        yield hand


@pytest.fixture
def sent_anywhere(build_world: Any, database_url: str) -> Iterator[Any]:
    """The same on either database."""
    with sent_to(build_world(pupils=3, database_url=database_url)) as hand:
        yield hand


@pytest.mark.row("V6")
def test_new_rules_change_nothing_that_was_sent_and_count_for_what_moves(sent: Any) -> None:
    before = weights(sent)
    ledger = len(sent.city.ledger())
    first = sent.operations()[-1].rule_version
    done = activated(sent)
    planned = sent.sync().planned
    moved = heavier_by(sent, done.number)
    user, item = next(
        (user, item)
        for user, item in sent.world.portal.cells(FIRST_COURSE)
        if item["itemmodule"] == "quiz" or item["itemmodule"] == "assign"
    )
    value = 5 if round(item["graderaw"]) != 5 else 3
    sent.world.portal.edit("set_grade", courseid=FIRST_COURSE, itemid=item["id"], userid=user, grade=value)
    sent.through()
    after = weights(sent)
    changed = {ref for ref in before if after[ref] != before[ref]}

    assert moved
    assert (planned.plan.counters["update"], planned.plan.counters["create"]) == (0, 0)
    assert planned.plan.rule_version == done.version
    assert [entry["op"] for entry in sent.city.ledger()[ledger:]] == ["change"]
    assert len(changed) == 1
    assert changed <= moved
    assert {after[ref] for ref in changed} == {7}
    assert sent.operations()[-1].rule_version == done.version
    for ref, version in ((next(iter(changed)), done.version), (next(iter(moved - changed)), first)):
        (passport,) = show_passport(sent.gateway, ref)
        assert passport.rule_version == version
    sent.assert_sound()


def test_a_correction_is_one_plan_of_updates_and_leaves_what_a_person_edited(sent_anywhere: Any) -> None:
    sent = sent_anywhere
    edited = next(row for row in sent.city.standing("marks") if row["name"] != "2")
    ledger_before = len(sent.city.machine_ledger())
    sent.city.human("change", "mark", id=edited["id"], value="2")
    since = sent.gateway.now() - timedelta(days=1)
    done = activated(sent, since=since)
    moved = heavier_by(sent, done.number)
    with sent.gateway.store.read() as conn:
        unplanned = load_correction(conn, sent.place_id_now)
    synced = sent.sync()
    with sent.gateway.store.read() as conn:
        shown = load_correction(conn, sent.place_id_now)
    sent_unasked = sent.city.machine_ledger()[ledger_before:]
    sent.approve(synced, with_held=True)
    sent.deliver()
    again = sent.sync().planned.plan
    with sent.gateway.store.read() as conn:
        left = load_correction(conn, sent.place_id_now)
    written = sent.city.machine_ledger()[ledger_before:]
    refs_edited = {row.ref for row in sent.base_rows() if row.city_id == edited["id"]}

    assert done.correcting >= len(moved) > 1
    assert sent_unasked == []
    assert unplanned is not None
    assert not unplanned.is_planned, "nothing to correct was said before anybody had looked"
    assert shown is not None
    assert shown.is_planned
    assert (shown.left, set(shown.edited)) == (len(moved | refs_edited & moved), refs_edited & moved)
    assert shown.pupils
    assert {entry["op"] for entry in written} == {"change"}
    assert len(written) == len(moved - refs_edited)
    assert {weights(sent)[ref] for ref in moved - refs_edited} == {7}
    assert again.counters["update"] == 0
    assert (left.left if left else 0) == len(moved & refs_edited)


def test_the_way_back_is_instant_and_sends_nothing(sent: Any) -> None:
    before = weights(sent)
    done = activated(sent)
    back = roll_back(sent.gateway, reason="ошибка в положении")
    planned = sent.sync().planned.plan
    with sent.gateway.store.read() as conn:
        active = find_active(conn, sent.place_id_now)

    assert (done.former, back.number, back.former) == (1, 1, 2)
    assert active is not None
    assert (active.number, active.version) == (1, planned.rule_version)
    assert planned.counters["update"] == 0
    assert weights(sent) == before
    assert [one.action for one in sent.actions() if one.action.startswith("mapping.")] == [
        "mapping.started",
        "mapping.drafted",
        "mapping.proposed",
        "mapping.backtested",
        "mapping.activated",
        "mapping.rolled_back",
    ]


def test_a_second_way_back_never_leads_to_what_was_taken_back(sent: Any) -> None:
    activated(sent)
    activated(sent, HEAVIER.replace("weight = 7", "weight = 8"))
    first = roll_back(sent.gateway, reason="третья ошибочна")
    second = roll_back(sent.gateway, reason="и вторая")
    with pytest.raises(PlanRefusedError, match="--to"):
        roll_back(sent.gateway, reason="ещё раз")
    with pytest.raises(PlanRefusedError, match="и так действует"):
        roll_back(sent.gateway, reason="её же", number=1)
    with pytest.raises(ConfigurationError):
        roll_back(sent.gateway, reason="нет такой", number=9)
    named = roll_back(sent.gateway, reason="третья всё же верна", number=3)
    last = roll_back(sent.gateway, reason="нет")

    assert [(one.former, one.number) for one in (first, second, named, last)] == [(3, 2), (2, 1), (1, 3), (3, 1)]


def test_a_version_that_never_counted_is_not_gone_back_to(sent: Any) -> None:
    number = proposed(sent)
    with pytest.raises(PlanRefusedError, match="не действовала"):
        roll_back(sent.gateway, reason="не та", number=number)


def test_only_a_freshly_tested_proposal_is_activated_and_a_loss_is_named(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        g = hand.gateway
        draft = draft_version(g, NO_HOMEWORK, name="x.toml", reason="не передаём домашние")
        for early in (draft.number, 99):
            with pytest.raises((PlanRefusedError, ConfigurationError)):
                activate(hand, early, reason="рано")
        propose_version(as_account(g, 99), draft.number, reason="так решили")
        with pytest.raises(PlanRefusedError, match="не проверена"):
            activate(hand, draft.number, reason="рано")
        tested = backtest_version(g, draft.number)
        with pytest.raises(PlanRefusedError, match="Перестанут"):
            activate(hand, draft.number, reason="рано")
        small.clock.advance(25 * 3600)
        with pytest.raises(PlanRefusedError, match="устарела"):
            activate(hand, draft.number, reason="поздно", with_refused=True)
        backtest_version(g, draft.number)
        waiting = hand.sync()
        activate(hand, draft.number, reason="решено", with_refused=True)
        with pytest.raises(PlanRefusedError):
            hand.approve(waiting)
        planned = hand.sync().planned.plan
        with g.store.read() as conn:
            cases = conn.execute(select(mapping_case)).all()

    counts = tested.backtest
    assert counts is not None
    assert counts["newly_refused"] == len(cases) > 0
    assert (counts["newly_accepted"], counts["changed"], counts["unread"]) == (0, 0, 0)
    assert counts["records"] == counts["same"] + counts["newly_refused"]
    assert {(row.outcome, row.old_reason, row.new_reason) for row in cases} == {("newly_refused", "", "OUT_OF_SCOPE")}
    assert waiting.planned.plan.counters["create"] - planned.counters["create"] == counts["newly_refused"]


def test_the_only_approver_activates_his_own_later_and_after_a_log_in_of_then(small: Any) -> None:
    small.settings_changes = {"school": {"single_approver": True}}
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        first = person(hand.gateway, "director", Role.DIRECTOR)
        draft = draft_version(hand.gateway, HEAVIER, name="mapping.toml", reason="веса")
        propose_version(replace(hand.gateway, actor=first.actor), draft.number, reason="решено")
        backtest_version(hand.gateway, draft.number)
        with pytest.raises(SecondPersonError, match="введя пароль заново"):
            activate(hand, draft.number, reason="сразу")
        small.clock.advance(599)
        early = person(hand.gateway, "director", Role.DIRECTOR)
        small.clock.advance(2)
        with pytest.raises(SecondPersonError, match="введя пароль заново"):
            activate_version(replace(hand.gateway, actor=early.actor), draft.number, reason="рано", principal=early)
        assert activate(hand, draft.number, reason="посмотрел ещё раз").number == draft.number

        (deed,) = [one for one in hand.actions() if one.action == "mapping.activated"]
        assert deed.counts["alone"] == 1


def test_what_was_proposed_by_who_has_lost_the_post_since_does_not_count(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        number = proposed(hand)
        backtest_version(hand.gateway, number)
        lose_post(hand.gateway, 99)

        with pytest.raises(SecondPersonError, match="сегодня предложить этого не может"):
            activate(hand, number, reason="с понедельника")
        get_post_back(hand.gateway, 99)
        assert activate(hand, number, reason="с понедельника").number == number


def test_what_is_withdrawn_while_it_is_being_activated_does_not_count(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        number = proposed(hand)
        backtest_version(hand.gateway, number)

        def withdrawn(*_args: object, **_more: object) -> int:
            withdraw_version(hand.gateway, number, reason="передумали")
            return 0

        monkeypatch.setattr(mapping_life, "bind_delivered", withdrawn)
        with pytest.raises(PlanRefusedError, match="только что сняли"):
            activate(hand, number, reason="с понедельника")

        with hand.gateway.store.read() as conn:
            active = find_active(conn, hand.place_id())
        assert active is not None
        assert active.number == 1


def test_the_file_counts_until_the_first_draft_and_is_a_form_afterwards(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        by_file = hand.sync().planned.plan.rule_version
        same = draft_version(hand.gateway, DEFAULT_MAPPING_TOML, name="mapping.toml", reason="завести версии")
        draft = draft_version(hand.gateway, HEAVIER, name="mapping.toml", reason="веса")
        with pytest.raises(ConfigurationError, match="уже есть"):
            draft_version(hand.gateway, HEAVIER, name="mapping.toml", reason="ещё раз")
        with pytest.raises(ConfigurationError, match="items"):
            draft_version(hand.gateway, "[[items]]\npattern = '('", name="mapping.toml", reason="плохой")
        still = hand.sync().planned.plan.rule_version
        withdraw_version(hand.gateway, draft.number, reason="передумали")
        with pytest.raises(PlanRefusedError):
            propose_version(hand.gateway, draft.number, reason="поздно")
        with hand.gateway.store.read() as conn:
            versions = load_versions(conn, hand.place_id())

    assert (same.number, same.state, same.version) == (1, VersionState.ACTIVE, by_file)
    assert still == by_file
    assert [(one.number, one.state) for one in versions] == [(2, VersionState.DEPRECATED), (1, VersionState.ACTIVE)]


def test_a_preview_shows_the_steps_by_both_rules(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        draft = draft_version(hand.gateway, HEAVIER, name="mapping.toml", reason="веса")
        shown = preview_version(hand.gateway, draft.number, sample=3, only_different=True).records
        again = preview_version(hand.gateway, draft.number, ref=shown[0].ref).records
        everything = preview_version(hand.gateway, draft.number, sample=6).records
        with pytest.raises(ConfigurationError):
            preview_version(hand.gateway, draft.number, ref="mark:none")

    assert len(shown) == 3
    assert again == [shown[0]]
    assert all(one.is_different for one in shown)
    assert {one.proposed.output["weight"] for one in shown if one.proposed.output} == {7}
    assert [step.name for step in shown[0].proposed.steps] == [
        "что передаётся",
        "вид работы",
        "форма контроля",
        "значение",
        "день",
    ]
    assert 1 <= len(everything) <= 6


def test_a_preview_says_which_groups_it_could_not_read_and_why(build_world: Any) -> None:
    with build_world(pupils=3, courses=2).open() as hand:
        hand.link_everybody()
        hand.sync()
        draft = draft_version(hand.gateway, HEAVIER, name="mapping.toml", reason="веса")
        whole = preview_version(hand.gateway, draft.number, sample=200)
        hand.world.city.fault("500", path="/schedule_items", method="GET", times=3)  # as often as one read is tried

        short = preview_version(hand.gateway, draft.number, sample=200)

        assert whole.unread == []
        (left,) = short.unread
        assert (left.reason, bool(left.name), left.ref.startswith("group:")) == ("TRANSPORT", True, True)
        assert 0 < len(short.records) < len(whole.records)
        hand.world.city.clear()
        with hand.world.city.down(), pytest.raises(UnreachableError):
            preview_version(hand.gateway, draft.number, sample=200, within_s=5.0)
        hand.world.city.fault("500", path="/schedule_items", method="GET")
        with pytest.raises(UnavailableError):
            preview_version(hand.gateway, draft.number, ref=whole.records[0].ref)


def test_an_unmapped_work_is_counted_and_mapped_from_the_error(small: Any) -> None:
    without = "\n\n".join(
        part for part in DEFAULT_MAPPING_TOML.split("\n\n") if "quiz" not in part and "тест" not in part.lower()
    )
    with small.open() as hand:
        hand.link_everybody()
        activated(hand, without, with_refused=True)
        small.clock.advance(60)
        hand.sync()
        small.clock.advance(60)
        refused = hand.sync().planned.plan.by_reason["NO_CONTROL_FORM"]
        with hand.gateway.store.read() as conn:
            unmapped = load_unmapped(conn, hand.place_id())
        number: int | None = None
        for one in unmapped:
            drafted = map_value(hand.gateway, one.name, one.local_value, "Тест", reason="это тест", number=number)
            number = drafted.number
        propose_version(as_account(hand.gateway, 99), drafted.number, reason="это тест")
        tested = backtest_version(hand.gateway, drafted.number).backtest
        activate(hand, drafted.number, reason="это тест")
        small.clock.advance(60)
        planned = hand.sync().planned.plan
        with hand.gateway.store.read() as conn:
            left = load_unmapped(conn, hand.place_id())

    assert unmapped
    assert {one.name for one in unmapped} == {"items"}
    assert sum(one.count for one in unmapped) == refused > 0
    assert all(one.first_seen_at < small.clock.now() - timedelta(seconds=100) for one in unmapped)
    assert tested is not None
    assert tested["newly_accepted"] == refused
    assert "NO_CONTROL_FORM" not in planned.by_reason
    assert left == []
