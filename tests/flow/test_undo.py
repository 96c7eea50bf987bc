"""A run is taken back: the city's journal is as it was before, except what others changed since, which is listed."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from gateway.connectors.http import HttpDoor
from gateway.domain.errors import ConfigurationError, PlanRefusedError
from gateway.domain.identifiers import Kind
from gateway.flows.freshen import freshen
from gateway.flows.holds import lift_hold
from gateway.flows.pull import pull
from gateway.flows.runs import start_run
from gateway.flows.sync import Synced
from gateway.flows.undo import Undo, begin_undo, undo_run
from gateway.flows.undone import lift_undone
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from gateway.queue.approval import approve
from gateway.queue.outbox import release
from gateway.reconcile.tables import hold, plan
from gateway.reconcile.undone import load_undone, load_undone_runs
from gateway.report.passport import load_passport
from gateway.sandbox.portal.school_course import FIRST_COURSE
from gateway.store.transaction import Store
from tests.flow.persons import activate_rules


def journal(hand: Any) -> Counter[tuple[Any, ...]]:
    """What stands in the city's journal, without the numbers that the city gives."""
    found: Counter[tuple[Any, ...]] = Counter()
    state = hand.city.state()
    for row in state["marks"]:
        if row["deleted_at"] is None:
            cell = (row["student_profile_id"], row["schedule_lesson_id"], row["control_form_id"], row["weight"])
            found["mark", *cell, row["name"]] += 1
    for row in state["attendances"]:
        if row["deleted_at"] is None:
            found["absence", row["student_profile_id"], row["schedule_lesson_id"], row["absence_reason_id"]] += 1
    for row in state["homeworks"]:
        if row["deleted_at"] is None:
            texts = tuple((one["description"], tuple(one["student_ids"])) for one in row["homework_entries"])
            found["homework", row["group_id"], row["date_assigned_on"], row["date_prepared_for"], texts] += 1
    return found


def undo(hand: Any, number: int) -> Undo:
    return undo_run(hand.gateway, number, begin_undo(hand.gateway, number))


def let_out(hand: Any, made: Undo, *, reason: str = "ошибка в правилах") -> None:
    """Approve with deletes and what the guards held, and release."""
    g = hand.gateway
    approve(g.store, g.audit, g.place, made.plan.id, reason=reason, with_deletes=True, with_held=True, actor=g.actor)
    freshen(g, made.plan.id)
    release(g.store, g.audit, g.place, made.plan.id, lane="demand", actor=g.actor)


def undone(hand: Any) -> frozenset[tuple[str, str]]:
    with hand.gateway.store.read() as conn:
        return load_undone(conn, hand.place_id())


def verdict(hand: Any, kind: str, ref: str) -> tuple[str, str]:
    with hand.gateway.store.read() as conn:
        found = load_passport(conn, hand.place_id(), kind, ref)
    assert found is not None
    return found.verdict, found.whose_move


def manual_marks(hand: Any, course: int = FIRST_COURSE) -> list[tuple[int, dict[str, Any]]]:
    return [(user, item) for user, item in hand.world.portal.cells(course) if item["itemtype"] == "manual"]


def edit_portal(hand: Any, at: int = 0, grade: float = 2.0) -> str:
    """A teacher corrects a mark; its ref."""
    user, item = manual_marks(hand)[at]
    hand.world.portal.edit("set_grade", courseid=FIRST_COURSE, itemid=item["id"], userid=user, grade=grade)
    return f"mark:{item['id']}:{user}"


@pytest.fixture
def delivered(build_world: Any) -> Iterator[tuple[Any, Any, Synced]]:
    """A made-up class whose marks, absences and homework the first run has brought into an empty journal."""
    world = build_world(pupils=4, courses=2)
    with world.open() as hand:
        hand.link_everybody()
        empty = journal(hand)
        first = hand.sync()
        hand.approve(first)
        hand.deliver()
        yield hand, empty, first


