"""The sandbox city over real HTTP: one server for all tests of this folder, begun anew before each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_socket import socket_allow_hosts

from gateway.sandbox.city import build_city_app
from gateway.sandbox.serve import serve_in_thread

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
CORE, PLAN = "/api/ej/core/teacher/v1", "/api/ej/plan/teacher/v1"
ALGEBRA = "7А — Алгебра"


class Desk:
    """A client of one sandbox: speaks as any of its profiles and knows the seed's objects by name."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.begin()

    def begin(self) -> None:
        """Start anew with the seed's school."""
        self.profiles = self.control("POST", "reset", {"seed": 1, "like": None})["profiles"]
        self.state = self.control("GET", "state")
        self.admin = self.profiles[0]

    def control(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = self.http.request(method, f"/__sandbox/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def teacher(self, group: str = ALGEBRA) -> dict[str, Any]:
        group_id = self.group(group)["id"]
        return next(one for one in self.profiles if group_id in one["group_ids"])

    def headers(self, profile: dict[str, Any], *, legacy: bool = False) -> dict[str, str]:
        if legacy:
            return {"Auth-Token": profile["token"]}
        return {
            "Authorization": f"Bearer {profile['token']}",
            "Profile-Id": str(profile["profile_id"]),
            "aid": "14",
            "X-Mes-Subsystem": profile["subsystem"],
            "X-Mes-RoleId": "9",
            "X-Mes-HostId": "9",
        }

    def call(
        self,
        method: str,
        path: str,
        *,
        as_: dict[str, Any] | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        """Call a path as a profile, the school admin by default; a short path is one of core."""
        profile = as_ or self.admin
        legacy = path.startswith(("/core/", "/jersey/", "/lms/"))
        if legacy:
            query = {"pid": profile["profile_id"], **query}
        url = path if path.startswith("/") else f"{CORE}/{path}"
        sent = {**self.headers(profile, legacy=legacy), **(headers or {})}
        return self.http.request(method, url, params=query, json=body, headers=sent)

    def list(self, path: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.call("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def group(self, name: str) -> dict[str, Any]:
        return next(one for one in self.state["groups"] if one["name"] == name)

    def lesson(self, group: str, day: list[int], at: int = 0) -> dict[str, Any]:
        group_id = self.group(group)["id"]
        found = [one for one in self.state["schedule_items"] if one["group_id"] == group_id and one["date"] == day]
        return found[at]

    def form(self, group: str, name: str) -> dict[str, Any]:
        subject_id = self.group(group)["subject_id"]
        level = 2 if group.startswith("7") else 3
        return next(
            one
            for one in self.state["control_forms"]
            if (one["name"], one["subject_id"], one["education_level_id"]) == (name, subject_id, level)
        )

    def mark(self, **changes: Any) -> dict[str, Any]:
        """A whole body that the city takes as it is: pupil 4 of 7А, algebra of 10 November, a five."""
        form = self.form(ALGEBRA, "Работа на уроке")
        body = {
            "comment": "",
            "is_exam": False,
            "is_criterion": False,
            "is_point": False,
            "point_date": "",
            "schedule_lesson_id": self.lesson(ALGEBRA, [2026, 11, 10])["id"],
            "student_profile_id": self.group(ALGEBRA)["student_ids"][3],
            "teacher_id": self.teacher()["profile_id"],
            "control_form_id": form["id"],
            "weight": 1,
            "theme_frame_integration_id": None,
            "course_lesson_topic_id": None,
            "grade_origins": [{"grade_origin": "5", "grade_system_id": form["grade_system_id"]}],
            "grade_system_type": False,
            "mark_type_id": 1,
        }
        return {**body, **changes}

    def absence(self, **changes: Any) -> dict[str, Any]:
        whole = self.mark()
        body = {name: whole[name] for name in ("schedule_lesson_id", "student_profile_id")}
        return {"absence_reason": None, "absence_reason_id": 1, **body, **changes}

    def homework(self, **changes: Any) -> dict[str, Any]:
        group = self.group(ALGEBRA)
        body = {
            "group_id": group["id"],
            "teacher_id": self.teacher()["profile_id"],
            "subject_id": group["subject_id"],
            "date_assigned_on": "23.11.2026",
            "date_prepared_for": "24.11.2026",
            "is_required": True,
            "mark_required": False,
            "homework_entries": [{"description": "Упражнение 1", "duration": 15, "student_ids": group["student_ids"]}],
        }
        return {**body, **changes}

    def post_mark(self, **changes: Any) -> httpx.Response:
        return self.call("POST", "marks", as_=self.teacher(), body=self.mark(**changes))

    def switch(self, **values: Any) -> None:
        self.control("POST", "switches", values)

    def fault(self, fault: str, **rule: Any) -> None:
        self.control("POST", "faults", {"fault": fault, **rule})

    def ledger(self, since: int = 0) -> list[dict[str, Any]]:
        return self.control("GET", f"ledger?since={since}")


@pytest.fixture(scope="session")
def city_http() -> Iterator[httpx.Client]:
    # a session's fixture may come before the limit that the root conftest sets for each test
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    app = build_city_app(rate_per_s=None, now=lambda: NOW)
    with serve_in_thread(app) as served, httpx.Client(base_url=served.base_url, trust_env=False) as http:
        yield http


@pytest.fixture
def desk(city_http: httpx.Client) -> Desk:
    return Desk(city_http)


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / "city.sqlite"
