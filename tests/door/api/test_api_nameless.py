"""Who may not see names is given no way back to them: no answer of any route holds a portal user's number."""

from __future__ import annotations

import csv
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.access.roles import Role, Tie
from gateway.audit.subjects import erase, find_pseudonyms
from gateway.domain.identifiers import Kind
from gateway.domain.records import Absence, Homework, Mark, Membership, Person, Scale
from gateway.reconcile.tables import decision, discrepancy, relink, run

GETS = [
    row["path"]
    for row in csv.DictReader(Path(__file__).with_name("access_policy.csv").read_text(encoding="utf-8").splitlines())
    if row["method"] == "GET"
]
CANARY = 987654017
PUPIL = f"user:{CANARY}"
PLAN = 7


@pytest.fixture
def marked(school: Any, storing: Any) -> Any:
    """A school one of whose pupils has an unmistakable number, in refs as the portal makes them."""
    storing.all(school)
    school.account("parent-2", Role.PARENT, (Tie.GUARDIAN, PUPIL))
    mark = Mark(
        ref=f"mark:2:{CANARY}", pupil=PUPIL, programme="course:1", group="group:1", item="item:1", item_name="Работа",
        item_form="manual", scale=Scale("points", 0, 5), raw_points=4.0,
    )  # fmt: skip
    homework = Homework(
        ref="homework:77",
        group="group:1",
        programme="course:1",
        title="§ 5",
        text="§ 5",
        assigned_on=date(2026, 11, 24),
        prepared_for=date(2026, 11, 26),
    )
    records: dict[Kind, list[Any]] = {
        Kind.PERSON: [Person(ref=PUPIL, role="pupil", last_name="Канарейкин", first_name="Имя", class_name="9Я")],
        Kind.MEMBERSHIP: [Membership(ref=f"member:1:{CANARY}", person=PUPIL, group="group:1")],
        Kind.MARK: [mark],
        Kind.ABSENCE: [
            Absence(ref=f"absence:9:{CANARY}", pupil=PUPIL, lesson="lesson:1", group="group:1", form="absent")
        ],
        Kind.HOMEWORK: [homework],
    }
    place_id = school.place_ids[0]
    with school.gateway.store.write() as conn:
        storing.school(conn, place_id, records)
        storing.plan(conn, place_id, records, PLAN)
        storing.discrepancies(conn, place_id, records, PLAN)
        made = conn.execute(discrepancy.select().where(discrepancy.c.ref == mark.ref)).one()
        conn.execute(
            discrepancy.insert().values(
                {**made._mapping, "id": made.id + 1, "kind": "person", "ref": PUPIL, "type": "link_doubt",
                 "pattern": "link_doubt/LINK_DOUBT/person/birth/-"}
            )
        )  # fmt: skip
        held = conn.execute(select(decision).where(decision.c.plan_id == PLAN)).one()
        others = [
            # no record stands behind it, and the city's child is nobody's here
            {"seq": 2, "ref": f"mark:3:{CANARY}"},
            {"seq": 3, "ref": f"moved:1:{mark.ref}", "category": "waiting"},
            {"seq": 4, "ref": f"absence:9:{CANARY}", "kind": "absence", "intent": None},
            {"seq": 5, "ref": "homework:77", "kind": "homework", "intent": None},
            {"seq": 6, "ref": f"final:9:{CANARY}", "kind": "final", "intent": None},
        ]
        for other in others:
            conn.execute(decision.insert().values({**held._mapping, **other}))
        conn.execute(
            relink.update()
            .where(relink.c.place_id == place_id)
            .values(moves=[{"local_ref": PUPIL, "from_city_id": 1001, "to_city_id": None}], person_ref=PUPIL)
        )
    return school


def objects_of(school: Any, path: str) -> list[str]:
    """Every object that a path may name here."""
    with school.gateway.store.read() as conn:
        numbers = {
            "plans": [1, PLAN],
            "discrepancies": list(conn.execute(select(discrepancy.c.id)).scalars()),
            "runs": list(conn.execute(select(run.c.id)).scalars()),
        }
    first = path.split("/")[1]
    named = {"accounts": ["parent-2", "teacher"], "pupils": [PUPIL], "groups": ["group:1"], "links": [PUPIL]}
    return [str(one) for one in numbers.get(first, named.get(first, [1]))]


def answers(school: Any, login: str) -> dict[str, str]:
    """What every route that may be read gives an account."""
    caller, found = school.call(login), {}
    for path in GETS:
        for name in objects_of(school, path) if "{" in path else [""]:
            asked = re.sub(r"\{\w+\}", name, path)
            answer = caller.get(asked, params={"limit": 200} if "{" not in path or "items" in path else {})
            if answer.status_code == 200:
                found[asked] = answer.text
    return found


@pytest.mark.parametrize("login", ["admin", "auditor"])
def test_no_answer_of_any_route_holds_the_number_of_a_portal_user(login: str, marked: Any) -> None:
    found = answers(marked, login)

    leaky = {path for path, text in found.items() if str(CANARY) in text or re.search(r"user:\d", text)}
    assert leaky == set()
    assert len(found) > 10
    # the director's answers are where the number is: what is looked for is there to be found
    assert sum(str(CANARY) in text for text in answers(marked, "director").values()) > 5


def test_a_ref_is_the_same_word_in_every_answer_and_another_for_every_record(marked: Any) -> None:
    admin = marked.call("admin")
    lines = admin.get(f"/plans/{PLAN}/items").json()["items"]
    again = admin.get(f"/plans/{PLAN}/items").json()["items"]
    differ = admin.get("/discrepancies").json()["items"]

    assert lines == again
    mark = next(one for one in lines if one["seq"] == 1)
    assert re.fullmatch(r"mark:[0-9a-f]{32}", mark["ref"])
    assert mark["ref"] in {one["ref"] for one in differ}
    pseudonymous = [one["ref"] for one in lines if one["pupil"]]
    assert len(set(pseudonymous)) == len(pseudonymous) >= 3
    assert {one["ref"] for one in lines if one["kind"] == "homework"} == {"homework:77"}
    assert {one["ref"] for one in lines if one["kind"] == "final"} == {""}, "nobody knows whose it is"


def test_the_word_for_a_ref_goes_with_the_person(marked: Any) -> None:
    admin = marked.call("admin")
    before = admin.get(f"/plans/{PLAN}/items").json()["items"][0]["ref"]
    with marked.gateway.store.write() as conn:
        erase(conn, find_pseudonyms(conn, marked.gateway.place, [PUPIL])[PUPIL])

    assert admin.get(f"/plans/{PLAN}/items").json()["items"][0]["ref"] != before


def test_who_sees_names_sees_refs_as_they_are(marked: Any) -> None:
    found = marked.call("director").get(f"/plans/{PLAN}/items").json()["items"]

    assert found[0]["ref"] == f"mark:2:{CANARY}"
