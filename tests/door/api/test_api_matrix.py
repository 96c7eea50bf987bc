"""Every route × every role × an own and a foreign object: allowed or 404, and nobody else's child in the answer.

`access_policy.csv` is typed by hand from the design's table and knows nothing of `gateway.access.policy`: one of them is
wrong where they differ.
"""

from __future__ import annotations

import csv
import re
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from gateway.access.accounts import give_role, load_accounts
from gateway.access.policy import OPEN_TO_ALL, POLICY
from gateway.access.relations import give_relation, load_relations
from gateway.access.roles import Role, Tie
from gateway.access.tables import broken_glass
from gateway.api.app import PREFIX, require_policy
from gateway.audit.notes import write_note
from gateway.domain.discrepancies import Choice
from gateway.domain.errors import ConfigurationError
from gateway.flows.mapping_life import draft_version
from gateway.flows.tables import journal_entry
from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from gateway.mapping.versions import load_versions
from gateway.queue.tables import operation
from gateway.reconcile.precedents import add_rule, load_rules
from gateway.reconcile.tables import discrepancy, run
from tests.door.api import route_cases
from tests.door.api.route_cases import find_body, find_objects, is_known, kept_choices

ROWS = list(csv.DictReader(Path(__file__).with_name("access_policy.csv").read_text(encoding="utf-8").splitlines()))
LOGINS = {
    Role.PUPIL: "pupil",
    Role.PARENT: "parent",
    Role.TEACHER: "teacher",
    Role.CLASS_TEACHER: "leader",
    Role.CURATOR: "curator",
    Role.METHODIST: "methodist",
    Role.DEPUTY_HEAD: "deputy",
    Role.DIRECTOR: "director",
    Role.ADMIN: "admin",
    Role.AUDITOR: "auditor",
    Role.INSPECTOR: "inspector",
}

NAMED = {
    Role.PUPIL: {"user:1"},
    Role.PARENT: {"user:1"},
    Role.TEACHER: {"user:1", "user:2"},
    Role.CLASS_TEACHER: {"user:1", "user:2"},
    Role.CURATOR: {"user:1", "user:2", "user:3", "user:4"},
    Role.METHODIST: {"user:1", "user:2", "user:3", "user:4"},
    Role.DEPUTY_HEAD: {f"user:{number}" for number in range(1, 7)},
    Role.DIRECTOR: {f"user:{number}" for number in range(1, 7)},
    Role.ADMIN: set(),
    Role.AUDITOR: set(),
    Role.INSPECTOR: {f"user:{number}" for number in range(1, 7)},
}
"""Whose names a role may ever be shown, by hand: the accounts are tied to user:1, 7А, group:1 and course:1."""
WHOLE = {Role.DEPUTY_HEAD, Role.DIRECTOR, Role.ADMIN, Role.AUDITOR, Role.INSPECTOR}
ALLOWED = {200, 201, 202, 204, 409}
"""409: allowed, and refused for another reason than whose it is (one person is not enough, it is done already)."""


@pytest.fixture(scope="module")
def callers(shared_school: Any) -> dict[Role, Any]:
    return {role: shared_school.call(login) for role, login in LOGINS.items()}


