"""Whose hands typed a value, at whose word, who answers for it: kept to the audit and the passport, whichever way it came."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.audit.read import EntryFilter, iter_entries
from gateway.audit.subjects import find_pseudonyms
from gateway.cli.passport import _print_passport
from gateway.domain.clock import MOSCOW, moscow_day
from gateway.domain.discrepancies import Choice
from gateway.domain.identifiers import source_of
from gateway.domain.records import Absence, Lesson, Mark, Person
from gateway.flows.discrepancies import choose
from gateway.flows.journal import Typed, add_entry
from gateway.flows.passport import show_passport
from gateway.flows.planner_push import receive_planner_batch
from gateway.reconcile.snapshot import load_records
from tests.flow.office import write_book
from tests.flow.test_planner_heard import PLANNER, batch, both

TAUGHT_UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
TEACHER, CURATOR = "planner/person:t0-0", "planner/person:p2"  # any two persons of the planner's list


def load(hand: Any, cls: type[Any]) -> list[Any]:
    place_id = hand.place_id()
    with hand.gateway.store.read() as conn:
        return load_records(conn, place_id, cls)


def free_cells(hand: Any) -> Iterator[tuple[Person, Lesson]]:
    """Pupils at past lessons of days on which the portal has no column of marks."""
    days = {mark.item_number.rpartition("-")[2] for mark in load(hand, Mark)}
    pupils = [one for one in load(hand, Person) if one.role == "pupil" and not source_of(one.ref)]
    for lesson in sorted(load(hand, Lesson), key=lambda one: one.starts_at):
        is_free = f"{lesson.starts_at:%Y%m%d}" not in days and lesson.starts_at < TAUGHT_UNTIL
        if is_free and not source_of(lesson.ref):
            yield from ((pupil, lesson) for pupil in pupils)


def told(hand: Any, kind: str, ref: str) -> dict[str, str]:
    """What the entry before the last call about a record says of who brought it in."""
    operation = next(row for row in reversed(hand.operations()) if (row.kind, row.ref) == (kind, ref))
    found = iter_entries(hand.gateway.store, EntryFilter(operation_id=operation.id))
    entries = [entry for entry in found if entry.action == "operation.intended"]
    originator = entries[-1].originator
    assert originator is not None
    return dict(part.split("=") for part in originator.split("|"))


def pseudonym(hand: Any, ref: str) -> str:
    with hand.gateway.store.read() as conn:
        return find_pseudonyms(conn, hand.gateway.place, [ref], kind="teacher")[ref]


def passport(hand: Any, kind: str, ref: str) -> Any:
    return next(one for one in show_passport(hand.gateway, ref) if one.kind == kind)


def city_teacher(hand: Any, kind: str, ref: str) -> str:
    operation = next(row for row in hand.operations() if (row.kind, row.ref) == (kind, ref))
    return f"city-teacher:{msgspec.json.decode(operation.intent)['teacher_id']}"


def test_every_way_in_names_its_typist_his_principal_and_who_answers(
    small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "planner"
    folder.mkdir()
    with both(small, folder=folder, settle_s=0) as (hand, books):
        hand.through()
        (_, lesson), (second, _), (third, _) = list(free_cells(hand))[:3]
        group = lesson.group
        planned = next(
            row
            for row in books.book("lessons", "7А-ALG")
            if datetime.fromisoformat(row["starts_at"]) == lesson.starts_at
        )
        by_page = {"typed_by": "p2", "on_behalf_of": "t0-0", "answers": "t0-0"}
        row = {"id": "typed", "pupil": "p0", "lesson": planned["id"], "value": 5, "entry": by_page}
        books.edits.put("7А-ALG", "marks", row)
        write_workbooks(folder, second, lesson)
        teacher = next(one.ref for one in load(hand, Person) if one.role == "teacher" and not source_of(one.ref))
        typed = Typed(pupil=third.ref, group=group, lesson_at=lesson.starts_at, value=3, on_behalf_of=teacher)
        number = add_entry(hand.gateway, typed)
        hand.through()

        absence = next(one for one in load(hand, Absence) if not source_of(one.ref))
        answers = city_teacher(hand, "absence", absence.ref)
        portal = told(hand, "absence", absence.ref)
        page = told(hand, "mark", "planner/mark:typed")
        workbook_ref = next(one.ref for one in load(hand, Mark) if source_of(one.ref) == "workbook")
        workbook = told(hand, "mark", workbook_ref)
        journal = told(hand, "mark", f"journal/mark:{number}")
        assert portal == {"typed_by": pseudonym(hand, teacher), "answers": pseudonym(hand, answers), "way": "portal"}
        assert page == {
            "typed_by": pseudonym(hand, CURATOR),
            "on_behalf_of": pseudonym(hand, TEACHER),
            "answers": pseudonym(hand, TEACHER),
            "way": "page",
        }
        assert workbook == {
            "typed_by": "curator",
            "on_behalf_of": "teacher",
            "answers": "deputy_head",
            "way": "workbook",
        }
        assert journal == {
            "typed_by": hand.gateway.actor.name,
            "on_behalf_of": pseudonym(hand, teacher),
            "answers": pseudonym(hand, answers),
            "way": "journal",
        }
        shown = passport(hand, "mark", workbook_ref).entered
        assert (shown.typed_by, shown.on_behalf_of, shown.answers) == ("curator", "teacher", "deputy_head")
        assert shown.words == {
            "внёс": "куратор",
            "за кого": "учитель",
            "отвечает": "завуч",
            "как пришло": "книга планировщика",
        }
        entered = passport(hand, "absence", absence.ref).entered
        names = {one.ref: f"{one.last_name} {one.first_name}" for one in load(hand, Person)}
        assert (entered.typed_by, entered.words["внёс"]) == (teacher, names[teacher])
        assert entered.words["как пришло"] == "портал"
        _print_passport(hand.gateway, passport(hand, "mark", "planner/mark:typed"))
        assert f"внёс: {names[CURATOR]}; за кого: {names[TEACHER]}; отвечает: {names[TEACHER]}" in " ".join(
            capsys.readouterr().out.split()
        )
        hand.assert_sound()


def write_workbooks(folder: Path, pupil: Person, lesson: Lesson) -> None:
    """A list, a lesson and a page that a curator filled in at the teacher's word; the deputy head answers."""
    write_book(
        folder / "список.xlsx",
        Ученики=[
            ["Фамилия", "Имя", "Класс", "person_id", "Личное дело"],
            [pupil.last_name, pupil.first_name, "7А", pupil.person_id, pupil.school_id],
        ],
    )
    starts = lesson.starts_at.astimezone(MOSCOW)
    write_book(
        folder / "журнал.xlsx",
        Расписание=[["Класс", "Предмет", "Дата", "Начало"], ["7А", "Алгебра", starts.date(), starts.time()]],
        Журнал=[
            ["Класс:", "7А"],
            ["Предмет:", "Алгебра"],
            ["Внёс:", "куратор"],
            ["За кого:", "учитель"],
            ["Отвечает:", "завуч"],
            ["ФИО", moscow_day(lesson.starts_at)],
            [f"{pupil.last_name} {pupil.first_name}", "4(2К)"],
        ],
    )


