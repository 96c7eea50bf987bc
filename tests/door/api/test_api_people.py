"""Holding back, giving to a person, waiting outside, a teacher's tasks, and other limits tried: what the command line has."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import httpx2
import msgspec
import pytest
from sqlalchemy import insert, select, update

from gateway.access.accounts import disable_account, give_role, load_accounts, take_role
from gateway.access.relations import load_relations, take_relation
from gateway.access.roles import Role, Tie
from gateway.domain.city import MarkAtom
from gateway.domain.discrepancies import DiscrepancyState
from gateway.flows.outside import free_unable
from gateway.queue.tables import operation
from gateway.reconcile.tables import correction, discrepancy, discrepancy_step, scope_state
from gateway.sandbox.serve import serve_in_thread

WHY = {"reason": "список класса правят"}


@pytest.fixture
def staffed(school: Any) -> Any:
    for login, role in (("deputy", Role.DEPUTY_HEAD), ("director", Role.DIRECTOR), ("admin", Role.ADMIN)):
        school.account(login, role)
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    school.account("curator", Role.CURATOR, (Tie.CURATES, "course:1"))
    return school


def post(caller: Any, path: str, body: dict[str, Any] | None = None) -> Any:
    return caller.post(path, body, key=uuid.uuid4().hex)


def until(school: Any, days: int = 5) -> str:
    return str((school.clock.now() + timedelta(days=days)).isoformat())


def number_of(school: Any, ref: str) -> int:
    with school.gateway.store.read() as conn:
        found = select(discrepancy.c.id).where(discrepancy.c.place_id == school.place_ids[0], discrepancy.c.ref == ref)
        return int(conn.execute(found).scalar_one())


def state_of(school: Any, number: int) -> tuple[str, str | None]:
    with school.gateway.store.read() as conn:
        row = conn.execute(select(discrepancy).where(discrepancy.c.id == number)).one()
    return row.state, row.assignee


def test_what_is_held_leaves_the_queue_at_once_and_comes_back_when_it_is_lifted(staffed: Any) -> None:
    deputy = staffed.call("deputy")
    with staffed.gateway.store.write() as conn:
        conn.execute(update(operation).where(operation.c.ref == "mark:1:user:1").values(state="ready"))

    nothing = post(deputy, "/holds", {"until": until(staffed), **WHY})
    late = post(deputy, "/holds", {"until": until(staffed, 200), "kind": "mark", **WHY})
    stranger = post(deputy, "/holds", {"until": until(staffed), "pupil": "user:101", **WHY})
    placed = post(deputy, "/holds", {"until": until(staffed), "pupil": "user:1", "kind": "mark", **WHY})
    (line,) = deputy.get("/holds").json()["items"]
    lifted = post(deputy, f"/holds/{line['id']}/lifting", WHY)
    again = post(deputy, f"/holds/{line['id']}/lifting", WHY)

    assert [nothing.status_code, late.status_code, stranger.status_code] == [409, 409, 422]
    assert (placed.status_code, placed.json()["dropped"]) == (201, 1)
    assert (line["pupil"], line["kind"], line["reason"]) == ("user:1", "mark", WHY["reason"])
    assert (lifted.status_code, again.status_code) == (204, 404)
    assert deputy.get("/holds").json()["items"] == []
    looks = [entry for entry in staffed.entries() if entry.action == "pupil.shown"]
    assert [entry.object_type for entry in looks] == ["hold"]
    assert [entry.action for entry in staffed.entries("deeds") if entry.action.startswith("hold.")] == [
        "hold.placed",
        "hold.lifted",
    ]


def test_a_lifting_that_is_asked_again_under_its_key_is_told_without_a_body_and_the_connection_lives(
    staffed: Any,
) -> None:
    deputy = staffed.call("deputy")
    post(deputy, "/holds", {"until": until(staffed), "pupil": "user:1", **WHY})
    (line,) = deputy.get("/holds").json()["items"]
    path, headers = f"/holds/{line['id']}/lifting", {**deputy.headers, "Idempotency-Key": "k" * 32}

    # over a socket: what a 204 carries all the same breaks the connection there, and is lost in a call in the process
    with serve_in_thread(staffed.client.app) as served, httpx2.Client(base_url=served.base_url) as client:
        first, again = (client.post(f"/api/v1{path}", json=WHY, headers=headers) for _ in range(2))
    inside = deputy.post(path, WHY, key="k" * 32)

    assert [first.status_code, again.status_code, inside.status_code] == [204, 204, 204]
    assert [first.content, again.content, inside.content] == [b"", b"", b""]
    assert [one.headers.get("idempotent-replayed") for one in (first, again, inside)] == [None, "true", "true"]


def test_an_admin_sees_that_something_is_held_and_not_whose_it_is(staffed: Any) -> None:
    body = {"until": until(staffed), "ref": "mark:1:user:1", "pupil": "user:1", **WHY}
    post(staffed.call("deputy"), "/holds", body)

    shown = staffed.call("admin").get("/holds")

    (line,) = shown.json()["items"]
    assert "user:1" not in shown.text
    assert (line["reason"], line["class_name"]) == (None, None)
    assert line["pupil"]
    assert line["ref"].startswith("record:")
    assert post(staffed.call("admin"), f"/holds/{line['id']}/lifting", WHY).status_code == 404


def test_a_discrepancy_is_given_to_an_account_and_to_nobody_unknown(staffed: Any) -> None:
    curator, mine, foreign = staffed.call("curator"), number_of(staffed, "mark:1:user:1"), number_of(
        staffed, "mark:3:user:5"
    )  # fmt: skip

    nobody = post(curator, "/discrepancies/assignments", {"ids": [mine], "assignee": "nobody", **WHY})
    given = post(curator, "/discrepancies/assignments", {"ids": [mine, foreign], "assignee": "Teacher", **WHY})

    assert nobody.status_code == 422
    assert given.json() == {"taken": [mine], "left_out": [foreign]}
    state, assignee = state_of(staffed, mine)
    assert (state, assignee) == (DiscrepancyState.ASSIGNED.value, staffed.call("teacher").session["account"])
    assert state_of(staffed, foreign) == (DiscrepancyState.OPEN.value, None)
    listed = staffed.call("teacher").get("/discrepancies", params={"assignee": assignee}).json()["items"]
    assert [line["id"] for line in listed] == [mine]


def test_a_discrepancy_is_given_to_nobody_who_could_not_settle_it(staffed: Any) -> None:
    """It would be nobody's from then on: no list asks another to move."""
    staffed.account("leader", Role.CLASS_TEACHER, (Tie.LEADS, "7А"))
    staffed.account("other", Role.TEACHER, (Tie.TEACHES, "group:3"))
    staffed.account("both", Role.TEACHER, (Tie.TEACHES, "group:3"), (Tie.CURATES, "course:1"))
    give_role(staffed.office, "both", Role.CURATOR)
    deputy = staffed.call("deputy")
    mine, foreign = number_of(staffed, "mark:1:user:1"), number_of(staffed, "mark:3:user:5")

    def give(whom: str, *ids: int) -> Any:
        return post(deputy, "/discrepancies/assignments", {"ids": list(ids), "assignee": whom, **WHY})

    unable = {whom: give(whom, mine) for whom in ("leader", "other", "admin")}
    partly = give("teacher", mine, foreign)

    assert {(answer.status_code, answer.json()["code"]) for answer in (*unable.values(), partly)} == {
        (409, "ASSIGNEE_UNABLE")
    }
    assert "discrepancies.choose" in unable["leader"].json()["detail"]
    assert str(foreign) in partly.json()["detail"]
    assert str(mine) not in partly.json()["detail"]
    assert [state_of(staffed, number)[1] for number in (mine, foreign)] == [None, None]
    # one role reaches the one pupil, another role the other
    assert give("both", mine, foreign).json()["taken"] == sorted((mine, foreign))


