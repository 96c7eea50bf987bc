"""A record's passport at every turn of its life: verdict, five steps, history, and what stood where at a moment."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from gateway.audit.read import EntryFilter, iter_entries
from gateway.domain.discrepancies import Choice
from gateway.domain.errors import ConfigurationError
from gateway.flows.discrepancies import choose
from gateway.flows.passport import find_records, show_as_of, show_passport
from gateway.reconcile.tables import base
from gateway.sandbox.portal.school_course import FIRST_COURSE

COURSE = FIRST_COURSE


def manual_mark(hand: Any) -> tuple[int, dict[str, Any]]:
    return next((user, item) for user, item in hand.world.portal.cells(COURSE) if item["itemtype"] == "manual")


def test_the_life_of_a_mark_is_told_from_its_first_read_to_its_correction(small: Any) -> None:
    with small.open() as hand:
        user, item = manual_mark(hand)
        ref = f"mark:{item['id']}:{user}"
        with pytest.raises(ConfigurationError):
            show_passport(hand.gateway, ref)
        hand.sync()
        (unlinked,) = show_passport(hand.gateway, ref)
        before = hand.gateway.now()
        small.clock.advance(3600)
        hand.link_everybody()
        hand.through()
        (delivered,) = show_passport(hand.gateway, ref)
        after = hand.gateway.now()
        small.clock.advance(3600)
        small.city.human("change", "mark", id=delivered.city_id, value="2")
        hand.sync()
        (changed,) = show_passport(hand.gateway, ref)
        choose(hand.gateway, [changed.discrepancy_id], Choice.OURS, reason="описка в городе")
        hand.sync()
        (settled,) = show_passport(hand.gateway, ref)
        then = show_as_of(hand.gateway, ref, before)[0]
        later = show_as_of(hand.gateway, ref, after)[0]
        now = show_as_of(hand.gateway, ref, hand.gateway.now() + timedelta(days=1))[0]

    stopped = [(step.name, step.is_passed) for step in unlinked.steps][-1]
    assert stopped == ("matched", False)
    assert unlinked.whose_move == "curator"
    assert "связ" in unlinked.verdict.lower() or "сопоставл" in unlinked.verdict.lower()
    assert delivered.verdict.startswith("Подтверждено чтением города")
    assert [(step.name, step.is_passed) for step in delivered.steps] == [
        ("read", True),
        ("in_scope", True),
        ("matched", True),
        ("mapped", True),
        ("decided", True),
    ]
    assert delivered.ours == delivered.base == delivered.theirs
    assert changed.verdict.startswith("Расхождение №")
    assert (changed.theirs["отметка"], changed.whose_move) == ("2", "teacher")
    assert settled.verdict.startswith("Подтверждено")
    whats = [event.what for event in settled.events]
    for what in ("portal.read", "plan.decided", "operation.queued", "operation.sent", "operation.accepted",
                 "operation.verified", "city.read", "discrepancy.opened", "discrepancy.chosen", "discrepancy.proven"):  # fmt: skip
        assert what in whats
    told = {event.what: event.words for event in settled.events}
    assert (told["operation.queued"], told["operation.sent"]) == ("изменить", "город принял")
    assert told["discrepancy.chosen"].endswith("решение «наше»")
    assert not [words for words in told.values() if re.search("[a-z]{3}", words)], "people read words, not codes"
    assert [event.at for event in settled.events] == sorted(event.at for event in settled.events)
    assert (then.is_ours_known, then.is_theirs_known) == (True, False)
    assert later.theirs == delivered.theirs
    assert now.theirs == settled.theirs


def test_what_stood_there_is_told_also_where_one_read_met_the_old_object_gone_and_a_new_one(small: Any) -> None:
    """A person deleted our mark and typed it anew: the read that saw both keeps the deletion last."""
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        user, item = manual_mark(hand)
        ref = f"mark:{item['id']}:{user}"
        old = next(row for row in hand.base_rows() if row.ref == ref)
        stood = show_as_of(hand.gateway, ref, hand.gateway.now())[0]
        small.clock.advance(3600)
        cell = msgspec.json.decode(old.intent)
        small.city.human("delete", "mark", id=old.city_id)
        typed = small.city.human(
            "create",
            "mark",
            cell={"student_profile_id": cell["pupil_id"], "schedule_lesson_id": cell["lesson_id"]},
            control_form_id=cell["form_id"],
            weight=cell["weight"],
            value=cell["value"],
        )
        small.clock.advance(3600)
        hand.sync()
        with hand.gateway.store.write() as conn:
            conn.execute(update(base).where(base.c.ref == ref).values(city_id=typed["id"]))
        now = show_as_of(hand.gateway, ref, hand.gateway.now())[0]

    assert stood.theirs["отметка"] == cell["value"]
    assert now.theirs == stood.theirs
    assert now.theirs_since is not None
    assert stood.theirs_since is not None
    assert now.theirs_since > stood.theirs_since


def test_every_look_leaves_an_entry_about_the_child_and_the_list_names_the_days_records(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        user, _ = manual_mark(hand)
        everything = find_records(hand.gateway, f"user:{user}", None)
        day = next(one.on for one in everything if one.on is not None)
        of_day = find_records(hand.gateway, f"user:{user}", day)
        with pytest.raises(ConfigurationError):
            find_records(hand.gateway, "user:999999", None)
        looks = [
            entry
            for entry in iter_entries(hand.gateway.store, EntryFilter(stream="access"))
            if entry.action == "passport.shown"
        ]

    assert 0 < len(of_day) < len(everything)
    assert {one.on for one in of_day} == {day}
    assert all(one.verdict.startswith("Подтверждено") for one in of_day)
    assert len(looks) == 2
    assert len({entry.subject for entry in looks}) == 1