def objects(school: Any, role: Role, caller: Any, kind: str) -> tuple[str, str, str]:
    """An own, a foreign and an unknown object of a kind, as a role sees them; for the whole school foreign is the other's."""
    operations = {row.ref: row.id for row in load_operations(school, school.place_ids[0])}
    others = {row.ref: row.id for row in load_operations(school, school.place_ids[1])}
    differ, others_differ = (
        {row.ref: row.id for row in load_discrepancies(school, place_id)} for place_id in school.place_ids
    )
    runs = {row.actor: row.id for row in load_runs(school, school.place_ids[0])}
    own_run = runs.get(caller.session["account"], runs["account:1"])
    strange_run = load_runs(school, school.place_ids[1])[0].id
    more = find_objects(school, role in WHOLE, kind)
    if more is not None:
        return more
    if kind == "precedent":
        return ruled(school), "998", "999"
    if kind == "version":
        return drafted(school), "998", "999"
    if kind == "entry":
        return typed_entries(school, role)
    if kind == "choice":
        return kept_choices(school, caller.session["account"], is_whole=role in WHOLE)
    return {
        "pupil": ("user:1", "user:101" if role in WHOLE else "user:5", "user:999"),
        "group": ("group:1", "group:99" if role in WHOLE else "group:3", "group:999"),
        # the other school has a teacher of the same ref, and one more
        "teacher": ("user:50", "user:150" if role in WHOLE else "user:51", "user:999"),
        "attempt": ("attempt:1", "attempt:101" if role in WHOLE else "attempt:3", "attempt:999"),
        "record": (
            veiled_ref(caller) if role is Role.ADMIN and kind == "record" else "mark:1:user:1",
            "mark:3:user:101" if role in WHOLE else "mark:3:user:5",
            "mark:9:user:999",
        ),
        "plan": ("1", "2", "999"),
        "relink": ("1", "2", "999"),
        "account": ("spare", "stranger", "nobody"),
        "relation": (str(spare_relation(school)) if kind == "relation" else "", "99998", "99999"),
        "incident": ("1", "2", "999"),
        "signature": ("1", "2", "999"),
        "period approval": ("1", "2", "999"),
        "operation": (
            str(operations["mark:1:user:1"]),
            str(others["mark:1:user:1"] if role in WHOLE else operations["mark:3:user:5"]),
            "99999",
        ),
        "discrepancy": (
            str(differ["mark:1:user:1"]),
            str(others_differ["mark:1:user:1"] if role in WHOLE else differ["mark:3:user:5"]),
            "99999",
        ),
        "run": (str(own_run), str(strange_run if role in WHOLE else runs["account:1"]), "99999"),
    }.get(kind, ("", "", ""))


def veiled_ref(admin: Any) -> str:
    """A mark as lists show it to an administrator: he asks for it by that, a ref of the portal's would name the pupil."""
    items = admin.get("/plans/1/items").json()["items"]
    return next(str(one["ref"]) for one in items if one["ref"].startswith("mark:"))


def ruled(school: Any) -> str:
    """Number of a rule from precedents; the same one each time."""
    with school.gateway.store.write() as conn:
        found = load_rules(conn, school.place_ids[0])
        if not found:
            now = school.clock.now()
            note = write_note(conn, "таблица прав", now=now)
            until = now + timedelta(days=5)
            words = {"until": until, "actor": "office", "note_id": note.id, "now": now}
            found = [add_rule(conn, school.place_ids[0], "a/b/mark/value/1", Choice.THEIRS, **words)]
    return str(found[0].id)


def typed_entries(school: Any, role: Role) -> tuple[str, str, str]:
    """Numbers of entries that stand: one of group:1, one of another group or of the other school, and none."""
    mine, theirs = school.place_ids
    foreign = (theirs, "user:1", "group:1") if role in WHOLE else (mine, "user:5", "group:3")
    with school.gateway.store.write() as conn:
        own, strange = (
            conn.execute(
                insert(journal_entry)
                .values(
                    place_id=place_id, kind="mark", group_ref=group, pupil=pupil, lesson="lesson:1",
                    lesson_at=school.clock.now(), value=4, work="", typed_by="account:9", on_behalf_of="", answers="",
                    entered_at=school.clock.now(),
                )
                .returning(journal_entry.c.id)
            ).scalar_one()
            for place_id, pupil, group in ((mine, "user:1", "group:1"), foreign)
        )  # fmt: skip
    return str(own), str(strange), "99999"


def drafted(school: Any) -> str:
    """Number of a draft of the rules; the same one each time."""
    with school.gateway.store.write() as conn:
        found = load_versions(conn, school.place_ids[0])
    if not found:
        draft_version(school.gateway, DEFAULT_MAPPING_TOML, name="x", reason="таблица прав")
        with school.gateway.store.write() as conn:
            found = load_versions(conn, school.place_ids[0])
    return str(found[-1].number)


def spare_relation(school: Any) -> int:
    """A relation that may be taken away; a new one where the last was."""
    with school.gateway.store.read() as conn:
        (spare,) = [one.id for one in load_accounts(conn) if one.login == "spare"]
        found = load_relations(conn, school.gateway.place, spare)
    return (found[0] if found else give_relation(school.office, "spare", Tie.TEACHES, "group:1")).id


