"""Coverage a class: what of its journal was read whole is a figure, so that nothing unread is taken for absent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from gateway.access.roles import Role
from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup, CityYear
from gateway.domain.records import to_body
from gateway.reconcile.shadow import city_scope
from gateway.reconcile.snapshot import CITY_SIDE
from gateway.reconcile.tables import city_directory, scope_state
from gateway.report.coverage import load_coverage
from tests.door.api.route_cases import store_directory

GROUPS = {11: "7А", 12: "7а", 13: "10Б", 14: None}


def group(number: int, class_name: str | None) -> CityGroup:
    return CityGroup(
        id=number, name=f"группа {number}", subject_id=1, subject_name="алгебра", class_ids=(), class_name=class_name, level=7, schedule_id=None,
        teacher_ids=(), pupil_ids=(),
    )  # fmt: skip


def note_read(school: Any, scope: str, *, hours_ago: float | None, problem: str | None = None) -> None:
    now = school.clock.now()
    at = None if hours_ago is None else now - timedelta(hours=hours_ago)
    with school.gateway.store.write() as conn:
        conn.execute(
            insert(scope_state).values(
                place_id=school.place_ids[0], side=CITY_SIDE, scope=scope, digest=bytes(16), records=0, tried_at=now,
                complete_at=at, complete_reads=0 if at is None else 1, problem=problem, run_id=1,
            )
        )  # fmt: skip


def test_each_class_says_how_much_of_it_was_read_and_how_old_that_is(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    store_directory(school)
    year = school_year(school)
    with school.gateway.store.write() as conn:
        made = CityDirectory(
            year=year, periods=(), classes=(), subjects=(), teachers=(), pupils=(), forms=(),
            groups=tuple(group(number, name) for number, name in GROUPS.items()),
        )  # fmt: skip
        conn.execute(update(city_directory).values(body=to_body(made)))
    note_read(school, city_scope("mark", 11), hours_ago=2)
    note_read(school, city_scope("mark", 12), hours_ago=30, problem="TRANSPORT")
    note_read(school, city_scope("mark", 13), hours_ago=None, problem="TRANSPORT")
    note_read(school, city_scope("absence", 11), hours_ago=1)
    note_read(school, city_scope("mark", 14), hours_ago=1)

    found = school.call("deputy").get("/coverage").json()["items"]

    assert [(one["class_name"], one["scopes"], one["read"], one["stale"]) for one in found] == [
        ("7А", 4, 3, 1),
        ("10Б", 2, 0, 0),
    ]
    with school.gateway.store.read() as conn:
        first, second = load_coverage(conn, school.place_ids[0])
        assert load_coverage(conn, school.place_ids[1]) == []
    assert first.oldest_at == school.clock.now() - timedelta(hours=30)
    assert second.oldest_at is None, "what was never read has no age"


def school_year(school: Any) -> CityYear:
    with school.gateway.store.read() as conn:
        body = conn.execute(select(city_directory.c.body)).scalar_one()
    return msgspec.json.decode(body, type=CityDirectory).year
