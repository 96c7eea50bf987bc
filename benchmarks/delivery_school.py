"""The school of the delivery benchmark, on both sides: as the city serves it, and as a plan with everything yet to send.

The city's half runs in a process of its own (`python -m benchmarks.delivery_school`); the gateway's half goes the product's
own way from the intended marks on: stored plan, release, outbox.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from gateway.audit.deed import Actor
from gateway.connectors.port import CityDirectory, CityScope
from gateway.domain.city import CityForm, CityGroup, CityLesson, MarkIntent
from gateway.domain.clock import ShiftedClock
from gateway.domain.identifiers import Kind
from gateway.flows.gateway import Gateway
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.mesh import Mapped
from gateway.mapping.rules import Modes
from gateway.queue.outbox import release
from gateway.reconcile.compare import Category, Decision
from gateway.reconcile.intend import store_intended
from gateway.reconcile.plan import PlanDraft
from gateway.reconcile.resolve import Item, ScopeDecision
from gateway.reconcile.shadow import scope_of
from gateway.reconcile.tables import city_directory
from gateway.reconcile.triples import Triple
from gateway.sandbox.city import build_city_app
from gateway.sandbox.city.city import LikeSchool
from gateway.sandbox.city.school import School
from gateway.sandbox.serve import open_loopback_socket, serve_forever
from gateway.store.epoch import get_epoch
from gateway.store.transaction import upsert

NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
TODAY = date(2026, 11, 23)
PUPIL_COUNT, SUBJECT_COUNT, LESSON_COUNT = 25, 4, 20
CLASS_MARKS = PUPIL_COUNT * SUBJECT_COUNT * LESSON_COUNT
"""Marks that one class can be given: one a pupil and lesson."""
FORM = ("Работа на уроке", "РУ", 1, "five", False)

_MODES = Modes(create="automatic", change="automatic", delete="approve")
_ACTOR = Actor(kind="service", name="benchmark")


def build_school(class_count: int, *, lesson_count: int = LESSON_COUNT) -> School:
    """Build a school of so many tenth classes: half years, so that no period of this autumn is closed.

    Args:
        class_count: Classes of 25 pupils, four subjects each.
        lesson_count: Lessons of each subject.
    """
    school = School()
    school.add_teacher("Администратор", "Школы", None, kind="school_admin")
    teachers = [school.add_teacher(f"Учитель{number}", "Имя", None) for number in range(SUBJECT_COUNT)]
    for number in range(class_count):
        unit = school.add_class(f"10-{number + 1}", 10)
        pupils = [
            school.add_pupil(f"person-{number}-{one}", unit, (f"Фамилия{one}", "Имя", None), birth_date="2010-05-05")
            for one in range(PUPIL_COUNT)
        ]
        for subject, teacher in enumerate(teachers):
            group = school.add_group(
                f"10-{number + 1} — Предмет {subject}", f"Предмет {subject}", [unit], [teacher], school.half_years
            )
            school.add_forms(group, [FORM])
            for pupil in pupils:
                school.enrol(pupil, group)
            for day in range(lesson_count):
                on = TODAY - timedelta(days=2 * day + 1)
                school.add_lesson(group, on.isoformat(), "08:30", subject + 1)
    return school


def class_count_of(mark_count: int) -> int:
    """How many classes so many marks need."""
    return -(-mark_count // CLASS_MARKS)


class Outbox:
    """Plans and lets out the creation of marks, all in different cells, group by group.

    Args:
        gateway: Composed for the city of `build_school`; its directories and timetable are read once, here.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        directory = gateway.city.fetch_directory(TODAY)
        first_on = TODAY - timedelta(days=2 * LESSON_COUNT)
        lessons = gateway.city.fetch_lessons([group.id for group in directory.groups], first_on, TODAY)
        self._cells = [
            (group, _list_intents(directory, group, lessons))
            for group in sorted(directory.groups, key=lambda one: one.id)
        ]
        self._used = 0
        with gateway.store.write() as conn:
            self._place_id = gateway.place_id(conn)
            self._epoch = get_epoch(conn)
            upsert(
                conn,
                city_directory,
                [
                    {
                        "place_id": self._place_id,
                        "body": msgspec.json.encode(directory),
                        "read_at": gateway.store.now(conn),
                    }
                ],
                keys=("place_id",),
                update=("body", "read_at"),
            )
        # whole groups are intended, though only a part may be let out: what is not intended any more is not sent
        for group, cells in self._cells:
            _store_intended(gateway, self._place_id, group, cells)

    @property
    def intents(self) -> list[MarkIntent]:
        """All marks of the school, in the order in which they are let out."""
        return [one for _, cells in self._cells for one in cells]

    def let_out(self, mark_count: int, *, lane: str = "nightly") -> int:
        """Let out so many marks that were not let out before; how many there were."""
        draft = PlanDraft(
            self._gateway.store,
            place_id=self._place_id,
            run_id=1,
            rule_version="benchmark",
            epoch=self._epoch,
            is_dry_run=False,
            ttl_hours=18.0,
        )
        seen = 0
        for group, cells in self._cells:
            chosen = cells[max(0, self._used - seen) : max(0, self._used + mark_count - seen)]
            seen += len(cells)
            if chosen:
                draft.add(_decide(group, chosen))
        self._used += mark_count
        return release(
            self._gateway.store, self._gateway.audit, self._gateway.place, draft.seal().id, lane=lane, actor=_ACTOR
        ).queued