@pytest.mark.row("V9")
def test_undo_of_a_full_run_leaves_the_journal_as_it_was_but_for_what_a_person_changed_since(delivered: Any) -> None:
    hand, before, first = delivered
    full = journal(hand)
    assert {key[0] for key in full} == {"mark", "absence", "homework"}
    bases = hand.base_rows()
    changed = next(row for row in bases if row.kind == "mark" and msgspec.json.decode(row.intent)["value"] != "2")
    removed = next(row for row in bases if row.kind == "absence")
    rewritten = next(row for row in bases if row.kind == "homework")
    hand.city.human("change", "mark", id=changed.city_id, value="2")
    hand.city.human("delete", "attendance", id=removed.city_id)
    hand.city.human("change", "homework", id=rewritten.city_id, value="своими словами")

    made = undo(hand, first.run_id)

    assert made.plan.state == "waiting_approval"
    assert made.left == {"UNDO_MOVED": 3}
    assert made.count == len(bases) - 3
    shown = hand.decisions(Synced(run_id=made.run_id, planned=_planned(made)))
    moved = {(row.kind, row.ref) for row in shown if row.reason == "UNDO_MOVED"}
    assert moved == {(row.kind, row.ref) for row in (changed, removed, rewritten)}
    assert not journal(hand) - full - _human_words(journal(hand), full), "nothing is sent before it is approved"
    let_out(hand, made)
    hand.deliver()

    # the city has no call that deletes homework: what is left of it waits for a person, each with its reason
    parked = [row for row in hand.operations() if row.state == "parked"]
    assert {(row.kind, row.op, row.reason) for row in parked} == {("homework", "delete", "NO_CITY_CALL")}
    assert {row.kind for row in hand.operations() if row.state not in ("verified", "parked")} == set()
    remove_homework(hand, parked)
    hand.sync()

    left = journal(hand) - before
    assert sum(left.values()) == 2, "the mark and the homework that a person wrote; his removal stays"
    assert {key[0] for key in left} == {"mark", "homework"}
    assert before - journal(hand) == Counter()
    assert hand.states().keys() == {"verified"}
    night = hand.sync()
    assert night.planned.plan.by_reason["UNDONE"] == len(bases) - 3
    assert night.delivered.sent == 0
    assert journal(hand) - before == left, "the next night sends nothing of it again"


def remove_homework(hand: Any, parked: list[Any]) -> None:
    for row in parked:
        hand.city.human("delete", "homework", id=row.city_id)


def _human_words(now: Counter[Any], full: Counter[Any]) -> Counter[Any]:
    """The two values that a person wrote."""
    return Counter(key for key in now - full if key[-1] == "2" or "своими" in str(key[-1]))


def _planned(made: Undo) -> Any:
    from gateway.flows.plan import Planned

    return Planned(plan=made.plan, problems=[], skipped_scopes=0)


def without_homework(portal: Any) -> None:
    for course in portal.courses():
        for item in {item["id"]: item for _, item in portal.cells(course)}.values():
            if item["itemmodule"] == "assign":
                portal.edit("remove_item", courseid=course, itemid=item["id"])


@pytest.fixture
def lessons(build_world: Any) -> Iterator[tuple[Any, Any, Synced]]:
    """The same with marks and absences alone: what the city's interface takes back itself."""
    world = build_world(pupils=4, courses=2, prepare=without_homework)
    with world.open() as hand:
        hand.link_everybody()
        empty = journal(hand)
        first = hand.sync()
        hand.approve(first)
        hand.deliver()
        yield hand, empty, first


def test_created_changed_and_deleted_go_back_each_to_what_stood_before(lessons: Any) -> None:
    hand, _, _ = lessons
    corrected = edit_portal(hand, 0)
    user, item = manual_marks(hand)[1]
    hand.world.portal.edit("clear_grade", courseid=FIRST_COURSE, itemid=item["id"], userid=user)
    cleared = f"mark:{item['id']}:{user}"
    hand.sync()
    hand.wait_grace()
    before_ref = {row.ref: row for row in hand.base_rows()}
    assert corrected in before_ref
    both = hand.sync()
    hand.approve(both, with_deletes=True)
    hand.deliver()
    assert cleared not in {row.ref for row in hand.base_rows()}
    after = journal(hand)

    made = undo(hand, both.run_id)
    assert made.plan.counters["create"] == 1
    let_out(hand, made)
    hand.deliver()

    assert journal(hand) != after
    row = next(one for one in hand.base_rows() if one.ref == cleared)
    assert row.digest == before_ref[cleared].digest
    hand.assert_sound()
    # the portal still says that it is gone, and nobody deletes it again unasked
    hand.wait_grace()
    again = hand.sync()
    assert {row.reason for row in hand.decisions(again) if row.ref == cleared} == {"UNDONE"}
    hand.approve(again, with_deletes=True)
    hand.deliver()
    assert cleared in {one.ref for one in hand.base_rows()}


