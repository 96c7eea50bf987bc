"""The city's side of a portal: the recorded one and a made-up one, read over real HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pytest_socket import socket_allow_hosts

from gateway.sandbox.city import LikeSchool, build_city_app, build_like
from gateway.sandbox.city.like_portal import LikeError
from gateway.sandbox.portal.app import DEFAULT_TOKEN
from gateway.sandbox.portal.recording import read_recording
from gateway.sandbox.portal.replay import build_replay_app
from gateway.sandbox.portal.school_server import build_school_app
from gateway.sandbox.serve import Served, serve_in_thread

NOW = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def portal() -> Iterator[Served]:
    # a module's fixture may come before the limit that the root conftest sets for each test
    socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    with serve_in_thread(build_replay_app(read_recording())) as served:
        yield served


@pytest.fixture(scope="module")
def like(portal: Served) -> LikeSchool:
    return build_like(portal.base_url, DEFAULT_TOKEN)


def test_every_question_was_in_the_recording(portal: Served, like: LikeSchool) -> None:
    assert len(like.pupils) == 33
    assert httpx.get(f"{portal.base_url}/__sandbox/misses", trust_env=False).json() == []


def test_groups_are_course_by_class_with_the_courses_teacher(like: LikeSchool) -> None:
    rows = like.school.rows
    assert [one["name"] for one in rows["groups"]] == [
        "7А — Алгебра",
        "7Б — Алгебра",
        "7А — Физика",
        "7А — Русский язык",
        "7Б — Русский язык",
        "7Б — История",
    ]
    assert [len(one["teacher_ids"]) for one in rows["groups"]] == [1] * 6
    assert [one["name"] for one in rows["class_units"]] == ["7А", "7Б"]


def test_the_timetable_is_the_union_of_sessions_and_group_events(like: LikeSchool) -> None:
    group_id = like.school.rows["groups"][0]["id"]
    lessons = [one for one in like.school.rows["schedule_items"] if one["group_id"] == group_id]

    held = [one for one in lessons if not one["cancelled"]]
    assert [one["date"][-2:] for one in held] == ["09", "10", "11", "12", "13", "23", "24", "25", "26", "27"]
    assert {(one["time"], one["duration"], one["lesson_number"]) for one in held} == {("09:00", 45, 1)}
    assert [one["cancelled"] for one in lessons].count(True) == 1


def test_person_ids_are_the_portals_or_made_up_and_never_shared(like: LikeSchool) -> None:
    ids = Counter(one["person_id"] for one in like.school.rows["student_profiles"])
    own = [one for one in like.pupils if one["person_id"].startswith("00000000-")]

    assert ids.most_common(1)[0][1] == 1
    assert 0 < len(own) < len(like.pupils)


def test_the_traps_are_a_stranger_a_nameless_pupil_one_who_left_and_no_marks(like: LikeSchool) -> None:
    pupils = like.school.rows["student_profiles"]

    assert len(pupils) == len(like.pupils) + 2
    assert [one["short_name"] for one in pupils if one["last_name"] is None] == ["None None"]
    assert [one["last_name"] for one in pupils if one["transferred"]] == ["Выбывший"]
    assert "marks" not in like.school.rows


def test_all_marks_are_typed_by_hand_when_asked_for_under_another_form(portal: Served) -> None:
    rows = build_like(portal.base_url, DEFAULT_TOKEN, traps=True).school.rows
    forms = {one["id"]: one["name"] for one in rows["control_forms"]}
    days = Counter(one["date"] for one in rows["marks"])

    assert len(rows["marks"]) == 284
    assert set(days) == {"2026-11-10", "2026-11-11", "2026-11-12", "2026-11-13", "2026-11-23"}
    assert {forms[one["control_form_id"]] for one in rows["marks"]} == {"Ответ на уроке"}
    assert {one["name"] for one in rows["marks"]} <= {"2", "3", "4", "5"}


def test_the_state_gives_the_school_offices_list_and_a_reset_can_read_the_portal_again(
    portal: Served, like: LikeSchool
) -> None:
    app = build_city_app(like=like, rate_per_s=None, now=lambda: NOW)
    with serve_in_thread(app) as served, httpx.Client(base_url=served.base_url, trust_env=False) as http:
        first = http.get("/__sandbox/state").json()["like"]["pupils"]
        wanted: dict[str, Any] = {"seed": 1, "like": {"base_url": portal.base_url, "token": DEFAULT_TOKEN}}
        http.post("/__sandbox/reset", json=wanted).raise_for_status()
        again = http.get("/__sandbox/state").json()["like"]["pupils"]
        kept = http.post("/__sandbox/reset", json={"seed": 1}).json()
        wrong = http.post("/__sandbox/reset", json={"like": {"base_url": portal.base_url, "token": "wrong"}})

    assert set(first[0]) == {"portal_id", "person_id", "last_name", "first_name", "birth_date", "class"}
    assert first == again == like.pupils
    assert len(kept["profiles"]) == 5
    assert (wrong.status_code, "wrong" in wrong.text) == (400, False)


def test_a_made_up_school_is_likened_too() -> None:
    with serve_in_thread(build_school_app(50)) as served:
        like = build_like(served.base_url, DEFAULT_TOKEN)
        misses = httpx.get(f"{served.base_url}/__sandbox/misses", trust_env=False).json()

    assert misses == []
    assert len(like.pupils) == 50
    assert all(one["teacher_ids"] for one in like.school.rows["groups"])


def test_a_portal_that_is_not_there_is_named_by_the_function_that_failed() -> None:
    with pytest.raises(LikeError, match="core_course_get_courses: ConnectError"):
        build_like("http://127.0.0.1:1", "token")