def _list_intents(directory: CityDirectory, group: CityGroup, lessons: Sequence[CityLesson]) -> list[MarkIntent]:
    form = next(one for one in directory.forms if one.subject_id == group.subject_id and not one.is_deleted)
    own = sorted((one for one in lessons if one.group_id == group.id), key=lambda one: (one.starts_at, one.id))
    return [
        _to_intent(group, form, lesson, pupil_id, number)
        for lesson in own
        for number, pupil_id in enumerate(sorted(group.pupil_ids))
    ]


def _to_intent(group: CityGroup, form: CityForm, lesson: CityLesson, pupil_id: int, number: int) -> MarkIntent:
    return MarkIntent(
        pupil_id=pupil_id,
        lesson_id=lesson.id,
        group_id=group.id,
        subject_id=group.subject_id,
        teacher_id=lesson.teacher_id or 0,
        on=lesson.starts_at.date(),
        value=str(2 + number % 4),
        weight=form.weight,
        form_id=form.id,
        grade_system_id=form.grade_system_id,
    )


def _scope_of(group: CityGroup) -> str:
    return scope_of(
        CityScope(
            kind=Kind.MARK,
            group_id=group.id,
            subject_id=group.subject_id,
            level=group.level,
            from_on=TODAY - timedelta(days=2 * LESSON_COUNT),
            to_on=TODAY,
        )
    )


def _store_intended(gateway: Gateway, place_id: int, group: CityGroup, cells: list[MarkIntent]) -> None:
    rows = [
        Mapped(ref=_ref(one), kind=Kind.MARK, state="sendable", reason="", intent=one, on=one.on, mode=_MODES)
        for one in cells
    ]
    with gateway.store.write() as conn:
        store_intended(conn, place_id, _scope_of(group), rows)


def _decide(group: CityGroup, chosen: list[MarkIntent]) -> ScopeDecision:
    scope = _scope_of(group)
    items = tuple(
        Item(
            triple=Triple(
                kind=Kind.MARK.value,
                ref=_ref(one),
                scope=scope,
                state="sendable",
                reason="",
                ours=atom_digest(atom_of_intent(one)),
                base=None,
                theirs=None,
                city_id=None,
                object_key=one.object_key,
                intent=msgspec.json.encode(one),
                old=None,
                on_date=one.on,
                due_on=one.on,
            ),
            decision=Decision(Category.CREATE, "CREATE", "create"),
            gate="none",
            city_id=None,
        )
        for one in chosen
    )
    return ScopeDecision(scope=scope, items=items, shared=(), guards=(), read=len(items))


def _ref(intent: MarkIntent) -> str:
    return f"item:{intent.pupil_id}:{intent.lesson_id}"


def main() -> None:
    """Serve the city: one line of JSON with its address and profiles, then work until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marks", type=int, required=True)
    parser.add_argument("--rate", type=float, help="requests a second that are let through; none = all")
    arguments = parser.parse_args()
    app = build_city_app(
        now=ShiftedClock(NOW).now,
        rate_per_s=arguments.rate,
        like=LikeSchool(build_school(class_count_of(arguments.marks))),
    )
    listener = open_loopback_socket(0)
    facts = {**app.state.city.describe(), "base_url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
    sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
    sys.stdout.flush()
    serve_forever(app, 0, listener=listener)


if __name__ == "__main__":
    main()
