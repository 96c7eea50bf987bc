"""Into a signed period named pupils are let by two persons, once; a teacher signs nothing."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import insert, update

from gateway.access.roles import Role
from gateway.queue.tables import period_signature
from gateway.reconcile.tables import decision, plan

DEPUTIES = (("deputy", Role.DEPUTY_HEAD), ("director", Role.DIRECTOR), ("curator", Role.CURATOR))


@pytest.fixture
def locked(school: Any) -> Any:
    """A plan that was let out but for a mark of the first pupil, whose period is signed."""
    for login, role in DEPUTIES:
        school.account(login, role)
    days = {"period_id": 1, "from_on": "2026-11-02", "to_on": "2026-12-27"}
    with school.gateway.store.write() as conn:
        now = school.gateway.store.now(conn)
        conn.execute(
            insert(period_signature).values(
                place_id=school.place_ids[0],
                class_name="7А",
                name="2 четверть",
                periods=[days],
                signed_by="account:1",
                signed_at=now,
            )
        )
        conn.execute(update(plan).where(plan.c.id == 1).values(state="used"))
        conn.execute(
            update(decision)
            .where(decision.c.plan_id == 1, decision.c.seq == 1)
            .values(gate="l.none", reason="PERIOD_SIGNED")
        )
    return school


def propose(caller: Any, *pupils: str) -> Any:
    body = {"plan_hash": "a" * 64, "pupils": list(pupils), "reason": "решение педсовета"}
    return caller.post("/plans/1/period-approvals", body, key=uuid.uuid4().hex)


def approve(caller: Any, number: int) -> Any:
    body = {"reason": "проверено построчно"}
    return caller.post(f"/period-approvals/{number}/approval", body, key=uuid.uuid4().hex)


def test_one_proposes_another_approves_and_the_audit_names_both_and_the_pupil(locked: Any) -> None:
    deputy, director = locked.call("deputy"), locked.call("director")
    proposed = propose(deputy, "user:1")
    assert (proposed.status_code, proposed.json()["items"]) == (202, 1), proposed.text
    number = proposed.json()["id"]

    own = approve(deputy, number)
    assert (own.status_code, own.json()["code"]) == (409, "SECOND_PERSON")
    done = approve(director, number)

    assert done.status_code == 200, done.text
    assert (done.json()["items"], done.json()["proposed_by"], done.json()["is_alone"]) == (1, "account:1", False)
    again = approve(director, number)
    assert (again.status_code, again.json()["code"]) == (409, "PLAN_USED")
    entries = {entry.action: entry for entry in locked.entries("deeds")}
    assert (entries["period.approved"].actor, entries["period.approved"].originator) == ("account:2", "account:1")
    assert entries["period.pupil_named"].subject
    assert entries["period.approval_proposed"].actor == "account:1"


def test_who_may_not_approve_who_was_not_named_and_an_old_login_are_refused(locked: Any) -> None:
    curator, director = locked.call("curator"), locked.call("director")
    number = propose(curator, "user:1").json()["id"]

    assert approve(curator, number).status_code == 404
    assert propose(director, "user:2").status_code == 422, "he is linked to nobody in the city"
    locked.clock.advance(11 * 60)
    assert approve(director, number).json()["code"] == "LOGIN_NOT_FRESH"
