"""Schedules over both sandboxes: what goes by itself, what is held until noon, the sign of life, runs that died."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.connectors.port import Want
from gateway.domain.errors import AlreadyRunningError
from gateway.domain.identifiers import Kind
from gateway.flows.held import HELD
from gateway.flows.plan import make_plan
from gateway.flows.pull import pull
from gateway.flows.runs import RunState, finish_run, get_run
from gateway.flows.tables import schedule_state
from gateway.flows.turns import begin_run
from gateway.queue.outbox import release
from gateway.reconcile.plan import PlanState, load_plan
from gateway.reconcile.tables import decision
from gateway.report.plan_view import iter_plan_lines
from gateway.sandbox.serve import serve_in_thread
from gateway.worker.schedule import Ran, run_due

ALL_OFF = {name: {"mode": "off"} for name in ("everything", "homework", "marks")}
NIGHT = {"everything": {"cron": "0 2 * * *", "mode": "automatic"}}
MOSCOW = ZoneInfo("Europe/Moscow")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW).astimezone(UTC)


def look(world: Any, hand: Any, text: str | None = None) -> list[Ran]:
    """Let the time pass until then, and look for what is due."""
    if text is not None:
        world.clock.advance((at(text) - world.clock.now()).total_seconds())
    return run_due(lambda: nullcontext(hand.gateway), hand.gateway.now())


def set_schedule(world: Any, **schedule: Any) -> None:
    world.settings_changes["schedule"] = {**ALL_OFF, **schedule}


def change_mark(world: Any, number: int, value: float) -> None:
    courseid = world.portal.courses()[0]
    userid, item = world.portal.cells(courseid)[number]
    world.portal.edit("set_grade", courseid=courseid, userid=userid, itemid=item["id"], grade=value)


def held_rows(hand: Any, ran: Ran) -> list[Any]:
    assert ran.synced is not None
    rows = hand.decisions(ran.synced)
    return [row for row in rows if row.category == "held" or (row.op is not None and row.gate != "none")]


def held_next(hand: Any) -> datetime | None:
    with hand.gateway.store.read() as conn:
        found: datetime | None = conn.execute(
            select(schedule_state.c.next_at).where(schedule_state.c.name == HELD)
        ).scalar_one_or_none()
    return found


def test_what_is_held_is_counted_with_its_noon_decided_again_there_and_never_lost(small: Any) -> None:
    """A first load asks a person. Nobody answers for two days: at each noon it is decided again and held again."""
    set_schedule(small, **NIGHT)
    with small.open() as hand:
        hand.link_everybody()
        look(small, hand)

        night = look(small, hand, "2026-11-24 02:00:05")[0]
        rows = held_rows(hand, night)
        assert night.state == RunState.WAITING
        assert rows
        assert {row.due_on for row in rows} == {date(2026, 11, 24)}
        assert night.synced is not None
        assert night.synced.planned is not None
        with hand.gateway.store.read() as conn:
            lines = list(iter_plan_lines(conn, hand.place_id(), night.synced.planned.plan.id))
        assert {line.due_on for line in lines if line.seq in {row.seq for row in rows}} == {date(2026, 11, 24)}
        assert get_run(hand.gateway, night.run_id).counters["held"] == {
            "count": len(rows),
            "due_at": at("2026-11-24 12:00").isoformat(),
        }

        noons = [
            ran
            for text in ("2026-11-24 11:59", "2026-11-24 12:00", "2026-11-25 02:00", "2026-11-25 12:00")
            for ran in look(small, hand, text)
        ]
        assert [(ran.name, ran.slot_at) for ran in noons] == [
            (HELD, at("2026-11-24 12:00")),
            ("everything", at("2026-11-25 02:00")),
            (HELD, at("2026-11-25 12:00")),
        ]
        assert [len(held_rows(hand, ran)) for ran in noons] == [len(rows)] * 3
        assert {row.due_on for row in held_rows(hand, noons[-1])} == {date(2026, 11, 26)}
        assert small.city.machine_ledger() == []

        assert noons[-1].synced is not None
        hand.approve(noons[-1].synced)
        hand.deliver()
        look(small, hand, "2026-11-26 02:00")
        assert held_next(hand) is None
        hand.assert_sound()
        assert len(small.city.machine_ledger()) >= len(rows)


def miss_lesson(portal: Any, *missed: int) -> None:
    """Of the last lesson only these pupils are absent, of the others nobody."""
    courseid = portal.courses()[0]
    for sessions in portal.sandbox.book.course(courseid).sessions.values():
        for session in sessions:
            for user in [one["studentid"] for one in session["attendance_log"]]:
                acronym = "A" if session is sessions[-1] and user in missed else "P"
                portal.edit("set_attendance", courseid=courseid, sessionid=session["id"], userid=user, acronym=acronym)


def test_what_no_guard_holds_goes_on_by_itself_and_the_rest_waits(build_world: Any) -> None:
    """Most marks change at once, which the guard holds; an absence of the same evening goes out alone."""
    small = build_world(pupils=3, prepare=lambda portal: miss_lesson(portal, 1000))
    small.settings_changes["school"] = {"guard_minimum_count": 0, "guard_change_ratio": 0.2}
    set_schedule(small, **NIGHT)
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        look(small, hand)
        before = len(small.city.machine_ledger())
        for number, _ in enumerate(small.portal.cells(small.portal.courses()[0])):
            change_mark(small, number, 2.0 + number % 3)
        miss_lesson(small.portal, 1000, 1001)

        ran = look(small, hand, "2026-11-24 02:00:05")[0]

        rows = held_rows(hand, ran)
        assert {row.reason for row in rows} == {"GUARD_HOLD"}
        assert {row.due_on for row in rows} == {date(2026, 11, 24)}
        assert ran.synced is not None
        assert ran.synced.held is not None
        assert ran.synced.held.count == len(rows)
        assert ran.synced.planned is not None
        assert ran.synced.planned.plan.counters["held"] == len(rows)
        assert [entry["kind"] for entry in small.city.machine_ledger()[before:]] == ["absence"]
        assert held_next(hand) == at("2026-11-24 12:00")


def test_a_schedule_that_asks_first_sends_nothing_unasked(small: Any) -> None:
    set_schedule(small, everything={"cron": "0 2 * * *", "mode": "approve"})
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        look(small, hand)
        before = len(small.city.machine_ledger())
        change_mark(small, 0, 3.0)

        ran = look(small, hand, "2026-11-24 02:00:05")[0]

        assert ran.state == RunState.WAITING
        assert len(small.city.machine_ledger()) == before
        assert ran.synced is not None
        hand.approve(ran.synced)
        hand.deliver()
        assert len(small.city.machine_ledger()) == before + 1


def test_a_schedule_that_only_looks_leaves_a_plan_that_can_not_be_sent(small: Any) -> None:
    set_schedule(small, everything={"cron": "0 2 * * *", "mode": "observe"})
    with small.open() as hand:
        hand.link_everybody()
        look(small, hand)

        ran = look(small, hand, "2026-11-24 02:00:05")[0]

        assert ran.synced is not None
        assert ran.synced.planned is not None
        assert ran.synced.planned.plan.is_dry_run
        assert ran.synced.delivered is None
        assert small.city.machine_ledger() == []


@contextmanager
def serve_watcher(status: int) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """An outside watcher: its address, and what it was asked."""
    asked: list[tuple[str, str, str]] = []

    def answer(request: Request) -> Response:
        asked.append((request.method, request.url.path, request.url.query))
        return Response("", status)

    with serve_in_thread(Starlette(routes=[Route("/{rest:path}", answer)])) as there:
        yield there.base_url, asked


def test_after_a_scheduled_run_the_watcher_gets_its_sign(small: Any, tmp_path: Path) -> None:
    with serve_watcher(200) as (url, asked):
        file = tmp_path / "sign"
        set_schedule(small, **NIGHT, heartbeat_url=f"{url}/ping/geheim?rid=1", heartbeat_file=str(file))
        with small.open() as hand:
            hand.link_everybody()
            look(small, hand)
            assert asked == []

            ran = look(small, hand, "2026-11-24 02:00:05")[0]

            assert asked == [("GET", "/ping/geheim", "rid=1")]
            assert file.read_text().split()[:2] == [str(ran.run_id), "waiting_approval"]
            assert get_run(hand.gateway, ran.run_id).problems == []


def test_a_watcher_that_does_not_answer_is_a_remark_and_no_failed_run(small: Any, tmp_path: Path) -> None:
    with serve_watcher(500) as (url, _):
        folder = tmp_path / "not" / "there"
        set_schedule(small, **NIGHT, heartbeat_url=f"{url}/ping/geheim", heartbeat_file=str(folder / "sign"))
        with small.open() as hand:
            hand.link_everybody()
            hand.through()
            look(small, hand)

            ran = look(small, hand, "2026-11-24 02:00:05")[0]

            row = get_run(hand.gateway, ran.run_id)
            assert row.state == RunState.REMARKS
            assert [problem["reason"] for problem in row.problems] == ["HEARTBEAT_FAILED", "HEARTBEAT_FAILED"]
            assert "geheim" not in str(row.problems)
            assert ran.synced is not None
            assert ran.synced.exit_code == 0


@pytest.mark.row("A28")
def test_a_failed_run_gives_no_sign_and_is_tried_again_when_the_city_is_back(small: Any, tmp_path: Path) -> None:
    file = tmp_path / "sign"
    set_schedule(small, **NIGHT, heartbeat_file=str(file))
    with small.open() as hand:
        hand.link_everybody()
        look(small, hand)

        with small.city.down():
            failed = look(small, hand, "2026-11-24 02:00:05")[0]
        assert failed.state == RunState.FAILED
        assert failed.synced is None
        assert not file.exists()

        assert look(small, hand, "2026-11-24 02:05") == []
        again = look(small, hand, "2026-11-24 02:30")[0]
        assert (again.name, again.slot_at) == ("everything", failed.slot_at)
        assert again.state == RunState.WAITING
        assert file.exists()


@pytest.mark.row("B16")
def test_a_class_on_demand_between_a_nights_plan_and_its_release_takes_nothing_from_it(small: Any) -> None:
    """The night has sealed its plan; one class is synced on demand; then the night lets its plan out: each mark once."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        change_mark(small, 0, 3.0)
        change_mark(small, 1, 3.0)
        g, before = hand.gateway, len(small.city.machine_ledger())
        night = begin_run(g, "sync", hand.want)
        pull(g, hand.want, night)
        planned = make_plan(g, hand.want, night)
        narrow = Want(class_names=frozenset({"7А"}), from_on=hand.want.from_on, to_on=hand.want.to_on)

        beside = hand.sync(want=narrow)
        with pytest.raises(AlreadyRunningError):
            hand.sync()
        release(g.store, g.audit, g.place, planned.plan.id, lane="nightly", actor=g.actor)
        finish_run(g, night, RunState.DONE, counters={})
        hand.deliver()

        assert beside.delivered is not None
        assert beside.delivered.verified == 2
        assert len(small.city.machine_ledger()) == before + 2
        hand.assert_sound()


