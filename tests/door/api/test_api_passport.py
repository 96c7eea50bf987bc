"""The passport by API: to whom the record is shown, every look written, and nothing of the staff's for a child."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select, update

from gateway.access.roles import Role, Tie
from gateway.domain.reasons import REASONS
from gateway.domain.records import Mark, to_body
from gateway.reconcile.tables import discrepancy, discrepancy_step, record

REF = "mark:1:user:1"


@pytest.fixture
def office(school: Any) -> Any:
    """A director, a teacher of group:1 and a parent of user:1."""
    school.account("director", Role.DIRECTOR)
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    school.account("parent", Role.PARENT, (Tie.GUARDIAN, "user:1"))
    school.account("admin", Role.ADMIN)
    with school.gateway.store.write() as conn:
        number = conn.execute(
            select(discrepancy.c.id).where(discrepancy.c.place_id == school.place_ids[0], discrepancy.c.ref == REF)
        ).scalar_one()
        conn.execute(
            insert(discrepancy_step).values(
                discrepancy_id=number, at=school.clock.now(), step="chosen", actor="account:1", choice="ours", pattern="p"
            )
        )  # fmt: skip
    return school


def test_a_teacher_reads_the_whole_life_and_the_look_is_written(office: Any) -> None:
    answer = office.call("teacher").get(f"/passport/{REF}")

    (found,) = answer.json()["passports"]
    assert (found["kind"], found["ref"], found["pupil"]) == ("mark", REF, "Аистова Имя")
    assert (
        found["verdict"] == "Отложено: " + REASONS["REJECTED_TARGET"].what_ru + " " + REASONS["REJECTED_TARGET"].todo_ru
    )
    assert found["steps"][0]["is_passed"]
    assert {"portal.read", "plan.decided", "operation.parked", "discrepancy.chosen"} <= {
        event["what"] for event in found["events"]
    }
    looks = [entry for entry in office.entries() if entry.action == "pupil.shown"]
    assert [(entry.actor_role, entry.object_type) for entry in looks] == [("teacher", "passport")]


def test_a_parent_reads_the_child_without_what_the_staff_did(office: Any) -> None:
    (found,) = office.call("parent").get(f"/passport/{REF}").json()["passports"]

    assert found["discrepancy_id"] is None
    assert not [event for event in found["events"] if event["what"].startswith(("discrepancy.", "hold."))]
    assert "portal.read" in {event["what"] for event in found["events"]}


def test_a_mark_hidden_at_the_portal_has_no_passport_for_the_parent(office: Any) -> None:
    with office.gateway.store.write() as conn:
        here = (record.c.place_id == office.place_ids[0], record.c.ref == REF)
        mark = msgspec.json.decode(conn.execute(select(record.c.body).where(*here)).scalar_one(), type=Mark)
        hidden = to_body(msgspec.structs.replace(mark, is_hidden=True))
        conn.execute(update(record).where(*here).values(body=hidden))

    assert office.call("parent").get(f"/passport/{REF}").status_code == 404
    assert office.call("teacher").get(f"/passport/{REF}").status_code == 200


def test_homework_of_a_group_is_the_staffs(office: Any) -> None:
    assert office.call("teacher").get("/passport/homework:1").status_code == 200
    assert office.call("parent").get("/passport/homework:1").status_code == 404


def test_as_of_a_moment_says_what_was_read_by_then_and_needs_a_zone(office: Any) -> None:
    caller = office.call("director")
    now = office.clock.now()
    before = caller.get(f"/passport/{REF}", params={"at": (now - timedelta(days=2)).isoformat()}).json()
    after = caller.get(f"/passport/{REF}", params={"at": now.isoformat()}).json()

    assert before["passports"] == after["passports"] == []
    assert [one["is_ours_known"] for one in before["as_of"]] == [False]
    assert [one["is_ours_known"] for one in after["as_of"]] == [True]
    assert caller.get(f"/passport/{REF}", params={"at": "2026-11-25T10:00:00"}).status_code == 422
    edges = [caller.get(f"/passport/{REF}", params={"at": f"{day}T00:00:00{zone}"}).status_code
             for day, zone in (("0001-01-01", "+14:00"), ("9999-12-31", "-12:00"))]  # fmt: skip
    assert edges == [200, 200]


def test_an_admin_reads_reasons_and_states_without_names_and_names_by_the_glass(office: Any) -> None:
    """By the ref that lists show him; what it says is the same as a teacher reads, without whose it is and what it holds."""
    admin = office.call("admin")
    items = admin.get("/plans/1/items").json()["items"]
    veiled = next(one["ref"] for one in items if one["ref"])
    pseudonym = next(one["pupil"] for one in items if one["ref"] == veiled)

    told = admin.get(f"/passport/{veiled}")
    known = admin.get(f"/passport/{REF}")
    (found,) = told.json()["passports"]
    assert known.json()["passports"][0]["ref"].startswith("mark:")
    for answer in (told, known, admin.get(f"/passport/{REF}", params={"at": office.clock.now().isoformat()})):
        assert answer.status_code == 200
        assert not any(name in answer.text for name in (*office.surnames.values(), "user:", "ТАЙНА", "Работа"))
    assert (found["ref"], found["pupil"]) == (veiled, pseudonym)
    assert found["verdict"].startswith("Отложено: ")
    assert found["whose_move"]
    assert (found["ours"], found["class_name"], found["entered"]["typed_by"]) == ({}, "", "")
    assert {"portal.read", "plan.decided", "operation.parked"} <= {event["what"] for event in found["events"]}
    assert admin.get("/passport/mark:" + "0" * 32).status_code == 404
    assert [entry for entry in office.entries() if entry.action == "pupil.shown"] == []

    admin.post("/glass", {"reason": "жалоба родителя"})
    assert admin.get(f"/passport/{REF}").json()["passports"][0]["pupil"] == "Аистова Имя"
    assert [entry.actor_role for entry in office.entries() if entry.action == "pupil.shown"] == ["admin"]
