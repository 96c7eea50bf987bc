"""Claims of slots in the store, on both databases: once a slot, nothing lost, nobody waits for the dead."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import select, update

from gateway.connectors.port import Want
from gateway.domain.calendar import DayRange
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import AlreadyRunningError, ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.flows.calendar import load_calendar
from gateway.flows.gateway import Gateway
from gateway.flows.held import HELD
from gateway.flows.holder import describe_holder, is_gone
from gateway.flows.runs import RunState, finish_run, get_run, load_runs
from gateway.flows.tables import schedule_slot, schedule_state
from gateway.flows.turns import ASKED, Beating, ask_run, begin_run, forget_asked, run_lease, store_wish, to_want
from gateway.reconcile.tables import run
from gateway.store.transaction import Store
from gateway.worker import claims
from gateway.worker.claims import MAX_TRIES, Claim, begin_by_hand, claim_next

Make = Callable[..., Gateway]
NIGHT = {"everything": {"cron": "0 2 * * *", "mode": "automatic"}}
MOSCOW = ZoneInfo("Europe/Moscow")
ELSEWHERE = "elsewhere/1/1"


def at(text: str) -> datetime:
    """A moment by the clock on the school's wall."""
    return datetime.fromisoformat(text).replace(tzinfo=MOSCOW).astimezone(UTC)


def build_whole(**narrower: Any) -> Want:
    return Want(from_on=at("2026-09-01").date(), to_on=at("2027-08-31").date(), **narrower)


def go_to(gateway: Gateway, text: str) -> datetime:
    """Let the time pass until then; it begins at 08:00 of Monday 23 November."""
    clock = gateway.clock
    assert isinstance(clock, VirtualClock)
    clock.advance((at(text) - clock.now()).total_seconds())
    return clock.now()


def end(
    gateway: Gateway, claim: Claim | None, state: RunState = RunState.DONE, *, due_again_at: datetime | None = None
) -> Claim:
    assert claim is not None
    finish_run(gateway, claim.run_id, state, counters={}, due_again_at=due_again_at)
    return claim


def slots(gateway: Gateway) -> list[tuple[str, datetime, int, int]]:
    with gateway.store.read() as conn:
        rows = conn.execute(select(schedule_slot).order_by(schedule_slot.c.slot_at, schedule_slot.c.name)).all()
    return [(row.name, row.slot_at, row.passed_count, row.tries) for row in rows]


def next_at(gateway: Gateway, name: str) -> datetime | None:
    with gateway.store.read() as conn:
        found: datetime | None = conn.execute(
            select(schedule_state.c.next_at).where(schedule_state.c.name == name)
        ).scalar_one()
    return found


def make_strange(gateway: Gateway, run_id: int) -> None:
    """Another machine works on it, so only its heartbeat tells whether it lives."""
    with gateway.store.write() as conn:
        conn.execute(update(run).where(run.c.id == run_id).values(holder=ELSEWHERE))


def test_a_new_schedule_waits_for_its_first_slot(make_gateway: Make) -> None:
    gateway = make_gateway(**NIGHT)

    assert claim_next(gateway, gateway.now()) is None
    assert next_at(gateway, "everything") == at("2026-11-24 02:00")


def test_a_slot_is_begun_once_and_the_next_one_waits(make_gateway: Make) -> None:
    gateway = make_gateway(**NIGHT)
    claim_next(gateway, gateway.now())
    now = go_to(gateway, "2026-11-24 02:00:03")

    first = end(gateway, claim_next(gateway, now))

    assert (first.name, first.slot_at, first.passed_count) == ("everything", at("2026-11-24 02:00"), 1)
    assert claim_next(gateway, now) is None
    assert next_at(gateway, "everything") == at("2026-11-25 02:00")


def test_missed_slots_are_one_run_and_their_number_is_kept(make_gateway: Make) -> None:
    gateway = make_gateway(marks={"cron": "0 8-20 * * *", "mode": "automatic"})
    claim_next(gateway, gateway.now())
    now = go_to(gateway, "2026-11-23 13:30")

    end(gateway, claim_next(gateway, now))

    assert claim_next(gateway, now) is None
    assert slots(gateway) == [("marks", at("2026-11-23 13:00"), 5, 1)]