def test_a_correction_undone_stays_undone_until_the_portal_moves(lessons: Any) -> None:
    hand, _, _ = lessons
    before = journal(hand)
    ref = edit_portal(hand, 0, 2.0)
    second = hand.sync()
    assert second.planned.plan.counters["update"] == 1

    made = undo(hand, second.run_id)
    let_out(hand, made, reason="не та строка")
    hand.deliver()
    assert journal(hand) == before
    for _ in range(2):
        hand.world.clock.advance(86_400)
        night = hand.sync()
        assert night.planned.plan.by_reason["UNDONE"] == 1
    assert journal(hand) == before
    assert undone(hand) == {("mark", ref)}
    assert verdict(hand, "mark", ref)[0].startswith("Отменено")
    with hand.gateway.store.read() as conn:
        (kept,) = load_undone_runs(conn, hand.place_id())
    assert (kept.run_id, kept.count, kept.owner) == (second.run_id, 1, hand.gateway.actor.name)
    assert kept.note_id is not None

    edit_portal(hand, 0, 4.0)
    hand.sync()

    assert undone(hand) == frozenset()
    assert journal(hand) != before
    assert [entry.action for entry in hand.actions() if entry.action.startswith("hold.")] == ["hold.ended"]
    hand.assert_sound()


@pytest.mark.row("V8")
def test_a_wrong_rule_is_undone_whole_and_its_deletes_only_by_name(lessons: Any) -> None:
    hand, before, first = lessons
    made = undo(hand, first.run_id)
    g = hand.gateway
    approve(g.store, g.audit, g.place, made.plan.id, reason="все", with_deletes=False, with_held=True, actor=g.actor)
    released = release(g.store, g.audit, g.place, made.plan.id, lane="demand", actor=g.actor)
    assert released.queued == 0
    assert undone(hand) == frozenset(), "what is not let out is not kept undone"

    let_out(hand, undo(hand, first.run_id))
    hand.deliver()

    assert journal(hand) == before
    hand.assert_sound()


@pytest.mark.parametrize("when", ["before the undo is built", "while it waits for its approval"])
def test_a_run_is_taken_back_though_other_rules_count_by_now(lessons: Any, when: str) -> None:
    """A wrong rule is taken back first, and then what it has sent: an undo is made by what stood, and by no rule."""
    hand, before, first = lessons
    heavier = DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 7')
    made = undo(hand, first.run_id) if when.startswith("while") else None
    activate_rules(hand.gateway, heavier)

    let_out(hand, made or undo(hand, first.run_id))
    hand.deliver()

    assert journal(hand) == before
    hand.assert_sound()


def test_what_was_undone_goes_again_when_a_person_releases_it(lessons: Any) -> None:
    hand, before, first = lessons
    full = journal(hand)
    let_out(hand, undo(hand, first.run_id))
    hand.deliver()
    assert journal(hand) == before

    with pytest.raises(PlanRefusedError, match="без причины"):
        lift_undone(hand.gateway, first.run_id, reason=" ")
    with hand.gateway.store.read() as conn:
        kept = conn.execute(select(func.min(hold.c.id)).where(hold.c.plan_id.is_not(None))).scalar_one()
    with pytest.raises(PlanRefusedError, match="--run"):
        lift_hold(hand.gateway, kept, reason="по номеру, которого список не показывает")
    assert lift_undone(hand.gateway, first.run_id, reason="правила исправлены") == sum(full.values())
    with pytest.raises(PlanRefusedError):
        lift_undone(hand.gateway, first.run_id, reason="ещё раз")
    hand.through()

    assert journal(hand) == full
    hand.assert_sound()


