"""Rules by the door: who proposes does not activate, and nothing untested counts."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from gateway.access.roles import Role
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from gateway.mapping.tables import mapping_version

WHY = {"reason": "решение методсовета"}
HEAVIER = DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 7')


@pytest.fixture
def staffed(school: Any) -> Any:
    for login, role in (("deputy", Role.DEPUTY_HEAD), ("director", Role.DIRECTOR), ("curator", Role.CURATOR)):
        school.account(login, role)
    return school


def post(caller: Any, path: str, body: dict[str, Any] | None = None) -> Any:
    return caller.post(path, body, key=uuid.uuid4().hex)


DEEP = {
    "a number of repeats that nothing counts to": "[[items]]\npattern = 'а{9999999999999}'\nform = 'Тест'",
    "brackets in brackets": f"[[items]]\npattern = '{'(' * 3000}{')' * 3000}'\nform = 'Тест'",
    "lists in lists": f"items = {'[' * 5000}{']' * 5000}",
    "tables in tables": f"items = {'{а=' * 3000}1{'}' * 3000}".replace("а", "a"),
    "a search that never ends": "[[items]]\npattern = '(а+)+$'\nform = 'Тест'",
}


@pytest.mark.parametrize("toml", DEEP.values(), ids=DEEP)
def test_rules_that_would_bring_the_gateway_down_are_refused_in_words(staffed: Any, toml: str) -> None:
    answer = post(staffed.call("curator"), "/mapping/versions", {"toml": toml, **WHY})

    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(("Правила не приняты: items", "Файл правил"))


def test_a_proposal_is_activated_by_another_person_after_a_back_test(staffed: Any) -> None:
    curator, deputy, director = (staffed.call(login) for login in ("curator", "deputy", "director"))
    drafted = post(curator, "/mapping/versions", {"toml": HEAVIER, **WHY})
    wrong = post(curator, "/mapping/versions", {"toml": "[[items]]\npattern = '('", **WHY})
    proposed = post(deputy, "/mapping/versions/2/proposal", WHY)
    untested = post(director, "/mapping/versions/2/activation", WHY)
    begun = post(deputy, "/mapping/versions/2/backtest")
    tested = {"version": drafted.json()["version"], "at": staffed.clock.now().isoformat(), "unread": 0}
    listed = deputy.get("/mapping/versions").json()["items"]
    tested |= {"against": listed[1]["version"], "newly_refused": 0}
    with staffed.gateway.store.write() as conn:
        conn.execute(mapping_version.update().where(mapping_version.c.number == 2).values(backtest=tested))
    own = post(deputy, "/mapping/versions/2/activation", WHY)
    done = post(director, "/mapping/versions/2/activation", WHY)
    back = post(deputy, "/mapping/rollback", WHY)

    assert (drafted.status_code, drafted.json()["number"]) == (201, 2)
    assert wrong.status_code == 422
    assert "items.1.pattern" in wrong.json()["detail"]
    assert proposed.json()["state"] == "proposed"
    assert untested.status_code == 409
    assert (begun.status_code, len(staffed.begun)) == (202, 1)
    assert [one["state"] for one in listed] == ["proposed", "active"]
    assert (own.status_code, own.json()["code"]) == (409, "SECOND_PERSON")
    assert (done.status_code, done.json()["number"], done.json()["former"]) == (200, 2, 1)
    assert back.json()["number"] == 1
    assert deputy.get("/mapping/versions/2/text").json()["toml"] == HEAVIER
    assert deputy.get("/mapping/correction").json() == {
        "number": 0,
        "left": 0,
        "pupils": 0,
        "edited": 0,
        "is_planned": True,
    }
