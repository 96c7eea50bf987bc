"""What is typed into the gateway itself goes the same way, with its typist, his principal and whoever answers for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Entry, Group, Lesson, Mark, Person
from gateway.flows.journal import Typed, add_entry, load_entries, withdraw_entry
from gateway.mapping.tables import record_link
from gateway.reconcile.snapshot import load_records

DAY_S = 86_400.0


def load(hand: Any, cls: type[Any]) -> list[Any]:
    place_id = hand.place_id()
    with hand.gateway.store.read() as conn:
        return load_records(conn, place_id, cls)


def test_an_entry_is_planned_sent_once_and_deleted_only_after_it_was_withdrawn_and_proven(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        marks, lessons = load(hand, Mark), load(hand, Lesson)
        group = load(hand, Group)[0].ref
        teacher = next(one.ref for one in load(hand, Person) if one.role == "teacher")
        days = {mark.item_number.rpartition("-")[2] for mark in marks}
        free = next(
            one
            for one in lessons
            if f"{one.starts_at:%Y%m%d}" not in days and one.starts_at < datetime(2026, 11, 20, tzinfo=UTC)
        )
        typed = Typed(
            pupil="user:1000", group=group, lesson_at=free.starts_at, value=4, on_behalf_of=teacher, answers=teacher
        )

        number = add_entry(hand.gateway, typed)
        sent = hand.through()
        again = hand.sync()

        ref = f"journal/mark:{number}"
        assert [row.reason for row in hand.decisions(sent) if row.ref == ref] == ["CREATE"]
        assert again.planned is not None
        assert again.planned.plan.counters["create"] == 0
        record = next(one for one in load(hand, Mark) if one.ref == ref)
        actor = hand.gateway.actor.name
        assert record.entry == Entry(typed_by=actor, on_behalf_of=teacher, answers=teacher, way="journal")
        line = load_entries(hand.gateway)[0]
        assert (line.typed_by, line.on_behalf_of, line.withdrawn_at) == (actor, teacher, None)
        hand.assert_sound()

        add_entry(hand.gateway, msgspec.structs.replace(typed, pupil="user:1001"))
        withdraw_entry(hand.gateway, number)
        first = hand.through()
        small.clock.advance(DAY_S)
        proven = hand.sync()

        assert [row.reason for row in hand.decisions(first) if row.ref == ref] == ["ABSENCE_UNPROVEN"]
        assert [row.reason for row in hand.decisions(proven) if row.ref == ref] == ["DELETE_HELD"]
        deeds = [entry.action for entry in hand.actions() if entry.action.startswith("journal.")]
        assert sorted(deeds) == ["journal.entered", "journal.entered", "journal.withdrawn"]
        hand.assert_sound()


def test_an_entry_beside_the_portal_s_mark_is_the_same_mark_and_another_value_waits(small: Any) -> None:
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        lessons = {f"{one.starts_at:%Y%m%d}": one for one in load(hand, Lesson)}
        mark = next(one for one in load(hand, Mark) if one.item_number.rpartition("-")[2] in lessons)
        lesson = lessons[mark.item_number.rpartition("-")[2]]
        other = 3 if mark.raw_points != 3.0 else 4
        typed = Typed(pupil=mark.pupil, group=mark.group, lesson_at=lesson.starts_at, value=other)

        add_entry(hand.gateway, typed)
        synced = hand.through()

        assert [row.reason for row in hand.decisions(synced) if row.ref == mark.ref] == ["SOURCES_DISAGREE"]
        with hand.gateway.store.read() as conn:
            pairs = conn.execute(select(record_link.c.ref, record_link.c.canonical)).all()
        assert pairs == [("journal/mark:1", mark.ref)]
        hand.assert_sound()

        for changes, words in (
            ({"pupil": "user:9"}, "Ученика"),
            ({"group": "group:9"}, "Группы"),
            ({"lesson_at": datetime(2026, 11, 10, 1, 0, tzinfo=UTC)}, "Урока"),
            ({"value": 6}, "от 1 до 5"),
            ({"value": None}, "либо отметка"),
            ({"answers": "user:9"}, "за которого"),
            ({"lesson_at": datetime(2026, 11, 10, 9, 0)}, "пояс"),  # noqa: DTZ001  # the naive one is what is refused
        ):
            with pytest.raises(ConfigurationError, match=words):
                add_entry(hand.gateway, msgspec.structs.replace(typed, **changes))
        with pytest.raises(ConfigurationError, match="отозвана"):
            withdraw_entry(hand.gateway, 99)
        assert [line.kind for line in load_entries(hand.gateway)] == [Kind.MARK]