def test_a_plan_of_less_leaves_a_wider_one_to_the_person_who_reads_it(small: Any) -> None:
    """The night's plan waits; an hourly run of absences must not make it stale before the deputy head comes."""
    with small.open() as hand:
        hand.link_everybody()
        wide = hand.sync()
        narrow = Want(
            kinds=frozenset(Kind) - {Kind.MARK, Kind.HOMEWORK, Kind.ATTEMPT},
            from_on=hand.want.from_on,
            to_on=hand.want.to_on,
        )

        hand.sync(want=narrow)
        with hand.gateway.store.read() as conn:
            assert wide.planned is not None
            kept = load_plan(conn, wide.planned.plan.id).state
        hand.approve(wide)
        hand.deliver()
        again = hand.sync()

        assert kept == PlanState.WAITING
        assert again.delivered is not None
        assert again.delivered.sent == 0
        hand.assert_sound()


def test_a_plan_of_as_much_replaces_the_older_one(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        older = hand.sync()
        hand.sync()

        with hand.gateway.store.read() as conn:
            assert older.planned is not None
            assert load_plan(conn, older.planned.plan.id).state == PlanState.STALE


@pytest.mark.parametrize("blow", [KeyboardInterrupt, ZeroDivisionError])
def test_a_run_that_is_broken_off_does_not_keep_the_next_one_waiting(small: Any, blow: type[BaseException]) -> None:
    """Ctrl-C at a terminal, and a fault of ours."""

    def break_off(stage: str, done: int, total: int | None = None) -> None:
        raise blow

    with small.open() as hand:
        hand.link_everybody()
        whole = hand.gateway
        hand.gateway = replace(whole, progress=break_off)
        with pytest.raises(blow):
            hand.sync()
        hand.gateway = whole

        newest = hand.runs()[0]
        assert newest.state == RunState.INTERRUPTED
        assert blow.__name__ in str(newest.sentence)
        assert hand.sync().planned is not None


@pytest.mark.row("D9")
def test_the_night_over_midnight_keeps_the_day_it_began_on(small: Any) -> None:
    """The days that a run asks for are those of its beginning, however long it lasts."""
    set_schedule(small, late={"cron": "59 23 * * *", "from_day": -20, "to_day": 0})
    with small.open() as hand:
        hand.link_everybody()
        look(small, hand)

        ran = look(small, hand, "2026-11-23 23:59:30")[0]

        with hand.gateway.store.read() as conn:
            assert ran.synced is not None
            assert ran.synced.planned is not None
            days = conn.execute(
                select(decision.c.on_date).where(
                    decision.c.plan_id == ran.synced.planned.plan.id, decision.c.on_date.is_not(None)
                )
            ).scalars()
            assert all(date(2026, 11, 3) <= day <= date(2026, 11, 23) for day in days)