def load_discrepancies(school: Any, place_id: int) -> list[Any]:
    with school.gateway.store.read() as conn:
        return list(conn.execute(select(discrepancy).where(discrepancy.c.place_id == place_id)))


def load_operations(school: Any, place_id: int) -> list[Any]:
    with school.gateway.store.read() as conn:
        return list(conn.execute(select(operation).where(operation.c.place_id == place_id)))


def load_runs(school: Any, place_id: int) -> list[Any]:
    with school.gateway.store.read() as conn:
        return list(conn.execute(select(run).where(run.c.place_id == place_id)))


def send(caller: Any, school: Any, row: dict[str, str], name: str, role: Role) -> Any:
    """One call of a route with a body that is right for it."""
    path = re.sub(r"\{\w+\}", name, row["path"])
    body: dict[str, Any] | None = None
    if row["object"] == "sync":
        # each names what is his; the foreign variant names what is another's
        body = {"group": name} if role is not Role.CLASS_TEACHER else {"class_name": name}
    elif is_known(path):
        body = find_body(school, row["method"], row["path"], name)
    elif path == "/periods" and row["method"] == "POST":
        body = {"class_name": "7А", "period": "1", "reason": "четверть сдана"}
    elif path in ("/hand-list", "/hand-list/back") and row["method"] == "POST":
        body = {"operations": [99999], "reason": "журнал не берёт"}
    elif path == "/hand-list/outage" and row["method"] == "POST":
        body = {"kind": "mark", "choice": "wait", "reason": "ждём журнал"}
    elif path.endswith("/opening"):
        body = {"until": "2026-11-25T15:30:00+03:00", "reason": "забыли исправление"}
    elif path.endswith("/period-approvals"):
        body = {"plan_hash": school.hashes[1], "reason": "решение педсовета", "pupils": ["user:1"]}
    elif path.startswith("/period-approvals/"):
        body = {"reason": "проверено"}
    elif "/plans/" in path and row["method"] == "POST":
        body = {"plan_hash": school.hashes[1], "reason": "проверено", "with_held": True}
    elif path == "/discrepancies/choices":
        body = {"ids": [int(name)], "choice": "ours", "reason": "проверка таблицы прав", "preview": True}
    elif path.endswith("/confirmation"):
        body = {"city_id": 1001}
    elif path == "/accounts":
        body = {"login": f"new-{uuid.uuid4().hex[:8]}"}
    elif path.startswith("/accounts/"):
        body = account_body(school, path)
    elif path.startswith("/relinks/") and path.endswith("/approval"):
        body = {"hash": school.hashes[1], "reason": "проверка таблицы прав"}
    elif path.endswith(("/withdrawal", "/split")):
        body = {"reason": "проверка таблицы прав"}
    elif path.endswith(("/notice", "/findings")):
        body = {"text": "проверка таблицы прав"}
    elif path.endswith(("/rejection", "/merge")):
        body = {"city_id": 4242, "reason": "проверка таблицы прав"}
    elif path.endswith("/dispute"):
        settle_all(school)
        body = {"reason": "проверка таблицы прав"}
    elif path in ("/sending/stop", "/sending/allow", "/glass"):
        body = {"reason": "проверка таблицы прав"}
    elif path == "/precedents":
        until = (school.clock.now() + timedelta(days=5)).isoformat()
        body = {"pattern": "нет такого", "choice": "theirs", "until": until, "reason": "проверка таблицы прав"}
    elif path.startswith("/precedents/") and not path.endswith("/backtest"):
        body = {"reason": "проверка таблицы прав"} if row["method"] == "POST" else None
    elif path == "/mapping/versions":
        body = {"toml": DEFAULT_MAPPING_TOML, "reason": "проверка таблицы прав"}
    elif path == "/mapping/values":
        body = {"name": "words", "local": f"слово {role.value}", "city": "5", "reason": "проверка таблицы прав"}
    elif path.startswith("/mapping/") and row["method"] == "POST" and not path.endswith("/backtest"):
        body = {"reason": "проверка таблицы прав"}
    elif path == "/journal/entries" and row["method"] == "POST":
        at = school.clock.now().isoformat()
        body = {"pupil": "user:1", "group": name, "lesson_at": at, "value": 4, "again": True}
    elif path == "/planner/books":
        body = {"book": "people", "revision": 1, "total": 0, "rows": []}
    elif path == "/session/role":
        body = {"role": role.value}
    elif path == "/session/proof":
        body = {"password": school.password}
    headers = {"Idempotency-Key": uuid.uuid4().hex} if row["method"] == "POST" else {}
    return caller.ask(row["method"], path, json=body, headers=headers)


