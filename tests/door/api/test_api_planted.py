"""Each check of who may see what is taken out once, and the door must be caught showing a stranger: a check without a test
that misses it is no check."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select, true

import gateway.access.scope as scope_module
import gateway.api.desk as desk_module
import gateway.report.decisions as decisions_module
import gateway.report.pupils as pupils_module
from gateway.access.relations import give_relation, take_relation
from gateway.access.roles import Reach, Role, Tie
from gateway.access.tables import account_relation
from gateway.report.visible import Seen

Plant = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture(scope="module")
def strict(shared_school: Any) -> Any:
    """Accounts whose right to user:1 fails by one condition each."""
    office = shared_school.office
    for login in ("restricted", "former", "taken"):
        shared_school.account(login, Role.PARENT)
    give_relation(office, "restricted", Tie.GUARDIAN, "user:1", is_restricted=True)
    give_relation(office, "former", Tie.GUARDIAN, "user:1", ends_on=date(2026, 11, 24))
    relation = give_relation(office, "taken", Tie.GUARDIAN, "user:1")
    take_relation(office, "taken", relation.id)
    return shared_school


def find_leaks(school: Any) -> list[str]:
    """What an outsider, a teacher of one group and a parent of one child are shown that is not theirs."""
    leaks = [
        login
        for login in ("restricted", "former", "taken")
        if school.call(login).get("/pupils/user:1/marks").status_code != 404
    ]
    teacher, parent = school.call("teacher"), school.call("parent")
    if teacher.get("/pupils/user:5/marks").status_code != 404:
        leaks.append("a pupil of another group")
    if teacher.get("/groups/group:2/marks").status_code != 404:
        leaks.append("a page of another group")
    if {one["group"] for one in teacher.get("/pupils/user:1/marks").json()["items"]} != {"group:1"}:
        leaks.append("another subject of an own pupil")
    if len(teacher.get("/pupils").json()["items"]) != 2 or len(parent.get("/pupils").json()["items"]) != 1:
        leaks.append("a list of strangers")
    if len(teacher.get("/plans/1/items").json()["items"]) != 2 or parent.get("/plans/1/items").status_code != 404:
        leaks.append("lines of a plan")
    if len(teacher.get("/operations").json()["items"]) != 2:
        leaks.append("operations")
    if parent.get("/audit").status_code != 404:
        leaks.append("the audit")
    url = "https://testserver/api/v1/sending/stop"
    cookie = {"Cookie": school.call("director").headers["Cookie"]}
    if school.client.put(url, json={"reason": "чужая страница"}, headers=cookie).status_code != 403:
        leaks.append("a foreign page")
    return leaks


def without(column: str) -> Plant:
    """The relation's query without one of its conditions."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        real = scope_module.build_tied_refs

        def build(principal: Any, tie: Any) -> Any:
            query = real(principal, tie)
            kept = [one for one in query.whereclause.clauses if column not in str(one)]
            return select(account_relation.c.object_ref).where(*kept)

        patch.setattr(scope_module, "build_tied_refs", build)

    return plant


def replacing(owner: Any, name: str, value: Any) -> Plant:
    return lambda patch: patch.setattr(owner, name, value)


PLANTED: dict[str, Plant] = {
    "a restricted relation counts": without("is_restricted"),
    "a relation that was taken back counts": without("taken_at"),
    "days of a relation are not looked at": without("ends_on"),
    "whose relation it is is not looked at": without("account_id"),
    "every role reaches the school": replacing(scope_module, "find_reach", lambda role, action: Reach.SCHOOL),
    "records are not narrowed": replacing(Seen, "covers", lambda self, row: true()),
    "a pupil is not asked for": replacing(pupils_module, "require_pupil", lambda *_, **__: None),
    "a group is not asked for": replacing(pupils_module, "require_group", lambda *_, **__: None),
    "decisions are not narrowed": replacing(
        decisions_module, "Seen", type("Blind", (Seen,), {"covers": lambda self, row: true()})
    ),
    "the page's token is not compared": replacing(desk_module.secrets, "compare_digest", lambda one, other: True),
}


def test_with_every_check_in_its_place_nothing_leaks(strict: Any) -> None:
    assert find_leaks(strict) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_check_that_is_taken_out_is_noticed(name: str, strict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[name](monkeypatch)

    assert find_leaks(strict) != []
