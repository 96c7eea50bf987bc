"""What every route shares: problems with all faults at once, pages by key, idempotent starts, caps, and no echo of what was sent."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import event, select, update

import gateway.flows.acts
import gateway.flows.discrepancies
from gateway.access.roles import Role, Tie
from gateway.access.tables import idempotent_request
from gateway.connectors.port import Want
from gateway.flows.turns import to_want
from gateway.reconcile.tables import run

BASE = "https://testserver/api/v1"


@pytest.fixture
def director(school: Any) -> Any:
    school.account("director", Role.DIRECTOR)
    return school.call("director")


def want_of(school: Any, number: int) -> Want:
    with school.gateway.store.read() as conn:
        return to_want(conn.execute(select(run.c.want).where(run.c.id == number)).scalar_one())


def end_runs(school: Any) -> None:
    with school.gateway.store.write() as conn:
        conn.execute(update(run).where(run.c.state == "running").values(state="done"))


def test_all_faults_of_a_request_are_told_at_once_by_pointers_and_nothing_sent_comes_back(school: Any) -> None:
    secret = "тайное слово 12345"
    answer = school.client.post(
        f"{BASE}/session", json={"login": "", "password": {"is": secret}, "role": secret, "extra": secret}
    )

    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert {one["pointer"] for one in problem["errors"]} == {
        "/body/login",
        "/body/password",
        "/body/role",
        "/body/extra",
    }
    assert (problem["status"], problem["code"]) == (422, "REQUEST_INVALID")
    assert secret not in answer.text


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b'{"login":"a\\u0000b","password":"x"}', "application/json", 422),
        (b'{"login":"\\ud800x","password":"x"}', "application/json", 422),
        (b"login=a&password=b", "application/x-www-form-urlencoded", 422),
        (b"[" * 50_000, "application/json", 400),
        (b"x" * 300_000, "application/json", 413),
    ],
    ids=["half", "no text", "NUL", "half a character", "a form", "deep", "large"],
)
def test_a_broken_body_is_a_problem_and_never_a_fault_of_ours(school: Any, body: bytes, kind: str, status: int) -> None:
    answer = school.client.post(f"{BASE}/session", content=body, headers={"content-type": kind})

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_whose_length_is_not_told_is_capped_as_it_comes_in(school: Any) -> None:
    pieces = (b"x" * 10_000 for _ in range(1_000))

    answer = school.client.post(f"{BASE}/session", content=pieces, headers={"content-type": "application/json"})

    assert answer.status_code == 413


def test_an_unknown_path_a_wrong_method_and_a_foreign_host_are_problems_too(school: Any, director: Any) -> None:
    unknown, foreign = director.get("/nothing"), director.get("/pupils/user:101/marks")
    wrong = director.ask("PATCH", "/runs")

    assert (unknown.status_code, unknown.content) == (404, foreign.content)
    assert (wrong.status_code, wrong.json()["code"]) == (405, "REQUEST_INVALID")
    assert school.client.get("https://evil.example/api/v1/health").status_code == 400


def test_a_number_too_large_for_the_database_is_a_fault_of_the_request(director: Any) -> None:
    for path in ("/runs/9223372036854775808", "/plans/99999999999", "/runs?after=-1", "/operations?limit=100000"):
        assert director.get(path).status_code == 422, path


def test_pages_follow_one_another_by_key_and_meet_every_row_once(director: Any) -> None:
    for path, key in (("/pupils", "ref"), ("/operations", "id"), ("/plans/1/items", "seq"), ("/runs", "id")):
        met, after = [], None
        while True:
            params = {"limit": 3, **({} if after is None else {"after": after})}
            page = director.get(path, params=params).json()
            met += [one[key] for one in page["items"]]
            after = page["next"]
            if after is None:
                break
        whole = [one[key] for one in director.get(path, params={"limit": 200}).json()["items"]]
        assert met == whole, path
        assert len(met) > 3, path


def test_a_start_under_one_key_is_begun_once_and_another_body_under_it_is_refused(school: Any, director: Any) -> None:
    key = uuid.uuid4().hex

    first = director.post("/runs", {}, key=key)
    again = director.post("/runs", {}, key=key)
    other = director.post("/runs", {"class_name": "7А"}, key=key)

    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert (again.headers["Idempotent-Replayed"], "Idempotent-Replayed" in first.headers) == ("true", False)
    assert other.status_code == 422
    assert len(school.begun) == 1
    assert director.post("/runs", {}).status_code == 422, "a start without a key is refused"


def test_a_start_that_is_being_worked_on_is_asked_to_come_back_and_a_dead_one_frees_its_key(
    school: Any, director: Any
) -> None:
    key = uuid.uuid4().hex
    director.post("/runs", {}, key=key)
    end_runs(school)
    with school.gateway.store.write() as conn:
        conn.execute(update(idempotent_request).values(status=None, answer=None))

    busy = director.post("/runs", {}, key=key)
    school.clock.advance(3 * 60)
    taken = director.post("/runs", {}, key=key)

    assert (busy.status_code, busy.headers["retry-after"]) == (409, "2")
    assert taken.status_code == 202


def test_a_key_given_back_while_it_is_asked_for_is_asked_for_again_and_breaks_nothing(
    school: Any, director: Any
) -> None:
    """Between the try to take it and the look at who has it a refused start may free it (PostgreSQL)."""
    key = uuid.uuid4().hex
    director.post("/runs", {}, key=key)
    end_runs(school)
    store = school.gateway.store

    def give_back(conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("SELECT") and "idempotent_request" in statement:
            conn.exec_driver_sql("DELETE FROM idempotent_request")

    event.listen(store.engine, "before_cursor_execute", give_back)
    found = director.post("/runs", {}, key=key)
    event.remove(store.engine, "before_cursor_execute", give_back)
    taken = director.post("/runs", {}, key=key)

    assert (found.status_code, taken.status_code) == (409, 202)


def test_a_refused_start_frees_its_key(school: Any, director: Any) -> None:
    key = uuid.uuid4().hex
    director.post("/runs", {}, key=uuid.uuid4().hex)

    refused = director.post("/runs", {}, key=key)
    end_runs(school)

    assert (refused.status_code, refused.json()["code"]) == (409, "ALREADY_RUNNING")
    assert director.post("/runs", {}, key=key).status_code == 202


def test_keys_of_two_accounts_never_meet(school: Any, director: Any) -> None:
    school.account("deputy", Role.DEPUTY_HEAD)
    key = uuid.uuid4().hex

    mine = director.post("/runs", {"class_name": "7А"}, key=key)
    theirs = school.call("deputy").post("/runs", {"class_name": "7Б"}, key=key)

    assert mine.status_code == theirs.status_code == 202
    assert mine.json() != theirs.json()


def test_a_teachers_sync_reaches_his_group_and_nobody_else(school: Any) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    teacher = school.call("teacher")

    begun = teacher.post("/runs", {"group": "group:1"}, key=uuid.uuid4().hex)

    want = want_of(school, begun.json()["run"])
    assert (want.class_names, want.subjects, want.pupils) == ({"7А"}, {"математика"}, frozenset())
    for body in ({}, {"class_name": "7А"}, {"pupil": "user:1"}, {"group": "group:2"}, {"group": "group:4"}):
        assert teacher.post("/runs", body, key=uuid.uuid4().hex).status_code == 404, body


def test_a_sync_of_a_mixed_group_names_its_pupils_because_no_class_does(school: Any) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:4"))

    begun = school.call("teacher").post("/runs", {"group": "group:4"}, key=uuid.uuid4().hex)

    want = want_of(school, begun.json()["run"])
    assert (want.class_names, want.subjects, want.pupils) == (frozenset(), {"шахматы"}, {"user:1", "user:3"})


def test_a_class_teachers_sync_reaches_the_class_and_a_pupil_of_it(school: Any) -> None:
    school.account("leader", Role.CLASS_TEACHER, (Tie.LEADS, "7А"))
    leader = school.call("leader")

    whole = want_of(school, leader.post("/runs", {"class_name": "7 а"}, key=uuid.uuid4().hex).json()["run"])
    one = want_of(school, leader.post("/runs", {"pupil": "user:1"}, key=uuid.uuid4().hex).json()["run"])

    assert (whole.class_names, one.pupils) == ({"7А"}, {"user:1"})
    for body in ({}, {"class_name": "8А"}, {"pupil": "user:5"}, {"class_name": "8А", "pupil": "user:1"}):
        assert leader.post("/runs", body, key=uuid.uuid4().hex).status_code == 404, body


def test_a_started_run_is_shown_where_the_answer_says_and_belongs_to_its_account(school: Any) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    teacher = school.call("teacher")

    begun = teacher.post("/runs", {"group": "group:1"}, key=uuid.uuid4().hex)

    shown = school.client.get(f"https://testserver{begun.headers['location']}", headers=teacher.headers)
    assert shown.json()["actor"] == "account:1"
    assert shown.json()["state"] == "running"


def test_a_run_is_taken_back_by_a_plan_once_for_a_key_and_a_running_one_is_not(school: Any, director: Any) -> None:
    key = uuid.uuid4().hex
    end_runs(school)

    begun = director.post("/runs/1/undo", key=key)
    again = director.post("/runs/1/undo", key=key)
    running = director.post(f"/runs/{begun.json()['run']}/undo", key=uuid.uuid4().hex)

    assert (begun.status_code, begun.json()) == (202, again.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert len(school.begun) == 1
    shown = school.client.get(f"https://testserver{begun.headers['location']}", headers=director.headers).json()
    assert (shown["form"], shown["actor"]) == ("undo", "account:1")
    assert running.status_code == 409


def test_the_red_button_stops_by_an_account_and_is_lifted_with_a_reason(school: Any, director: Any) -> None:
    stopped = director.ask("PUT", "/sending/stop", json={"reason": "двойные оценки"})
    assert stopped.json()["stop"]["actor"] == "account:1"
    assert director.get("/queue").json()["is_stopped"] is True

    assert director.post("/sending/allow", {"reason": "   "}).status_code == 422
    assert director.post("/sending/allow", {"reason": "разобрались"}).json()["stop"] is None


def test_a_parked_operation_is_replayed_once_by_an_account(school: Any, director: Any) -> None:
    number = director.get("/operations").json()["items"][-1]["id"]

    first = director.post(f"/operations/{number}/replay", key=uuid.uuid4().hex)
    second = director.post(f"/operations/{number}/replay", key=uuid.uuid4().hex)

    assert (first.status_code, second.status_code) == (204, 409)
    replayed = [entry for entry in school.entries("deeds") if entry.action == "operation.replayed"]
    assert [(entry.actor, entry.is_authenticated) for entry in replayed] == [("account:1", True)]


def test_a_teacher_settles_his_own_and_what_is_not_his_drops_out_like_what_is_not_there(school: Any) -> None:
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    school.account("director", Role.DIRECTOR)
    teacher = school.call("teacher")
    numbers = {one["ref"]: one["id"] for one in school.call("director").get("/discrepancies").json()["items"]}
    mine, other = numbers["mark:1:user:1"], numbers["mark:3:user:5"]
    body = {"ids": [mine, other, 99999], "choice": "ignore", "until": "2026-12-01T00:00:00Z", "reason": "болел"}

    done = teacher.post("/discrepancies/choices", body, key=uuid.uuid4().hex).json()

    assert done["taken"] == [mine]
    assert done["excluded"] == [{"id": other, "why": "unknown"}, {"id": 99999, "why": "unknown"}]
    card = teacher.get(f"/discrepancies/{mine}").json()
    assert card["line"]["state"] == "ignored"
    assert [(step["actor"], step["note"]) for step in card["steps"]] == [("account:1", "болел")]
    assert teacher.get(f"/discrepancies/{other}").status_code == 404
    assert len(teacher.get("/discrepancies").json()["items"]) == 1
    assert teacher.get("/discrepancies/groups").json()["items"][0]["count"] == 1


def test_a_choice_about_many_is_carried_out_behind_its_answer_once_a_key_and_is_its_owners(
    school: Any, director: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (gateway.flows.acts, gateway.flows.discrepancies):
        monkeypatch.setattr(module, "PART_ROWS", 1)
    school.account("curator", Role.CURATOR, (Tie.CURATES, "course:1"))
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    curator, key = school.call("curator"), uuid.uuid4().hex
    ids = [one["id"] for one in curator.get("/discrepancies").json()["items"]]
    body = {"ids": ids, "choice": "ignore", "until": "2026-12-01T00:00:00Z", "reason": "после каникул"}

    answer = curator.post("/discrepancies/choices", body, key=key).json()
    again = curator.post("/discrepancies/choices", body, key=key).json()
    shown = curator.get(f"/discrepancies/choices/{answer['act']}").json()
    cards = [curator.get(f"/discrepancies/{number}").json() for number in ids]

    assert len(ids) > 1
    assert (answer["taken"], again) == (ids, answer)
    assert (shown["asked"], shown["taken"], shown["left_out"], shown["is_finished"]) == (len(ids), len(ids), [], True)
    assert [(card["line"]["state"], card["line"]["being_settled"]) for card in cards] == [("ignored", None)] * len(ids)
    assert [[step["note"] for step in card["steps"]] for card in cards] == [["после каникул"]] * len(ids)
    entries = [entry for entry in school.entries("deeds") if entry.action.startswith("discrepancy.")]
    assert [(entry.action, entry.actor, entry.actor_role) for entry in entries] == [
        ("discrepancy.chosen", "account:2", "curator"),
        ("discrepancy.carried_out", "account:2", "curator"),
    ]
    assert director.get(f"/discrepancies/choices/{answer['act']}").status_code == 200
    assert school.call("teacher").get(f"/discrepancies/choices/{answer['act']}").status_code == 404


def test_a_hidden_mark_is_the_schools_until_the_teacher_opens_it(school: Any) -> None:
    import msgspec

    from gateway.domain.records import Mark
    from gateway.reconcile.tables import record

    school.account("parent", Role.PARENT, (Tie.GUARDIAN, "user:1"))
    school.account("director", Role.DIRECTOR)
    with school.gateway.store.write() as conn:
        where = (record.c.place_id == school.place_ids[0], record.c.ref == "mark:1:user:1")
        mark = msgspec.json.decode(conn.execute(select(record.c.body).where(*where)).scalar_one(), type=Mark)
        hidden = msgspec.json.encode(msgspec.structs.replace(mark, is_hidden=True))
        conn.execute(update(record).where(*where).values(body=hidden))

    def refs(login: str) -> set[str]:
        return {one["ref"] for one in school.call(login).get("/pupils/user:1/marks").json()["items"]}

    assert refs("parent") == {"mark:4:user:1"}
    assert refs("director") == {"mark:1:user:1", "mark:4:user:1"}


def test_homework_meant_for_some_pupils_of_a_group_is_not_the_others(school: Any) -> None:
    import msgspec

    from gateway.domain.records import Homework
    from gateway.reconcile.tables import record

    for number in (1, 2):
        school.account(f"pupil{number}", Role.PUPIL, (Tie.SELF, f"user:{number}"))
    with school.gateway.store.write() as conn:
        where = (record.c.place_id == school.place_ids[0], record.c.ref == "homework:1")
        task = msgspec.json.decode(conn.execute(select(record.c.body).where(*where)).scalar_one(), type=Homework)
        meant = msgspec.json.encode(msgspec.structs.replace(task, pupils=("user:21", "user:2")))
        conn.execute(update(record).where(*where).values(body=meant))

    def refs(number: int) -> set[str]:
        answer = school.call(f"pupil{number}").get(f"/pupils/user:{number}/homework")
        return {one["ref"] for one in answer.json()["items"]}

    assert refs(1) == {"homework:4"}
    assert refs(2) == {"homework:1"}


def test_every_role_sees_the_same_on_both_databases(school_on_each_database: Any) -> None:
    seen = {
        login: [one["ref"] for one in school_on_each_database.call(login).get("/pupils").json().get("items", [])]
        for login in ("pupil", "teacher", "leader", "curator", "director", "admin")
    }
    marks = {
        login: len(school_on_each_database.call(login).get("/pupils/user:1/marks").json().get("items", []))
        for login in ("parent", "teacher", "leader", "curator", "director")
    }
    director = school_on_each_database.call("director")

    assert seen == {
        "pupil": ["user:1"],
        "teacher": ["user:1", "user:2"],
        "leader": ["user:1", "user:2"],
        "curator": ["user:1", "user:2", "user:3", "user:4"],
        "director": [f"user:{number}" for number in range(1, 7)],
        "admin": [],
    }
    assert marks == {"parent": 2, "teacher": 1, "leader": 2, "curator": 1, "director": 2}
    assert len(director.get("/plans/1/items").json()["items"]) == 8
    assert len(director.get("/pupils/user:1/attendance").json()["items"]) == 2
    assert len(director.get("/pupils/user:1/homework").json()["items"]) == 2
    key = uuid.uuid4().hex
    assert director.post("/runs", {}, key=key).json() == director.post("/runs", {}, key=key).json()
    assert len(school_on_each_database.call("teacher").get("/operations").json()["items"]) == 2
