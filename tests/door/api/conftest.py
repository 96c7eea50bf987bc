"""Two schools of three classes in one database, an account of every role, and the door over the first school.

The second school has the same refs and numbers with other people, so that a query which forgets the place shows a
stranger's name. Password hashing is cheap here; the door, the store, the audit and the policy are the real ones.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import msgspec
import pytest
from sqlalchemy import Connection, insert
from starlette.testclient import TestClient

from gateway.access.accounts import add_account, give_role
from gateway.access.office import Office
from gateway.access.relations import give_relation
from gateway.access.roles import Role, Tie
from gateway.api.app import build_api
from gateway.api.desk import COOKIE, CSRF_HEADER, Desk
from gateway.audit.notes import write_note
from gateway.audit.read import AuditEntry, EntryFilter, iter_entries
from gateway.bootstrap import build_gate, build_office, open_gateway
from gateway.connectors.port import ScopeRead
from gateway.domain.activity import ActivityKind, LogEvent
from gateway.domain.city import MarkIntent
from gateway.domain.clock import VirtualClock
from gateway.domain.identifiers import Kind, Place, scope_key
from gateway.domain.protocols import Part, Protocol, Question, Why
from gateway.domain.records import (
    Absence,
    Group,
    Homework,
    Lesson,
    Mark,
    Membership,
    Person,
    Record,
    Scale,
    Subject,
    digest_of,
    to_body,
)
from gateway.flows.gateway import Gateway
from gateway.mapping.links import confirm, get_place_id
from gateway.queue.tables import operation, period_approval, period_signature
from gateway.reconcile.snapshot import store_scope
from gateway.reconcile.tables import decision, discrepancy, incident, plan, relink, run
from gateway.report.activity import store_events
from gateway.report.protocols import Fresh, store_fresh
from gateway.settings import GatewaySettings, load_settings

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
PASSWORD = "correct horse 7"
BASE = "https://testserver/api/v1"

SURNAMES = {
    "user:1": "Аистова",
    "user:2": "Бобров",
    "user:3": "Воронина",
    "user:4": "Галкин",
    "user:5": "Дятлова",
    "user:6": "Ежов",
}
"""The first school's pupils: two in each class."""
STRANGERS = {f"user:{number}": f"Чужестранцев{number}" for number in (*range(1, 7), 101)}
"""The second school's pupils, under the same refs and one more."""
CLASSES = {
    "user:1": "7А",
    "user:2": "7А",
    "user:3": "7Б",
    "user:4": "7Б",
    "user:5": "8А",
    "user:6": "8А",
    "user:101": "8А",
}
GROUPS: dict[str, tuple[str, str | None, tuple[str, ...]]] = {
    "group:1": ("course:1", "7А", ("user:1", "user:2")),
    "group:2": ("course:1", "7Б", ("user:3", "user:4")),
    "group:3": ("course:2", "8А", ("user:5", "user:6")),
    "group:4": ("course:3", None, ("user:1", "user:3")),
}
"""Group → programme, class, pupils; the last one is mixed of two classes."""
SUBJECTS = {"course:1": "subject:математика", "course:2": "subject:физика", "course:3": "subject:шахматы"}

HASHES = {1: "a" * 64, 2: "b" * 64}


