"""Log-in and sessions: the cookie, its life, the password's proof, the limits, and that rights are looked at in every request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from gateway.access.accounts import (
    disable_account,
    enable_account,
    give_role,
    load_grants,
    set_password,
    take_role,
)
from gateway.access.passwords import Passwords
from gateway.access.relations import give_relation, load_relations, take_relation
from gateway.access.roles import Role, Tie
from gateway.domain.errors import ConfigurationError

BASE = "https://testserver/api/v1"
COOKIE = "__Host-gateway"


def log_in(school: Any, login: str, password: str, **more: Any) -> Any:
    return school.client.post(f"{BASE}/session", json={"login": login, "password": password, **more})


def test_the_session_is_a_cookie_that_scripts_other_hosts_and_plain_http_never_see(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)

    answer = log_in(school, "deputy", school.password)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_new_log_in_makes_a_new_session_and_ends_the_one_the_browser_held(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    first = school.call("deputy")
    school.client.cookies.clear()
    body = {"login": "deputy", "password": school.password}

    second = school.client.post(f"{BASE}/session", json=body, headers={"Cookie": f"{COOKIE}={first.secret}"})

    assert second.cookies[COOKIE] != first.secret
    assert first.get("/session").status_code == 401


def test_a_session_ends_when_it_is_idle_when_it_is_old_and_when_it_is_closed(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    idle, closed, old = (school.call("deputy") for _ in range(3))

    assert closed.ask("DELETE", "/session").status_code == 204
    assert closed.get("/session").status_code == 401
    for _ in range(26):
        school.clock.advance(25 * 60)
        assert old.get("/session").status_code == 200
    assert idle.get("/session").status_code == 401
    school.clock.advance(25 * 60)
    old.get("/session")
    school.clock.advance(2 * 3600)

    assert old.get("/session").status_code == 401


def test_no_session_outlives_twelve_hours_however_busy_it_is(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    busy = school.call("deputy")
    for _ in range(12 * 3):
        school.clock.advance(20 * 60)
        last = busy.get("/session").status_code

    assert last == 401


def test_a_disabled_account_is_out_with_its_next_request_and_its_old_session_stays_dead(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    caller = school.call("deputy")
    assert caller.get("/runs").status_code == 200

    assert disable_account(school.office, "deputy", reason="уволена") == 1

    assert caller.get("/runs").status_code == 401
    assert log_in(school, "deputy", school.password).status_code == 401
    enable_account(school.office, "deputy", reason="вернулась")
    assert caller.get("/runs").status_code == 401
    assert log_in(school, "deputy", school.password).status_code == 201


def test_a_new_password_ends_the_open_sessions(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    caller = school.call("deputy")

    set_password(school.office, "deputy", "another horse 8")

    assert caller.get("/session").status_code == 401
    assert log_in(school, "deputy", school.password).status_code == 401
    assert log_in(school, "deputy", "another horse 8").status_code == 201


def test_a_foreign_page_can_do_nothing_with_the_cookie(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    caller = school.call("deputy")
    cookie = {"Cookie": f"{COOKIE}={caller.secret}"}

    def stop(**headers: str) -> int:
        url = f"{BASE}/sending/stop"
        return school.client.put(url, json={"reason": "чужая"}, headers={**cookie, **headers}).status_code

    token = caller.session["csrf_token"]
    assert stop() == 403
    assert stop(**{"X-CSRF-Token": "0" * 64}) == 403
    assert stop(**{"X-CSRF-Token": token, "Sec-Fetch-Site": "cross-site"}) == 403
    assert stop(**{"X-CSRF-Token": token, "Sec-Fetch-Site": "same-origin"}) == 200


def test_an_answer_to_a_wrong_log_in_is_the_same_whoever_it_names(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    school.account("gone", Role.DEPUTY_HEAD)
    disable_account(school.office, "gone", reason="уволен")

    answers = [
        log_in(school, login, password)
        for login, password in (
            ("deputy", "wrong horse 9"),
            ("nobody", "wrong horse 9"),
            ("gone", school.password),
            ("deputy", school.password + "x"),
        )
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert log_in(school, "deputy", school.password, role="admin").content == answers[0].content


def test_a_login_that_does_not_exist_costs_one_hash_like_any_other(
    school: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By structure and not by a stopwatch: each try verifies one hash of the same parameters."""
    school.account("deputy", Role.DEPUTY_HEAD)
    verified: list[str] = []
    hasher = school.client.app.state.desk.gate.passwords._hasher
    real = type(hasher).verify

    def counted(self: Any, stored: str, password: str) -> Any:
        verified.append(stored.rsplit("$", 2)[0])
        return real(self, stored, password)

    monkeypatch.setattr(type(hasher), "verify", counted)
    for login in ("deputy", "nobody", "nobody2"):
        log_in(school, login, "wrong horse 9")

    assert len(verified) == 3
    assert len(set(verified)) == 1
    assert verified[0].startswith("$argon2id$")


