"""A period that the deputy head has signed: nothing of it leaves, until an hour or for named pupils, and then it is shut again."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from gateway.access.accounts import disable_account, take_role
from gateway.access.roles import Role
from gateway.bootstrap import build_office
from gateway.connectors.port import CityDirectory
from gateway.domain.errors import ConfigurationError, PlanRefusedError, SecondPersonError
from gateway.domain.school_year import SchoolYear, YearPeriod
from gateway.flows.period_approval import LockedAsked, approve_locked, propose_locked
from gateway.flows.periods import load_signed, reopen_period, sign_period
from gateway.mapping.calendars import save_year
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from gateway.reconcile.tables import city_directory, discrepancy
from gateway.sandbox.portal.school_course import FIRST_COURSE
from tests.flow.persons import activate_rules, let_named_through, person


def sent(hand: Any) -> int:
    return len(hand.city.machine_ledger())


def edit_marks(world: Any, count: int) -> list[str]:
    """Teachers correct a mark each of some pupils; their codes."""
    pupils: list[str] = []
    for user, item in world.portal.cells(FIRST_COURSE):
        if f"user:{user}" not in pupils and len(pupils) < count:
            pupils.append(f"user:{user}")
            best = float(item["grademax"])
            world.portal.edit(
                "set_grade",
                courseid=FIRST_COURSE,
                itemid=item["id"],
                userid=user,
                grade=best if item["graderaw"] < 0.8 * best else best / 2,
            )
    assert len(pupils) == count
    return pupils


def ask(synced: Any, *pupils: str, **more: Any) -> LockedAsked:
    plan = synced.planned.plan
    return LockedAsked(
        plan_id=plan.id, plan_hash=plan.hash, pupils=frozenset(pupils), reason="решение педсовета", **more
    )


def test_what_was_approved_before_the_signature_stays_and_its_plan_says_why(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.approve(hand.sync())
        queued = hand.states()["ready"]
        signed = sign_period(hand.gateway, "7 а", "2 четверть", reason="четверть сдана")
        hand.deliver()
        after = hand.sync()
        with pytest.raises(PlanRefusedError, match="подписан"):
            sign_period(hand.gateway, "7А", "2", reason="ещё раз")

        assert signed.swept.stopped == queued > 0
        assert sent(hand) == 0
        assert after.planned.plan.by_reason["PERIOD_SIGNED"] == queued
        assert {row.op for row in hand.decisions(after) if row.reason == "PERIOD_SIGNED"} == {"create"}
        with hand.gateway.store.read() as conn:
            found = conn.execute(select(discrepancy.c.type, discrepancy.c.owner).distinct()).all()
        assert [tuple(row) for row in found] == [("locked_period", "deputy_head")]
        hand.assert_sound()


def test_another_period_and_what_has_no_reason_are_not_touched(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.sync()
        sign_period(hand.gateway, "7А", "1", reason="сдана в октябре")
        for more, error in (
            (("7А", "2", " "), PlanRefusedError),
            (("7А", "3", "рано"), PlanRefusedError),
            (("7А", "1 триместр", "не их"), ConfigurationError),
            (("9Щ", "1", "нет такого"), ConfigurationError),
        ):
            with pytest.raises(error):
                sign_period(hand.gateway, *more[:2], reason=more[2])
        hand.through()

        assert sent(hand) == 23
        assert [one.name for one in load_signed(hand.gateway)] == ["1 Четверть"]
        hand.assert_sound()


def test_where_the_city_lists_no_periods_the_days_are_those_of_the_schools_calendar(small: Any) -> None:
    with small.open() as hand:
        hand.sync()
        quarter = YearPeriod(name="2 четверть", from_on=date(2026, 11, 3), to_on=date(2026, 12, 26), grades=(7,))
        year = SchoolYear(year="2026/27", from_on=date(2026, 9, 1), to_on=date(2027, 5, 31), periods=(quarter,))
        with hand.gateway.store.write() as conn:
            body = conn.execute(select(city_directory.c.body)).scalar_one()
            bare = msgspec.structs.replace(msgspec.json.decode(body, type=CityDirectory), periods=())
            conn.execute(update(city_directory).values(body=msgspec.json.encode(bare)))
            save_year(conn, year, source="год.toml", actor="office", now=hand.gateway.store.now(conn))
        signed = sign_period(hand.gateway, "7А", "2 Четверть", reason="сдана").signature

        assert [(one.period_id, one.from_on, one.to_on) for one in signed.periods] == [
            (0, date(2026, 11, 3), date(2026, 12, 26))
        ]


def test_a_period_that_is_opened_until_an_hour_lets_out_what_it_held_and_locks_again_by_itself(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = sent(hand)
        number = sign_period(hand.gateway, "7А", "2", reason="сдана").signature.id
        edit_marks(small, 1)
        held = hand.sync()
        hand.sync()  # a second plan holds the same record: it is let out, told and sent once
        soon = hand.gateway.now() + timedelta(minutes=30)
        opened = reopen_period(hand.gateway, number, until=soon, reason="забыли исправление")
        hand.deliver()
        in_time = sent(hand)
        with pytest.raises(PlanRefusedError, match="уже открыт"):
            reopen_period(hand.gateway, number, until=soon, reason="ещё раз")
        small.clock.advance(1900)
        edit_marks(small, 2)
        shut = hand.sync()

        assert held.planned.plan.by_reason["PERIOD_SIGNED"] == 1
        assert opened.released.queued == 1
        assert (in_time, sent(hand)) == (before + 1, before + 1)
        assert shut.planned.plan.by_reason["PERIOD_SIGNED"] >= 1
        with pytest.raises(PlanRefusedError):
            reopen_period(hand.gateway, number, until=hand.gateway.now() + timedelta(days=15), reason="надолго")
        with pytest.raises(PlanRefusedError):
            reopen_period(hand.gateway, 99, until=hand.gateway.now() + timedelta(hours=1), reason="не тот")
        hand.assert_sound()


def test_what_did_not_leave_in_the_hour_is_stopped_and_goes_in_the_next_one_under_its_own_key(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = sent(hand)
        number = sign_period(hand.gateway, "7А", "2", reason="сдана").signature.id
        edit_marks(small, 1)
        hand.sync()
        first = reopen_period(hand.gateway, number, until=hand.gateway.now() + timedelta(minutes=5), reason="на час")
        small.clock.advance(600)
        hand.deliver()
        too_late = sent(hand)
        key = hand.operations()[-1].idempotency_key
        again = reopen_period(hand.gateway, number, until=hand.gateway.now() + timedelta(minutes=5), reason="снова")
        hand.deliver()

        assert (first.released.queued, again.released.queued) == (1, 1)
        assert (too_late, sent(hand)) == (before, before + 1)
        assert hand.operations()[-1].idempotency_key == key
        hand.assert_sound()


def test_an_approval_lets_the_named_pupils_through_once_and_runs_out(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = sent(hand)
        sign_period(hand.gateway, "7А", "2", reason="сдана")
        named, other = edit_marks(small, 2)
        held = hand.sync()
        done = let_named_through(hand.gateway, ask(held, named))
        hand.deliver()
        after = sent(hand)
        with pytest.raises(PlanRefusedError, match="ничего не удержано"):
            let_named_through(hand.gateway, ask(held, named))
        late = let_named_through(hand.gateway, ask(held, other))
        small.clock.advance(25 * 3600)
        hand.deliver()

        assert (done.items, done.released.queued) == (1, 1)
        assert after == before + 1
        assert late.released.queued == 1
        assert sent(hand) == before + 1, "an approval that ran out lets nothing through"
        actions = [entry for entry in hand.actions() if entry.action.startswith("period.")]
        assert [entry.action for entry in actions[:4]] == [
            "period.signed",
            "period.approval_proposed",
            "period.pupil_named",
            "period.approved",
        ]
        assert all(entry.subject for entry in actions if entry.action == "period.pupil_named")
        hand.assert_sound()


def test_a_newer_signature_ends_what_was_approved_under_the_older_one(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = sent(hand)
        number = sign_period(hand.gateway, "7А", "2", reason="сдана").signature.id
        (pupil,) = edit_marks(small, 1)
        held = hand.sync()
        let_named_through(hand.gateway, ask(held, pupil))
        reopen_period(hand.gateway, number, until=hand.gateway.now() + timedelta(hours=1), reason="открыли")
        sign_period(hand.gateway, "7А", "2", reason="и сразу закрыли")
        hand.deliver()

        assert sent(hand) == before
        assert len(load_signed(hand.gateway)) == 1
        let_named_through(hand.gateway, ask(held, pupil))
        hand.deliver()
        assert sent(hand) == before + 1
        hand.assert_sound()


def test_what_was_proposed_under_an_older_signature_opens_no_newer_one(small: Any) -> None:
    """Whoever signs between the two words decides anew; the second word was about what the first one saw."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = sent(hand)
        number = sign_period(hand.gateway, "7А", "2", reason="сдана").signature.id
        (pupil,) = edit_marks(small, 1)
        held = hand.sync()
        made = propose_locked(hand.gateway, person(hand.gateway, "deputy"), ask(held, pupil))
        reopen_period(hand.gateway, number, until=hand.gateway.now() + timedelta(hours=1), reason="открыли")
        sign_period(hand.gateway, "7А", "2", reason="и снова закрыли")

        with pytest.raises(PlanRefusedError, match="подписан заново"):
            approve_locked(hand.gateway, person(hand.gateway, "director", Role.DIRECTOR), made.id, reason="да")
        hand.deliver()

        assert sent(hand) == before
        let_named_through(hand.gateway, ask(held, pupil))
        hand.deliver()
        assert sent(hand) == before + 1
        hand.assert_sound()