def build_records(surnames: dict[str, str]) -> dict[Kind, list[Record]]:
    """One school's records."""
    pupils = [ref for ref in surnames if ref in CLASSES]
    homed = {ref: name for ref, name in CLASSES.items() if ref in pupils}
    members = {ref: [one for one in GROUPS[ref][2] if one in pupils] for ref in GROUPS}
    if "user:101" in pupils:
        members["group:3"].append("user:101")
    cells = [(group, pupil) for group, inside in members.items() for pupil in inside]
    number = {group: group.partition(":")[2] for group in GROUPS}
    return {
        Kind.PERSON: [
            Person(ref=ref, role="pupil", last_name=surnames[ref], first_name="Имя", class_name=homed[ref])
            for ref in pupils
        ]
        + [
            Person(ref=f"user:{number}", role="teacher", last_name="Учителев", first_name="Имя")
            for number in (50, 51 if surnames is SURNAMES else 150)
        ],
        Kind.SUBJECT: [Subject(ref=ref, name=ref.partition(":")[2]) for ref in SUBJECTS.values()],
        Kind.GROUP: [
            Group(ref=ref, programme=course, subject=SUBJECTS[course], name=ref, class_name=class_name)
            for ref, (course, class_name, _) in GROUPS.items()
        ],
        Kind.MEMBERSHIP: [
            Membership(ref=f"member:{number[group]}:{pupil}", person=pupil, group=group) for group, pupil in cells
        ],
        Kind.LESSON: [
            Lesson(ref=f"lesson:{number[group]}", group=group, starts_at=NOW, duration_min=45, ordinal=1)
            for group in GROUPS
        ],
        Kind.MARK: [
            Mark(
                ref=f"mark:{number[group]}:{pupil}",
                pupil=pupil,
                programme=GROUPS[group][0],
                group=group,
                item=f"item:{number[group]}",
                item_name=f"Работа {surnames[pupil]}",
                item_form="manual",
                scale=Scale("points", 0, 5),
                raw_points=4.0,
                comment=f"ТАЙНА {surnames[pupil]}",
            )
            for group, pupil in cells
        ],
        Kind.ABSENCE: [
            Absence(
                ref=f"absence:{number[group]}:{pupil}",
                pupil=pupil,
                lesson=f"lesson:{number[group]}",
                group=group,
                form="absent",
            )
            for group, pupil in cells
        ],
        Kind.HOMEWORK: [
            Homework(
                ref=f"homework:{number[group]}",
                group=group,
                programme=GROUPS[group][0],
                title=f"Задание {group}",
                text="§ 5",
                assigned_on=date(2026, 11, 24),
                prepared_for=date(2026, 11, 26),
            )
            for group in GROUPS
        ],
    }


def store_school(conn: Connection, place_id: int, records: dict[Kind, list[Record]]) -> None:
    """Store a school as a read of the portal does."""
    for kind, found in records.items():
        scopes: dict[str, list[Record]] = {}
        for one in found:
            group = getattr(one, "group", None)
            scopes.setdefault(scope_key(kind, group) if group else scope_key(kind, "site"), []).append(one)
        for scope, inside in scopes.items():
            store_scope(conn, place_id, ScopeRead(scope=scope, kind=kind, read_at=NOW, records=inside), run_id=1)


def store_plan(conn: Connection, place_id: int, records: dict[Kind, list[Record]], number: int) -> None:
    """A plan with one held decision and one parked operation for each mark, and two runs."""
    for actor in ("account:1", "account:3", "account:4", "account:5"):
        conn.execute(
            insert(run).values(
                place_id=place_id, form="sync", state="done", actor=actor, want={}, started_at=NOW, finished_at=NOW,
                counters={}, problems=[], sentence="готово",
            )
        )  # fmt: skip
    conn.execute(
        insert(plan).values(
            id=number, place_id=place_id, run_id=number, state="waiting_approval", hash=HASHES.get(number, f"{number:064d}"), created_at=NOW,
            expires_at=NOW + timedelta(hours=18), rule_version="r", epoch=1, counters={"read": 8}, by_reason={},
            guards=[], is_dry_run=False, needs_approval=True, open_gates=["none"],
        )
    )  # fmt: skip
    for seq, mark in enumerate(records[Kind.MARK], 1):
        assert isinstance(mark, Mark)
        intent = MarkIntent(
            pupil_id=1000 + int(mark.pupil.partition(":")[2]), lesson_id=seq, group_id=1, subject_id=1, teacher_id=1,
            on=NOW.date(), value="4", weight=1, form_id=1, grade_system_id=1,
        )  # fmt: skip
        body, digest = msgspec.json.encode(intent), digest_of(to_body(mark))
        conn.execute(
            insert(decision).values(
                plan_id=number, seq=seq, kind="mark", ref=mark.ref, scope=scope_key(Kind.MARK, mark.group or ""),
                category="held", op="create", reason="DRIFT", object_key=intent.object_key, ours=digest, intent=body,
                on_date=NOW.date(), gate="guard",
            )
        )  # fmt: skip
        conn.execute(
            insert(operation).values(
                place_id=place_id, plan_id=number, seq=seq, run_id=number, kind="mark", ref=mark.ref, op="create",
                scope=scope_key(Kind.MARK, mark.group or ""), object_key=intent.object_key,
                idempotency_key=f"{number}-{seq}", lane="nightly", state="parked", reason="REJECTED_TARGET",
                intent=body, intent_digest=digest, ids_before=[], rule_version="r", epoch=1, claims=1, attempts=1,
                fence=1, not_before=NOW, created_at=NOW, changed_at=NOW,
            )
        )  # fmt: skip