def test_a_skipped_slot_is_counted_in_the_next_one(make_gateway: Make) -> None:
    night = {"cron": "0 2 * * *", "window": "00:00-06:00", "mode": "automatic"}
    gateway = make_gateway(everything=night)
    claim_next(gateway, gateway.now())

    skipped = claim_next(gateway, go_to(gateway, "2026-11-24 09:30"))
    end(gateway, claim_next(gateway, go_to(gateway, "2026-11-25 02:00:01")))

    assert skipped is None
    assert slots(gateway) == [("everything", at("2026-11-25 02:00"), 2, 1)]


@pytest.mark.row("A28", "D8")
def test_nothing_begins_on_a_silent_day_and_the_first_slot_after_it_does(make_gateway: Make) -> None:
    gateway = make_gateway(**NIGHT, silent={"from": "2026-11-24", "to": "2026-11-26"})

    begun = []
    for day in range(23, 29):
        claim = claim_next(gateway, go_to(gateway, f"2026-11-{day} 10:00"))
        if claim is not None:
            begun.append(end(gateway, claim).slot_at)

    assert begun == [at("2026-11-27 02:00"), at("2026-11-28 02:00")]


def test_what_began_before_a_silent_day_is_let_finish(make_gateway: Make) -> None:
    late = {"cron": "55 23 * * *", "mode": "automatic"}
    gateway = make_gateway(everything=late, silent={"from": "2026-11-24", "to": "2026-11-26"})
    claim_next(gateway, gateway.now())
    claim = claim_next(gateway, go_to(gateway, "2026-11-23 23:55"))
    assert claim is not None

    go_to(gateway, "2026-11-24 00:05")

    assert claim_next(gateway, gateway.now()) is None
    assert get_run(gateway, claim.run_id).state == RunState.RUNNING


def test_two_whole_schedules_of_one_moment_run_one_after_the_other_and_none_is_lost(make_gateway: Make) -> None:
    both = {"cron": "0 18 * * *", "mode": "automatic"}
    gateway = make_gateway(homework={**both, "kinds": ["homework"]}, marks={**both, "kinds": ["mark"]})
    claim_next(gateway, gateway.now())
    now = go_to(gateway, "2026-11-23 18:00:02")

    first = claim_next(gateway, now)
    beside = claim_next(gateway, now)
    end(gateway, first)
    second = end(gateway, claim_next(gateway, now))

    assert first is not None
    assert beside is None
    assert [first.name, second.name] == ["homework", "marks"]
    assert second.passed_count == 1


def test_a_narrow_schedule_goes_on_beside_a_whole_run(make_gateway: Make) -> None:
    gateway = make_gateway(news={"cron": "0 * * * *", "classes": ["7а"]})
    claim_next(gateway, gateway.now())
    now = go_to(gateway, "2026-11-23 09:00")
    begin_run(gateway, "sync", build_whole())

    claim = claim_next(gateway, now)

    assert claim is not None
    assert claim.want.class_names == {"7А"}


def test_a_schedule_asks_for_its_kinds_with_what_they_hang_on(make_gateway: Make) -> None:
    gateway = make_gateway(
        homework={"cron": "0 9 * * *", "kinds": ["homework"], "from_day": -14, "to_day": 7, "mode": "automatic"}
    )
    claim_next(gateway, gateway.now())

    claim = claim_next(gateway, go_to(gateway, "2026-11-23 09:00"))

    assert claim is not None
    assert claim.want.kinds & {Kind.MARK, Kind.ABSENCE, Kind.ATTEMPT, Kind.HOMEWORK} == {Kind.HOMEWORK}
    assert {Kind.PERSON, Kind.GROUP, Kind.LESSON} <= claim.want.kinds
    assert (f"{claim.want.from_on}", f"{claim.want.to_on}") == ("2026-11-09", "2026-11-30")


