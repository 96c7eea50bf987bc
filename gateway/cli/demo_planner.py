"""The demo's last step: the planner is heard beside the portal, on a page that agrees, one that contradicts and one of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from gateway.cli.demo_school import DemoSchool
from gateway.connectors.port import Want
from gateway.domain.city import MarkIntent
from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import PORTAL, Kind, source_of
from gateway.domain.reasons import REASONS
from gateway.domain.records import Group, Lesson, Mark, Person, Subject
from gateway.flows.deliver import deliver
from gateway.flows.gateway import Gateway
from gateway.flows.plan import make_plan
from gateway.flows.pull import pull
from gateway.flows.runs import start_run
from gateway.flows.sync import Synced, finish_sync
from gateway.mapping.links import load_links
from gateway.queue.outbox import release
from gateway.reconcile.snapshot import load_records
from gateway.reconcile.tables import base
from gateway.report.plan_view import iter_plan_lines

FIVE = 5.0
CURATOR = "curator"


class PlannerStep:
    """Has a curator type a page of the planner, and plans with both sources.

    Args:
        want: What the demo reads.
        say: Where lines for people go.
    """

    def __init__(self, gateway: Gateway, school: DemoSchool, want: Want, *, say: Callable[..., None]) -> None:
        self._gateway = gateway
        self._school = school
        self._want = want
        self._say = say

    def run(self) -> None:
        """Type, read both, show what is one and what waits, and send what only the planner had."""
        gateway = self._gateway
        with gateway.store.write() as conn:
            page = _Page(conn, gateway.place_id(conn))
        for group, book, row in page.rows:
            self._put(group, book, row)
        run_id = start_run(gateway, "sync", self._want)
        pulled = pull(gateway, self._want, run_id)
        planned = make_plan(gateway, self._want, run_id)
        released = release(
            gateway.store, gateway.audit, gateway.place, planned.plan.id, lane="nightly", actor=gateway.actor
        )
        delivered = deliver(gateway, run_id, max_wait_s=30.0)
        finish_sync(
            gateway, Synced(run_id=run_id, pulled=pulled, planned=planned, released=released, delivered=delivered)
        )
        self._say(
            f"[bold]9. Портал и планировщик вместе[/bold]: куратор внёс в планировщик {page.marks_count} отметки за учителя; "
            f"создать {planned.plan.counters['create']}, подтверждено {delivered.verified}: что сказали оба, передано один раз"
        )
        with gateway.store.write() as conn:
            lines = list(iter_plan_lines(conn, gateway.place_id(conn), planned.plan.id))
        for line in lines:
            if line.reason == "SOURCES_DISAGREE":
                reason = REASONS[line.reason]
                who = f"{line.class_name}, {line.pupil}"
                self._say(
                    f"[yellow]Разные слова[/yellow]: {who} — {reason.what_ru} {reason.todo_ru} Ход: {line.owner}."
                )

    def _put(self, group: str, book: str, row: dict[str, Any]) -> None:
        self._school.post(self._school.planner_url, "edit", {"op": "put", "group": group, "book": book, "row": row})


class _Page:
    """One page of the planner: a lesson, its group, and three marks on it.

    Attributes:
        rows: (group or empty, book, row) in the order in which they are typed.
    """

    def __init__(self, conn: Connection, place_id: int) -> None:
        people = {one.ref: one for one in load_records(conn, place_id, Person)}
        groups = {one.ref: one for one in load_records(conn, place_id, Group)}
        subjects = {one.ref: one for one in load_records(conn, place_id, Subject)}
        lessons = [one for one in load_records(conn, place_id, Lesson) if source_of(one.ref) == PORTAL]
        self._marks = sent_marks(conn, place_id)
        self._linked = load_links(conn, place_id, Kind.PERSON)
        self._busy = _busy_cells(conn, place_id)
        agreed, differing, free, lesson = self._choose(lessons)
        group = groups[lesson.group]
        group_id = group.ref.replace(":", "-")
        self.rows: list[tuple[str, str, dict[str, Any]]] = [
            ("", "subjects", {"id": "subject", "name": subjects[group.subject].name}),
            ("", "people", {"id": CURATOR, "role": "teacher", "last_name": "Куратор", "first_name": "Программы"}),
        ]
        pupils = [agreed.pupil, differing.pupil, free]
        self.rows += [("", "people", _person_row(people[ref])) for ref in pupils]
        self.rows += [
            (
                "",
                "groups",
                {
                    "id": group_id,
                    "subject": "subject",
                    "name": group.name,
                    "class_name": group.class_name,
                    "pupils": [_id(ref) for ref in pupils],
                },
            ),
            (group_id, "lessons", {"id": "lesson", "starts_at": lesson.starts_at.isoformat(), "topic": "Повторение"}),
        ]
        values = (agreed.raw_points, 2.0 if differing.raw_points != 2.0 else 5.0, FIVE)  # a two for a not-two
        self.marks_count = len(values)
        self.rows += [
            (
                group_id,
                "marks",
                {
                    "id": f"mark-{number}",
                    "pupil": _id(ref),
                    "lesson": "lesson",
                    "value": value,
                    "entry": {"typed_by": CURATOR},
                },
            )
            for number, (ref, value) in enumerate(zip(pupils, values, strict=True), start=1)
        ]

    def _choose(self, lessons: list[Lesson]) -> tuple[Mark, Mark, str, Lesson]:
        """Find a lesson with two delivered marks, alone in their cells, and a linked pupil of its group without any."""
        for lesson in lessons:
            day = moscow_day(lesson.starts_at)
            here = [
                (mark, intent) for mark, intent, _ in self._marks if mark.group == lesson.group and intent.on == day
            ]
            alone = [mark for mark, intent in here if self._busy.count((intent.pupil_id, intent.lesson_id)) == 1]
            if len(alone) < 2:  # one that agrees, one that does not
                continue
            lesson_id = here[0][1].lesson_id
            mates = {mark.pupil for mark, _, _ in self._marks if mark.group == lesson.group}
            free = sorted(ref for ref in mates if (self._linked.get(ref), lesson_id) not in self._busy)
            if free:
                return alone[0], alone[1], free[0], lesson
        raise LookupError("no lesson for the planner's page in this school")


def _busy_cells(conn: Connection, place_id: int) -> list[tuple[int, int]]:
    """(city pupil, city lesson) of every delivered mark, one entry a mark."""
    rows = conn.execute(
        select(base.c.intent).where(base.c.place_id == place_id, base.c.kind == Kind.MARK.value)
    ).scalars()
    found = [msgspec.json.decode(body, type=MarkIntent) for body in rows]
    return [(intent.pupil_id, intent.lesson_id) for intent in found]


def _person_row(person: Person) -> dict[str, Any]:
    return {
        "id": _id(person.ref),
        "role": "pupil",
        "last_name": person.last_name,
        "first_name": person.first_name,
        "class_name": person.class_name,
        "person_id": person.person_id,
        "school_id": person.school_id,
    }


def _id(ref: str) -> str:
    return ref.replace(":", "-")


def sent_marks(conn: Connection, place_id: int) -> list[tuple[Mark, MarkIntent, int]]:
    """Delivered marks of five-point manual items, one a pupil, in a fixed order: (record, intent, city id)."""
    rows = conn.execute(
        select(base.c.ref, base.c.intent, base.c.city_id)
        .where(base.c.place_id == place_id, base.c.kind == Kind.MARK.value)
        .order_by(base.c.ref)
    ).all()
    marks = {mark.ref: mark for mark in load_records(conn, place_id, Mark)}
    found: list[tuple[Mark, MarkIntent, int]] = []
    pupils: set[str] = set()
    for ref, body, city_id in rows:
        mark = marks[ref]
        if mark.item_form == "manual" and mark.scale.maximum == FIVE and mark.pupil not in pupils:
            pupils.add(mark.pupil)
            found.append((mark, msgspec.json.decode(body, type=MarkIntent), city_id))
    return found