def account_body(school: Any, path: str) -> dict[str, Any] | None:
    if path.endswith("/roles/withdrawal"):
        give_role(school.office, "spare", Role.TEACHER)
        return {"role": "teacher"}
    bodies = {
        "password": {"password": "another horse 8"},
        "disabling": {"reason": "проверка таблицы прав"},
        "enabling": {"reason": "проверка таблицы прав"},
        "roles": {"role": "teacher"},
        "relations": {"tie": "teaches", "object_ref": "group:1"},
    }
    return bodies.get(path.rpartition("/")[2])


def shown(text: str, surnames: dict[str, str]) -> set[str]:
    return {ref for ref, name in surnames.items() if name in text or f'"{ref}"' in text}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['method']} {row['path']}" for row in ROWS])
def test_a_route_gives_each_role_its_own_and_nobody_elses(
    row: dict[str, str], shared_school: Any, callers: dict[Role, Any]
) -> None:
    school = shared_school
    for role, caller in callers.items():
        own, foreign, unknown = objects(school, role, caller, row["object"])
        if row["object"] == "sync":
            own, foreign, unknown = sync_objects(role)
        if row["path"].startswith("/session") and row["method"] == "DELETE":
            caller = school.call(LOGINS[role])
        answer = send(caller, school, row, own, role)

        is_allowed = row[role.value] == "+"
        assert (answer.status_code in ALLOWED) == is_allowed, (role, answer.status_code, answer.text)
        assert is_allowed or answer.status_code == 404, role
        assert shown(answer.text, school.surnames) <= NAMED[role], role
        assert not any(name in answer.text for name in school.strangers.values()), role
        assert "ТАЙНА" not in answer.text
        # a record's ref names the portal's user as well
        assert NAMED[role] or not re.search(r"user:\d", answer.text), role
        if row["object"]:
            strange = send(caller, school, row, foreign, role)
            missing = send(caller, school, row, unknown, role)
            assert strange.status_code == missing.status_code == 404, (role, strange.text)
            assert strange.content == missing.content, "a foreign id must read like an unknown one"
    set_back(school)


def sync_objects(role: Role) -> tuple[str, str, str]:
    if role is Role.CLASS_TEACHER:
        return "7А", "8А", "11Я"
    return "group:1", "group:99" if role in WHOLE else "group:3", "group:999"


def settle_all(school: Any) -> None:
    """Only what was settled can be disputed."""
    with school.gateway.store.write() as conn:
        conn.execute(update(discrepancy).values(state="resolved"))


def set_back(school: Any) -> None:
    """Runs that were begun are ended and the glass is whole again: the next test begins where this one did."""
    route_cases.set_back(school)
    with school.gateway.store.write() as conn:
        conn.execute(delete(broken_glass))
        conn.execute(update(discrepancy).values(state="open"))
        conn.execute(update(run).where(run.c.state == "running").values(state="done"))


def test_lists_hold_exactly_the_pupils_of_the_relation(shared_school: Any, callers: dict[Role, Any]) -> None:
    for role, caller in callers.items():
        answer = caller.get("/pupils")
        found = {one["ref"] for one in answer.json()["items"]} if answer.status_code == 200 else set()
        wanted = set() if role is Role.METHODIST else NAMED[role]
        assert found == wanted, role