def test_undo_twice_is_once_and_the_older_plan_gives_way(lessons: Any) -> None:
    hand, before, first = lessons
    one = undo(hand, first.run_id)
    two = undo(hand, first.run_id)

    assert one.plan.hash == two.plan.hash
    with pytest.raises(PlanRefusedError, match="устарел"):
        let_out(hand, one)
    let_out(hand, two)
    with pytest.raises(PlanRefusedError):
        let_out(hand, two)
    three = undo(hand, first.run_id)  # while the operations of the second still wait
    let_out(hand, three)
    hand.deliver()
    four = undo(hand, first.run_id)

    assert journal(hand) == before
    assert (four.count, set(four.left)) == (0, {"UNDONE"})
    assert four.plan.state == "ready"
    deletes = Counter((entry["kind"], entry["id"]) for entry in hand.city.machine_ledger() if entry["op"] == "delete")
    assert set(deletes.values()) == {1}
    hand.assert_sound()


def test_undo_of_an_undo_brings_everything_back_and_keeps_nothing_undone(lessons: Any) -> None:
    hand, before, first = lessons
    full = journal(hand)
    made = undo(hand, first.run_id)
    let_out(hand, made)
    hand.deliver()
    assert journal(hand) == before

    back = undo(hand, made.run_id)
    assert back.left == {}
    let_out(hand, back, reason="отмена была ошибкой")
    hand.deliver()

    assert journal(hand) == full
    assert undone(hand) == frozenset()
    hand.assert_sound()
    assert hand.sync().delivered.sent == 0
    again = undo(hand, first.run_id)
    assert again.count == sum(full.values())
    let_out(hand, again)
    hand.deliver()
    assert journal(hand) == before
    hand.assert_sound()


def test_what_a_later_run_delivered_again_is_left_and_listed(lessons: Any) -> None:
    hand, _, first = lessons
    ref = edit_portal(hand)
    hand.sync()

    made = undo(hand, first.run_id)

    assert made.left == {"UNDO_SUPERSEDED": 1}
    lines = hand.decisions(Synced(run_id=made.run_id, planned=_planned(made)))
    assert [row.ref for row in lines if row.reason == "UNDO_SUPERSEDED"] == [ref]


def test_a_person_who_types_between_the_plan_and_its_approval_keeps_his_word(lessons: Any) -> None:
    hand, before, first = lessons
    made = undo(hand, first.run_id)
    row = next(one for one in hand.base_rows() if one.kind == "mark")
    hand.city.human("change", "mark", id=row.city_id, value="3" if b'"2"' in row.intent else "2")
    hand.world.clock.advance(60)

    let_out(hand, made)
    hand.deliver()

    left = journal(hand) - before
    assert [key[0] for key in left] == ["mark"]
    assert ("mark", row.ref) not in undone(hand)
    assert hand.sync().planned.plan.by_reason["DRIFT"] == 1, "an ordinary discrepancy of an ordinary record"


def test_an_undo_killed_while_it_is_let_out_and_halfway_is_finished_by_the_next_run(lessons: Any) -> None:
    hand, before, first = lessons
    made = undo(hand, first.run_id)
    world = hand.world

    def killed(at: int, of: str, act: Callable[[Any], object]) -> int:
        """Do something in another process, which is killed at a call or a commit; how many deletes the city has done."""
        pid = os.fork()
        if pid == 0:
            try:
                _die_at(at, of)
                with world.open() as there:
                    act(there)
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        return sum(entry["op"] == "delete" for entry in world.city.machine_ledger())

    assert killed(2, "write", lambda there: let_out(there, made)) == 0
    done = [killed(at, "DELETE", lambda there: there.deliver()) for at in (3, 4, 7)]

    assert 0 < done[0] < done[1] < done[2] < made.count
    world.clock.advance(600)
    with world.open() as there:
        there.until_quiet()
        assert journal(there) == before
        deletes = Counter(entry["id"] for entry in there.city.machine_ledger() if entry["op"] == "delete")
        assert (len(deletes), set(deletes.values())) == (made.count, {1})
        assert {row.reason for row in there.decisions(there.sync()) if row.category == "held"} == {"UNDONE"}
        there.assert_sound()


