"""By the command line an account reaches the pupils whom it reaches by the HTTP door, and nobody else."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select

from gateway.access.accounts import give_role
from gateway.access.roles import Role, Tie
from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityPupil, CityYear
from gateway.domain.identifiers import Kind
from gateway.mapping.links import confirm, load_links
from gateway.reconcile.tables import city_directory, relink
from tests.door.api.command_line import Typed, build_typed

__all__ = ["build_typed"]

PASSWORD = "correct horse 7"
WHY = ("--reason", "проверено")


@pytest.fixture
def staffed(school: Any) -> Any:
    """Two curators: of course:1, where user:1 and user:2 learn, and of course:2, where they do not."""
    school.account("own", Role.CURATOR, (Tie.CURATES, "course:1"))
    school.account("foreign", Role.CURATOR, (Tie.CURATES, "course:2"))
    now = school.clock.now()
    pupils = tuple(
        CityPupil(
            id=number, person_id=f"p-{number}", last_name=name, first_name="Имя", middle_name=None, birth_on=None,
            class_id=1, class_name="7А", is_active=True,
        )
        for number, name in ((1001, "Аистова"), (1002, "Бобров"), (1005, "Дятлова"), (1009, "Аистова"))
    )  # fmt: skip
    year = CityYear(id=1, name="2026/27", begins_on=now.date(), ends_on=now.date(), is_current=True)
    directory = CityDirectory(
        year=year, periods=(), classes=(), subjects=(), groups=(), teachers=(), pupils=pupils, forms=()
    )
    with school.gateway.store.write() as conn:
        body = msgspec.json.encode(directory)
        conn.execute(insert(city_directory).values(place_id=school.place_ids[0], body=body, read_at=now))
    return school


@pytest.fixture
def typed(staffed: Any, build_typed: Any) -> Typed:
    made: Typed = build_typed(staffed)
    return made


def proposers(school: Any) -> list[str]:
    with school.gateway.store.read() as conn:
        query = select(relink.c.proposed_by).where(relink.c.place_id == school.place_ids[0]).order_by(relink.c.id)
        return list(conn.execute(query).scalars())


def linked(school: Any) -> dict[str, int]:
    with school.gateway.store.read() as conn:
        return load_links(conn, school.place_ids[0], Kind.PERSON)


def test_a_curator_does_not_split_the_link_of_a_pupil_who_is_not_his(staffed: Any, typed: Typed) -> None:
    before = proposers(staffed)
    body = {"to_city_id": 1009, "reason": "проверено", "swap": False}
    by_door = staffed.call("foreign").post("/links/user:1/split", body, key=uuid.uuid4().hex)
    words = ("links", "split", "user:1", "--to", "1009", *WHY, "--as")

    refused = typed(*words, "foreign", code=4, password=PASSWORD)

    assert by_door.status_code == 404
    assert "NOT_VISIBLE" in refused.stderr
    assert proposers(staffed) == before
    typed(*words, "own", password=PASSWORD)
    assert proposers(staffed) == [*before, "account:1"]


def test_a_curator_does_not_confirm_the_link_of_a_pupil_who_is_not_his(staffed: Any, typed: Typed) -> None:
    words = ("links", "confirm", "user:2", "1002", "--as")

    refused = typed(*words, "foreign", code=4, password=PASSWORD)

    assert "NOT_VISIBLE" in refused.stderr
    assert "user:2" not in linked(staffed)
    nobody = typed("links", "confirm", "user:999", "1002", "--as", "foreign", code=4, password=PASSWORD)
    assert nobody.stderr == refused.stderr, "somebody else's pupil and no pupil are told in the same words"
    typed(*words, "own", password=PASSWORD)
    assert linked(staffed)["user:2"] == 1002


def test_an_account_of_two_roles_acts_in_the_one_that_reaches_further(staffed: Any, typed: Typed) -> None:
    """A curator who is a deputy head too, whichever role he was given first."""
    staffed.account("both", Role.CURATOR, (Tie.CURATES, "course:2"))
    give_role(staffed.office, "both", Role.DEPUTY_HEAD)

    typed("links", "confirm", "user:2", "1002", "--as", "both", password=PASSWORD)

    assert linked(staffed)["user:2"] == 1002
    (deed,) = [one for one in staffed.entries("deeds") if one.action == "link.confirmed"]
    assert (deed.actor, deed.actor_role) == ("account:3", "deputy_head")


def test_what_is_refused_for_its_reach_is_written_down_as_by_the_http_door(staffed: Any, typed: Typed) -> None:
    staffed.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    body = {"city_id": 1002, "despite_evidence": False, "reason": ""}
    staffed.call("foreign").post("/links/user:2/confirmation", body, key=uuid.uuid4().hex)

    typed("links", "confirm", "user:2", "1002", "--as", "foreign", code=4, password=PASSWORD)
    typed("links", "confirm", "user:2", "1002", "--as", "teacher", code=4, password=PASSWORD)

    refused = [one for one in staffed.entries() if one.action == "access.refused"]
    assert [(one.actor, one.object_id, one.outcome, one.reason) for one in refused] == [
        (account, "links.decide", "refused", "NOT_VISIBLE") for account in ("account:2", "account:2", "account:3")
    ]
    assert [one.source_address for one in refused[1:]] == ["cli", "cli"]


def test_a_swap_is_proposed_by_who_reaches_both_pupils(staffed: Any, typed: Typed) -> None:
    """user:5 learns with the other curator: his link is not to be moved by the first one's word, by neither door."""
    staffed.account("deputy", Role.DEPUTY_HEAD)
    with staffed.gateway.store.write() as conn:
        place_id, now = staffed.place_ids[0], staffed.clock.now()
        confirm(conn, place_id, Kind.PERSON, "user:5", 1005, actor="office", how="roster", evidence={}, now=now)
    before = proposers(staffed)
    body = {"to_city_id": 1005, "reason": "перепутаны", "swap": True}
    words = ("links", "split", "user:1", "--to", "1005", "--swap", *WHY, "--as")

    by_door = staffed.call("own").post("/links/user:1/split", body, key=uuid.uuid4().hex)
    refused = typed(*words, "own", code=4, password=PASSWORD)

    assert (by_door.status_code, by_door.json()["code"]) == (404, "NOT_VISIBLE")
    assert "NOT_VISIBLE" in refused.stderr
    assert proposers(staffed) == before
    typed(*words, "deputy", password=PASSWORD)
    assert len(proposers(staffed)) == len(before) + 1

    # nor does a proposal about the one take back what waits for both
    alone = typed("links", "split", "user:1", *WHY, "--as", "own", code=4, password=PASSWORD)
    assert "RELINKING" in alone.stderr
    with staffed.gateway.store.read() as conn:
        query = select(relink.c.state).where(relink.c.place_id == place_id).order_by(relink.c.id)
        states = list(conn.execute(query).scalars())
    assert states[-1] == "proposed"
