"""Who looked at whom: one entry a child for every answer, pseudonyms for the admin, and names only through broken glass."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from gateway.access.roles import Role, Tie
from gateway.audit.read import verify
from gateway.audit.subjects import find_pseudonyms
from gateway.reconcile.tables import plan
from gateway.telemetry import ALLOWED_KEYS


def looks(school: Any) -> list[Any]:
    return [entry for entry in school.entries() if entry.action == "pupil.shown"]


def pseudonym(school: Any, ref: str) -> str:
    with school.gateway.store.read() as conn:
        return find_pseudonyms(conn, school.gateway.place, [ref])[ref]


def test_a_list_of_six_pupils_is_six_entries_each_with_its_own_subject(school: Any) -> None:
    school.account("director", Role.DIRECTOR)

    school.call("director").get("/pupils", headers={"X-Forwarded-For": "10.1.2.3"})

    told = looks(school)
    assert len(told) == len({entry.subject for entry in told}) == 6
    assert {(entry.actor, entry.actor_role, entry.object_type, entry.outcome) for entry in told} == {
        ("account:1", "director", "pupil", "shown")
    }
    assert {entry.source_address for entry in told} == {"testclient"}, "a forged address is not believed"
    assert verify(school.gateway.store, "access").ok


def test_a_linked_pupil_is_known_by_the_same_pseudonym_as_in_deliveries(school: Any) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))

    school.call("teacher").get("/pupils/user:1/marks")

    assert [entry.subject for entry in looks(school)] == [pseudonym(school, "city-pupil:1001")]


@pytest.mark.parametrize("path", ["/relinks", "/relinks/1"])
def test_links_that_are_set_right_are_a_look_at_each_of_their_pupils(path: str, school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)

    answer = school.call("deputy").get(path)

    assert '"user:1"' in answer.text
    told = [(entry.actor, entry.object_type, entry.subject) for entry in looks(school)]
    assert told == [("account:1", "relink", pseudonym(school, "city-pupil:1001"))]


def test_a_page_that_shows_nobody_is_no_look_and_a_pupil_looking_at_himself_is_none_either(school: Any) -> None:
    school.account("lonely", Role.TEACHER)
    school.account("pupil", Role.PUPIL, (Tie.SELF, "user:1"))

    school.call("lonely").get("/pupils")
    school.call("pupil").get("/pupils/user:1/marks")

    assert looks(school) == []


def test_a_refused_look_is_written_with_what_was_asked_and_without_whose(school: Any) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))

    school.call("teacher").get("/pupils/user:5/marks")

    refused = [entry for entry in school.entries() if entry.action == "access.refused"]
    assert [(entry.actor, entry.object_id, entry.subject) for entry in refused] == [("account:1", "marks.read", None)]


def test_nothing_is_shown_when_the_look_cannot_be_written(school: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    school.account("director", Role.DIRECTOR)
    caller = school.call("director")

    def full(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("gateway.audit.log.check_deed", full)
    school.client._transport.raise_server_exceptions = False
    answer = caller.get("/pupils")

    assert answer.status_code == 500
    assert answer.json()["code"] == "AUDIT"
    assert not any(name in answer.text for name in school.surnames.values())


def test_a_fault_of_ours_is_logged_by_type_and_place_and_never_by_its_text(
    school: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    school.account("director", Role.DIRECTOR)
    caller = school.call("director")

    def broken(*_: Any, **__: Any) -> None:
        raise LookupError(school.surnames["user:1"])

    monkeypatch.setattr("gateway.api.pupils.load_pupils", broken)
    school.client._transport.raise_server_exceptions = False
    answer = caller.get("/pupils")

    (line,) = [one.msg for one in caplog.records if one.name == "gateway.api.problems"]
    assert (answer.status_code, line["event"], line["error"]) == (500, "request.failed", "LookupError")
    assert line["error_frames"].rpartition("|")[2] == f"{__name__}.broken:{broken.__code__.co_firstlineno + 1}"
    assert school.surnames["user:1"] not in caplog.text
    assert "NoneType" not in caplog.text


def test_a_parent_reads_who_looked_at_the_child_as_roles_and_numbers(school: Any) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    school.account("parent", Role.PARENT, (Tie.GUARDIAN, "user:1"))
    school.call("teacher").get("/pupils/user:1/marks")
    school.call("teacher").get("/pupils/user:2/marks")
    parent = school.call("parent")

    told = parent.get("/pupils/user:1/looks").json()["items"]

    assert [(one["actor"], one["role"], one["object_type"]) for one in told] == [("account:1", "teacher", "mark")]
    assert parent.get("/pupils/user:2/looks").status_code == 404


def test_the_admin_gets_reasons_states_and_pseudonyms_and_neither_name_nor_value(school: Any) -> None:
    school.account("admin", Role.ADMIN)
    admin = school.call("admin")

    lines = admin.get("/plans/1/items").json()["items"]
    operations = admin.get("/operations").json()["items"]
    differences = admin.get("/discrepancies").json()["items"]

    assert len(lines) == len(operations) == 8
    assert {line["reason"] for line in lines} == {"DRIFT"}
    assert {line["words"] for line in lines} == {line["class_name"] for line in lines} == {""}
    assert all(line["pupil"].startswith("s") and len(line["pupil"]) == 33 for line in lines)
    assert {line["pupil"] for line in lines} == {one["pupil"] for one in operations}
    assert {line["pupil"] for line in lines} == {one["pupil"] for one in differences}
    assert all(one["ours"] == one["theirs"] == {} for one in differences)
    assert pseudonym(school, "city-pupil:1001") in {line["pupil"] for line in lines}
    assert looks(school) == []


def test_the_average_of_a_class_in_a_guards_row_is_for_those_who_lead(school: Any) -> None:
    school.account("director", Role.DIRECTOR)
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    row = {"guard": "average", "scope": "mark|8А|физика", "limit": "0.30", "actual": "4.50 → 3.90", "verdict": "hold"}
    other = {**row, "guard": "lane_changes", "scope": "mark|8А", "actual": "76 из 100"}
    with school.gateway.store.write() as conn:
        guards = [{**one, "override": "deputy_head"} for one in (row, other)]
        conn.execute(update(plan).where(plan.c.id == 1).values(guards=guards))

    def told(login: str, path: str) -> set[str]:
        answer = school.call(login).get(path).json()
        rows = answer["guards"] if "guards" in answer else answer["items"]
        return {one["guard"] for one in rows}

    for path in ("/plans/1", "/plans/1/guards"):
        assert "average" in told("director", path)
        assert "average" not in told("teacher", path)
        assert "lane_changes" in told("teacher", path)


def test_the_admin_reads_only_technical_entries_of_the_audit_and_the_auditor_all(school: Any) -> None:
    school.account("director", Role.DIRECTOR)
    school.account("admin", Role.ADMIN)
    school.account("auditor", Role.AUDITOR)
    school.call("director").get("/pupils")

    def actions(login: str, stream: str) -> set[str]:
        items = school.call(login).get("/audit", params={"stream": stream}).json()["items"]
        return {one["action"] for one in items}

    assert actions("admin", "access") == set()
    assert actions("admin", "deeds") == {"account.added", "account.role_given"}
    assert "pupil.shown" in actions("auditor", "access")


def test_breaking_the_glass_shows_names_for_an_hour_and_leaves_three_records(school: Any) -> None:
    school.account("admin", Role.ADMIN)
    school.account("director", Role.DIRECTOR)
    admin = school.call("admin")
    assert admin.get("/pupils").status_code == 404
    assert admin.post("/glass", {"reason": "надо"}).status_code == 422

    opened = admin.post("/glass", {"reason": "Ученик видит чужие оценки, проверяю связь"})

    assert opened.status_code == 201
    assert len(admin.get("/pupils").json()["items"]) == 6
    assert len(looks(school)) == 6
    assert [entry.actor for entry in school.entries() if entry.action == "glass.broken"] == ["account:1"]
    alert = school.call("director").get("/alerts").json()["items"][0]
    assert (alert["kind"], alert["account"], alert["reason"]) == (
        "glass_broken",
        "account:1",
        "Ученик видит чужие оценки, проверяю связь",
    )
    for _ in range(3):
        school.clock.advance(20 * 60)
        admin.get("/session")
    assert admin.get("/pupils").status_code == 404


def test_no_log_key_could_carry_a_name() -> None:
    assert not {"login", "name", "pupil", "password", "surname"} & ALLOWED_KEYS
