"""A choice about many: of what was on the screen, in whose name, and only as long as it is his who chose."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

import gateway.api.discrepancies
import gateway.flows.acts
import gateway.flows.discrepancies
from gateway.access.accounts import disable_account, give_role, take_role
from gateway.access.relations import load_relations, take_relation
from gateway.access.roles import Role, Tie
from gateway.audit.deed import Actor
from gateway.flows.acts import carry_out
from gateway.reconcile.tables import discrepancy

TODAY = date(2026, 11, 25)
ASIDE = {"choice": "ignore", "until": "2026-12-01T00:00:00Z", "reason": "после каникул"}


@pytest.fixture
def director(school: Any) -> Any:
    school.account("director", Role.DIRECTOR)
    return school.call("director")


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every choice is one about many, and whoever carries it out has not come to it yet."""
    for module in (gateway.flows.acts, gateway.flows.discrepancies):
        monkeypatch.setattr(module, "PART_ROWS", 1)
    monkeypatch.setattr(gateway.api.discrepancies, "carry_on", lambda _: None)


def settle(caller: Any, ids: list[int], **more: Any) -> Any:
    return caller.post("/discrepancies/choices", {"ids": ids, **ASIDE, **more}, key=uuid.uuid4().hex)


def open_lines(caller: Any) -> list[dict[str, Any]]:
    return list(caller.get("/discrepancies").json()["items"])


def move_one(school: Any, number: int, by: timedelta) -> None:
    """A plan takes up another value."""
    with school.gateway.store.write() as conn:
        now = school.gateway.store.now(conn)
        conn.execute(update(discrepancy).where(discrepancy.c.id == number).values(changed_at=now + by))


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)])
def test_what_changed_since_its_line_was_shown_drops_out_whatever_the_clock_said(
    school: Any, director: Any, by: timedelta
) -> None:
    lines = open_lines(director)
    moved, kept = lines[0]["id"], lines[1]["id"]
    shown = {str(line["id"]): line["changed_at"] for line in lines}
    move_one(school, moved, by)

    preview = settle(director, [moved, kept], shown=shown, preview=True).json()
    done = settle(director, [moved, kept], shown=shown).json()
    again = settle(director, [moved]).json()

    for answer in (preview, done):
        assert (answer["taken"], answer["excluded"]) == ([kept], [{"id": moved, "why": "moved"}])
    assert again["taken"] == [moved], "who looks again decides afresh"


def test_what_changed_after_the_moment_of_the_look_drops_out(school: Any, director: Any) -> None:
    moved, kept, *_ = (line["id"] for line in open_lines(director))
    looked_at = school.clock.now()
    school.clock.advance(600)
    move_one(school, moved, timedelta(0))

    done = settle(director, [moved, kept], shown_at=looked_at.isoformat()).json()

    assert (done["taken"], done["excluded"]) == ([kept], [{"id": moved, "why": "moved"}])


def test_a_choice_about_many_takes_what_was_shown_too(school: Any, director: Any, behind: None) -> None:
    lines = open_lines(director)
    shown = {str(line["id"]): line["changed_at"] for line in lines}
    move_one(school, lines[0]["id"], timedelta(hours=1))

    done = settle(director, [line["id"] for line in lines], shown=shown).json()
    (act,) = carry_out(school.gateway)

    assert done["excluded"] == [{"id": lines[0]["id"], "why": "moved"}]
    assert (act.taken, act.left_out) == (len(lines) - 1, [])


def test_who_stands_in_for_somebody_is_named_with_him_in_what_he_decides(school: Any, behind: None) -> None:
    school.account("head", Role.DEPUTY_HEAD)
    school.account("stand-in", Role.TEACHER, (Tie.TEACHES, "group:1"))
    give_role(school.office, "stand-in", Role.DEPUTY_HEAD, ends_on=TODAY, deputises_for="head")
    deputy = school.call("stand-in", Role.DEPUTY_HEAD)
    first, second, third, fourth, *_ = (line["id"] for line in open_lines(deputy))

    settle(deputy, [first, second])
    carry_out(school.gateway)
    settle(deputy, [third])
    given = {"ids": [fourth], "assignee": "head", "reason": "её класс"}
    deputy.post("/discrepancies/assignments", given, key=uuid.uuid4().hex)
    deputy.post(f"/discrepancies/{third}/dispute", {"reason": "нет"}, key=uuid.uuid4().hex)
    until = (school.clock.now() + timedelta(days=1)).isoformat()
    deputy.post("/holds", {"kind": "mark", "until": until, "reason": "сверяем"}, key=uuid.uuid4().hex)
    own = school.call("stand-in", Role.TEACHER)
    settle(own, [first])

    entries = [
        entry for entry in school.entries("deeds") if entry.action.startswith(("discrepancy.", "hold.", "holds."))
    ]
    assert [(entry.action, entry.actor, entry.originator) for entry in entries] == [
        ("discrepancy.chosen", "account:2", "account:1"),
        ("discrepancy.carried_out", "account:2", "account:1"),
        ("discrepancy.chosen", "account:2", "account:1"),
        ("discrepancy.assigned", "account:2", "account:1"),
        ("discrepancy.disputed", "account:2", "account:1"),
        ("hold.placed", "account:2", "account:1"),
        ("discrepancy.chosen", "account:2", None),
    ]


@pytest.mark.parametrize("way", ["one tie", "the post", "the account"])
def test_what_is_no_longer_his_who_chose_is_left_as_it_was(school: Any, behind: None, way: str) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"), (Tie.TEACHES, "group:3"))
    lines = {line["ref"]: line["id"] for line in open_lines(school.call("teacher"))}
    done = settle(school.call("teacher"), list(lines.values())).json()
    if way == "one tie":
        with school.gateway.store.read() as conn:
            ties = load_relations(conn, school.gateway.place, 1)
        take_relation(school.office, "teacher", next(one.id for one in ties if one.object_ref == "group:3"))
    elif way == "the post":
        take_role(school.office, "teacher", Role.TEACHER)
    else:
        disable_account(school.office, "teacher", reason="уволен")

    (act,) = carry_out(school.gateway)

    lost = [number for ref, number in lines.items() if way != "one tie" or ref.startswith("mark:3")]
    assert done["taken"] == sorted(lines.values())
    assert [(one.id, one.why) for one in act.left_out] == [(number, "not_permitted") for number in sorted(lost)]
    with school.gateway.store.read() as conn:
        states = {row.id: row.state for row in conn.execute(select(discrepancy.c.id, discrepancy.c.state))}
    assert {states[number] for number in lost} == {"open"}
    assert {states[number] for number in set(lines.values()) - set(lost)} <= {"ignored"}
    assert act.taken == len(lines) - len(lost)
    assert act.actor == Actor(kind="person", name="account:1", role="teacher", is_authenticated=True)