def test_what_a_planner_pushes_and_what_a_person_decided_since_name_them_too(small: Any) -> None:
    with both(small, accepts_push=True) as (hand, books):
        hand.through()
        for book in ("people", "subjects", "groups"):
            receive_planner_batch(hand.gateway, batch(book, books.book(book, None)), sender=PLANNER)
        group = books.book("groups", None)[0]["id"]
        lessons = books.book("lessons", group)
        receive_planner_batch(hand.gateway, batch("lessons", lessons, group=group), sender=PLANNER)
        _, lesson = next(free_cells(hand))
        planned = next(row for row in lessons if datetime.fromisoformat(row["starts_at"]) == lesson.starts_at)
        row = {"id": "pushed", "pupil": "p0", "lesson": planned["id"], "value": 4, "entry": {"typed_by": "t0-0"}}
        receive_planner_batch(hand.gateway, batch("marks", [row], group=group), sender=PLANNER)
        hand.through()
        ref = "planner/mark:pushed"
        pushed = told(hand, "mark", ref)
        assert (pushed["typed_by"], pushed["way"]) == (pseudonym(hand, TEACHER), "push")
        assert pushed["answers"] == pseudonym(hand, city_teacher(hand, "mark", ref))

        city_id = passport(hand, "mark", ref).city_id
        hand.city.human("change", "mark", id=city_id, value="2")
        hand.sync()
        number = passport(hand, "mark", ref).discrepancy_id
        choose(hand.gateway, [number], Choice.OWN, reason="пересдал", own_value="3")
        hand.through()

        decided = told(hand, "mark", ref)
        assert (decided["typed_by"], decided["way"]) == (hand.gateway.actor.name, "resolution")
        assert passport(hand, "mark", ref).entered.words["как пришло"] == "решение расхождения"
        hand.assert_sound()