def test_a_schedule_with_a_class_that_is_none_keeps_no_other_waiting(make_gateway: Make) -> None:
    gateway = make_gateway(broken={"cron": "0 9 * * *", "classes": [""]}, good={"cron": "0 9 * * *"})
    claim_next(gateway, gateway.now())

    claim = claim_next(gateway, go_to(gateway, "2026-11-23 09:00"))

    assert claim is not None
    assert claim.name == "good"


def test_a_changed_expression_counts_from_now_and_a_removed_schedule_is_forgotten(make_gateway: Make) -> None:
    gateway = make_gateway(**NIGHT)
    claim_next(gateway, gateway.now())
    changed = make_gateway(everything={"cron": "0 3 * * *", "mode": "automatic"})
    now = go_to(gateway, "2026-11-24 04:00")

    assert claim_next(changed, now) is None
    assert next_at(changed, "everything") == at("2026-11-25 03:00")
    assert claim_next(make_gateway(), now) is None
    with gateway.store.read() as conn:
        assert conn.execute(select(schedule_state)).all() == []


def import_edition(monkeypatch: pytest.MonkeyPatch, gateway: Gateway, **changes: Any) -> None:
    """Let another edition of the school's calendar be in use."""
    edition = msgspec.structs.replace(load_calendar(gateway), **changes)
    monkeypatch.setattr(claims, "load_calendar", lambda *_: edition)


