"""A choice about many discrepancies: taken whole, carried out in parts, and the same as if each had been chosen alone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select, update

import gateway.flows.acts
import gateway.flows.discrepancies
from benchmarks.discrepancies import fill
from gateway.audit.table import audit_entry
from gateway.bootstrap import open_gateway
from gateway.domain.discrepancies import PUT_ASIDE, Choice, DiscrepancyState, DiscrepancyType
from gateway.domain.errors import PlanRefusedError
from gateway.flows.acts import PART_ROWS, Progress, carry_out, load_progress
from gateway.flows.discrepancies import assign, choose, dispute
from gateway.flows.gateway import Gateway
from gateway.reconcile.choose import Excluded
from gateway.reconcile.tables import base, choice_member, correction, discrepancy, discrepancy_step, shadow
from gateway.report.discrepancies import Line, load_one
from gateway.report.passport import load_passport
from gateway.settings import load_settings
from gateway.worker.schedule import Scheduler
from tests.flow.test_settled_discrepancies import change_there, open_lines, shown, state_of

MANY = PART_ROWS + 100
OPENED = Callable[[], Any]


@pytest.fixture
def opened(database_url: str, tmp_path: Path) -> OPENED:
    """Opens the gateway on the test's database; each time it is another process's view of it."""
    settings = load_settings(
        None,
        database={"url": database_url},
        portal={"base_url": "http://127.0.0.1:9", "token": "none"},
        mesh={"base_url": "http://127.0.0.1:9", "school_id": 1, "profile_id": 1, "token": "none"},
        audit={"sink_file": str(tmp_path / "audit.jsonl")},
    )
    return lambda: open_gateway(settings)


@pytest.fixture
def filled(opened: OPENED) -> Iterator[Gateway]:
    with opened() as gateway:
        fill(gateway.store, place_of(gateway), 2 * MANY)
        yield gateway


def place_of(gateway: Gateway) -> int:
    with gateway.store.write() as conn:
        return gateway.place_id(conn)


def progress_of(gateway: Gateway, act: int | None) -> Progress:
    place_id = place_of(gateway)
    with gateway.store.read() as conn:
        found = load_progress(conn, place_id, act or 0, actor=gateway.actor.name)
    assert found is not None
    return found


def card_of(gateway: Gateway, number: int) -> Line:
    place_id = place_of(gateway)
    with gateway.store.read() as conn:
        line = load_one(conn, place_id, number, now=gateway.store.now(conn))
    assert line is not None
    return line


def entries_of(gateway: Gateway) -> list[Any]:
    query = select(audit_entry).where(audit_entry.c.action.like("discrepancy.%")).order_by(audit_entry.c.seq)
    with gateway.store.read() as conn:
        return list(conn.execute(query))


def left_behind(gateway: Gateway, first: int, last: int) -> list[tuple[Any, ...]]:
    """What a choice has left about each of these, without what names the one or the other."""
    query = (
        select(
            discrepancy.c.state,
            discrepancy.c.choice,
            discrepancy.c.chosen,
            discrepancy.c.until,
            base.c.digest,
            base.c.how,
            base.c.intent,
            correction.c.atom,
            correction.c.actor,
            discrepancy_step.c.step,
            discrepancy_step.c.choice,
            discrepancy_step.c.actor,
            discrepancy_step.c.pattern == discrepancy.c.pattern,
        )
        .select_from(
            discrepancy.join(base, base.c.ref == discrepancy.c.ref)
            .outerjoin(correction, correction.c.discrepancy_id == discrepancy.c.id)
            .outerjoin(discrepancy_step, discrepancy_step.c.discrepancy_id == discrepancy.c.id)
        )
        .where(discrepancy.c.id.between(first, last))
        .order_by(discrepancy.c.id)
    )
    with gateway.store.read() as conn:
        return [(*row[:6], msgspec.json.decode(row[6])["value"], *row[7:]) for row in conn.execute(query)]


@pytest.mark.parametrize("choice", [Choice.OURS, Choice.THEIRS, Choice.OWN, Choice.IGNORE])
def test_a_choice_about_many_ends_as_the_same_choice_about_few(filled: Gateway, choice: Choice) -> None:
    wanted: dict[str, Any] = {
        "reason": "проба",
        "own_value": "4" if choice is Choice.OWN else None,
        "until": filled.now() + timedelta(days=5) if choice in PUT_ASIDE else None,
    }
    many = list(range(1, MANY + 1))
    few = range(MANY + 1, 2 * MANY + 1)

    settled = choose(filled, many, choice, **wanted)
    (act,) = carry_out(filled)
    at_once = [choose(filled, few[first : first + PART_ROWS], choice, **wanted) for first in range(0, MANY, PART_ROWS)]

    assert settled.act == act.id
    assert (settled.taken, settled.excluded) == (many, [])
    assert [one.act for one in at_once] == [None] * len(at_once)
    done = left_behind(filled, 1, MANY)
    assert len(done) == MANY
    assert done == left_behind(filled, MANY + 1, 2 * MANY)
    first, last, *_ = entries_of(filled)
    assert (first.action, first.outcome, first.note_id) == ("discrepancy.chosen", "decided", act.note_id)
    assert (last.action, last.outcome, last.object_id) == (
        "discrepancy.carried_out",
        "applied",
        f"choice_act:{act.id}",
    )
    assert msgspec.json.decode(last.counts) == {f"choice.{choice.value}": MANY, "excluded": 0}


def test_until_its_turn_comes_a_discrepancy_says_so_and_nobody_else_moves_it(filled: Gateway) -> None:
    many = list(range(1, MANY + 1))
    settled = choose(filled, many, Choice.THEIRS, reason="ведут там")

    card = card_of(filled, 7)
    again = choose(filled, [7, MANY + 1], Choice.OURS, reason="нет, наше", is_preview=True)
    both = choose(filled, many, Choice.OURS, reason="нет, наше")
    given = assign(filled, [7, MANY + 1], "account:1", reason="её класс")

    assert (card.state, card.being_settled) == ("open", Choice.THEIRS)
    assert (again.taken, again.excluded) == ([MANY + 1], [Excluded(7, "being_settled")])
    assert (both.taken, both.act, {one.why for one in both.excluded}) == ([], None, {"being_settled"})
    assert given == [MANY + 1]
    assert not dispute(filled, 7, reason="рано")
    before = progress_of(filled, settled.act)
    assert (before.asked, before.taken, before.left_out, before.is_finished) == (MANY, 0, [], False)

    carry_out(filled)
    after = progress_of(filled, settled.act)
    assert (after.taken, after.left_out, after.is_finished) == (MANY, [], True)
    assert (card_of(filled, 7).state, card_of(filled, 7).being_settled) == ("waiting_proof", None)
    assert dispute(filled, 7, reason="всё-таки наше")
    assert carry_out(filled) == []


def test_what_moves_before_its_turn_is_left_open_and_told(filled: Gateway) -> None:
    settled = choose(filled, list(range(1, MANY + 1)), Choice.THEIRS, reason="ведут там")
    made_at = progress_of(filled, settled.act).made_at
    with filled.store.write() as conn:
        # agreed anew; taken up by a plan; gone from the city, so that the choice would be a removal
        conn.execute(update(base).where(base.c.city_id == 11).values(digest=bytes(15) + b"1"))
        later = made_at + timedelta(seconds=1)
        conn.execute(update(discrepancy).where(discrepancy.c.id == 22).values(changed_at=later))
        conn.execute(delete(shadow).where(shadow.c.city_id == 33))
        gone = {"type": DiscrepancyType.ONLY_HERE.value, "theirs": None, "city_body": None}
        conn.execute(update(discrepancy).where(discrepancy.c.id == 33).values(gone))

    (act,) = carry_out(filled)

    left_out = [Excluded(11, "moved"), Excluded(22, "moved"), Excluded(33, "moved")]
    assert sorted(act.left_out, key=lambda one: one.id) == left_out
    assert act.taken == MANY - 3
    assert progress_of(filled, settled.act).left_out == act.left_out
    assert {(card_of(filled, number).state, card_of(filled, number).being_settled) for number in (11, 22, 33)} == {
        ("open", None)
    }
    with filled.store.read() as conn:
        chosen = list(conn.execute(select(discrepancy_step.c.discrepancy_id)).scalars())
    assert len(chosen) == len(set(chosen)) == act.taken
    assert msgspec.json.decode(entries_of(filled)[-1].counts) == {"choice.theirs": MANY - 3, "excluded": 3}


def test_one_that_can_not_be_settled_is_told_and_holds_up_none_of_the_others(
    filled: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_choice = gateway.flows.acts.store_choice

    def store(conn: Any, place_id: int, taken: Any, *arguments: Any, **more: Any) -> None:
        store_choice(conn, place_id, taken, *arguments, **more)
        if 5 in {row.id for row, _ in taken}:
            raise ValueError("a fault of ours")

    monkeypatch.setattr(gateway.flows.acts, "store_choice", store)
    choose(filled, list(range(1, MANY + 1)), Choice.OURS, reason="ошибка в городе")
    (act,) = carry_out(filled)

    assert (act.taken, act.left_out) == (MANY - 1, [Excluded(5, "failed")])
    assert (card_of(filled, 5).state, card_of(filled, 5).being_settled) == ("open", None)
    assert {card_of(filled, number).state for number in (1, 4, 6, MANY)} == {"waiting_proof"}
    with filled.store.read() as conn:
        chosen = list(conn.execute(select(discrepancy_step.c.discrepancy_id)).scalars())
    assert sorted(chosen) == [number for number in range(1, MANY + 1) if number != 5]


@pytest.mark.parametrize("ahead", [True, False])
def test_what_moved_before_its_turn_is_told_by_no_clock(filled: Gateway, *, ahead: bool) -> None:
    if ahead:
        # what a plan of a moment in which the clock stood a day ahead has opened
        with filled.store.write() as conn:
            tomorrow = filled.store.now(conn) + timedelta(days=1)
            conn.execute(update(discrepancy).values(changed_at=tomorrow, opened_at=tomorrow))
    settled = choose(filled, list(range(1, MANY + 1)), Choice.THEIRS, reason="ведут там")
    made_at = progress_of(filled, settled.act).made_at
    with filled.store.write() as conn:
        # a plan that goes on meanwhile takes up another value, by a clock that was set back
        body = conn.execute(select(shadow.c.body).where(shadow.c.city_id == 22)).scalar_one()
        now_two = {"city_body": body.replace(b'"value":"3"', b'"value":"2"'), "theirs": bytes(15) + b"2"}
        conn.execute(update(shadow).where(shadow.c.city_id == 22).values(digest=now_two["theirs"]))
        earlier = made_at - timedelta(hours=1)
        conn.execute(update(discrepancy).where(discrepancy.c.id == 22).values(changed_at=earlier, **now_two))

    (act,) = carry_out(filled)

    assert (act.taken, act.left_out) == (MANY - 1, [Excluded(22, "moved")])
    assert card_of(filled, 22).state == "open"


def test_two_who_meet_the_same_fault_leave_out_the_one_that_has_it_and_no_other(
    opened: OPENED, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_choice, log, told = gateway.flows.acts.store_choice, gateway.flows.acts.LOG, list[str]()

    def store(conn: Any, place_id: int, taken: Any, *arguments: Any, **more: Any) -> None:
        if 5 in {row.id for row, _ in taken}:
            raise ValueError("a fault of ours")
        store_choice(conn, place_id, taken, *arguments, **more)

    class _OtherComesBetween:
        """Lets another process carry out what there is as soon as this one has met the fault of one member."""

        def exception(self, event: str) -> None:
            told.append(event)
            if told.count("choice.member_failed") == 1 and event == "choice.member_failed":
                with opened() as other:
                    carry_out(other)
                    choose(other, list(range(MANY + 1, 2 * MANY + 1)), Choice.OURS, reason="и эти")
            log.info(event)

    monkeypatch.setattr(gateway.flows.acts, "store_choice", store)
    monkeypatch.setattr(gateway.flows.acts, "LOG", _OtherComesBetween())
    with opened() as one:
        fill(one.store, place_of(one), 2 * MANY)
        first = choose(one, list(range(1, MANY + 1)), Choice.OURS, reason="ошибка в городе")
        (second,) = carry_out(one)

        assert progress_of(one, first.act).left_out == [Excluded(5, "failed")]
        assert (second.taken, second.left_out) == (MANY, [])


def test_many_removals_are_no_changes_and_are_confirmed_as_few_are(filled: Gateway) -> None:
    with filled.store.write() as conn:
        conn.execute(delete(shadow).where(shadow.c.city_id <= MANY))
        gone = {"type": DiscrepancyType.ONLY_HERE.value, "theirs": None, "city_body": None}
        conn.execute(update(discrepancy).where(discrepancy.c.id <= MANY).values(gone))

    with pytest.raises(PlanRefusedError) as mixed:
        choose(filled, list(range(1, MANY + 2)), Choice.THEIRS, reason="там удалили", with_removals=True)
    with pytest.raises(PlanRefusedError) as unconfirmed:
        choose(filled, list(range(1, MANY + 1)), Choice.THEIRS, reason="там удалили")
    with filled.store.read() as conn:
        assert conn.execute(select(choice_member)).all() == []
    settled = choose(filled, list(range(1, MANY + 1)), Choice.THEIRS, reason="там удалили", with_removals=True)
    (act,) = carry_out(filled)

    assert [error.value.reason_code for error in (mixed, unconfirmed)] == ["PLAN_MIXED", "REMOVALS_UNCONFIRMED"]
    assert settled.is_removing
    assert act.is_removing
    assert act.taken == MANY


@pytest.mark.row("B1")
def test_killed_between_two_parts_an_act_goes_on_where_it_stood(opened: OPENED) -> None:
    with opened() as gateway:
        fill(gateway.store, place_of(gateway), MANY)
        settled = choose(gateway, list(range(1, MANY + 1)), Choice.OURS, reason="ошибка в городе")
    child = os.fork()
    if child == 0:
        _be_killed_in_the_second_part(opened)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL

    with opened() as gateway:
        broken_off = progress_of(gateway, settled.act)
        waiting = [card_of(gateway, number).state for number in (1, PART_ROWS, PART_ROWS + 1, MANY)]
        _LookOnce(gateway).run()
        done = progress_of(gateway, settled.act)
        with gateway.store.read() as conn:
            steps = list(conn.execute(select(discrepancy_step.c.discrepancy_id)).scalars())

        assert (broken_off.taken, broken_off.is_finished) == (PART_ROWS, False)
        assert waiting == ["waiting_proof", "waiting_proof", "open", "open"]
        assert (done.taken, done.left_out, done.is_finished) == (MANY, [], True)
        assert sorted(steps) == list(range(1, MANY + 1))
        assert [row.action for row in entries_of(gateway)] == ["discrepancy.chosen", "discrepancy.carried_out"]


class _LookOnce(Scheduler):
    """The scheduler of the next process, which looks once."""

    def look(self) -> list[Any]:
        self.stop(within_s=0)
        return super().look()


def _be_killed_in_the_second_part(opened: OPENED) -> None:
    """Within the transaction, when all of the part but its end is written."""
    leave_behind, calls = gateway.flows.acts.leave_behind, []

    def note(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return leave_behind(*arguments)

    try:
        with pytest.MonkeyPatch.context() as patch, opened() as one:
            patch.setattr(gateway.flows.acts, "leave_behind", note)
            carry_out(one)
    finally:
        os._exit(1)


def test_two_who_choose_the_same_many_at_once_take_each_of_them_once(opened: OPENED) -> None:
    with opened() as gateway:
        fill(gateway.store, place_of(gateway), MANY)
    ids, barrier = list(range(1, MANY + 1)), threading.Barrier(2)
    taken: list[list[int]] = []
    faults: list[BaseException] = []

    def take(choice: Choice) -> None:
        try:
            with opened() as gateway:
                barrier.wait()
                taken.append(choose(gateway, ids, choice, reason="сразу вдвоём").taken)
        except BaseException as error:  # noqa: BLE001  # a thread must hand its fault to the test
            faults.append(error)

    threads = [threading.Thread(target=take, args=(choice,)) for choice in (Choice.OURS, Choice.THEIRS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    with opened() as gateway:
        carry_out(gateway)
        with gateway.store.read() as conn:
            rows = conn.execute(select(discrepancy.c.state, discrepancy.c.choice)).all()
            assert conn.execute(select(choice_member)).all() == []
    assert sorted(taken) == [[], ids]
    assert {row.state for row in rows} == {DiscrepancyState.WAITING_PROOF.value}
    assert len({row.choice for row in rows}) == 1


def test_two_who_choose_otherwise_about_the_same_few_at_once_do_not_mix(
    opened: OPENED, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would lay down what comes of the legs that he has read: «ours» chosen, and theirs laid over ours."""
    with opened() as gateway_:
        fill(gateway_.store, place_of(gateway_), 20)
    leave_shared, barrier = gateway.flows.discrepancies.leave_shared, threading.Barrier(2)
    taken: dict[Choice, list[int]] = {}
    faults: list[BaseException] = []

    def judged(*arguments: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(timeout=0.5)
        return leave_shared(*arguments)

    def take(choice: Choice) -> None:
        try:
            with opened() as one:
                taken[choice] = choose(one, list(range(1, 21)), choice, reason="сразу вдвоём").taken
        except BaseException as error:  # noqa: BLE001  # a thread must hand its fault to the test
            faults.append(error)

    monkeypatch.setattr(gateway.flows.discrepancies, "leave_shared", judged)
    threads = [threading.Thread(target=take, args=(choice,)) for choice in (Choice.OURS, Choice.THEIRS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    (winner,) = [choice for choice, ids in taken.items() if ids]
    with opened() as one, one.store.read() as conn:
        chosen = set(conn.execute(select(discrepancy.c.choice)).scalars())
        overlaid = conn.execute(select(correction.c.discrepancy_id)).all()
        steps = list(conn.execute(select(discrepancy_step.c.choice)).scalars())
    assert chosen == {winner.value}
    assert len(overlaid) == (20 if winner is Choice.THEIRS else 0)
    assert steps == [winner.value] * 20


def test_what_was_taken_is_carried_out_before_the_next_night_reads_anything(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (gateway.flows.acts, gateway.flows.discrepancies):
        monkeypatch.setattr(module, "PART_ROWS", 1)
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        rows = [change_there(hand, "2", skip) for skip in (0, 6)]
        ours = [msgspec.json.decode(row.intent)["value"] for row in rows]
        hand.sync()
        lines = {line.ref: line.id for line in open_lines(hand)}
        numbers = list(lines.values())

        settled = choose(hand.gateway, numbers, Choice.OURS, reason="учитель ошибся строкой")
        standing = [state_of(hand, number) for number in numbers]
        with hand.gateway.store.read() as conn:
            passport = load_passport(conn, hand.place_id(), "mark", rows[0].ref)
        hand.sync()

        assert settled.act is not None
        assert standing == ["open", "open"]
        assert passport is not None
        assert (passport.verdict, passport.whose_move) == (
            f"Расхождение № {lines[rows[0].ref]} решается вместе с другими.",
            "",
        )
        assert [shown(hand, row.city_id) for row in rows] == ours
        assert [state_of(hand, number) for number in numbers] == ["resolved", "resolved"]
        hand.assert_sound()