def test_too_many_tries_wait_and_nobody_is_locked_out_for_good(build_school: Callable[..., Any]) -> None:
    limits = {"login_failures_account": 3, "login_failures_address": 8, "login_failures_all": 8}
    with build_school(access=limits) as school:
        school.account("deputy", Role.DEPUTY_HEAD)
        school.account("director", Role.DIRECTOR)
        tries = [log_in(school, "deputy", "wrong horse 9").status_code for _ in range(4)]

        assert tries == [401, 401, 401, 429]
        refused = log_in(school, "deputy", school.password)
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 15 * 60
        assert log_in(school, "director", school.password).status_code == 201, "another account is not touched"
        for number in range(5):
            log_in(school, f"guess{number}", "wrong horse 9")
        assert log_in(school, "director", school.password).status_code == 429, "the address has had its tries"
        school.clock.advance(15 * 60 + 1)
        assert log_in(school, "deputy", school.password).status_code == 201


def test_a_password_is_stored_as_argon2id_and_made_anew_when_its_cost_changes(build_school: Callable[..., Any]) -> None:
    from sqlalchemy import select

    from gateway.access.tables import account

    def stored(school: Any) -> str:
        with school.gateway.store.read() as conn:
            return str(conn.execute(select(account.c.password)).scalar_one())

    with build_school() as school:
        school.account("deputy", Role.DEPUTY_HEAD)
        before = stored(school)
    gate_cost = school.office.passwords._cost
    dearer = Passwords(type(gate_cost)(passes=2, memory_mib=1, lanes=1, shortest=12))

    assert before.startswith("$argon2id$v=19$m=1024,t=1,p=1$")
    assert school.password not in before
    assert dearer.is_outdated(before)
    assert dearer.verify(before, school.password)