def test_a_slot_that_is_due_outlives_another_edition_of_the_calendar(
    make_gateway: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = make_gateway(**NIGHT)
    claim_next(gateway, gateway.now())
    now = go_to(gateway, "2026-11-24 04:00")
    import_edition(monkeypatch, gateway, silent=(DayRange(date(2027, 1, 1), date(2027, 1, 8)),))

    claim = end(gateway, claim_next(gateway, now))

    assert claim.slot_at == at("2026-11-24 02:00")
    assert next_at(gateway, "everything") == at("2026-11-25 02:00")


def test_a_school_day_moved_onto_a_saturday_has_its_slots_from_the_moment_it_is_known(
    make_gateway: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = make_gateway(homework={"cron": "0 18 * * *", "mode": "automatic", "school_days_only": True})
    claim_next(gateway, gateway.now())
    end(gateway, claim_next(gateway, go_to(gateway, "2026-11-27 18:00:03")))
    assert next_at(gateway, "homework") == at("2026-11-30 18:00")
    import_edition(monkeypatch, gateway, extra=frozenset({date(2026, 11, 28)}))
    claim_next(gateway, go_to(gateway, "2026-11-28 08:00"))

    claim = claim_next(gateway, go_to(gateway, "2026-11-28 18:00:03"))

    assert claim is not None
    assert claim.slot_at == at("2026-11-28 18:00")


def race(url: str, compose: Make, start_at: datetime, barrier: Any, found: Any) -> None:
    """One of several processes: looks at each of three nights until nothing is due."""
    clock = VirtualClock(start_at)
    store = Store.open(url, clock)
    gateway = compose(store, **NIGHT)
    claim_next(gateway, clock.now())
    for night in (24, 25, 26):
        clock.advance((at(f"2026-11-{night} 02:00:01") - clock.now()).total_seconds())
        barrier.wait()
        while (claim := claim_next(gateway, clock.now())) is not None:
            found.put((os.getpid(), claim.slot_at.isoformat(), claim.passed_count))
            finish_run(gateway, claim.run_id, RunState.DONE, counters={})
        barrier.wait()
    store.close()


@pytest.mark.row("B15")
def test_three_racing_processes_begin_one_run_a_night(
    store: Store, database_url: str, clock: VirtualClock, compose: Make
) -> None:
    """Three processes, three nights, all of them looking at the same moment."""
    fork = multiprocessing.get_context("fork")
    barrier, found = fork.Barrier(3), fork.SimpleQueue()
    store.engine.dispose()
    racers = [fork.Process(target=race, args=(database_url, compose, clock.now(), barrier, found)) for _ in range(3)]

    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(60)

    assert [racer.exitcode for racer in racers] == [0, 0, 0]
    got = []
    while not found.empty():
        got.append(found.get())
    begun = Counter(slot for _, slot, _ in got)
    nights = {at(f"2026-11-{night} 02:00").isoformat(): 1 for night in (24, 25, 26)}
    assert begun == nights
    assert {passed for *_, passed in got} == {1}
    assert len(slots(compose(store, **NIGHT))) == 3


@pytest.mark.row("B14")
def test_a_second_whole_run_is_refused_by_the_number_of_the_first(make_gateway: Make) -> None:
    gateway = make_gateway()
    first = begin_run(gateway, "sync", build_whole())

    with pytest.raises(AlreadyRunningError, match=str(first)) as caught:
        begin_run(gateway, "sync", build_whole(kinds=frozenset({Kind.MARK})))

    assert caught.value.run_id == first
    assert len(load_runs(gateway)) == 1


def test_a_run_of_one_class_goes_on_beside_a_whole_one(make_gateway: Make) -> None:
    gateway = make_gateway()
    begin_run(gateway, "sync", build_whole())

    begin_run(gateway, "sync", build_whole(class_names=frozenset({"7А"})))

    assert [row.state for row in load_runs(gateway)] == ["running", "running"]


def begin_child(url: str, compose: Make, start_at: datetime, barrier: Any, found: Any) -> None:
    store = Store.open(url, VirtualClock(start_at))
    gateway = compose(store)
    barrier.wait()
    try:
        found.put(begin_run(gateway, "sync", build_whole()))
    except AlreadyRunningError as error:
        found.put(-error.run_id)
    barrier.wait()
    store.close()


@pytest.mark.row("B14")
def test_of_three_processes_that_begin_at_the_same_moment_one_runs(
    store: Store, database_url: str, clock: VirtualClock, compose: Make
) -> None:
    fork = multiprocessing.get_context("fork")
    barrier, found = fork.Barrier(3), fork.SimpleQueue()
    store.engine.dispose()
    children = [
        fork.Process(target=begin_child, args=(database_url, compose, clock.now(), barrier, found)) for _ in range(3)
    ]

    for child in children:
        child.start()
    for child in children:
        child.join(60)

    got = sorted(found.get() for _ in children)
    assert got == [-1, -1, 1]


def die(url: str, compose: Make, start_at: datetime) -> None:
    store = Store.open(url, VirtualClock(start_at))
    begin_run(compose(store), "sync", build_whole())
    os._exit(9)


def test_a_run_whose_process_was_killed_is_seen_at_once_and_ended_with_a_sentence(
    store: Store, database_url: str, clock: VirtualClock, compose: Make
) -> None:
    fork = multiprocessing.get_context("fork")
    store.engine.dispose()
    child = fork.Process(target=die, args=(database_url, compose, clock.now()))
    child.start()
    child.join(60)
    gateway = compose(store)
    assert child.exitcode == 9
    assert [row.state for row in load_runs(gateway)] == ["running"]

    begin_run(gateway, "sync", build_whole())

    newer, older = load_runs(gateway)
    assert (newer.state, older.state) == ("running", "interrupted")
    assert older.finished_at is not None
    assert str(older.sentence).startswith("Прерван: процесс запуска исчез")


@pytest.mark.row("C11")
def test_another_machines_run_is_believed_until_its_lease_is_over(make_gateway: Make, clock: VirtualClock) -> None:
    gateway = make_gateway()
    run_id = begin_run(gateway, "sync", build_whole())
    make_strange(gateway, run_id)
    clock.advance(run_lease(gateway).total_seconds() - 1)

    with pytest.raises(AlreadyRunningError):
        begin_run(gateway, "sync", build_whole())
    clock.advance(2)
    begin_run(gateway, "sync", build_whole())

    assert get_run(gateway, run_id).state == RunState.INTERRUPTED


def test_progress_is_the_sign_of_life_of_a_run(make_gateway: Make, clock: VirtualClock) -> None:
    gateway = make_gateway()
    run_id = begin_run(gateway, "sync", build_whole())
    make_strange(gateway, run_id)
    progress = Beating(gateway, run_id)

    for done in range(30):
        clock.advance(run_lease(gateway).total_seconds() / 5)
        progress("pull", done)

    with pytest.raises(AlreadyRunningError):
        begin_run(gateway, "sync", build_whole())


def test_the_lease_is_never_shorter_than_the_longest_silence_of_a_living_run(make_gateway: Make) -> None:
    """A batch of 500 operations at one in ten seconds lasts 5000 s."""
    gateway = make_gateway(run_lease_s=1)
    slow = load_slow(gateway, rate_per_s=0.1)

    assert run_lease(gateway).total_seconds() >= 2 * (2 * (10 + 5) + 60)
    assert run_lease(slow).total_seconds() >= 2 * 5000


def load_slow(gateway: Gateway, *, rate_per_s: float) -> Gateway:
    mesh = gateway.settings.mesh.model_copy(update={"rate_per_s": rate_per_s})
    return replace(gateway, settings=gateway.settings.model_copy(update={"mesh": mesh}))


def test_a_living_process_is_not_gone_and_a_strangers_is_not_judged() -> None:
    mine = describe_holder()
    host, number, started = mine.rsplit("/", 2)

    assert not is_gone(mine)
    assert is_gone(f"{host}/{number}/1")
    assert is_gone(f"{host}/999999999/{started}")
    assert not is_gone(f"{host}x/999999999/{started}")
    assert not is_gone(f"{host}/999999999/")
    assert not is_gone(None)


def test_the_slot_of_a_dead_run_is_begun_again_and_given_up_after_three(
    make_gateway: Make, clock: VirtualClock
) -> None:
    gateway = make_gateway(**NIGHT)
    claim_next(gateway, gateway.now())
    go_to(gateway, "2026-11-24 02:00")

    runs = []
    for _ in range(MAX_TRIES):
        claim = claim_next(gateway, clock.now())
        assert claim is not None
        runs.append((claim.slot_at, claim.tries))
        make_strange(gateway, claim.run_id)
        clock.advance(run_lease(gateway).total_seconds() + 1)

    assert runs == [(at("2026-11-24 02:00"), number) for number in (1, 2, 3)]
    assert claim_next(gateway, clock.now()) is None
    assert [row.state for row in load_runs(gateway)] == ["interrupted"] * 3
    assert slots(gateway) == [("everything", at("2026-11-24 02:00"), 1, 3)]


def test_a_dead_runs_slot_gives_way_to_a_newer_one(make_gateway: Make, clock: VirtualClock) -> None:
    gateway = make_gateway(**NIGHT)
    claim_next(gateway, gateway.now())
    claim = claim_next(gateway, go_to(gateway, "2026-11-24 02:00"))
    assert claim is not None
    end(gateway, claim, RunState.FAILED, due_again_at=at("2026-11-25 02:30"))
    end(gateway, claim_next(gateway, go_to(gateway, "2026-11-25 02:00")))

    assert claim_next(gateway, go_to(gateway, "2026-11-25 02:31")) is None
    assert len(slots(gateway)) == 2


def test_a_slot_that_failed_for_a_passing_reason_is_begun_again_at_its_time(make_gateway: Make) -> None:
    gateway = make_gateway(**NIGHT)
    claim_next(gateway, gateway.now())
    begun = claim_next(gateway, go_to(gateway, "2026-11-24 02:00"))
    claim = end(gateway, begun, RunState.FAILED, due_again_at=at("2026-11-24 02:10"))

    early = claim_next(gateway, go_to(gateway, "2026-11-24 02:09"))
    again = claim_next(gateway, go_to(gateway, "2026-11-24 02:10"))

    assert early is None
    assert again is not None
    assert (again.slot_at, again.tries, again.want) == (claim.slot_at, 2, claim.want)


def test_what_was_asked_for_beside_a_run_begins_after_it_as_one(make_gateway: Make) -> None:
    gateway = make_gateway()
    running = begin_run(gateway, "sync", build_whole())
    ask_run(gateway, build_whole(kinds=frozenset({Kind.MARK})))
    ask_run(gateway, build_whole(kinds=frozenset({Kind.HOMEWORK})))

    beside = claim_next(gateway, gateway.now())
    finish_run(gateway, running, RunState.DONE, counters={})
    claim = end(gateway, claim_next(gateway, gateway.now()))

    assert beside is None
    assert (claim.name, claim.mode) == (ASKED, "automatic")
    assert claim.want.kinds == {Kind.MARK, Kind.HOMEWORK}
    assert claim_next(gateway, gateway.now()) is None


def test_a_later_run_of_everything_answers_what_was_asked_for(make_gateway: Make) -> None:
    gateway = make_gateway()
    ask_run(gateway, build_whole(kinds=frozenset({Kind.MARK})))

    run_id = begin_run(gateway, "sync", build_whole())
    finish_run(gateway, run_id, RunState.DONE, counters={})
    forget_asked(gateway, run_id)

    assert claim_next(gateway, gateway.now()) is None


def test_what_was_asked_for_while_a_run_goes_on_is_not_answered_by_its_end(
    make_gateway: Make, clock: VirtualClock
) -> None:
    gateway = make_gateway()
    run_id = begin_run(gateway, "sync", build_whole())
    clock.advance(1)
    ask_run(gateway, build_whole())
    finish_run(gateway, run_id, RunState.DONE, counters={})

    forget_asked(gateway, run_id)

    assert claim_next(gateway, gateway.now()) is not None


def test_a_later_run_of_less_does_not_answer_it(make_gateway: Make) -> None:
    gateway = make_gateway()
    ask_run(gateway, build_whole())

    run_id = begin_run(gateway, "sync", build_whole(kinds=frozenset({Kind.MARK})))
    finish_run(gateway, run_id, RunState.DONE, counters={})
    forget_asked(gateway, run_id)

    assert claim_next(gateway, gateway.now()) is not None


def test_what_is_held_begins_at_its_noon_in_the_mode_it_was_held_in(make_gateway: Make) -> None:
    gateway = make_gateway(**NIGHT)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        store_wish(conn, place_id, HELD, next_at=at("2026-11-23 12:00"), want=build_whole(), mode="approve")

    early = claim_next(gateway, go_to(gateway, "2026-11-23 11:59"))
    claim = claim_next(gateway, go_to(gateway, "2026-11-23 12:00"))

    assert early is None
    assert claim is not None
    assert (claim.name, claim.mode, claim.want) == (HELD, "approve", build_whole())


@pytest.mark.parametrize(
    "schedule",
    [{}, {**NIGHT, "silent": {"from": "2026-11-23", "to": "2026-11-23"}}],
    ids=["nothing goes by itself", "a silent day"],
)
def test_what_is_held_waits_for_another_noon(make_gateway: Make, schedule: dict[str, Any]) -> None:
    gateway = make_gateway(**schedule)
    with gateway.store.write() as conn:
        place_id = gateway.place_id(conn)
        store_wish(conn, place_id, HELD, next_at=at("2026-11-23 12:00"), want=build_whole(), mode="automatic")

    claim = claim_next(gateway, go_to(gateway, "2026-11-23 12:00"))

    assert claim is None
    assert next_at(gateway, HELD) == at("2026-11-24 12:00")


def test_a_schedule_run_by_hand_leaves_its_slots_alone(make_gateway: Make) -> None:
    gateway = make_gateway(**NIGHT)
    claim_next(gateway, gateway.now())

    claim = begin_by_hand(gateway, "everything")
    assert isinstance(claim, Claim)
    refused = begin_by_hand(gateway, "everything")

    assert refused == claim.run_id
    assert slots(gateway) == []
    assert next_at(gateway, "everything") == at("2026-11-24 02:00")


def test_a_schedule_that_is_off_is_only_looked_at_by_hand(make_gateway: Make) -> None:
    claim = begin_by_hand(make_gateway(), "marks")

    assert isinstance(claim, Claim)
    assert claim.mode == "observe"


def test_an_unknown_schedule_is_said_with_those_that_there_are(make_gateway: Make) -> None:
    with pytest.raises(ConfigurationError, match="everything, homework, marks"):
        begin_by_hand(make_gateway(), "evrything")


def test_a_stored_want_comes_back_as_it_was() -> None:
    want = build_whole(class_names=frozenset({"7А"}), pupils=frozenset({"user:3"}))

    assert to_want(msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(want)))) == want


