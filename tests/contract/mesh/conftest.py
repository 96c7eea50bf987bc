"""The sandbox city over real HTTP, in every kind of weather, and connectors to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from gateway.connectors.mesh.connector import MeshConnector
from gateway.connectors.pace import Unpaced
from gateway.connectors.port import CityDirectory, CityScope
from gateway.domain.city import CityGroup, CityLesson, CityMark, MarkIntent
from gateway.domain.clock import VirtualClock
from gateway.domain.identifiers import Kind
from gateway.sandbox.city.app import build_city_app
from gateway.sandbox.serve import serve_in_thread
from gateway.settings import MeshSettings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # Monday, 15:00 in Moscow: the day's lessons are over
YEAR_FROM, YEAR_TO = date(2026, 9, 1), date(2026, 12, 31)

DEFAULTS: dict[str, Any] = {
    "marks_filter": "lesson",
    "paging_headers": "students",
    "per_page": "clamp",
    "error_status": "code",
    "post_answer": "object",
    "put_mark": "on",
    "delete_absence": "on",
    "absence_path": "new",
    "soft_deleted": "hidden",
    "wrong_subsystem": "empty",
    "strict_put": "null",
    "closed_period": 403,
    "read_lag_s": 0,
    "late_s": 0,
    "republish_lesson_ids": "off",
    "teacher_reads": "all",
    "idempotency_key": "off",
    "conflict_409": "off",
    "rate": "off",
    "rate_status": 429,
}

# Every value of every switch alone (city-journal.md §7.5a).
WEATHERS: list[dict[str, Any]] = [
    {},
    {"marks_filter": "entry"},
    {"paging_headers": "all"},
    {"paging_headers": "none"},
    {"per_page": "refuse"},
    {"error_status": 200},
    {"post_answer": "list"},
    {"put_mark": 405},
    {"delete_absence": 405},
    {"delete_absence": 404},
    {"absence_path": "legacy"},
    {"soft_deleted": "listed"},
    {"wrong_subsystem": 403},
    {"strict_put": 400},
    {"closed_period": "accept"},
    {"read_lag_s": 60},
    {"late_s": 60},
    {"republish_lesson_ids": "on"},
    {"teacher_reads": "own"},
    {"idempotency_key": "on"},
    {"conflict_409": "on"},
    {"rate": 5000},
    {"rate_status": 433},
]


class City:
    """The sandbox seen from its control side."""

    def __init__(self, base_url: str, described: dict[str, Any]) -> None:
        self.base_url = base_url
        self.profiles: list[dict[str, Any]] = described["profiles"]
        self.weather: dict[str, Any] = {}
        self._http = httpx.Client(base_url=base_url, timeout=30)

    def begin(self, weather: dict[str, Any]) -> None:
        self.weather = {**DEFAULTS, **weather}
        self._http.delete("/__sandbox/faults").raise_for_status()
        self._post("switches", DEFAULTS)
        self._post("reset", {"seed": 1})
        self._post("clock", {"now": NOW.isoformat()})
        self._post("switches", self.weather)

    def settle(self) -> None:
        """Let everything delayed become visible."""
        self._post("clock", {"advance_s": 120})

    def fault(self, fault: str, path: str = "", method: str | None = None, **more: Any) -> None:
        self._post("faults", {"match": {"method": method, "path": path}, "fault": fault, **more})

    def human(self, op: str, kind: str, **fields: Any) -> dict[str, Any]:
        return dict(self._post("human", {"op": op, "kind": kind, **fields}))

    def ledger(self) -> list[dict[str, Any]]:
        return list(self._http.get("/__sandbox/ledger").json())

    def state(self) -> dict[str, Any]:
        return dict(self._http.get("/__sandbox/state").json())

    def request_count(self, path: str) -> int:
        counts = self._http.get("/__sandbox/requests").json()["counts"]
        return sum(sum(statuses.values()) for name, statuses in counts.items() if path in name)

    def close(self) -> None:
        self._http.close()

    def _post(self, name: str, body: dict[str, Any]) -> Any:
        answer = self._http.post(f"/__sandbox/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Journal:
    """A connector with what the tests look up again and again."""

    def __init__(self, connector: MeshConnector) -> None:
        self.connector = connector
        self._directory: CityDirectory | None = None

    @property
    def directory(self) -> CityDirectory:
        if self._directory is None:
            self._directory = self.connector.fetch_directory(NOW.date())
        return self._directory

    def group(self, name: str) -> CityGroup:
        return next(one for one in self.directory.groups if one.name == name)

    def lessons(self, group: CityGroup) -> list[CityLesson]:
        return list(self.connector.fetch_lessons([group.id], YEAR_FROM, YEAR_TO))

    def lesson(self, group: CityGroup, day: str) -> CityLesson:
        return next(one for one in self.lessons(group) if one.starts_at.date().isoformat() == day)

    def scope(self, kind: Kind, group: CityGroup, from_on: date = YEAR_FROM, to_on: date = YEAR_TO) -> CityScope:
        return CityScope(
            kind=kind,
            group_id=group.id,
            subject_id=group.subject_id,
            level=group.level,
            from_on=from_on,
            to_on=to_on,
        )

    def read(self, kind: Kind, group: CityGroup) -> dict[int, Any]:
        found = self.connector.fetch_scope(self.scope(kind, group))
        assert found.problem is None, found.problem
        assert not found.faults
        return {one.id: one for one in found.objects}

    def cell(self, group: CityGroup, lesson: CityLesson, pupil_id: int) -> list[CityMark]:
        marks = self.read(Kind.MARK, group).values()
        return [one for one in marks if (one.pupil_id, one.lesson_id) == (pupil_id, lesson.id)]

    def mark(self, group: CityGroup, lesson: CityLesson, **changes: Any) -> MarkIntent:
        """An intent for the group's fourth pupil, who has no marks in the second quarter."""
        form = next(one for one in self.directory.forms if one.subject_id == group.subject_id and one.weight == 1)
        fields: dict[str, Any] = {
            "pupil_id": group.pupil_ids[3],
            "lesson_id": lesson.id,
            "group_id": group.id,
            "subject_id": group.subject_id,
            "teacher_id": lesson.replacement_teacher_id or lesson.teacher_id,
            "on": lesson.starts_at.date(),
            "value": "5",
            "weight": 1,
            "form_id": form.id,
            "grade_system_id": form.grade_system_id,
            **changes,
        }
        return MarkIntent(**fields)