@pytest.mark.parametrize("how", ["the account is closed", "the post is taken", "the group is another's"])
def test_what_was_given_to_somebody_who_can_settle_it_no_more_is_open_again(staffed: Any, how: str) -> None:
    mine, other = number_of(staffed, "mark:1:user:1"), number_of(staffed, "mark:1:user:2")
    deputy = staffed.call("deputy")
    for number, whom in ((mine, "teacher"), (other, "curator")):
        given = post(deputy, "/discrepancies/assignments", {"ids": [number], "assignee": whom, **WHY})
        assert given.json()["taken"] == [number]
    assert free_unable(staffed.gateway, staffed.place_ids[0]) == 0
    if how == "the account is closed":
        disable_account(staffed.office, "teacher", reason="уволилась")
    elif how == "the post is taken":
        take_role(staffed.office, "teacher", Role.TEACHER)
    else:
        with staffed.gateway.store.read() as conn:
            number = next(one.id for one in load_accounts(conn) if one.login == "teacher")
            (tie,) = load_relations(conn, staffed.gateway.place, number)
        take_relation(staffed.office, "teacher", tie.id)

    assert free_unable(staffed.gateway, staffed.place_ids[0]) == 1

    assert state_of(staffed, mine) == (DiscrepancyState.OPEN.value, None)
    assert state_of(staffed, other)[0] == DiscrepancyState.ASSIGNED.value
    card = deputy.get(f"/discrepancies/{mine}").json()
    assert [step["step"] for step in card["steps"]] == ["assigned", "reopened"]