@pytest.mark.parametrize(
    ("mine", "theirs", "is_covered"),
    [
        ({}, {}, True),
        ({}, {"class_names": frozenset({"7А"})}, True),
        ({"class_names": frozenset({"7А"})}, {}, False),
        ({"class_names": frozenset({"7А", "7Б"})}, {"class_names": frozenset({"7А"})}, True),
        ({"kinds": frozenset({Kind.MARK})}, {}, False),
        ({"pupils": frozenset({"user:3"})}, {"pupils": frozenset({"user:4"})}, False),
    ],
)
def test_a_want_covers_what_it_looks_at(mine: dict[str, Any], theirs: dict[str, Any], is_covered: bool) -> None:
    assert build_whole(**mine).covers(build_whole(**theirs)) is is_covered


@pytest.mark.row("D1")
def test_a_lease_in_the_past_does_not_end_a_run_of_this_very_process(make_gateway: Make, clock: VirtualClock) -> None:
    """Its own heartbeat tells: a run that lives longer than a moment is not taken for dead by a neighbour's look."""
    gateway = make_gateway(**NIGHT)
    begin_run(gateway, "sync", build_whole())
    clock.advance(timedelta(minutes=5).total_seconds())

    assert claim_next(gateway, clock.now()) is None
    assert load_runs(gateway)[0].state == RunState.RUNNING