def _die_at(at: int, of: str) -> None:
    """End this process at its so manieth commit after approval, or after so many calls of a method were answered."""
    left = itertools.count(1)
    write, call = Store.write, HttpDoor.call

    @contextmanager
    def counted_write(self: Store) -> Iterator[Any]:
        with write(self) as conn:
            yield conn
            is_let_out = conn.execute(
                select(plan.c.id).where(plan.c.approved_at.is_not(None), plan.c.undoes.is_not(None))
            )
            if is_let_out.first() is not None and next(left) == at:
                os._exit(9)

    def counted_call(self: HttpDoor, method: str, *args: Any, **more: Any) -> Any:
        answer = call(self, method, *args, **more)
        if method == of and next(left) == at:
            os._exit(9)
        return answer

    if of == "write":
        Store.write = counted_write  # type: ignore[method-assign]  # in the child only
    else:
        HttpDoor.call = counted_call  # type: ignore[method-assign]  # in the child only


def test_an_undo_waits_beside_the_nights_plans_and_expires_by_its_own_time(lessons: Any) -> None:
    hand, _, first = lessons
    made = undo(hand, first.run_id)
    hand.sync()
    hand.world.clock.advance(hand.gateway.settings.school.plan_ttl_hours * 3600 + 1)
    with pytest.raises(PlanRefusedError, match="Срок"):
        let_out(hand, made)


def test_a_run_that_is_not_there_or_goes_on_is_refused_and_an_empty_one_says_so(lessons: Any) -> None:
    hand, _, _ = lessons
    with pytest.raises(ConfigurationError):
        undo(hand, 999)
    quiet = hand.sync()

    made = undo(hand, quiet.run_id)

    assert (made.count, made.left) == (0, {})
    assert "нечего" in made.sentence


def test_an_undo_and_its_undo_end_the_same_on_both_databases(build_world: Any, database_url: str) -> None:
    world = build_world(pupils=2, prepare=without_homework, database_url=database_url)
    with world.open() as hand:
        hand.link_everybody()
        before = journal(hand)
        first = hand.sync()
        hand.approve(first)
        hand.deliver()
        full = journal(hand)
        made = undo(hand, first.run_id)
        let_out(hand, made)
        hand.deliver()
        ref = edit_portal(hand, 0, 4.0)
        assert journal(hand) == before

        night = hand.sync()
        assert ("mark", ref) not in undone(hand), "its source moved"
        assert night.planned.plan.by_reason["UNDONE"] == made.count - 1
        hand.approve(night)
        hand.deliver()
        back = undo(hand, made.run_id)
        assert back.left == {"UNDO_SUPERSEDED": 1}
        let_out(hand, back)
        hand.deliver()

        assert sum((journal(hand) & full).values()) >= made.count - 1
        assert undone(hand) == frozenset()
        hand.assert_sound()


@pytest.mark.parametrize("read", ["before it is planned", "before it is let out"])
def test_what_the_source_says_since_is_not_undone_with_what_it_said_then(delivered: Any, read: str) -> None:
    """The teacher corrected himself before anybody undid: his new mark waits for no edit that he has made already."""
    hand, _, _ = delivered
    standing = {row.ref: msgspec.json.decode(row.intent)["value"] for row in hand.base_rows() if row.kind == "mark"}
    ref = edit_portal(hand, grade=2.0)
    wrong = hand.through()
    edit_portal(hand, grade=5.0)
    if read == "before it is planned":
        pull(hand.gateway, hand.want, start_run(hand.gateway, "pull", hand.want))
    made = undo(hand, wrong.run_id)
    if read == "before it is let out":
        pull(hand.gateway, hand.want, start_run(hand.gateway, "pull", hand.want))
    let_out(hand, made)
    hand.deliver()
    taken_back = {row.ref: msgspec.json.decode(row.intent)["value"] for row in hand.base_rows() if row.kind == "mark"}
    hand.through()
    now = {row.ref: msgspec.json.decode(row.intent)["value"] for row in hand.base_rows() if row.kind == "mark"}

    assert standing[ref] != "2"
    assert (made.count, taken_back[ref], now[ref]) == (1, standing[ref], "5")
    assert (Kind.MARK.value, ref) not in undone(hand)
    hand.assert_sound()