def store_discrepancies(conn: Connection, place_id: int, records: dict[Kind, list[Record]], number: int) -> None:
    """An open discrepancy for each mark."""
    for mark in records[Kind.MARK]:
        digest = digest_of(to_body(mark))
        conn.execute(
            insert(discrepancy).values(
                place_id=place_id, kind="mark", ref=mark.ref, scope=scope_key(Kind.MARK, "x"), type="fields_differ",
                reason="DRIFT", state="open", owner="teacher", pattern="fields_differ|mark", ours=digest, base=digest,
                theirs=bytes(16), theirs_read_at=NOW, on_date=NOW.date(), flips=0, opened_at=NOW, changed_at=NOW,
                due_at=NOW + timedelta(days=3), plan_id=number,
            )
        )  # fmt: skip


PROTOCOLS = {"attempt:1": ("user:1", "group:1"), "attempt:2": ("user:2", "group:1"),
             "attempt:3": ("user:5", "group:3"), "attempt:4": ("user:1", "group:4"),
             "attempt:101": ("user:101", "group:3")}  # fmt: skip
"""Attempts by their pupil and group; the last one is the second school's alone."""


def store_protocols(conn: Connection, place_id: int, surnames: dict[str, str]) -> None:
    """A protocol for each attempt whose pupil is of this school; the texts name him."""
    fresh = [
        Fresh(
            ref=ref, pupil=pupil, group_ref=group, programme=GROUPS[group][0], activity="quiz:1", finished_at=NOW,
            attempt_digest=bytes(16),
            protocol=Protocol(
                ref=ref, activity="quiz:1", programme=GROUPS[group][0], pupil=pupil, number=1, finished_at=NOW,
                questions=(Question(number="1", form="essay", text="Кто ты?", answer=surnames[pupil]),),
                absent={Part.GRADE: Why.HIDDEN},
            ),
        )
        for ref, (pupil, group) in PROTOCOLS.items()
        if pupil in surnames
    ]  # fmt: skip
    store_fresh(conn, place_id, fresh, now=NOW)


def store_signature(conn: Connection, place_id: int, number: int) -> None:
    """A period of a class that was signed a month ago, and a proposal to let a pupil through."""
    days = {"period_id": 1, "from_on": "2026-09-01", "to_on": "2026-10-25"}
    conn.execute(
        insert(period_signature).values(
            id=number, place_id=place_id, class_name="8А", name="1 четверть", periods=[days], signed_by="account:1",
            signed_at=NOW - timedelta(days=30),
        )
    )  # fmt: skip
    conn.execute(
        insert(period_approval).values(
            id=number, place_id=place_id, plan_id=number, plan_hash=HASHES[number], pupils=[1001], with_deletes=False,
            proposed_by="operator", proposed_at=NOW,
        )
    )  # fmt: skip


def store_activity(conn: Connection, place_id: int, surnames: dict[str, str]) -> None:
    """Each pupil has entered the portal, and looked at the course of each of his groups."""
    deeds: list[tuple[str, str | None]] = [(pupil, None) for pupil in surnames] + [
        (pupil, course) for course, _, inside in GROUPS.values() for pupil in inside if pupil in surnames
    ]
    events = [
        (
            LogEvent(
                id=number, at=NOW + timedelta(seconds=number % 2), component="core", action="", target="",
                person=pupil, programme=course,
            ),
            ActivityKind.ENTERED if course is None else ActivityKind.VIEWED,
        )
        for number, (pupil, course) in enumerate(deeds, 1)
    ]  # fmt: skip
    events += [
        (
            LogEvent(
                id=number, at=NOW - timedelta(days=number), component="mod_assign", action="graded", target="",
                person=teacher, about="user:1", programme="course:1",
            ),
            ActivityKind.MARKED,
        )
        for number, teacher in ((101, "user:50"), (102, "user:51"))
    ]  # fmt: skip
    store_events(conn, place_id, 1, events)


