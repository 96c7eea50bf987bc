"""Tokens of machines: what is named, what the account may today, until their day, and nothing that is a person's."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from gateway.access.accounts import (
    disable_account,
    enable_account,
    load_accounts,
    take_role,
)
from gateway.access.policy import Action
from gateway.access.relations import load_relations, take_relation
from gateway.access.roles import Role, Tie
from gateway.access.tokens import issue_token, revoke_token
from gateway.domain.errors import ConfigurationError

BASE = "https://testserver/api/v1"


def test_a_token_can_do_what_is_named_until_its_day_and_never_after_it_is_revoked(school: Any) -> None:
    school.account("it", Role.ADMIN)
    token, secret = issue_token(
        school.office, "it", name="watch", role=Role.ADMIN, actions={Action.RUNS_READ}, days=2, longest_days=90
    )
    _, other = issue_token(
        school.office, "it", name="watch2", role=Role.ADMIN, actions={Action.QUEUE_READ}, days=2, longest_days=90
    )

    def ask(path: str, held: str = secret) -> int:
        return school.client.get(f"{BASE}{path}", headers={"Authorization": f"Bearer {held}"}).status_code

    assert ask("/runs") == 200
    assert ask("/queue") == 404
    assert ask("/queue", other) == 200
    assert ask("/runs", "cgw_" + "0" * 64) == ask("/runs", "x") == 401
    revoke_token(school.office, "it", token.id)
    assert ask("/runs") == 401
    school.clock.advance(3 * 24 * 3600)
    assert ask("/queue", other) == 401
    assert secret.encode() not in b"".join(path.read_bytes() for path in school.folder.glob("gateway.sqlite*"))
    with pytest.raises(ConfigurationError):
        issue_token(
            school.office, "it", name="x", role=Role.ADMIN, actions={Action.PLANS_APPROVE}, days=2, longest_days=90
        )


def test_a_token_dies_with_its_account_its_role_and_its_relation(school: Any) -> None:
    """It carries no right that its account does not have today."""

    def token(login: str, role: Role, *actions: Action) -> str:
        kept = {"name": "m", "role": role, "actions": set(actions), "days": 30, "longest_days": 90}
        return issue_token(school.office, login, **kept)[1]

    def ask(held: str, path: str) -> int:
        return school.client.get(f"{BASE}{path}", headers={"Authorization": f"Bearer {held}"}).status_code

    school.account("closed", Role.ADMIN)
    school.account("former", Role.ADMIN)
    school.account("inspector", Role.INSPECTOR, ends_on=date(2026, 11, 25))
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    closed, former = token("closed", Role.ADMIN, Action.RUNS_READ), token("former", Role.ADMIN, Action.RUNS_READ)
    dated = token("inspector", Role.INSPECTOR, Action.PUPILS_READ)
    narrow = token("teacher", Role.TEACHER, Action.MARKS_READ)
    assert [ask(closed, "/runs"), ask(former, "/runs"), ask(dated, "/pupils")] == [200, 200, 200]
    assert [ask(narrow, f"/pupils/user:{one}/marks") for one in (1, 5)] == [200, 404], "its account's own pupils alone"
    assert ask(narrow, "/pupils") == 404, "what the role may and the token was not given"

    disable_account(school.office, "closed", reason="ушёл")
    take_role(school.office, "former", Role.ADMIN)
    with school.gateway.store.read() as conn:
        number = next(one.id for one in load_accounts(conn) if one.login == "teacher")
        (tie,) = load_relations(conn, school.gateway.place, number)
    take_relation(school.office, "teacher", tie.id)
    assert [ask(closed, "/runs"), ask(former, "/runs"), ask(narrow, "/pupils/user:1/marks")] == [401, 401, 404]
    enable_account(school.office, "closed", reason="вернулся")
    assert ask(closed, "/runs") == 401, "a token that died stays dead"
    school.clock.advance(15 * 3600)  # the next day in Moscow
    assert ask(dated, "/pupils") == 401


def test_a_token_neither_breaks_the_glass_nor_sees_through_one_that_a_person_broke(school: Any) -> None:
    """He gave his reason for himself and for an hour; a machine that holds a token of his reads on."""
    school.account("it", Role.ADMIN)
    actions = {Action.GLASS_BREAK, Action.PUPILS_READ, Action.PASSPORT_READ}
    _, secret = issue_token(
        school.office, "it", name="watch", role=Role.ADMIN, actions=actions, days=2, longest_days=90
    )
    held = {"Authorization": f"Bearer {secret}"}

    machine = school.client.post(f"{BASE}/glass", json={"reason": "каждый час по расписанию"}, headers=held)
    admin = school.call("it")
    broken = admin.post("/glass", {"reason": "родитель звонит, ищем ребёнка"})
    read = school.client.get(f"{BASE}/pupils", headers=held)
    passport = school.client.get(f"{BASE}/passport/homework:1", headers=held)

    assert (machine.status_code, broken.status_code) == (404, 201)
    assert (admin.get("/pupils").status_code, read.status_code) == (200, 404)
    assert passport.status_code == 200, "what needs no name is told as before"
    assert [entry.actor for entry in school.entries() if entry.action == "glass.broken"] == ["account:1"]
