"""A portal and a folder of workbooks that speak of the same class: one record a thing, a mark of the page sent once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.domain.clock import MOSCOW, moscow_day
from gateway.domain.identifiers import source_of
from gateway.domain.records import Lesson, Mark, Person, Subject
from gateway.mapping.tables import record_link
from gateway.reconcile.snapshot import load_records
from tests.flow.conftest import Hand, World
from tests.flow.office import write_book


class Office:
    """Writes what a school's office and teachers keep: the portal's own class as workbooks."""

    def __init__(self, hand: Hand, folder: Path) -> None:
        self.hand = hand
        self.folder = folder
        self.people = [one for one in self.records(Person) if one.role == "pupil"]
        self.lessons = sorted(self.records(Lesson), key=lambda one: one.starts_at)
        self.subject = self.records(Subject)[0].name
        self.class_name = self.people[0].class_name
        self.days = [moscow_day(one.starts_at) for one in self.lessons]

    def records(self, cls: type[Any]) -> list[Any]:
        with self.hand.gateway.store.read() as conn:
            return load_records(conn, self.hand.place_id(), cls)

    def write(self, name: str, rows: list[list[Any]]) -> None:
        write_book(self.folder / name, Лист=rows)

    def write_directories(self) -> None:
        self.write(
            "список.xlsx",
            [
                ["Фамилия", "Имя", "Класс", "person_id", "Личное дело"],
                *[[one.last_name, one.first_name, one.class_name, one.person_id, one.school_id] for one in self.people],
            ],
        )
        self.write(
            "расписание.xlsx",
            [
                ["Класс", "Предмет", "Дата", "Начало"],
                *[
                    [self.class_name, self.subject, moscow_day(one.starts_at), one.starts_at.astimezone(MOSCOW).time()]
                    for one in self.lessons
                ],
            ],
        )

    def write_page(self, cells: dict[tuple[str, int], str]) -> None:
        """Cells by (pupil's ref, number of the lesson)."""
        self.write(
            "журнал.xlsx",
            [
                [f"Класс: {self.class_name}"],
                [f"Предмет: {self.subject}"],
                ["ФИО", *self.days],
                *[
                    [f"{one.last_name} {one.first_name}", *[cells.get((one.ref, at)) for at in range(len(self.days))]]
                    for one in self.people
                ],
            ],
        )


@pytest.fixture
def office(small: World, tmp_path: Path) -> Iterator[Office]:
    folder = tmp_path / "planner"
    folder.mkdir()
    small.settings_changes["planner"] = {"folder": folder, "settle_s": 0}
    with small.open() as hand:
        hand.link_everybody()
        hand.through()
        yield Office(hand, folder)


def test_a_mark_that_only_a_page_has_is_sent_once_and_what_both_have_is_one_record(office: Office) -> None:
    office.write_directories()
    hand = office.hand
    at_of = {lesson.starts_at: at for at, lesson in enumerate(office.lessons)}
    taken = {
        (row.pupil, at)
        for row in office.records(Mark)
        for at, day in enumerate(office.days)
        if row.item_number.endswith(f"{day:%Y%m%d}")
    }
    past = [at for at, lesson in enumerate(office.lessons) if lesson.starts_at < hand.gateway.now()]
    pupil, free = next((one.ref, at) for one in office.people for at in past if (one.ref, at) not in taken)
    office.write_page({(pupil, free): "4(2К)"})
    before = len(hand.city.machine_ledger())

    synced = hand.through()
    again = hand.through()

    assert len(at_of) == len(office.lessons)
    assert synced.pulled is not None
    assert not synced.pulled.problems
    page_marks = [one for one in office.records(Mark) if source_of(one.ref) == "workbook"]
    assert [row.reason for row in hand.decisions(synced) if row.ref == page_marks[0].ref] == ["CREATE"]
    assert len(hand.city.machine_ledger()) == before + 1
    assert again.planned is not None
    assert again.planned.plan.counters["create"] == 0
    with hand.gateway.store.read() as conn:
        paired = {row.kind for row in conn.execute(select(record_link)) if source_of(row.ref) == "workbook"}
    assert paired >= {"person", "group", "lesson"}
    hand.assert_sound()


def test_a_half_written_page_leaves_everything_as_it_was(office: Office) -> None:
    office.write_directories()
    office.write_page({(office.people[0].ref, 0): "н"})
    office.hand.through()
    path = office.folder / "журнал.xlsx"
    path.write_bytes(path.read_bytes()[:500])
    before = len(office.hand.city.machine_ledger())

    synced = office.hand.through()

    assert synced.exit_code == 3
    assert synced.pulled is not None
    assert {problem.reason for problem in synced.pulled.problems} >= {"WB_HALF_WRITTEN"}
    assert synced.planned is not None
    assert synced.planned.plan.counters["delete"] == 0
    assert len(office.hand.city.machine_ledger()) == before
    office.hand.assert_sound()