def store_incident(conn: Connection, place_id: int, number: int) -> None:
    """A proposed unit that sets a link right, and the incident that it opened."""
    note = write_note(conn, "перепутаны", now=NOW)
    unit = conn.execute(
        insert(relink).values(
            place_id=place_id, state="proposed", hash=HASHES[number], proposed_by="account:99",
            moves=[{"local_ref": "user:1", "from_city_id": 1001, "to_city_id": None}], note_id=note.id,
            proposed_at=NOW, expires_at=NOW + timedelta(hours=18), is_alone=False,
        ).returning(relink.c.id)
    ).scalar_one()  # fmt: skip
    conn.execute(
        insert(incident).values(
            place_id=place_id, relink_id=unit, noticed_at=NOW, notice_due_at=NOW + timedelta(hours=24),
            findings_due_at=NOW + timedelta(hours=72), noticed_by="account:99",
        )
    )  # fmt: skip


class Caller:
    """One logged-in account in the browser's place."""

    def __init__(self, client: TestClient, login: str, role: Role | None = None, password: str = PASSWORD) -> None:
        self.client = client
        self.login = login
        body: dict[str, Any] = {"login": login, "password": password}
        answer = client.post(f"{BASE}/session", json=body if role is None else {**body, "role": role.value})
        assert answer.status_code == 201, answer.text
        self.session = answer.json()
        self.secret = client.cookies[COOKIE]
        client.cookies.clear()

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={self.secret}", CSRF_HEADER: self.session["csrf_token"]}

    def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        return self.client.request(method, f"{BASE}{path}", headers=headers, **more)

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> httpx2.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.ask("POST", path, json=body, headers=headers)


@dataclass
class School:
    """The door, what stands behind it, and the clock."""

    gateway: Gateway
    clock: VirtualClock
    client: TestClient
    office: Office
    folder: Path
    place_ids: tuple[int, int]
    surnames: dict[str, str] = field(default_factory=lambda: dict(SURNAMES))
    strangers: dict[str, str] = field(default_factory=lambda: dict(STRANGERS))
    groups: dict[str, tuple[str, str | None, tuple[str, ...]]] = field(default_factory=lambda: dict(GROUPS))
    hashes: dict[int, str] = field(default_factory=lambda: dict(HASHES))
    password: str = PASSWORD
    begun: list[Callable[[], object]] = field(default_factory=list)

    def call(self, login: str, role: Role | None = None) -> Caller:
        return Caller(self.client, login, role)

    def account(
        self,
        login: str,
        role: Role,
        *ties: tuple[Tie, str],
        ends_on: date | None = None,
        person_ref: str | None = None,
    ) -> None:
        add_account(self.office, login, password=PASSWORD, person_ref=person_ref)
        give_role(self.office, login, role, ends_on=ends_on)
        for tie, ref in ties:
            give_relation(self.office, login, tie, ref)

    def entries(self, stream: str = "access") -> list[AuditEntry]:
        where = msgspec.convert({"stream": stream}, EntryFilter)
        return list(iter_entries(self.gateway.store, where))


def make_settings(folder: Path, **groups: dict[str, Any]) -> GatewaySettings:
    cheap = {"argon2_passes": 1, "argon2_memory_mib": 1, "argon2_lanes": 1}
    return load_settings(
        None,
        **{
            "database": {"url": f"sqlite:///{folder / 'gateway.sqlite'}"},
            "portal": {"base_url": "http://127.0.0.1:9", "token": "0" * 32},
            "mesh": {"base_url": "http://127.0.0.1:9", "school_id": 586, "profile_id": 1, "token": "t"},
            "web": {"hosts": ["testserver", "127.0.0.1"]},
            **groups,
            "access": {**cheap, **groups.get("access", {})},
        },
    )