def test_a_card_says_whose_word_each_side_is_to_who_sees_names_and_only_moments_to_the_admin(staffed: Any) -> None:
    number = number_of(staffed, "mark:1:user:1")
    with staffed.gateway.store.write() as conn:
        said = {"state": "parked", "sentence": "Журнал отказал: Аистова выбыла"}
        conn.execute(update(operation).where(operation.c.ref == "mark:1:user:1").values(**said))

    card = staffed.call("deputy").get(f"/discrepancies/{number}").json()
    veiled = staffed.call("admin").get(f"/discrepancies/{number}").json()

    assert card["refusal"] == "Журнал отказал: Аистова выбыла"
    assert card["sides"]["ours_by"]["как пришло"] == "портал"
    assert card["sides"]["ours_read_at"] == veiled["sides"]["ours_read_at"] is not None
    assert (veiled["refusal"], veiled["sides"]["ours_by"], veiled["sides"]["theirs_by"]) == (None, {}, "")
    assert "Аистова" not in str(veiled)


def test_a_doubt_about_a_link_is_given_to_who_decides_links(staffed: Any) -> None:
    number = number_of(staffed, "mark:1:user:1")
    with staffed.gateway.store.write() as conn:
        conn.execute(
            update(discrepancy)
            .where(discrepancy.c.id == number)
            .values(kind="person", ref="user:1", type="link_doubt", reason="LINK_DOUBTED")
        )
    deputy = staffed.call("deputy")

    teacher = post(deputy, "/discrepancies/assignments", {"ids": [number], "assignee": "teacher", **WHY})
    curator = post(deputy, "/discrepancies/assignments", {"ids": [number], "assignee": "curator", **WHY})

    assert (teacher.status_code, teacher.json()["code"]) == (409, "ASSIGNEE_UNABLE")
    assert curator.json()["taken"] == [number]


def test_what_waits_for_somebody_outside_names_a_post_and_a_day(staffed: Any) -> None:
    curator, mine = staffed.call("curator"), number_of(staffed, "mark:1:user:1")
    body = {"ids": [mine], "whom": "city_helpdesk", "until": until(staffed), **WHY}

    late = post(curator, "/discrepancies/waiting", {**body, "until": until(staffed, 200)})
    name = post(curator, "/discrepancies/waiting", {**body, "whom": "Иванова"})
    waits = post(curator, "/discrepancies/waiting", body)
    again = post(curator, "/discrepancies/waiting", body)

    assert (late.status_code, name.status_code) == (409, 422)
    assert waits.json() == {"taken": [mine], "left_out": []}
    assert again.json() == {"taken": [], "left_out": [mine]}
    assert state_of(staffed, mine) == (DiscrepancyState.WAITING_OUTSIDE.value, "outside:city_helpdesk")
    card = curator.get(f"/discrepancies/{mine}").json()
    assert [step["step"] for step in card["steps"]] == ["waiting"]


