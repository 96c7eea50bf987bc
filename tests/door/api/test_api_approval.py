"""A plan is let out by accounts: one person where nothing dangerous is in it, two for deletes and what a guard held."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from gateway.access.accounts import add_account, disable_account, give_role, take_role
from gateway.access.roles import Role
from gateway.reconcile.tables import plan

DEPUTIES = (("deputy", Role.DEPUTY_HEAD), ("director", Role.DIRECTOR), ("curator", Role.CURATOR), ("admin", Role.ADMIN))


@pytest.fixture
def staffed(school: Any) -> Any:
    for login, role in DEPUTIES:
        school.account(login, role)
    return school


def let_out(caller: Any, verb: str, *, plan_hash: str = "a" * 64, key: str | None = None, **more: Any) -> Any:
    body = {"plan_hash": plan_hash, "reason": "проверено построчно", **more}
    return caller.post(f"/plans/1/{verb}", body, key=key or uuid.uuid4().hex)


def plan_row(school: Any) -> Any:
    with school.gateway.store.read() as conn:
        return conn.execute(select(plan).where(plan.c.id == 1)).one()


def approved(school: Any) -> list[Any]:
    return [entry for entry in school.entries("deeds") if entry.action == "plan.approved"]


def test_an_ordinary_plan_is_approved_by_one_account_and_the_audit_names_it(staffed: Any) -> None:
    answer = let_out(staffed.call("deputy"), "approval")

    assert answer.status_code == 200, answer.text
    entry = approved(staffed)[0]
    assert (entry.actor, entry.actor_role, entry.is_authenticated) == ("account:1", "deputy_head", True)
    assert plan_row(staffed).approved_by == "account:1"
    again = let_out(staffed.call("director"), "approval")
    assert (again.status_code, again.json()["code"]) == (409, "PLAN_USED")


@pytest.mark.row("V2")
def test_held_items_and_deletes_need_a_second_person_and_the_proposer_is_not_one(staffed: Any) -> None:
    deputy, director = staffed.call("deputy"), staffed.call("director")
    for what in ({"with_deletes": True}, {"with_held": True}):
        refused = let_out(deputy, "approval", **what)
        assert (refused.status_code, refused.json()["code"]) == (409, "SECOND_PERSON")
    assert let_out(deputy, "proposals", with_deletes=True).status_code == 202

    assert let_out(deputy, "approval", with_deletes=True).json()["code"] == "SECOND_PERSON"
    more = let_out(director, "approval", with_deletes=True, with_held=True)
    assert more.json()["code"] == "SECOND_PERSON", "more than was proposed"
    assert plan_row(staffed).approved_at is None
    done = let_out(director, "approval", with_deletes=True)

    assert done.status_code == 200, done.text
    assert done.json()["proposed_by"] == "account:1"
    entry = approved(staffed)[0]
    assert (entry.actor, entry.originator) == ("account:2", "account:1")
    assert entry.counts == {"with_deletes": 1, "with_held": 0}


def test_curator_and_admin_may_propose_and_not_approve(staffed: Any) -> None:
    for login in ("curator", "admin"):
        caller = staffed.call(login)
        assert let_out(caller, "proposals", with_held=True).status_code == 202
        assert let_out(caller, "approval", with_held=True).status_code == 404

    assert let_out(staffed.call("deputy"), "approval", with_held=True).status_code == 200


def test_the_word_of_an_account_that_was_closed_since_is_no_first_word(staffed: Any) -> None:
    assert let_out(staffed.call("curator"), "proposals", with_held=True).status_code == 202
    disable_account(staffed.office, "curator", reason="чужие руки в учётной записи")

    assert let_out(staffed.call("director"), "approval", with_held=True).json()["code"] == "SECOND_PERSON"
    assert plan_row(staffed).approved_at is None


@pytest.mark.parametrize("lost", ["taken back", "over by its date"])
def test_the_word_of_who_has_lost_the_post_since_is_no_first_word(staffed: Any, lost: str) -> None:
    deputy = staffed.call("deputy")
    if lost == "over by its date":
        staffed.account("stand-in", Role.CURATOR, ends_on=date(2026, 11, 25))
        assert let_out(staffed.call("stand-in"), "proposals", with_held=True).status_code == 202
        staffed.clock.advance(15 * 3600)
        deputy = staffed.call("deputy")
    else:
        assert let_out(staffed.call("curator"), "proposals", with_held=True).status_code == 202
        take_role(staffed.office, "curator", Role.CURATOR)
        give_role(staffed.office, "curator", Role.TEACHER)  # a post that proposes nothing

    refused = let_out(deputy, "approval", with_held=True)
    assert (refused.status_code, refused.json()["code"]) == (409, "SECOND_PERSON")
    assert "сегодня предложить этого не может" in refused.json()["detail"]
    assert plan_row(staffed).approved_at is None

    assert let_out(staffed.call("admin"), "proposals", with_held=True).status_code == 202
    assert let_out(deputy, "approval", with_held=True).status_code == 200


def test_two_accounts_of_one_person_are_one_person(school: Any) -> None:
    for login, role in (("work", Role.DEPUTY_HEAD), ("second", Role.DIRECTOR)):
        add_account(school.office, login, password=school.password, person_ref="user:50")
        give_role(school.office, login, role)
    let_out(school.call("work"), "proposals", with_held=True)

    assert let_out(school.call("second"), "approval", with_held=True).json()["code"] == "SECOND_PERSON"


def test_who_stands_in_for_the_proposer_is_not_the_second_person(staffed: Any) -> None:
    give_role(staffed.office, "curator", Role.DIRECTOR, ends_on=date(2026, 12, 1), deputises_for="director")
    let_out(staffed.call("director"), "proposals", with_held=True)

    stand_in = staffed.call("curator", Role.DIRECTOR)
    assert let_out(stand_in, "approval", with_held=True).json()["code"] == "SECOND_PERSON"


@pytest.mark.row("V3")
def test_another_hash_than_was_shown_is_refused(staffed: Any) -> None:
    answer = let_out(staffed.call("deputy"), "approval", plan_hash="c" * 64)

    assert answer.status_code == 409
    assert plan_row(staffed).approved_at is None


def test_an_expired_plan_and_a_plan_of_another_school_are_refused(staffed: Any) -> None:
    deputy = staffed.call("deputy")
    other = deputy.post("/plans/2/approval", {"plan_hash": "b" * 64, "reason": "чужой"}, key=uuid.uuid4().hex)
    assert other.status_code == 404
    staffed.clock.advance(18 * 3600 + 60)

    late = let_out(staffed.call("deputy"), "approval")
    assert (late.status_code, late.json()["code"]) == (409, "PLAN_EXPIRED")


def test_a_password_proved_long_ago_does_not_approve_and_proving_it_again_does(staffed: Any) -> None:
    deputy = staffed.call("deputy")
    staffed.clock.advance(11 * 60)

    stale = let_out(deputy, "approval")
    assert (stale.status_code, stale.json()["code"]) == (409, "LOGIN_NOT_FRESH")
    assert deputy.post("/session/proof", {"password": "wrong horse 9"}).status_code == 401
    assert deputy.post("/session/proof", {"password": staffed.password}).status_code == 204
    assert let_out(deputy, "approval").status_code == 200


def test_a_sole_approver_confirms_later_with_a_fresh_proof_and_the_audit_says_that_he_was_alone(
    build_school: Callable[..., Any],
) -> None:
    with build_school(school={"single_approver": True}) as school:
        school.account("deputy", Role.DEPUTY_HEAD)
        deputy = school.call("deputy")
        proposal = let_out(deputy, "proposals", with_held=True).json()
        assert proposal["alone_from"] == "2026-11-25T09:10:00Z"
        assert let_out(deputy, "approval", with_held=True).json()["code"] == "SECOND_PERSON"
        school.clock.advance(9 * 60)
        deputy.post("/session/proof", {"password": school.password})
        assert let_out(deputy, "approval", with_held=True).json()["code"] == "SECOND_PERSON"
        school.clock.advance(2 * 60)
        assert let_out(deputy, "approval", with_held=True).json()["code"] == "SECOND_PERSON", "proved too early"
        deputy.post("/session/proof", {"password": school.password})

        done = let_out(deputy, "approval", with_held=True)

        assert done.status_code == 200, done.text
        assert done.json()["is_alone"] is True
        entry = approved(school)[0]
        assert entry.counts == {"with_deletes": 0, "with_held": 1, "alone": 1}
        assert (entry.actor, entry.originator) == ("account:1", "account:1")


def test_an_approval_repeated_under_its_key_answers_the_same_and_does_nothing_twice(staffed: Any) -> None:
    deputy, key = staffed.call("deputy"), uuid.uuid4().hex

    first = let_out(deputy, "approval", key=key)
    second = let_out(deputy, "approval", key=key)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(approved(staffed)) == 1


def test_chosen_lines_are_approved_by_number_and_what_is_named_wrongly_is_refused(staffed: Any) -> None:
    deputy = staffed.call("deputy")
    unknown = let_out(deputy, "approval", items=[10_000])
    assert (unknown.status_code, plan_row(staffed).approved_at) == (409, None)
    for wrong in ({"kinds": ["lesson"]}, {"items": [0]}, {"classes": [""]}):
        assert let_out(deputy, "approval", **wrong).status_code == 422
    lines = deputy.get("/plans/1/items").json()["items"]
    waiting = [one["seq"] for one in lines if one["op"] == "create" and one["outcome"] is None]

    assert let_out(deputy, "approval", items=waiting[:1]).json()["code"] == "GATE_SHUT", "it has not been named"
    let_out(staffed.call("director"), "proposals", with_held=True)

    done = let_out(deputy, "approval", items=waiting[:1], with_held=True)

    assert done.status_code == 200, done.text
    assert approved(staffed)[0].counts["chosen"] == 1
    assert plan_row(staffed).open_gates == ["chosen"]


def test_an_approval_by_the_command_line_names_the_os_user_and_that_nobody_vouches_for_him(staffed: Any) -> None:
    from gateway.queue.approval import approve

    g = staffed.gateway
    approve(g.store, g.audit, g.place, 1, reason="проверено", with_deletes=False, with_held=False, actor=g.actor)

    entry = approved(staffed)[0]
    assert (entry.actor_kind, entry.is_authenticated, entry.originator) == ("os_user", False, None)