@pytest.fixture(scope="session")
def school_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with both schools in it, made once and copied for each test."""
    folder = tmp_path_factory.mktemp("schools")
    with open_gateway(make_settings(folder), clock=VirtualClock(NOW)) as gateway, gateway.store.write() as conn:
        store_schools(conn, gateway)
    return folder / "gateway.sqlite"


def store_schools(conn: Connection, gateway: Gateway) -> None:
    """Store both schools: the gateway's own, and one of another city under the same refs."""
    mine, theirs = place_ids(conn, gateway)
    for place_id, surnames, number in ((mine, SURNAMES, 1), (theirs, STRANGERS, 2)):
        records = build_records(surnames)
        store_school(conn, place_id, records)
        store_plan(conn, place_id, records, number)
        store_discrepancies(conn, place_id, records, number)
        store_incident(conn, place_id, number)
        store_protocols(conn, place_id, surnames)
        store_signature(conn, place_id, number)
        store_activity(conn, place_id, surnames)
    confirm(conn, mine, Kind.PERSON, "user:1", 1001, actor="office", how="roster", evidence={}, now=NOW)


def place_ids(conn: Connection, gateway: Gateway) -> tuple[int, int]:
    mine = gateway.place
    return gateway.place_id(conn), get_place_id(conn, Place(city="127.0.0.1:9/999", portal=mine.portal, year=mine.year))


@contextmanager
def open_school(folder: Path, file: Path, **groups: dict[str, Any]) -> Iterator[School]:
    """Compose the gateway over a copy of both schools and serve its door to a test client."""
    shutil.copy(file, folder / "gateway.sqlite")
    with open_served(make_settings(folder, **groups), folder) as school:
        yield school


@contextmanager
def open_served(settings: GatewaySettings, folder: Path) -> Iterator[School]:
    clock = VirtualClock(NOW)
    with open_gateway(settings, clock=clock) as gateway:
        with gateway.store.write() as conn:
            places = place_ids(conn, gateway)
        begun: list[Callable[[], object]] = []
        desk = Desk(gateway=gateway, gate=build_gate(gateway), place_id=places[0], begin=begun.append)
        with TestClient(build_api(desk), base_url="https://testserver") as client:
            yield School(gateway, clock, client, build_office(gateway), folder, places, begun=begun)


def admit_everybody(school: School) -> None:
    """An account of every role, each tied to the same corner of the school."""
    school.account("director", Role.DIRECTOR)
    school.account("deputy", Role.DEPUTY_HEAD)
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"), person_ref="user:50")
    school.account("leader", Role.CLASS_TEACHER, (Tie.LEADS, "7А"))
    school.account("curator", Role.CURATOR, (Tie.CURATES, "course:1"))
    school.account("methodist", Role.METHODIST, (Tie.CURATES, "course:1"))
    school.account("admin", Role.ADMIN)
    school.account("auditor", Role.AUDITOR)
    school.account("inspector", Role.INSPECTOR, ends_on=date(2026, 12, 31))
    school.account("pupil", Role.PUPIL, (Tie.SELF, "user:1"))
    school.account("parent", Role.PARENT, (Tie.GUARDIAN, "user:1"))
    school.account("spare", Role.TEACHER)  # whose rights may be changed


@pytest.fixture(scope="module")
def shared_school(school_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    """Both schools with everybody admitted, for tests that only look."""
    with open_school(tmp_path_factory.mktemp("school"), school_file) as school:
        admit_everybody(school)
        yield school


@pytest.fixture(scope="session")
def storing() -> SimpleNamespace:
    """How the schools are stored, for tests that add to them."""
    return SimpleNamespace(
        school=store_school,
        plan=store_plan,
        discrepancies=store_discrepancies,
        schools=store_schools,
        all=admit_everybody,
        settings=make_settings,
        served=open_served,
    )


@pytest.fixture
def school(school_file: Path, tmp_path: Path) -> Iterator[School]:
    """Both schools and nobody admitted yet."""
    with open_school(tmp_path, school_file) as made:
        yield made


@pytest.fixture
def build_school(school_file: Path, tmp_path: Path) -> Callable[..., Any]:
    """Opens a school with settings of the test's own."""

    def build(**groups: dict[str, Any]) -> Any:
        return open_school(tmp_path, school_file, **groups)

    return build


@pytest.fixture
def school_on_each_database(database_url: str, tmp_path: Path) -> Iterator[School]:
    """Both schools with everybody admitted, on SQLite and on PostgreSQL."""
    settings = make_settings(tmp_path, database={"url": database_url})
    with open_gateway(settings, clock=VirtualClock(NOW)) as gateway, gateway.store.write() as conn:
        store_schools(conn, gateway)
    with open_served(settings, tmp_path) as school:
        admit_everybody(school)
        yield school