def test_a_teacher_sees_his_groups_marks_of_a_pupil_and_no_other_subjects(
    shared_school: Any, callers: dict[Role, Any]
) -> None:
    def groups(role: Role) -> set[str]:
        return {one["group"] for one in callers[role].get("/pupils/user:1/marks").json()["items"]}

    assert groups(Role.TEACHER) == {"group:1"}
    assert groups(Role.CURATOR) == {"group:1"}
    assert groups(Role.CLASS_TEACHER) == groups(Role.PARENT) == groups(Role.PUPIL) == {"group:1", "group:4"}
    assert groups(Role.DIRECTOR) == {"group:1", "group:4"}


def test_a_teacher_sees_protocols_of_his_group_and_no_other_subjects(
    shared_school: Any, callers: dict[Role, Any]
) -> None:
    def seen(role: Role) -> set[str]:
        return {one["ref"] for one in callers[role].get("/pupils/user:1/protocols").json()["items"]}

    assert seen(Role.TEACHER) == seen(Role.CURATOR) == {"attempt:1"}
    assert seen(Role.CLASS_TEACHER) == seen(Role.PARENT) == seen(Role.PUPIL) == {"attempt:1", "attempt:4"}
    assert seen(Role.DIRECTOR) == {"attempt:1", "attempt:4"}
    # another subject's attempt of his own pupil is not the teacher's
    assert callers[Role.TEACHER].get("/protocols/attempt:4").status_code == 404
    assert callers[Role.PARENT].get("/protocols/attempt:4").status_code == 200


def test_a_teacher_sees_what_was_done_in_his_course_and_not_when_a_pupil_was_at_the_portal(
    shared_school: Any, callers: dict[Role, Any]
) -> None:
    def seen(role: Role) -> set[tuple[str, str | None]]:
        items = callers[role].get("/pupils/user:1/activity").json()["items"]
        return {(one["kind"], one["programme"]) for one in items}

    everything = {("entered", None), ("viewed", "course:1"), ("viewed", "course:3")}
    assert seen(Role.TEACHER) == seen(Role.CURATOR) == {("viewed", "course:1")}
    assert seen(Role.CLASS_TEACHER) == seen(Role.PARENT) == seen(Role.PUPIL) == seen(Role.DIRECTOR) == everything


def test_pages_of_activity_hold_each_deed_once(shared_school: Any, callers: dict[Role, Any]) -> None:
    found, after = [], ""
    while True:
        page = callers[Role.DIRECTOR].get("/pupils/user:1/activity", params={"limit": 1, "after": after}).json()
        found += [one["mark"] for one in page["items"]]
        after = page["next"]
        if after is None:
            break

    assert len(found) == len(set(found)) == 3
    refused = callers[Role.DIRECTOR].get("/pupils/user:1/activity", params={"after": "1.2"})
    assert refused.status_code == 404


def test_the_table_typed_by_hand_has_every_route_and_no_other(shared_school: Any) -> None:
    found = {
        name.replace(PREFIX, "")
        for name, action in require_policy(shared_school.client.app.routes).items()
        if action not in OPEN_TO_ALL
    }

    assert found == {f"{row['method']} {row['path']}" for row in ROWS}


def test_every_action_of_the_policy_is_asked_by_a_route_or_kept_for_the_command_line(shared_school: Any) -> None:
    asked = set(require_policy(shared_school.client.app.routes).values())

    assert set(POLICY) - asked == set()


def test_without_a_session_every_route_but_two_is_closed(shared_school: Any) -> None:
    client = shared_school.client
    client.cookies.clear()
    for row in ROWS:
        path = re.sub(r"\{\w+\}", "1", row["path"])
        body = {"reason": "просто так", "plan_hash": "a" * 64} if row["method"] in ("POST", "PUT") else None
        if path == "/runs" and body:
            body = {}
        headers = {"Idempotency-Key": "k" * 12}
        answer = client.request(row["method"], f"https://testserver{PREFIX}{path}", json=body, headers=headers)
        assert answer.status_code in (401, 422), (row, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_route_without_a_row_in_the_policy_does_not_start(shared_school: Any) -> None:
    from fastapi import FastAPI

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/forgotten")
    def forgotten() -> dict[str, str]:
        return {}

    with pytest.raises(ConfigurationError, match="forgotten"):
        require_policy(app.routes)