def lay_over(school: Any, ref: str, value: str) -> int:
    """As `theirs` leaves it: the city's value over ours, chosen by the curator with a reason."""
    number, now = number_of(school, ref), school.clock.now()
    atom = msgspec.json.encode(MarkAtom(value=value, weight=1, form_id=1))
    with school.gateway.store.write() as conn:
        row = conn.execute(select(discrepancy).where(discrepancy.c.id == number)).one()
        conn.execute(update(discrepancy).where(discrepancy.c.id == number).values(state="resolved", choice="theirs"))
        conn.execute(
            insert(correction).values(
                place_id=row.place_id, kind=row.kind, ref=ref, corrected=row.ours, atom=atom, actor="account:5",
                made_at=now, discrepancy_id=number,
            )
        )  # fmt: skip
        conn.execute(
            insert(discrepancy_step).values(
                discrepancy_id=number, at=now, step="chosen", actor="account:5", choice="theirs", pattern=row.pattern
            )
        )
    return number


def test_a_teacher_has_his_tasks_says_that_one_is_done_and_disputes_another(staffed: Any) -> None:
    teacher = staffed.call("teacher")
    first, second = lay_over(staffed, "mark:1:user:1", "2"), lay_over(staffed, "mark:1:user:2", "3")
    foreign = lay_over(staffed, "mark:3:user:5", "4")

    told = teacher.get("/tasks").json()["items"]
    done = post(teacher, f"/tasks/{first}/done")
    strange = post(teacher, f"/tasks/{foreign}/done")
    after = {one["number"]: one["state"] for one in teacher.get("/tasks").json()["items"]}
    disputed = post(teacher, f"/discrepancies/{second}/dispute", {"reason": "я ставил другое"})

    assert [(one["number"], one["wanted"]["отметка"], one["choice"]) for one in told] == [
        (first, "2", "theirs"),
        (second, "3", "theirs"),
    ]
    assert (done.status_code, strange.status_code, disputed.status_code) == (204, 404, 204)
    assert after == {first: "said_done", second: "open"}
    assert [one["number"] for one in teacher.get("/tasks").json()["items"]] == [first]
    assert state_of(staffed, second)[0] == "open"
    read_again(staffed)
    assert [one["state"] for one in teacher.get("/tasks").json()["items"]] == ["not_seen"]


def read_again(school: Any) -> None:
    """The portal is read once more and shows what it showed."""
    school.clock.advance(600)
    with school.gateway.store.write() as conn:
        conn.execute(update(scope_state).values(complete_at=school.clock.now()))


def test_a_page_of_tasks_leads_to_the_next_and_an_admin_sees_no_value(staffed: Any) -> None:
    first, second = lay_over(staffed, "mark:1:user:1", "2"), lay_over(staffed, "mark:1:user:2", "3")
    director = staffed.call("director")

    page = director.get("/tasks", params={"limit": 1}).json()
    rest = director.get("/tasks", params={"limit": 1, "after": page["next"]}).json()
    shown = staffed.call("admin").get("/tasks")

    assert [one["number"] for one in (*page["items"], *rest["items"])] == [first, second]
    assert [(one["wanted"], one["portal"]) for one in shown.json()["items"]] == [({}, {}), ({}, {})]
    assert not any(name in shown.text for name in ("user:1", "Аистова", "Бобров"))


def test_other_limits_are_tried_on_the_plans_of_past_nights(staffed: Any) -> None:
    deputy = staffed.call("deputy")

    found = deputy.get("/guards/trial", params={"nights": 30, "change_count": 0, "minimum_count": 0}).json()
    wrong = deputy.get("/guards/trial", params={"change_ratio": -1, "unknown": 1})

    assert [one["plan"]["plan_id"] for one in found["plans"]] == [1]
    assert found["tried"]["change_count"] == 0
    assert found["limits"]["change_count"] != 0
    assert wrong.status_code == 422
    assert len(wrong.json()["errors"]) == 2
    assert staffed.call("teacher").get("/guards/trial").status_code == 404
