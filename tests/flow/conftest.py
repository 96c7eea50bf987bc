"""Two sandboxes over real HTTP on loopback, one clock for everybody, and the composed gateway between them.

The clock is virtual and shared: when the gateway waits, the city's and the portal's time move with it, so nothing sleeps.
Every request to either sandbox is kept with its query and body, because that is where ids and secrets would show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Row, func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.audit.deed import Actor
from gateway.audit.read import EntryFilter, iter_entries, verify
from gateway.bootstrap import open_gateway
from gateway.connectors.port import Want
from gateway.domain.clock import ShiftedClock, VirtualClock
from gateway.domain.errors import UnavailableError
from gateway.domain.identifiers import Kind
from gateway.flows.freshen import freshen
from gateway.flows.gateway import Gateway
from gateway.flows.links import confirm_link
from gateway.flows.runs import RunRow, load_runs, year_bounds
from gateway.flows.sync import Synced, resume, sync
from gateway.mapping.links import confirm, load_links, load_waiting
from gateway.queue.approval import approve
from gateway.queue.barrier import wake
from gateway.queue.outbox import release
from gateway.queue.pauses import lift
from gateway.queue.tables import operation
from gateway.reconcile.tables import base, decision, shadow
from gateway.sandbox.city.app import build_city_app
from gateway.sandbox.city.city import LikeSchool
from gateway.sandbox.city.like_portal import build_like
from gateway.sandbox.portal.app import DEFAULT_TOKEN, PortalSandbox, build_portal_app
from gateway.sandbox.portal.recording import RecordedBook, read_recording
from gateway.sandbox.portal.school_course import FIRST_COURSE
from gateway.sandbox.portal.school_server import SchoolBook
from gateway.sandbox.school import School
from gateway.sandbox.serve import serve_in_thread
from gateway.settings import GatewaySettings, load_settings

NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)  # the recording's moment, a Monday evening
SETTLE_S = 30.0
DEADLINE_S = 5.0
SCHOOL_ID = 586
WRITES = ("POST", "PUT", "DELETE")
OUR_KINDS = {"attendance": "absence", "lesson_comment": "comment", "final_mark": "final", "lesson_plan": "topics"}
DATES_OF_PLANS = "calendar_plan"
"""Kind of the ledger's entries that follow from a plan's: its dates are built, nobody's record is written."""


@dataclass
class Asked:
    """One request as it came to a sandbox."""

    method: str
    path: str
    query: str
    body: bytes
    headers: dict[str, str]


