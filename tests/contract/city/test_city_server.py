"""Serving, restart with a state file, pages, legacy paths, exports."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.sandbox.city import build_city_app
from gateway.sandbox.serve import BindRefusedError, ServeError, open_loopback_socket, serve_in_thread

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
CORE, PLAN = "/api/ej/core/teacher/v1", "/api/ej/plan/teacher/v1"
ALGEBRA = "7А — Алгебра"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "localhost", "example.org"])
def test_any_bind_but_loopback_is_refused(host: str) -> None:
    with pytest.raises(BindRefusedError):
        open_loopback_socket(host=host)


def test_a_server_stops_and_gives_its_port_back() -> None:
    app = build_city_app()
    with serve_in_thread(app) as served:
        assert httpx.get(f"{served.base_url}/__sandbox/ledger", trust_env=False).json() == []

    with socket.create_server(("127.0.0.1", served.port)):
        pass
    with serve_in_thread(app, served.port) as again:
        assert again.port == served.port


def test_an_application_that_can_not_start_is_said_so() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.raises(ServeError), serve_in_thread(broken):
        pass


def test_state_ledger_clock_switches_and_tokens_outlive_the_sandbox(state_file: Path) -> None:
    def run(seed: int, act: Any) -> Any:
        app = build_city_app(seed=seed, state_file=state_file, now=lambda: NOW)
        with serve_in_thread(app) as served, httpx.Client(base_url=served.base_url, trust_env=False) as http:
            return act(http, app.state.city.describe())

    def write(http: httpx.Client, told: dict[str, Any]) -> Any:
        state = http.get("/__sandbox/state").json()
        mark = state["marks"][0]["id"]
        http.post("/__sandbox/switches", json={"soft_deleted": "listed"})
        http.post("/__sandbox/clock", json={"advance_s": 60})
        http.post("/__sandbox/human", json={"op": "change", "kind": "mark", "id": mark, "value": "2"})
        teacher = told["profiles"][1]
        login = {"login": teacher["login"], "password_plain": teacher["password"]}
        token = http.post("/lms/api/sessions", json=login).json()["authentication_token"]
        everything = {path: http.get(f"/__sandbox/{path}").json() for path in ("ledger", "state", "switches", "clock")}
        return token, everything

    def look(http: httpx.Client, told: dict[str, Any]) -> Any:
        everything = {path: http.get(f"/__sandbox/{path}").json() for path in ("ledger", "state", "switches", "clock")}
        return everything, told

    token, before = run(1, write)
    after, told = run(2, look)

    assert after == before
    assert len(after["ledger"]) == 1
    assert told["seed"] == 1

    def call(http: httpx.Client, told: dict[str, Any]) -> list[int]:
        profile_id = str(told["profiles"][1]["profile_id"])
        headers = {"Profile-Id": profile_id, "X-Mes-Subsystem": "journalw"}
        tokens = (token, told["profiles"][1]["token"])
        return [
            http.get(f"{CORE}/marks", headers={**headers, "Authorization": f"Bearer {one}"}).status_code
            for one in tokens
        ]

    assert run(1, call) == [200, 401]


def test_a_write_that_was_late_when_the_sandbox_stopped_lands_after_its_restart(state_file: Path) -> None:
    app = build_city_app(state_file=state_file, now=lambda: NOW)
    city = app.state.city
    teacher = next(one for one in city.describe()["profiles"] if one["role"] == "school_admin")
    headers = {
        "Authorization": f"Bearer {teacher['token']}",
        "Profile-Id": str(teacher["profile_id"]),
        "X-Mes-Subsystem": "hteacherweb",
    }
    with serve_in_thread(app) as served, httpx.Client(base_url=served.base_url, trust_env=False) as http:
        mark = http.get(f"{CORE}/marks", params={"created_at_from": "10.11.2026"}, headers=headers).json()[0]["id"]
        http.post("/__sandbox/switches", json={"late_s": 60})
        http.post("/__sandbox/faults", json={"fault": "drop_after_commit"})
        assert http.delete(f"{CORE}/marks/{mark}", headers=headers).status_code == 504

    again = build_city_app(state_file=state_file, now=lambda: NOW)
    with serve_in_thread(again) as served, httpx.Client(base_url=served.base_url, trust_env=False) as http:
        assert http.get("/__sandbox/ledger").json() == []
        http.post("/__sandbox/clock", json={"advance_s": 60})
        assert [entry["op"] for entry in http.get("/__sandbox/ledger").json()] == ["delete"]


def test_pages_are_counted_from_one_and_end_with_an_empty_one(desk: Any) -> None:
    every = [one["id"] for one in desk.list("marks")]
    pages = [[one["id"] for one in desk.list("marks", page=page, per_page=20)] for page in (1, 2, 3, 4)]

    assert [len(page) for page in pages] == [20, 20, 4, 0]
    assert [one for page in pages for one in page] == every
    assert desk.call("GET", "marks", page=0).status_code == 400
    assert desk.call("GET", "marks", per_page="many").status_code == 400


@pytest.mark.parametrize("query", [{"group_ids": "7А"}, {"created_at_from": "2026-11-10"}, {"subject_id": "x"}])
def test_a_query_of_the_wrong_form_is_refused(desk: Any, query: dict[str, str]) -> None:
    assert desk.call("GET", "marks", **query).status_code == 400


def test_marks_are_narrowed_by_groups_subject_level_and_unknown_parameters_are_ignored(desk: Any) -> None:
    algebra, russian = desk.group(ALGEBRA), desk.group("7Б — Русский язык")
    both = desk.list("marks", group_ids=f"{algebra['id']},{russian['id']}")

    assert {one["group_id"] for one in both} == {algebra["id"], russian["id"]}
    assert {one["subject_id"] for one in desk.list("marks", subject_id=algebra["subject_id"])} == {
        algebra["subject_id"]
    }
    assert desk.list("marks", class_level_id=10) == []
    assert len(desk.list("marks", with_something_new="true")) == len(desk.list("marks"))


@pytest.mark.parametrize(
    ("legacy", "current"),
    [
        ("/core/api/academic_years", f"{CORE}/academic_years"),
        ("/core/api/teacher_profiles/8200002", f"{CORE}/teacher_profiles/8200002"),
        ("/core/api/student_profiles", f"{CORE}/student_profiles"),
        ("/core/api/marks", f"{CORE}/marks"),
        ("/core/api/attendances", f"{CORE}/attendances"),
        ("/core/api/control_forms", f"{CORE}/control_forms"),
        ("/core/api/attestation_periods_schedules", f"{CORE}/attestation_periods_schedules"),
        ("/core/api/class_units", f"{CORE}/class_units"),
        ("/core/api/subjects", f"{CORE}/subjects"),
        ("/jersey/api/groups", f"{PLAN}/groups"),
        (
            "/jersey/api/schedule_items?from=2026-11-09&to=2026-11-10",
            f"{PLAN}/schedule_items?from=2026-11-09&to=2026-11-10",
        ),
        ("/jersey/api/lesson_plans", f"{PLAN}/lesson_plans"),
        ("/jersey/api/calendar_plans", f"{PLAN}/calendar_plans"),
        ("/jersey/api/lesson_replacements", f"{PLAN}/lesson_replacements"),
    ],
)
def test_legacy_paths_answer_the_same_with_pid_and_auth_token(desk: Any, legacy: str, current: str) -> None:
    joint = "&" if "?" in legacy else "?"
    old = desk.http.get(f"{legacy}{joint}pid={desk.admin['profile_id']}", headers=desk.headers(desk.admin, legacy=True))
    new = desk.http.get(current, headers=desk.headers(desk.admin))

    assert (old.status_code, old.json()) == (200, new.json())
    assert desk.http.get(legacy, headers=desk.headers(desk.admin, legacy=True)).status_code == 403


def test_legacy_writes_are_the_same_writes(desk: Any) -> None:
    mark = desk.call("POST", "/core/api/marks", as_=desk.teacher(), body=desk.mark()).json()["id"]

    assert desk.call("PUT", f"/core/api/marks/{mark}", as_=desk.teacher(), body=desk.mark()).status_code == 200
    assert desk.call("DELETE", f"/core/api/marks/{mark}", as_=desk.teacher()).status_code == 200
    assert [entry["op"] for entry in desk.ledger()] == ["create", "change", "delete"]


def test_an_export_is_queued_then_done_and_of_an_unknown_group_an_error(desk: Any) -> None:
    base = "/api/ej/report/teacher/v1/journals/export"

    def poll(group_id: int) -> list[dict[str, Any]]:
        export = desk.call("POST", base, body={"group_ids": [group_id]}).json()["id"]
        return [desk.call("GET", f"{base}/status/{export}").json() for _ in range(2)]

    known, unknown = poll(desk.group(ALGEBRA)["id"]), poll(1)

    assert [one["status"] for one in known] == ["queued", "done"]
    assert known[1]["counts"]["marks"] == 28
    assert [one["status"] for one in unknown] == ["queued", "error"]
    assert desk.ledger() == []


def test_a_lesson_plan_is_put_whole(desk: Any) -> None:
    plan = desk.call("GET", f"{PLAN}/lesson_plans/420001").json()["lesson_plan"]

    changed = desk.call("PUT", f"{PLAN}/lesson_plans/420001", body={**plan, "name": "Алгебра, базовый"}).json()
    refused = desk.call("PUT", f"{PLAN}/lesson_plans/420001", body={"name": "Алгебра"})

    assert changed["lesson_plan"]["name"] == "Алгебра, базовый"
    assert refused.status_code == 400


def test_a_method_that_a_resource_does_not_have_is_refused(desk: Any) -> None:
    assert desk.call("DELETE", f"homeworks/{desk.state['homeworks'][0]['id']}").status_code == 405
