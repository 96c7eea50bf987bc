"""Links by the door: who waits, who may be meant, and a curator's word about his own pupils only."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

from gateway.access.policy import Action
from gateway.access.roles import Role, Tie
from gateway.access.tokens import issue_token
from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityPupil, CityYear
from gateway.domain.identifiers import Kind
from gateway.mapping.correlate import Candidate, Correlation
from gateway.mapping.links import confirm, load_links, save_correlation
from gateway.reconcile.tables import city_directory

EVIDENCE = {"person_id": "unknown", "last_name": "equal", "first_name": "equal", "class": "equal"}


@pytest.fixture
def asking(school: Any) -> Any:
    """user:2 of 7А may be 1002, or 1005 who is linked to a pupil of another class; user:6 of 8А may be 1006."""
    place_id, now = school.place_ids[0], school.clock.now()
    names = {1002: "Бобров", 1005: "Дятлова", 1006: "Ежов", 1007: "Яшина"}
    pupils = tuple(
        CityPupil(
            id=number, person_id=f"p-{number}", last_name=name, first_name="Имя", middle_name=None, birth_on=None,
            class_id=1, class_name="7А", is_active=True,
        )
        for number, name in names.items()
    )  # fmt: skip
    year = CityYear(id=1, name="2026/27", begins_on=now.date(), ends_on=now.date(), is_current=True)
    directory = CityDirectory(
        year=year, periods=(), classes=(), subjects=(), groups=(), teachers=(), pupils=pupils, forms=()
    )
    pairs = [("user:2", 1002, 0.9), ("user:2", 1005, 0.6), ("user:6", 1006, 0.9)]
    found = Correlation(
        links=(),
        candidates=tuple(
            Candidate(local_ref=ref, city_id=city_id, reason="AMBIGUOUS_LINK", score=score, evidence=EVIDENCE)
            for ref, city_id, score in pairs
        ),
        waiting={"user:2": "AMBIGUOUS_LINK", "user:6": "AMBIGUOUS_LINK"},
    )
    with school.gateway.store.write() as conn:
        confirm(conn, place_id, Kind.PERSON, "user:5", 1005, actor="office", how="roster", evidence={}, now=now)
        save_correlation(conn, place_id, Kind.PERSON, found, now)
        body = msgspec.json.encode(directory)
        conn.execute(insert(city_directory).values(place_id=place_id, body=body, read_at=now))
    school.account("curator", Role.CURATOR, (Tie.CURATES, "course:1"))
    school.account("leader", Role.CLASS_TEACHER, (Tie.LEADS, "7А"))
    return school


def test_a_curator_sees_his_own_candidates_in_words_and_another_classs_child_without_a_name(asking: Any) -> None:
    answer = asking.call("curator").get("/links")

    (one,) = answer.json()["items"]
    assert (one["ref"], one["owner"]) == ("user:2", "curator")
    assert [(offer["name"], offer["is_taken"]) for offer in one["offers"]] == [
        ("Бобров Имя", False),
        ("другой ученик", True),
    ]
    assert "фамилия совпадает" in one["offers"][0]["evidence"]
    assert "Дятлова" not in answer.text
    assert [(entry.action, entry.object_type) for entry in asking.entries()][-1] == ("pupil.shown", "link")


def test_a_curator_refuses_one_and_confirms_the_other_of_his_own_pupils_only(asking: Any) -> None:
    curator, leader = asking.call("curator"), asking.call("leader")

    def say(caller: Any, pupil: str, verb: str, **body: Any) -> int:
        answer = caller.post(f"/links/{pupil}/{verb}", body, key=uuid.uuid4().hex)
        return int(answer.status_code)

    assert say(leader, "user:2", "confirmation", city_id=1002) == 404
    assert say(curator, "user:6", "confirmation", city_id=1006) == 404
    assert say(curator, "user:2", "rejection", city_id=1005, reason="другой класс") == 204
    assert say(curator, "user:2", "confirmation", city_id=1005) == 409
    assert say(curator, "user:2", "confirmation", city_id=1002) == 200

    with asking.gateway.store.read() as conn:
        assert load_links(conn, asking.place_ids[0], Kind.PERSON)["user:2"] == 1002
    card = curator.get("/links/user:2").json()
    assert (card["city_id"], card["is_by_machine"]) == (1002, False)
    assert [(one["city_id"], one["why"]) for one in card["refused"]] == [(1005, "другой класс")]
    assert curator.get("/links").json()["items"] == []
    actions = [entry.action for entry in asking.entries("deeds")]
    assert actions.count("link.rejected") == actions.count("link.confirmed") == 1


def test_a_pair_of_another_surname_needs_the_word_of_two_and_an_unknown_number_is_none(asking: Any) -> None:
    curator = asking.call("curator")
    asking.account("deputy", Role.DEPUTY_HEAD)
    path = "/links/user:2/confirmation"
    said = {"city_id": 1007, "despite_evidence": True, "reason": "сменил фамилию"}

    unknown = curator.post(path, {"city_id": 999}, key=uuid.uuid4().hex)
    refused = curator.post(path, {"city_id": 1007}, key=uuid.uuid4().hex)
    first = curator.post(path, said, key=uuid.uuid4().hex)
    again = curator.post(path, said, key=uuid.uuid4().hex)
    doubted = curator.get("/links/user:2").json()["asking"]["doubts"]
    deputy = asking.call("deputy")
    asking.clock.advance(11 * 60)
    stale = deputy.post(path, said, key=uuid.uuid4().hex)
    _, secret = issue_token(
        asking.office, "deputy", name="m", role=Role.DEPUTY_HEAD, actions={Action.LINKS_DECIDE}, days=1, longest_days=9
    )
    held = {"Authorization": f"Bearer {secret}", "Idempotency-Key": uuid.uuid4().hex}
    machine = asking.client.post(f"https://testserver/api/v1{path}", json=said, headers=held)
    deputy.post("/session/proof", {"password": asking.password})
    second = deputy.post(path, said, key=uuid.uuid4().hex)

    assert [(one.status_code, one.json()["code"]) for one in (stale, machine)] == [(409, "LOGIN_NOT_FRESH")] * 2
    assert (unknown.status_code, refused.status_code, first.status_code) == (422, 409, 200)
    assert "gateway links candidates" in unknown.json()["detail"]
    assert (refused.json()["code"], "фамилия другая" in refused.json()["detail"]) == ("LINK_DOUBTED", True)
    assert "Яшина" not in refused.text
    assert (again.status_code, again.json()["code"]) == (409, "SECOND_PERSON")
    assert doubted == ["связь подтвердили вопреки данным, и второй человек её ещё не проверил"]
    assert (second.status_code, second.json()) == (200, {"confirmed": True})
    assert curator.get("/links/user:2").json()["asking"] is None
    counts = [entry.counts for entry in asking.entries("deeds") if entry.action == "link.confirmed"]
    assert counts == [{"against": 1}, {"doubts": 1, "against": 1}]