@pytest.mark.row("D1")
@pytest.mark.parametrize("name", [HELD, ASKED])
def test_what_waits_for_a_moment_that_was_begun_already_is_begun_all_the_same(make_gateway: Make, name: str) -> None:
    """The clock was set back after the noon's run, and what that run held is due at the same noon again."""
    gateway = make_gateway(**NIGHT)
    noon = at("2026-11-23 12:00")
    begun = []
    for _ in range(3):
        with gateway.store.write() as conn:
            store_wish(conn, gateway.place_id(conn), name, next_at=noon, want=build_whole(), mode="automatic")
        begun.append(end(gateway, claim_next(gateway, noon)))

    assert [one.name for one in begun] == [name] * 3
    assert [slot_at for _, slot_at, _, _ in slots(gateway)] == [one.slot_at for one in begun]
    assert (begun[0].slot_at, len({one.slot_at for one in begun})) == (noon, 3)
    assert claim_next(gateway, noon) is None


@pytest.mark.row("D1")
@pytest.mark.parametrize("ahead_to", ["2026-11-23 14:00", "2026-12-24 02:00", "2027-11-24 02:00"])
def test_a_clock_that_was_far_ahead_for_a_moment_leaves_out_no_night_after_it_is_right_again(
    make_gateway: Make, ahead_to: str
) -> None:
    gateway = make_gateway(**NIGHT)
    assert claim_next(gateway, at("2026-11-23 08:00")) is None
    ahead = claim_next(gateway, at(ahead_to))
    if ahead is not None:
        end(gateway, ahead)
    assert claim_next(gateway, at("2026-11-23 08:10")) is None

    night = end(gateway, claim_next(gateway, at("2026-11-24 02:00")))
    next_night = end(gateway, claim_next(gateway, at("2026-11-25 02:00")))

    assert [night.slot_at, next_night.slot_at] == [at("2026-11-24 02:00"), at("2026-11-25 02:00")]


@pytest.mark.row("D1")
def test_a_clock_set_back_over_a_slot_begins_it_no_second_time(make_gateway: Make) -> None:
    gateway = make_gateway(**NIGHT)
    claim_next(gateway, at("2026-11-23 08:00"))
    end(gateway, claim_next(gateway, at("2026-11-24 02:01")))

    early = claim_next(gateway, at("2026-11-24 01:50"))
    again = claim_next(gateway, at("2026-11-24 02:00"))
    next_night = claim_next(gateway, at("2026-11-25 02:00"))

    assert (early, again) == (None, None)
    assert end(gateway, next_night).slot_at == at("2026-11-25 02:00")
