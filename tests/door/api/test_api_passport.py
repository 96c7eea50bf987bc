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
from gateway.mapping.tables import mark_lesson
from gateway.queue.tables import operation, receipt
from gateway.reconcile.tables import (
    base,
    decision,
    discrepancy,
    discrepancy_step,
    hold,
    intended,
    record,
    shadow_version,
)

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
    with office.gateway.store.write() as conn:
        said = {"state": "parked", "sentence": "Журнал отказал: учитель 8200003 не ведёт группу"}
        conn.execute(update(operation).where(operation.c.ref == REF).values(**said))
    (found,) = office.call("parent").get(f"/passport/{REF}").json()["passports"]
    (told,) = office.call("teacher").get(f"/passport/{REF}").json()["passports"]

    def parked(passport: dict[str, Any]) -> list[str]:
        return [event["words"] for event in passport["events"] if event["what"] == "operation.parked"]

    assert parked(found) == ["отложено"]
    assert parked(told) == ["отложено: Журнал отказал: учитель 8200003 не ведёт группу"]
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
    (found,) = told.json()["passports"]
    for answer in (told, admin.get(f"/passport/{veiled}", params={"at": office.clock.now().isoformat()})):
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


def test_a_guessed_ref_of_a_pupils_record_gives_no_pseudonym_away(office: Any) -> None:
    """A pupil's record has a passport for the admin only by the word that lists show; a group's by its own ref."""
    admin = office.call("admin")
    items = admin.get("/plans/1/items").json()["items"]
    pseudonyms = {one["pupil"] for one in items if one["pupil"]}
    now = office.clock.now().isoformat()

    unknown = admin.get("/passport/mark:1:user:999")
    for ref in (REF, "absence:1:user:1"):
        for asked in ({}, {"at": now}):
            answer = admin.get(f"/passport/{ref}", params=asked)
            assert answer.status_code == unknown.status_code == 404
            assert answer.json()["detail"] == unknown.json()["detail"], "no word of whether there is one"
            assert not any(name in answer.text for name in pseudonyms)

    (found,) = admin.get("/passport/homework:1").json()["passports"]
    assert (found["kind"], found["ref"], found["pupil"]) == ("homework", "homework:1", "")


IN_CITY, LESSON, WHO = 770011, 880022, "account:77"


@pytest.fixture
def delivered(office: Any) -> Any:
    """REF stands in the city, proven by a read, after its lesson was chosen and somebody chose ours."""
    place_id, now = office.place_ids[0], office.clock.now()
    with office.gateway.store.write() as conn:
        sent = conn.execute(
            update(operation)
            .where(operation.c.place_id == place_id, operation.c.ref == REF)
            .values(state="verified", city_id=IN_CITY, reason="")
            .returning(operation)
        ).one()
        common = {"place_id": place_id, "kind": "mark", "ref": REF, "scope": sent.scope, "object_key": sent.object_key}
        agreed = {**common, "digest": sent.intent_digest, "intent": sent.intent}
        conn.execute(insert(base).values(**agreed, city_id=IN_CITY, verified_at=now, how="delivered"))
        conn.execute(
            insert(intended).values(
                **agreed, state="sendable", reason="", create_mode="automatic", change_mode="automatic",
                row_digest=sent.intent_digest,
            )
        )  # fmt: skip
        conn.execute(
            insert(shadow_version).values(
                place_id=place_id, kind="mark", city_id=IN_CITY, body=None, valid_from=now, run_id=1
            )
        )
        for stage in ("accepted", "verified"):
            conn.execute(
                insert(receipt).values(operation_id=sent.id, stage=stage, city_id=IN_CITY, request_id="r-1", at=now)
            )
        conn.execute(
            insert(mark_lesson).values(
                place_id=place_id, mark_ref=REF, city_lesson_id=LESSON, lesson_starts_at=now, rule="same_day",
                rule_version="r", chosen_at=now,
            )
        )  # fmt: skip
        conn.execute(update(discrepancy_step).values(actor=WHO))
        conn.execute(
            insert(hold).values(
                place_id=place_id, kind="mark", ref=REF, owner=WHO, placed_at=now, until=now + timedelta(days=9), plan_id=1
            )
        )  # fmt: skip
    return office


def test_the_passport_of_a_delivered_record_gives_an_admin_no_number_of_the_city_and_nobody_who_chose(
    delivered: Any,
) -> None:
    admin = delivered.call("admin")
    items = admin.get("/plans/1/items").json()["items"]
    by_seq = {one["seq"]: one["ref"] for one in items}
    with delivered.gateway.store.read() as conn:
        seq = conn.execute(select(decision.c.seq).where(decision.c.plan_id == 1, decision.c.ref == REF)).scalar_one()

    told = delivered.call("director").get(f"/passport/{REF}").text
    veiled = admin.get(f"/passport/{by_seq[seq]}")

    secrets = (str(IN_CITY), str(LESSON), WHO)
    assert all(secret in told for secret in secrets), "what is looked for is there to be found"
    assert not any(secret in veiled.text for secret in secrets)
    (found,) = veiled.json()["passports"]
    events = {event["what"]: event["note"] for event in found["events"]}
    assert {
        "city.read",
        "operation.accepted",
        "operation.verified",
        "discrepancy.chosen",
        "hold.undone",
    } <= events.keys()
    assert events["portal.read"].startswith("run "), "numbers of our own stay"
    assert [step["name"] for step in found["steps"] if step["is_passed"]] == [
        "read",
        "in_scope",
        "matched",
        "mapped",
        "decided",
    ]