@pytest.fixture(scope="session")
def served_city() -> Iterator[City]:
    app = build_city_app(seed=1, now=lambda: NOW, rate_per_s=None)
    with serve_in_thread(app) as served:
        city = City(served.base_url, app.state.city.describe())
        yield city
        city.close()


@pytest.fixture
def city(served_city: City) -> City:
    """The city of seed 1 with every switch at its default."""
    served_city.begin({})
    return served_city


@pytest.fixture(params=WEATHERS, ids=lambda one: ",".join(f"{k}={v}" for k, v in one.items()) or "default")
def any_city(request: pytest.FixtureRequest, served_city: City) -> City:
    """The city with each value of each switch alone."""
    served_city.begin(request.param)
    return served_city


@pytest.fixture
def open_journal() -> Iterator[Callable[..., Journal]]:
    """Opens connectors to a city: one profile of the school admin and one of each teacher."""
    opened: list[MeshConnector] = []

    def open_one(city: City, **changes: Any) -> Journal:
        doors = {key: changes.pop(key) for key in ("paused", "confirmed", "pace") if key in changes}
        profiles = {
            f"p{one['profile_id']}": {"profile_id": one["profile_id"], "token": one["token"], "role": one["role"]}
            for one in city.profiles
        }
        settings = {
            "base_url": city.base_url,
            "school_id": 586,
            "absence_path": city.weather["absence_path"],
            "profiles": profiles,
            **changes,
        }
        connector = MeshConnector(
            MeshSettings.model_validate(settings),
            clock=VirtualClock(NOW),
            **{"pace": Unpaced(), **doors},
        )
        opened.append(connector)
        return Journal(connector)

    yield open_one
    for connector in opened:
        connector.close()