@pytest.mark.parametrize("lost", ["account", "post"])
def test_what_was_proposed_by_who_can_not_propose_it_today_is_let_through_by_nobody(small: Any, lost: str) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        sign_period(hand.gateway, "7А", "2", reason="сдана")
        (pupil,) = edit_marks(small, 1)
        made = propose_locked(hand.gateway, person(hand.gateway, "deputy"), ask(hand.sync(), pupil))
        office = build_office(hand.gateway)
        if lost == "account":
            disable_account(office, "deputy", reason="чужие руки в учётной записи")
        else:
            take_role(office, "deputy", Role.DEPUTY_HEAD)

        with pytest.raises(SecondPersonError, match="сегодня предложить этого не может"):
            approve_locked(hand.gateway, person(hand.gateway, "director", Role.DIRECTOR), made.id, reason="да")


def test_a_delete_in_a_signed_period_is_named_and_nobody_is_let_through_by_another_plan(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = sent(hand)
        sign_period(hand.gateway, "7А", "2", reason="сдана")
        user, item = next(iter(small.portal.cells(FIRST_COURSE)))
        small.portal.edit("clear_grade", courseid=FIRST_COURSE, itemid=item["id"], userid=user)
        hand.sync()
        hand.wait_grace()
        hand.sync()
        held = hand.sync()
        rows = [row for row in hand.decisions(held) if row.op == "delete"]
        with pytest.raises(PlanRefusedError, match="ничего не удержано"):
            let_named_through(hand.gateway, ask(held, f"user:{user}"))
        with pytest.raises(PlanRefusedError, match="не тот план"):
            let_named_through(
                hand.gateway,
                LockedAsked(
                    plan_id=held.planned.plan.id, plan_hash="0" * 64, pupils=frozenset({"user:1"}), reason="чужой"
                ),
            )
        hand.approve(held, with_deletes=True)
        hand.deliver()
        kept = sent(hand)
        done = let_named_through(hand.gateway, ask(held, f"user:{user}", with_deletes=True))
        hand.deliver()

        assert [(row.reason, row.gate) for row in rows] == [("PERIOD_SIGNED", "l.delete")]
        assert kept == before, "approving the plan opens no signed period"
        assert done.items == 1
        assert sent(hand) == before + 1
        hand.assert_sound()


@pytest.mark.parametrize("way", ["opened until an hour", "let through by name"])
def test_what_a_signature_holds_by_former_rules_goes_no_way_before_it_is_decided_anew(small: Any, way: str) -> None:
    """The plan went in part, and its locked rest was decided by rules that no longer count."""
    heavier = DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 7')
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        before = sent(hand)
        number = sign_period(hand.gateway, "7А", "2", reason="сдана").signature.id
        pupils = edit_marks(small, 1)
        held = hand.sync()
        assert held.planned.plan.by_reason["PERIOD_SIGNED"] == 1
        activate_rules(hand.gateway, heavier)

        if way.startswith("opened"):
            soon = hand.gateway.now() + timedelta(minutes=30)
            assert reopen_period(hand.gateway, number, until=soon, reason="забыли").released.queued == 0
        else:
            with pytest.raises(PlanRefusedError, match="по прежним правилам"):
                let_named_through(hand.gateway, ask(held, *pupils))
        hand.deliver()
        assert sent(hand) == before

        again = hand.sync()
        if way.startswith("let"):
            let_named_through(hand.gateway, ask(again, *pupils))
            hand.deliver()
        assert sent(hand) == before + 1
        hand.assert_sound()


def test_a_one_time_approval_stands_for_no_guard(small: Any) -> None:
    """What a guard holds behind the signature goes when both were let: the pupils named, and the plan with what is held."""
    with small.open() as hand:
        hand.link_everybody()
        hand.until_quiet()
    small.settings_changes["school"] = {"guard_lanes": "hold", "guard_change_count": 1, "guard_past_count": 1000}
    with small.open() as hand:
        sign_period(hand.gateway, "7А", "2", reason="сдана")
        pupils = edit_marks(small, 2)
        before = sent(hand)
        held = hand.sync()
        assert "lane_changes" in {row.guard for row in held.planned.plan.guards if row.verdict == "hold"}

        let_named_through(hand.gateway, ask(held, *pupils))
        hand.deliver()
        assert sent(hand) == before

        hand.approve(held, with_held=True)
        hand.deliver()
        assert sent(hand) == before + len(pupils)
        hand.assert_sound()