@pytest.mark.parametrize("password", ["short", "a" * 300, "aaaaaaaaaaaaaaaa", "deputy-head-1"])
def test_a_weak_password_is_refused_and_not_repeated(school: Any, password: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        set_password(school.office, "deputy-head-1", password)

    assert password not in refused.value.sentence


def test_one_role_is_active_in_a_request_and_the_roles_show_disjoint_children(school: Any) -> None:
    """A teacher whose own child is in another class: as a teacher the group, as a parent the child, never both."""
    school.account("both", Role.TEACHER, (Tie.TEACHES, "group:1"))
    give_role(school.office, "both", Role.PARENT)
    give_relation(school.office, "both", Tie.GUARDIAN, "user:5")
    caller = school.call("both", Role.TEACHER)

    def pupils() -> set[str]:
        return {one["ref"] for one in caller.get("/pupils").json()["items"]}

    assert pupils() == {"user:1", "user:2"}
    assert caller.get("/pupils/user:5/marks").status_code == 404
    assert caller.ask("PUT", "/session/role", json={"role": "parent"}).status_code == 204
    assert pupils() == {"user:5"}
    assert caller.get("/pupils/user:1/marks").status_code == 404
    assert caller.ask("PUT", "/session/role", json={"role": "admin"}).status_code == 401


def test_a_teacher_whose_own_child_is_in_his_group_sees_as_a_parent_all_subjects_of_that_child_only(
    school: Any,
) -> None:
    school.account("both", Role.TEACHER, (Tie.TEACHES, "group:1"))
    give_role(school.office, "both", Role.PARENT)
    give_relation(school.office, "both", Tie.GUARDIAN, "user:1")

    def groups(role: Role) -> set[str]:
        return {one["group"] for one in school.call("both", role).get("/pupils/user:1/marks").json()["items"]}

    assert groups(Role.TEACHER) == {"group:1"}
    assert groups(Role.PARENT) == {"group:1", "group:4"}


def test_a_relation_that_is_taken_between_two_requests_of_a_session_is_gone_in_the_second(school: Any) -> None:
    school.account("parent", Role.PARENT, (Tie.GUARDIAN, "user:1"))
    caller = school.call("parent")
    assert caller.get("/pupils/user:1/marks").status_code == 200
    with school.gateway.store.read() as conn:
        relation = load_relations(conn, school.gateway.place, 1)[0]

    take_relation(school.office, "parent", relation.id)

    assert caller.get("/pupils/user:1/marks").status_code == 404
    assert caller.get("/pupils").json()["items"] == []


def test_a_guardianship_that_ended_yesterday_shows_nothing_and_one_that_ends_today_still_does(school: Any) -> None:
    today = date(2026, 11, 25)
    for login, ends_on in (("former", today - timedelta(days=1)), ("today", today)):
        school.account(login, Role.PARENT)
        give_relation(school.office, login, Tie.GUARDIAN, "user:1", ends_on=ends_on)

    assert school.call("former").get("/pupils/user:1/marks").status_code == 404
    last_day = school.call("today")
    assert last_day.get("/pupils/user:1/marks").status_code == 200
    school.clock.advance(10 * 3600)  # 22:00 in Moscow, idle for too long
    assert school.call("today").get("/pupils/user:1/marks").status_code == 200
    school.clock.advance(3 * 3600)  # after midnight there, not yet in UTC
    assert school.call("today").get("/pupils/user:1/marks").status_code == 404


def test_of_two_guardians_the_restricted_one_sees_nothing_and_the_other_all(school: Any) -> None:
    school.account("mother", Role.PARENT, (Tie.GUARDIAN, "user:1"))
    school.account("father", Role.PARENT)
    give_relation(school.office, "father", Tie.GUARDIAN, "user:1", is_restricted=True)

    assert school.call("mother").get("/pupils/user:1/marks").status_code == 200
    assert school.call("father").get("/pupils/user:1/marks").status_code == 404
    assert school.call("father").get("/pupils").json()["items"] == []


def test_a_substitute_sees_the_group_from_the_third_to_the_seventh_and_on_no_other_day(school: Any) -> None:
    school.account("substitute", Role.TEACHER)
    first, last = date(2026, 12, 3), date(2026, 12, 7)
    give_relation(
        school.office, "substitute", Tie.TEACHES, "group:1", begins_on=first, ends_on=last, substitutes="user:50"
    )
    seen = []
    for _ in range(14):
        answer = school.call("substitute").get("/groups/group:1/marks")
        if answer.status_code == 200:
            seen.append(school.gateway.now().date())
        school.clock.advance(24 * 3600)

    assert seen == [first + timedelta(days=n) for n in range(5)]
    with pytest.raises(ConfigurationError, match="Замещение"):
        give_relation(school.office, "substitute", Tie.TEACHES, "group:2", substitutes="user:50")


def test_an_account_without_relations_sees_empty_lists_and_no_error(school: Any) -> None:
    for role in (Role.TEACHER, Role.PARENT, Role.PUPIL, Role.CURATOR, Role.CLASS_TEACHER):
        school.account(f"lonely-{role.value}", role)
        answer = school.call(f"lonely-{role.value}").get("/pupils")
        assert (answer.status_code, answer.json()["items"]) == (200, []), role


def test_a_parent_of_two_children_sees_both_and_a_child_of_another_school_by_the_same_ref_is_not_one_of_them(
    school: Any,
) -> None:
    school.account(
        "parent", Role.PARENT, (Tie.GUARDIAN, "user:1"), (Tie.GUARDIAN, "user:5"), (Tie.GUARDIAN, "user:101")
    )

    answer = school.call("parent").get("/pupils")

    assert [one["ref"] for one in answer.json()["items"]] == ["user:1", "user:5"]
    assert "Чужестранцев" not in answer.text


def test_an_inspector_and_a_deputy_have_a_last_day_after_which_the_role_is_gone(school: Any) -> None:
    today = date(2026, 11, 25)
    with pytest.raises(ConfigurationError, match="последний день"):
        school.account("forever", Role.INSPECTOR)
    school.account("inspector", Role.INSPECTOR, ends_on=today)
    school.account("head", Role.DIRECTOR)
    school.account("stand-in", Role.DEPUTY_HEAD)
    give_role(school.office, "stand-in", Role.DIRECTOR, ends_on=today, deputises_for="head")
    inspector, deputy = school.call("inspector"), school.call("stand-in", Role.DIRECTOR)
    assert inspector.get("/pupils").status_code == deputy.get("/pupils").status_code == 200
    shown = [entry for entry in school.entries() if entry.action == "pupil.shown"]
    assert {entry.originator for entry in shown if entry.actor == "account:4"} == {"account:3"}

    school.clock.advance(12.5 * 3600 - 60)  # past midnight in Moscow
    for caller in (inspector, deputy):
        assert caller.get("/pupils").status_code == 401


def test_a_role_that_is_taken_ends_the_session_that_acts_in_it(school: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    caller = school.call("deputy")

    take_role(school.office, "deputy", Role.DEPUTY_HEAD)

    assert caller.get("/runs").status_code == 401


def test_the_log_ins_are_in_the_audit_without_a_login_an_unknown_one_least_of_all(school: Any) -> None:
    school.account("petrova", Role.DEPUTY_HEAD)
    school.call("petrova").ask("DELETE", "/session")
    log_in(school, "petrova", "wrong horse 9")
    log_in(school, "my-own-password", "petrova")

    told = [(entry.action, entry.actor, entry.object_id) for entry in school.entries()]

    assert told == [
        ("session.opened", "account:1", "account:1"),
        ("session.closed", "account:1", "account:1"),
        ("session.refused", "access", "account:1"),
        ("session.refused", "access", None),
    ]


def test_every_change_of_rights_is_a_deed_that_names_no_child(school: Any) -> None:
    school.account("parent", Role.PARENT, (Tie.GUARDIAN, "user:1"))
    disable_account(school.office, "parent", reason="ошибка")

    deeds = school.entries("deeds")

    assert [entry.action for entry in deeds] == [
        "account.added",
        "account.role_given",
        "account.relation_given",
        "account.disabled",
    ]
    assert {entry.actor_kind for entry in deeds} == {"os_user"}
    assert not any(entry.is_authenticated for entry in deeds)
    assert not any("user:1" in str(entry) for entry in deeds)


def test_the_rights_of_a_past_day_are_still_told_after_they_were_taken_back(school: Any) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    then = school.gateway.now()
    school.clock.advance(24 * 3600)
    with school.gateway.store.read() as conn:
        relation = load_relations(conn, school.gateway.place, 1)[0]
    take_relation(school.office, "teacher", relation.id)
    take_role(school.office, "teacher", Role.TEACHER)

    with school.gateway.store.read() as conn:
        place, on = school.gateway.place, then.date()
        assert load_grants(conn, place, 1, on=None) == load_relations(conn, place, 1) == []
        assert [one.role for one in load_grants(conn, place, 1, on=on, as_of=then)] == [Role.TEACHER]
        assert [one.object_ref for one in load_relations(conn, place, 1, on=on, as_of=then)] == ["group:1"]