class Recorder:
    """ASGI middleware that keeps every request; the control interface is not kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.asked: list[Asked] = []
        self.strip = ""
        """Name of a header that is taken out of every answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/__sandbox"):
            await self._app(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append(Asked(scope["method"], scope["path"], scope["query_string"].decode(), body, headers))
        is_given = False

        async def again() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def stripped(message: Message) -> None:
            if message["type"] == "http.response.start" and self.strip:
                kept = [one for one in message["headers"] if one[0].decode().lower() != self.strip]
                message = {**message, "headers": kept}
            await send(message)

        await self._app(scope, again, stripped)


class Side:
    """A served sandbox seen from its control interface."""

    def __init__(self, base_url: str, recorder: Recorder) -> None:
        self.base_url = base_url
        self.recorder = recorder
        # nothing here is encrypted: reading the roots of trust would cost more than the call
        self._http = httpx.Client(base_url=base_url, timeout=30, trust_env=False, verify=False)

    @property
    def asked(self) -> list[Asked]:
        return self.recorder.asked

    def writes(self) -> list[Asked]:
        return [one for one in self.asked if one.method in WRITES and not one.path.endswith("/sessions")]

    def fault(self, fault: str, path: str = "", method: str | None = None, **more: Any) -> None:
        self.post("faults", {"match": {"method": method, "path": path}, "fault": fault, **more})

    def clear(self) -> None:
        self._http.delete("/__sandbox/faults").raise_for_status()

    def fired(self) -> int:
        return sum(rule["fired"] for rule in self.get("faults"))

    def get(self, name: str) -> Any:
        return self._http.get(f"/__sandbox/{name}").raise_for_status().json()

    def post(self, name: str, body: dict[str, Any]) -> Any:
        answer = self._http.post(f"/__sandbox/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        self._http.close()


class PortalSide(Side):
    """The portal: what people do there."""

    def __init__(self, base_url: str, recorder: Recorder, sandbox: PortalSandbox) -> None:
        super().__init__(base_url, recorder)
        self.sandbox = sandbox

    def edit(self, op: str, **fields: Any) -> None:
        self.post("edit", {"op": op, **fields})

    def cells(self, courseid: int) -> list[tuple[int, dict[str, Any]]]:
        """(user id, gradebook item) of every cell that holds a mark's value, in a stable order."""
        rows = self.sandbox.book.course(courseid)
        assert rows is not None
        return [
            (userid, item)
            for userid, row in sorted(rows.grades.items())
            for item in row["gradeitems"]
            if item["itemtype"] in ("mod", "manual") and item["graderaw"] is not None
        ]

    def courses(self) -> list[int]:
        return [row["id"] for row in self.sandbox.book.course_rows() if row["format"] != "site"]


class CitySide(Side):
    """The city: its ledger, state, people and weather."""

    def __init__(self, base_url: str, recorder: Recorder, sandbox: Any, server: ExitStack) -> None:
        super().__init__(base_url, recorder)
        self.sandbox = sandbox
        self._server = server
        self.profiles: list[dict[str, Any]] = sandbox.describe()["profiles"]

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody listens on the city's port meanwhile."""
        self._server.close()
        yield
        self._server.enter_context(serve_in_thread(self.recorder, int(self.base_url.rpartition(":")[2])))

    def log_in(self, profile: dict[str, Any]) -> str:
        """A new session of an account, which ends the older ones; its token."""
        body = {"login": profile["login"], "password_plain": profile["password"]}
        answer = self._http.post("/api/ej/acl/v1/sessions", json=body)
        return str(answer.raise_for_status().json()["authentication_token"])

    def ledger(self) -> list[dict[str, Any]]:
        """Accepted writes, kinds by our names."""
        written = [one for one in self.get("ledger") if one["kind"] != DATES_OF_PLANS]
        return [{**one, "kind": OUR_KINDS.get(one["kind"], one["kind"])} for one in written]

    def machine_ledger(self) -> list[dict[str, Any]]:
        return [entry for entry in self.ledger() if entry["actor"] != "human"]

    def state(self) -> dict[str, Any]:
        return dict(self.get("state"))

    def standing(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.state()[kind] if row["deleted_at"] is None]

    def switch(self, **switches: Any) -> None:
        self.post("switches", switches)

    def human(self, op: str, kind: str, **fields: Any) -> dict[str, Any]:
        return dict(self.post("human", {"op": op, "kind": kind, **fields}))


@dataclass
class World:
    """A portal, a city and the time, and gateways between them."""

    clock: VirtualClock | RealClock
    portal: PortalSide
    city: CitySide
    like: LikeSchool | None
    folder: Path
    database_url: str
    stack: ExitStack
    serve_city: Callable[..., CitySide]
    settings_changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    protocols: bool = False
    """Off where they are not what a test is about: each costs a call."""

    def settings(self, city: CitySide | None = None, **mesh: Any) -> GatewaySettings:
        """Settings for one city; the school admin's profile unless `profiles` are given."""
        there = city or self.city
        fields: dict[str, Any] = {
            "base_url": there.base_url,
            "school_id": SCHOOL_ID,
            "rate_per_s": 1000,
            "settle_s": SETTLE_S,
            "deadline_s": DEADLINE_S,
        }
        if "profiles" not in mesh:
            admin = there.profiles[0]
            fields |= {"profile_id": admin["profile_id"], "token": admin["token"]}
        fields |= mesh
        if "token_file" in fields:
            fields.pop("token")
        groups = {
            "database": {"url": self.database_url},
            "portal": {"base_url": self.portal.base_url, "token": DEFAULT_TOKEN, "protocols": self.protocols},
            "mesh": fields,
            **self.settings_changes,
        }
        return load_settings(None, **groups)

    @contextmanager
    def open(self, city: CitySide | None = None, **mesh: Any) -> Iterator[Hand]:
        """Compose a gateway as one command does."""
        with open_gateway(self.settings(city, **mesh), clock=self.clock) as gateway:
            yield Hand(self, gateway, city or self.city)


class Hand:
    """One composed gateway and what an operator does with it."""

    def __init__(self, world: World, gateway: Gateway, city: CitySide) -> None:
        self.world = world
        self.gateway = gateway
        self.city = city

    @property
    def want(self) -> Want:
        from_on, to_on = year_bounds(date(2026, 11, 23))
        return Want(from_on=from_on, to_on=to_on)

    def sync(self, **more: Any) -> Synced:
        return sync(self.gateway, more.pop("want", self.want), **more)

    def runs(self) -> list[RunRow]:
        return load_runs(self.gateway, limit=100)

    def approve(
        self, synced: Synced, *, with_deletes: bool = False, with_held: bool = False, reason: str = "проверено"
    ) -> None:
        assert synced.planned is not None
        g, plan_id = self.gateway, synced.planned.plan.id
        approve(
            g.store,
            g.audit,
            g.place,
            plan_id,
            reason=reason,
            with_deletes=with_deletes,
            with_held=with_held,
            actor=g.actor,
        )
        freshen(g, plan_id)
        release(g.store, g.audit, g.place, plan_id, lane="demand", actor=g.actor)

    def deliver(self, **more: Any) -> Synced:
        return resume(self.gateway, self.want, form="deliver", **more)

    def through(self, **more: Any) -> Synced:
        """Sync, approve what asks for it, deliver."""
        synced = self.sync(**more)
        assert synced.planned is not None
        if synced.planned.plan.needs_approval:
            self.approve(synced)
            return self.deliver()
        return synced

    def lift(self) -> None:
        """Take the pauses away, as `gateway deliver --resume` does."""
        with self.gateway.store.write() as conn:
            lift(conn, self.gateway.place.city)
            wake(conn, self.gateway.place_id(conn), now=self.gateway.store.now(conn))

    def wait_grace(self) -> None:
        """Let so much time pass that what is missed now may be proposed as a delete."""
        self.world.clock.advance(self.gateway.settings.school.delete_grace_hours * 3600)

    def until_quiet(self, *, rounds: int = 8, step_s: float = 3600.0) -> Synced:
        """Go on as the night runs do, an hour apart, until a run has nothing to send and nothing is open."""
        synced: Synced | None = None
        for _ in range(rounds):
            try:
                synced = self.sync()
            except UnavailableError:  # the city may be left alone for some minutes after it was silent
                self.world.clock.advance(step_s)
                continue
            assert synced.planned is not None
            assert synced.delivered is not None
            if synced.planned.plan.needs_approval:
                self.approve(synced)
                self.deliver()
            elif not synced.delivered.sent and not synced.delivered.open_count:
                return synced
            self.world.clock.advance(step_s)
        pytest.fail(f"not quiet after {rounds} rounds: {synced.sentence if synced else 'the city is silent'}")

    def waiting(self) -> dict[str, str]:
        """People who wait for a link, and why."""
        with self.gateway.store.read() as conn:
            return load_waiting(conn, self._place(conn), Kind.PERSON)

    def confirm(self, local_ref: str, *, actor: Actor | None = None, **says: Any) -> bool:
        """Say by hand that the link which stands is right."""
        with self.gateway.store.read() as conn:
            city_id = load_links(conn, self._place(conn), Kind.PERSON)[local_ref]
        acting = self.gateway if actor is None else replace(self.gateway, actor=actor)
        return confirm_link(acting, local_ref, city_id, **says)

    def place_id(self) -> int:
        with self.gateway.store.write() as conn:
            return self.gateway.place_id(conn)

    def link_everybody(self) -> int:
        """Confirm the office's list: which portal account is which pupil of this city."""
        like = self.world.like
        assert like is not None
        ids = {row["person_id"]: row["id"] for row in self.city.state()["student_profiles"]}
        count = 0
        with self.gateway.store.write() as conn:
            place_id = self.gateway.place_id(conn)
            for row in like.pupils:
                count += confirm(
                    conn,
                    place_id,
                    Kind.PERSON,
                    f"user:{row['portal_id']}",
                    ids[row["person_id"]],
                    actor="office",
                    how="roster",
                    evidence={},
                    now=self.gateway.store.now(conn),
                )
        return count

    def operations(self) -> list[Row[Any]]:
        """Operations of this place."""
        with self.gateway.store.read() as conn:
            query = select(operation).where(operation.c.place_id == self._place(conn)).order_by(operation.c.id)
            return list(conn.execute(query))

    def states(self) -> Counter[str]:
        return Counter(row.state for row in self.operations())

    def decisions(self, synced: Synced) -> list[Row[Any]]:
        assert synced.planned is not None
        with self.gateway.store.read() as conn:
            query = select(decision).where(decision.c.plan_id == synced.planned.plan.id).order_by(decision.c.seq)
            return list(conn.execute(query))

    def base_rows(self) -> list[Row[Any]]:
        with self.gateway.store.read() as conn:
            return list(conn.execute(select(base).where(base.c.place_id == self._place(conn))))

    def shadow_count(self) -> int:
        with self.gateway.store.read() as conn:
            return int(
                conn.execute(
                    select(func.count()).select_from(shadow).where(shadow.c.place_id == self._place(conn))
                ).scalar_one()
            )

    def actions(self) -> list[Any]:
        return list(iter_entries(self.gateway.store, EntryFilter(stream="deeds")))

    def _place(self, conn: Any) -> int:
        return self.gateway.place_id(conn)

    def assert_sound(self) -> None:
        """What must hold at every end: base = city, each object once, one verified entry an effect, the chain whole."""
        assert_sound(self)


def intent_cell(row: Any) -> tuple[Any, ...]:
    """What identifies an intended object in the city's own state."""
    intent = msgspec.json.decode(row.intent)
    if row.kind == "mark":
        return ("mark", intent["pupil_id"], intent["lesson_id"], intent["form_id"], intent["value"])
    if row.kind == "absence":
        return ("absence", intent["pupil_id"], intent["lesson_id"])
    if row.kind == "comment":
        return ("comment", intent["pupil_id"], intent["lesson_id"], intent["text"])
    if row.kind == "final":
        period = intent["period_id"] or None
        return ("final", intent["pupil_id"], intent["subject_id"], intent["form"], period, intent["value"])
    if row.kind == "topics":
        return ("topics", *(lesson["topic"] for lesson in intent["lessons"]))
    return ("homework", intent["group_id"], intent["assigned_on"], intent["prepared_for"], intent["text"])


def to_day(dotted: str) -> date:
    """The day in the city's spelling, dd.mm.yyyy."""
    day, month, year = dotted.split(".")
    return date(int(year), int(month), int(day))


def form_of_final(row: dict[str, Any]) -> str:
    """Our word for the city's kind of a final mark."""
    forms = {None: "period", "intermediate_attestation": "intermediate", "attestation": "final"}
    return "year" if row["is_year_mark"] else forms[row["mark_type"]]


def standing_by_id(state: dict[str, Any]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Everything that stands in the city, by kind and id, in the terms of `intent_cell`."""
    found: dict[tuple[str, int], tuple[Any, ...]] = {}
    for row in state["marks"]:
        if row["deleted_at"] is None:
            cell = (row["student_profile_id"], row["schedule_lesson_id"], row["control_form_id"], row["name"])
            found["mark", row["id"]] = ("mark", *cell)
    for row in state["attendances"]:
        if row["deleted_at"] is None:
            found["absence", row["id"]] = ("absence", row["student_profile_id"], row["schedule_lesson_id"])
    for row in state["homeworks"]:
        if row["deleted_at"] is None:
            days = [to_day(row[name]) for name in ("date_assigned_on", "date_prepared_for")]
            text = "\n".join(entry["description"] or "" for entry in row["homework_entries"])
            found["homework", row["id"]] = ("homework", row["group_id"], *map(str, days), text)
    for row in state.get("lesson_comments", ()):
        if row["deleted_at"] is None:
            found["comment", row["id"]] = ("comment", row["student_id"], row["schedule_lesson_id"], row["comment"])
    for row in state.get("final_marks", ()):
        if row["deleted_at"] is None:
            place = (row["student_profile_id"], row["subject_id"], form_of_final(row), row["attestation_period_id"])
            found["final", row["id"]] = ("final", *place, row["value"])
    for row in state.get("lesson_plans", ()):
        names = [one["name"] for module in row["modules"] for topic in module["topics"] for one in topic["lessons"]]
        found["topics", row["id"]] = ("topics", *names)
    return found


def assert_sound(hand: Hand) -> None:
    """Nothing lost, nothing twice, nothing silent, judged by the city's own state and ledger."""
    ledger = hand.city.machine_ledger()
    standing = standing_by_id(hand.city.state())
    bases = hand.base_rows()

    created = Counter((entry["kind"], entry["id"]) for entry in ledger if entry["op"] == "create")
    assert all(count == 1 for count in created.values())
    for row in bases:
        assert standing.get((row.kind, row.city_id)) == intent_cell(row), (row.kind, row.ref)
    ours = {(row.kind, row.city_id) for row in bases}
    orphans = [key for key in created if key in standing and key not in ours]
    assert not orphans, "the city holds an object of ours that no base knows"
    assert len({(row.kind, row.city_id) for row in bases}) == len(bases)

    for stream in ("deeds", "access"):
        report = verify(hand.gateway.store, stream)
        assert report.ok, report.sentence
    operations = {row.id: row for row in hand.operations()}
    verified = [
        entry for entry in hand.actions() if entry.action == "operation.verified" and entry.operation_id in operations
    ]
    per_operation = Counter(entry.operation_id for entry in verified)
    assert all(count == 1 for count in per_operation.values())
    done = {row.id for row in operations.values() if row.state == "verified"}
    assert set(per_operation) == done
    effects = Counter((entry["kind"], entry["id"], entry["op"]) for entry in ledger)
    # the plan stands there before anything is in it: to fill it is a change
    told = Counter(
        (
            entry.object_type,
            int(entry.city_id or 0),
            "change" if entry.object_type == "topics" else operations[entry.operation_id].op,
        )
        for entry in verified
    )
    assert effects == told, "effects in the city and verified entries in the audit differ"


class RealClock(ShiftedClock):
    """The real pace, for what really takes time; may be moved on as well."""

    def advance(self, seconds: float) -> None:
        self._shift += timedelta(seconds=seconds)


class SmallBook(SchoolBook):
    """A made-up school that teaches its first subjects only: every step of a sync in a second."""

    def __init__(self, school: School, courses: int) -> None:
        super().__init__(school)
        self._course_ids = self._course_ids[:courses]


BuildWorld = Callable[..., World]


@pytest.fixture(scope="session")
def recording() -> list[dict[str, Any]]:
    return read_recording()


@pytest.fixture
def build_world(recording: list[dict[str, Any]], tmp_path: Path) -> Iterator[BuildWorld]:
    """Builds worlds: the recorded portal, or a made-up school of a few pupils and courses."""
    with ExitStack() as stack:
        yield partial(build_one, stack, recording, tmp_path)


@pytest.fixture(scope="module")
def build_module_world(
    recording: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BuildWorld]:
    """The same for a world that all tests of a module look at and none changes."""
    with ExitStack() as stack:
        yield partial(build_one, stack, recording, tmp_path_factory.mktemp("world"))


def build_one(
    stack: ExitStack,
    recording: list[dict[str, Any]],
    folder: Path,
    *,
    pupils: int | None = None,
    courses: int = 1,
    traps: bool = False,
    database_url: str | None = None,
    prepare: Callable[[PortalSide], None] | None = None,
    own_clock: bool = False,
    real_clock: bool = False,
) -> World:
    """Serve both sandboxes until the stack ends.

    Args:
        pupils: Size of the made-up school; None = the recorded portal.
        courses: How many subjects the made-up school teaches.
        traps: Everything is typed in the city by hand already, under another control form.
        prepare: Edits of the portal before the city is made like it.
        own_clock: The city's time stands still while a gateway in another process has its own.
        real_clock: Time passes really.
    """
    clock = RealClock(NOW) if real_clock else VirtualClock(NOW)
    book = RecordedBook(recording) if pupils is None else SmallBook(School(pupils=pupils, seed=1, now=NOW), courses)
    app = build_portal_app(book, now=clock.now)
    recorder = Recorder(app)
    served = stack.enter_context(serve_in_thread(recorder))
    portal = PortalSide(served.base_url, recorder, app.state.portal)
    stack.callback(portal.close)
    if prepare is not None:
        prepare(portal)
    like = build_like(portal.base_url, DEFAULT_TOKEN, traps=traps)
    recorder.asked.clear()

    def serve_city(seed: int = 1) -> CitySide:
        city_app = build_city_app(seed=seed, like=like, now=(lambda: NOW) if own_clock else clock.now, rate_per_s=None)
        city_recorder = Recorder(city_app)
        server = stack.enter_context(ExitStack())
        there = server.enter_context(serve_in_thread(city_recorder))
        side = CitySide(there.base_url, city_recorder, city_app.state.city, server)
        stack.callback(side.close)
        return side

    url = database_url or f"sqlite:///{folder / 'gateway.sqlite'}"
    return World(clock, portal, serve_city(), like, folder, url, stack, serve_city)


@pytest.fixture
def recorded(build_world: BuildWorld) -> World:
    """The recorded Moodle and a city like it."""
    return build_world()


@pytest.fixture
def small(build_world: BuildWorld) -> World:
    """One class of three in one subject."""
    return build_world(pupils=3)


@pytest.fixture
def make_hand() -> type[Hand]:
    """The operator's hand, for a test that composes its gateway in another process."""
    return Hand


OpenHand = Callable[[], AbstractContextManager[Hand]]

__all__ = ["FIRST_COURSE", "Asked", "CitySide", "Hand", "PortalSide", "World"]
