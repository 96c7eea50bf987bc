"""Accounts by the door: an administrator admits people, nobody hands himself rights, and those who lead are told."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import pytest

from gateway.access.policy import Action
from gateway.access.roles import Role, Tie
from gateway.access.tokens import issue_token

BASE = "https://testserver/api/v1"
PASSWORD = "quite a long one 9"


@pytest.fixture
def staffed(school: Any) -> Any:
    school.account("director", Role.DIRECTOR)
    school.account("deputy", Role.DEPUTY_HEAD)
    school.account("it", Role.ADMIN)
    return school


def post(caller: Any, path: str, **body: Any) -> Any:
    return caller.post(path, body, key=uuid.uuid4().hex)


def test_a_teacher_is_admitted_tied_and_let_go_and_who_leads_is_told(staffed: Any) -> None:
    admin = staffed.call("it")

    assert post(admin, "/accounts", login="petrova", password=PASSWORD, person_ref="user:50").status_code == 201
    assert post(admin, "/accounts/petrova/roles", role="class_teacher").status_code == 201
    tie = post(admin, "/accounts/petrova/relations", tie="leads", object_ref="7-а").json()
    assert tie["object_ref"] == "7А"
    assert post(admin, "/accounts/petrova/password", password="correct horse 7").status_code == 204
    petrova = staffed.call("petrova")
    assert {one["ref"] for one in petrova.get("/pupils").json()["items"]} == {"user:1", "user:2"}

    assert admin.ask("DELETE", f"/relations/{tie['id']}").status_code == 204
    assert petrova.get("/pupils").json()["items"] == []
    assert post(admin, "/accounts/petrova/roles/withdrawal", role="class_teacher").status_code == 204
    assert post(admin, "/accounts/petrova/disabling", reason="ушла").status_code == 204
    assert petrova.get("/session").status_code == 401
    assert post(admin, "/accounts/petrova/enabling", reason="вернулась").status_code == 204

    told = staffed.call("director").get("/alerts").json()["items"]
    assert [one["kind"] for one in reversed(told)] == [
        "account.role_given",
        "account.relation_given",
        "account.password_changed",
    ]
    assert {one["login"] for one in told} == {"it"}
    actor = {entry.actor for entry in staffed.entries("deeds") if entry.action == "account.role_given"}
    assert admin.session["account"] in actor


def test_an_administrator_gives_neither_himself_nor_anybody_a_leading_post(staffed: Any) -> None:
    admin, director = staffed.call("it"), staffed.call("director")
    post(admin, "/accounts", login="second", password=PASSWORD)

    for role in ("deputy_head", "director", "admin"):
        assert post(admin, "/accounts/second/roles", role=role).status_code == 409
    for path, body in (
        ("/accounts/it/roles", {"role": "curator"}),
        ("/accounts/it/password", {"password": PASSWORD}),
        ("/accounts/director/password", {"password": PASSWORD}),
        ("/accounts/deputy/disabling", {"reason": "мешает"}),
    ):
        assert post(admin, path, **body).status_code == 409, path
    assert post(director, "/accounts/director/roles", role="admin").status_code == 409
    assert post(director, "/accounts/second/roles", role="deputy_head").status_code == 201
    assert post(staffed.call("deputy"), "/accounts/second/roles", role="teacher").status_code == 404
    inspector = {"role": "inspector", "ends_on": date(2026, 12, 31).isoformat()}
    assert post(director, "/accounts/second/roles", **inspector).status_code == 201


def test_rights_are_changed_after_a_fresh_log_in_only_and_never_by_a_machine(staffed: Any) -> None:
    admin = staffed.call("it")
    actions = [Action.ACCOUNTS_CHANGE]
    _, secret = issue_token(
        staffed.office, "it", name="machine", role=Role.ADMIN, actions=actions, days=1, longest_days=1
    )
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": uuid.uuid4().hex}
    by_machine = staffed.client.post(f"{BASE}/accounts", json={"login": "robot"}, headers=headers)
    staffed.clock.advance(900)
    late = post(admin, "/accounts", login="late", password=PASSWORD)

    for refused in (by_machine, late):
        assert (refused.status_code, refused.json()["code"]) == (409, "LOGIN_NOT_FRESH")


def test_a_weak_password_and_a_taken_login_are_faults_of_the_request(staffed: Any) -> None:
    admin = staffed.call("it")

    assert post(admin, "/accounts", login="weak", password="123").status_code == 422
    assert post(admin, "/accounts", login="director", password=PASSWORD).status_code == 422
    assert post(admin, "/accounts", login="имя", password=PASSWORD).status_code == 422


def test_an_administrator_sees_a_pseudonym_where_a_tie_names_a_pupil(staffed: Any) -> None:
    staffed.account("mother", Role.PARENT, (Tie.GUARDIAN, "user:1"))

    by_admin = staffed.call("it").get("/accounts/mother")
    by_deputy = staffed.call("deputy").get("/accounts/mother")

    assert by_deputy.json()["relations"][0]["object_ref"] == "user:1"
    assert "user:1" not in by_admin.text
    assert by_admin.json()["relations"][0]["object_ref"].startswith("s")
