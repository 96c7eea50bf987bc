"""The connector at the HTTP edge: answers are scripted, no server runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import respx

from gateway.connectors.mesh.connector import MeshConnector
from gateway.connectors.pace import Unpaced
from gateway.domain.city import AbsenceIntent, HomeworkIntent, MarkIntent
from gateway.domain.clock import VirtualClock
from gateway.settings import MeshSettings

BASE_URL = "http://127.0.0.1:9"
NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
YEARS = [
    {"id": 13, "name": "2025/2026", "begin_date": "2025-09-01", "end_date": "2026-05-31", "current_year": False},
    {"id": 14, "name": "2026/2027", "begin_date": "2026-09-01", "end_date": "2027-05-31", "current_year": True},
]
ADMIN_TOKEN, TEACHER_TOKEN = "canary-admin-token", "canary-teacher-token"

Build = Callable[..., MeshConnector]


@pytest.fixture
def journal() -> Iterator[respx.MockRouter]:
    """The city: only years and sessions answer until a test says more."""
    with respx.mock(assert_all_called=False) as router:
        router.get(path="/api/ej/core/teacher/v1/academic_years").respond(json=YEARS, headers={"total-entities": "2"})
        router.post(path="/api/ej/acl/v1/sessions").respond(json={"profiles": [{"id": 9, "type": "school_admin"}]})
        yield router


@pytest.fixture
def build() -> Iterator[Build]:
    """Builds connectors with one admin and one teacher (id 1) unless told otherwise."""
    built: list[MeshConnector] = []

    def build_one(**changes: Any) -> MeshConnector:
        doors = {key: changes.pop(key) for key in ("paused", "confirmed", "clock", "monotonic") if key in changes}
        settings = {
            "base_url": BASE_URL,
            "school_id": 586,
            "profiles": {
                "office": {"profile_id": 9, "token": ADMIN_TOKEN, "role": "school_admin", "owner": "секретарь"},
                "algebra": {"profile_id": 1, "token": TEACHER_TOKEN, "role": "teacher"},
            },
            **changes,
        }
        doors.setdefault("clock", VirtualClock(NOW))
        connector = MeshConnector(MeshSettings.model_validate(settings), pace=Unpaced(), **doors)
        built.append(connector)
        return connector

    yield build_one
    for connector in built:
        connector.close()


@pytest.fixture
def mark() -> MarkIntent:
    return MarkIntent(
        pupil_id=40,
        lesson_id=101,
        group_id=7,
        subject_id=3,
        teacher_id=1,
        on=date(2026, 11, 20),
        value="5",
        weight=2,
        form_id=21,
        grade_system_id=31,
    )


@pytest.fixture
def absence() -> AbsenceIntent:
    return AbsenceIntent(pupil_id=40, lesson_id=101, group_id=7, teacher_id=1, on=date(2026, 11, 20), reason_id=2)


@pytest.fixture
def homework() -> HomeworkIntent:
    return HomeworkIntent(
        group_id=7,
        subject_id=3,
        teacher_id=1,
        assigned_on=date(2026, 11, 20),
        prepared_for=date(2026, 11, 24),
        text="№ 5",
        pupil_ids=(40, 41),
    )
