"""What the city refuses for a closed period, or can't take for hours, is typed by teachers: in the queue or on the list, never in both."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.domain.errors import ConfigurationError, GatewayError, PlanRefusedError
from gateway.domain.identifiers import Kind
from gateway.flows.hand_list import load_hand_list, load_handed_pupils, write_hand_list
from gateway.flows.hand_over import choose_outage, load_outage, put_on_list, take_off_list
from gateway.flows.holds import place_hold
from gateway.flows.periods import reopen_period, sign_period
from gateway.flows.unlink import drop_link
from gateway.mapping.links import load_links
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from tests.flow.persons import activate_rules
from tests.flow.test_signed_periods_flow import edit_marks

SECOND_QUARTER = 37002


def type_by_hand(city: Any, row: Any, **changes: Any) -> dict[str, Any]:
    """A teacher enters a mark of the list in the city's own pages."""
    intent = msgspec.json.decode(row.intent)
    cell = {"student_profile_id": intent["pupil_id"], "schedule_lesson_id": intent["lesson_id"]}
    fields = {"control_form_id": intent["form_id"], "weight": intent["weight"], "value": intent["value"], **changes}
    return dict(city.human("create", "mark", cell=cell, **fields))


def marks(hand: Any, state: str) -> list[Any]:
    return [row for row in hand.operations() if row.kind == "mark" and row.state == state]


def queue_all(hand: Any) -> None:
    hand.link_everybody()
    hand.approve(hand.sync())


def test_what_a_closed_period_refuses_goes_to_the_teachers_and_its_lines_close_themselves(
    small: Any, tmp_path: Path
) -> None:
    with small.open() as hand:
        queue_all(hand)
        small.city.post("period", {"id": SECOND_QUARTER, "closed": True})
        hand.deliver()
        parked = hand.states()
        done = put_on_list(hand.gateway, (), closed=True, reason="четверть закрыта, вносим сами")
        lines = load_hand_list(hand.gateway)
        workbook, text, page = write_hand_list(lines, tmp_path / "list")
        waiting = hand.sync()
        typed = marks(hand, "by_hand")[:2]
        for row in typed:
            type_by_hand(small.city, row)
        hand.sync()

        assert parked["parked"] == len(done.taken) == len(lines) == 23
        assert done.refused == []
        assert waiting.planned.plan.by_reason["ENTER_BY_HAND"] == 23
        assert not hand.city.machine_ledger(), "nothing of it is sent"
        states = {row.id: row.state for row in hand.operations()}
        assert [states[row.id] for row in typed] == ["verified", "verified"]
        assert hand.states()["by_hand"] == 21
        assert {(line.teacher, line.page) for line in lines} == {(lines[0].teacher, "7А — Алгебра")}
        assert zipfile.ZipFile(workbook).read("xl/worksheets/sheet1.xml").count(b"<row ") == 24
        assert text.read_text(encoding="utf-8").count("[ ]") == page.read_text(encoding="utf-8").count("☐") == 23


def test_nobody_types_what_a_plan_holds_by_rules_that_no_longer_count(small: Any) -> None:
    heavier = DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 7')
    with small.open() as hand:
        hand.link_everybody()
        small.city.post("period", {"id": SECOND_QUARTER, "closed": True})
        hand.sync()
        activate_rules(hand.gateway, heavier)

        early = put_on_list(hand.gateway, (), closed=True, reason="четверть закрыта")
        hand.sync()
        done = put_on_list(hand.gateway, (), closed=True, reason="четверть закрыта")

        assert (early.taken, early.refused) == ([], [])
        assert len(done.taken) == 23
        weights = {msgspec.json.decode(row.intent)["weight"] for row in marks(hand, "by_hand")}
        assert 7 in weights


def test_what_a_plan_holds_for_a_closed_period_goes_onto_the_list_and_never_into_the_queue(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        small.city.post("period", {"id": SECOND_QUARTER, "closed": True})
        held = hand.sync()
        done = put_on_list(hand.gateway, (), closed=True, reason="четверть закрыта")
        again = put_on_list(hand.gateway, (), closed=True, reason="второй раз")
        hand.deliver()
        small.city.post("period", {"id": SECOND_QUARTER, "closed": False})
        hand.sync()

        assert held.planned.plan.by_reason["WINDOW_CLOSED"] == len(done.taken) == 23
        assert (again.taken, again.refused) == ([], [])
        assert hand.states() == {"by_hand": 23}
        assert not hand.city.machine_ledger()
        with pytest.raises(PlanRefusedError):
            put_on_list(hand.gateway, (), closed=True, reason=" ")
        with pytest.raises(PlanRefusedError):
            put_on_list(hand.gateway, (), closed=False, reason="ничего не названо")


def test_taking_back_does_not_ask_for_every_group_of_a_city_that_answers_nothing(build_world: Any) -> None:
    with build_world(pupils=2, courses=4).open() as hand:
        queue_all(hand)
        ids = [row.id for row in hand.operations() if row.kind in ("mark", "absence")]
        put_on_list(hand.gateway, ids, closed=False, reason="город молчит")
        scopes = {row.scope for row in hand.operations() if row.state == "by_hand"}
        hand.city.fault("503", method="GET")
        before = len(hand.city.asked)

        done = take_off_list(hand.gateway, ids, reason="попробуем")

        assert len(scopes) > 2
        assert len(hand.city.asked) - before <= 2 * 3
        assert (done.taken, {one.why for one in done.refused}) == ([], {"unread"})
        assert len(done.refused) == len(ids)


def test_taking_back_reads_the_city_and_what_is_typed_already_stays_done(small: Any) -> None:
    with small.open() as hand:
        queue_all(hand)
        ids = [row.id for row in marks(hand, "ready")][:4]
        put_on_list(hand.gateway, ids, closed=False, reason="проверим на четырёх")
        exact, other, free, unread = ids
        rows = {row.id: row for row in hand.operations()}
        type_by_hand(small.city, rows[exact])
        was = msgspec.json.decode(rows[other].intent)["value"]
        type_by_hand(small.city, rows[other], value="2" if was != "2" else "3")
        done = take_off_list(hand.gateway, [exact, other, free, 9999], reason="журнал снова берёт")
        with small.city.down():
            blind = take_off_list(hand.gateway, [unread], reason="вслепую нельзя")
        states = {row.id: (row.state, row.reason) for row in hand.operations()}
        small.clock.advance(400)  # the breaker lets somebody try again
        after = hand.sync()

        assert done.taken == [free]
        assert [(one.id, one.why) for one in done.refused] == [
            (exact, "typed"),
            (other, "not_listed"),
            (9999, "unknown"),
        ]
        assert [(one.id, one.why) for one in blind.refused] == [(unread, "unread")]
        assert [states[number] for number in ids] == [
            ("verified", ""),
            ("superseded", "BASE_MOVED"),
            ("superseded", "MANUAL_CANCEL"),
            ("by_hand", "ENTER_BY_HAND"),
        ]
        refs = {row.ref: row for row in hand.decisions(after)}
        assert refs[rows[free].ref].op == "create", "decided afresh"
        assert refs[rows[other].ref].reason in ("PROBABLE_TWIN", "CONFLICT")
        with pytest.raises(PlanRefusedError):
            take_off_list(hand.gateway, ids, reason="")


def test_in_an_outage_a_kind_waits_or_is_typed_as_the_deputy_head_chose(small: Any) -> None:
    with small.open() as hand:
        queue_all(hand)
        chosen = choose_outage(hand.gateway, Kind.MARK, "by_hand", reason="конец четверти")
        with small.city.down():
            hand.deliver(max_wait_s=0.0)
            early = hand.states()
            for _ in range(8):
                small.clock.advance(4 * 3600)
                with suppress(GatewayError):
                    hand.deliver(max_wait_s=0.0)
            late = {kind: {row.state for row in hand.operations() if row.kind == kind} for kind in ("mark", "homework")}
            lines = load_hand_list(hand.gateway)
        small.clock.advance(400)
        hand.deliver()
        sent = {entry["kind"] for entry in hand.city.machine_ledger()}

        assert chosen.handed == 0
        assert "by_hand" not in early
        assert late["mark"] == {"by_hand"}
        assert "by_hand" not in late["homework"], "by default a kind waits"
        assert sent == {"absence", "homework"}, "what is on the list is not sent as well"
        assert {line.lesson for line in lines} == {0}, "the timetable can't be read: the day is told"
        assert all(line.on and line.pupil and line.value for line in lines)
        assert [(one.kind, one.choice) for one in load_outage(hand.gateway)][:2] == [
            ("mark", "by_hand"),
            ("absence", "wait"),
        ]
        with pytest.raises(ConfigurationError):
            choose_outage(hand.gateway, Kind.LESSON, "by_hand", reason="не уходит")


def test_a_signed_period_is_not_typed_by_hand_either(small: Any) -> None:
    with small.open() as hand:
        queue_all(hand)
        ids = [row.id for row in marks(hand, "ready")]
        put_on_list(hand.gateway, ids[:1], closed=False, reason="одну")
        sign_period(hand.gateway, "7А", "2", reason="сдана")
        done = put_on_list(hand.gateway, ids, closed=False, reason="мимо подписи")

        assert done.taken == []
        assert {one.why for one in done.refused} == {"over"}, "they went back to their plan with the signature"
        assert hand.states() == {"superseded": 23}


def test_what_was_put_on_the_list_in_an_open_hour_is_told_to_nobody_after_it(small: Any) -> None:
    """The hour ends by itself: nobody takes anything off the list, and a teacher would type into a signed period."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        number = sign_period(hand.gateway, "7А", "2", reason="сдана").signature.id
        edit_marks(small, 2)
        hand.sync()
        reopen_period(hand.gateway, number, until=hand.gateway.now() + timedelta(minutes=30), reason="на час")
        listed = marks(hand, "ready")
        put_on_list(hand.gateway, [row.id for row in listed], closed=False, reason="вносим сами")
        in_time = load_hand_list(hand.gateway)
        small.city.human("change", "mark", id=listed[0].city_id, value=msgspec.json.decode(listed[0].intent)["value"])
        small.clock.advance(1900)
        late = load_hand_list(hand.gateway)
        after = hand.sync()

        assert (len(in_time), late) == (2, [])
        assert [(row.state, row.reason) for row in hand.operations()[-2:]] == [
            ("verified", ""),
            ("superseded", "PERIOD_SIGNED"),
        ]
        assert after.planned.plan.by_reason["PERIOD_SIGNED"] == 1


def test_what_a_person_holds_back_is_not_typed_by_hand_either(small: Any) -> None:
    with small.open() as hand:
        queue_all(hand)
        first, second, *_ = marks(hand, "ready")
        put_on_list(hand.gateway, [first.id, second.id], closed=False, reason="вносим сами")
        until = hand.gateway.now() + timedelta(days=1)
        place_hold(hand.gateway, reason="спорная работа", until=until, ref=first.ref)
        shown = [line.operation for line in load_hand_list(hand.gateway)]
        held = hand.sync()

        assert shown == [second.id]
        states = {row.id: (row.state, row.reason) for row in hand.operations()}
        assert states[first.id] == ("superseded", "MARKED_HOLD")
        assert states[second.id] == ("by_hand", "ENTER_BY_HAND")
        assert [row.ref for row in hand.decisions(held) if row.reason == "MARKED_HOLD"] == [first.ref]
        small.clock.advance(2 * 24 * 3600)
        assert first.ref in {row.ref for row in hand.decisions(hand.sync()) if row.op == "create"}


def test_what_is_held_does_not_get_onto_the_list_by_a_closed_period(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        small.city.post("period", {"id": SECOND_QUARTER, "closed": True})
        closed = [row for row in hand.decisions(hand.sync()) if row.reason == "WINDOW_CLOSED" and row.kind == "mark"]
        until = hand.gateway.now() + timedelta(days=1)
        place_hold(hand.gateway, reason="спорная работа", until=until, ref=closed[0].ref)
        done = put_on_list(hand.gateway, (), closed=True, reason="четверть закрыта")

        assert [one.why for one in done.refused] == ["held"]
        listed = {row.ref for row in hand.operations() if row.state == "by_hand"}
        assert closed[1].ref in listed
        assert closed[0].ref not in listed


def test_whoever_is_on_the_list_as_it_is_shown_was_looked_at(small: Any) -> None:
    """It is read, then written down, then shown: what was typed and read back in between is shown all the same."""
    with small.open() as hand:
        queue_all(hand)
        listed = marks(hand, "ready")
        put_on_list(hand.gateway, [row.id for row in listed], closed=False, reason="вносим сами")
        lines = load_hand_list(hand.gateway)
        take_off_list(hand.gateway, [row.id for row in listed], reason="журнал снова берёт")
        with hand.gateway.store.read() as conn:
            looked_at = load_handed_pupils(conn, hand.place_id(), lines)
            links = load_links(conn, hand.place_id(), Kind.PERSON)

        assert load_hand_list(hand.gateway) == []
        of_lines = {msgspec.json.decode(row.intent)["pupil_id"] for row in listed}
        assert {links[ref] for ref in looked_at} == of_lines
        assert len(of_lines) == 3


def test_the_list_sends_nobody_to_a_child_whose_link_was_taken_away(small: Any) -> None:
    """At once, and not with the next run: a person types whom the page names. What he has typed already is still seen."""
    with small.open() as hand:
        queue_all(hand)
        listed = marks(hand, "ready")
        city_id = msgspec.json.decode(listed[0].intent)["pupil_id"]
        mine = [row for row in listed if msgspec.json.decode(row.intent)["pupil_id"] == city_id]
        put_on_list(hand.gateway, [row.id for row in listed], closed=False, reason="вносим сами")
        before = load_hand_list(hand.gateway)
        with hand.gateway.store.read() as conn:
            links = load_links(conn, hand.place_id(), Kind.PERSON)
        local_ref = next(ref for ref, number in links.items() if number == city_id)
        drop_link(hand.gateway, local_ref, reason="другой ребёнок")
        after = load_hand_list(hand.gateway)
        type_by_hand(small.city, mine[0])
        hand.sync()

        assert len(before) == len(listed)
        assert len(after) == len(listed) - len(mine)
        states = {row.id: row.state for row in hand.operations()}
        assert states[mine[0].id] == "verified"
        assert {states[row.id] for row in mine[1:]} == {"superseded"}
