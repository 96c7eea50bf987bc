"""A wrong link set right by the door: proposed by a curator, let out by a deputy head, never by one person, on both databases."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select, text

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityPupil, CityYear, MarkIntent
from gateway.domain.identifiers import Kind
from gateway.mapping.atoms import atom_digest, atom_of_intent
from gateway.mapping.links import load_links
from gateway.queue.outbox import load_busy
from gateway.queue.tables import operation
from gateway.reconcile.relinks import load_let_on, load_open_moves
from gateway.reconcile.tables import base, city_directory, intended, relink, shadow

REF, WRONG, RIGHT = "user:1", 1001, 1009
SCOPE = "mark|city-group:1"


@pytest.fixture
def wronged(school_on_each_database: Any) -> Any:
    """user:1 is linked to 1001, under whom three marks of his stand; 1009 is the right child."""
    school = school_on_each_database
    place_id, now = school.place_ids[0], school.clock.now()
    pupils = tuple(
        CityPupil(
            id=number, person_id=f"p-{number}", last_name="Аистова", first_name="Имя", middle_name=None, birth_on=None,
            class_id=1, class_name="7А", is_active=True,
        )
        for number in (WRONG, RIGHT)
    )  # fmt: skip
    year = CityYear(id=1, name="2026/27", begins_on=now.date(), ends_on=now.date(), is_current=True)
    directory = CityDirectory(
        year=year, periods=(), classes=(), subjects=(), groups=(), teachers=(), pupils=pupils, forms=()
    )
    with school.gateway.store.write() as conn:
        if school.gateway.store.dialect == "postgresql":  # the school's plans were stored with numbers of their own
            conn.execute(text("SELECT setval(pg_get_serial_sequence('plan', 'id'), 1000)"))
        conn.execute(insert(city_directory).values(place_id=place_id, body=msgspec.json.encode(directory), read_at=now))
        for number in (1, 2, 3):
            intent = MarkIntent(
                pupil_id=WRONG, lesson_id=number, group_id=1, subject_id=1, teacher_id=1, on=now.date(), value="5",
                weight=1, form_id=1, grade_system_id=1,
            )  # fmt: skip
            digest, body = atom_digest(atom_of_intent(intent)), msgspec.json.encode(intent)
            here = {"place_id": place_id, "kind": "mark", "scope": SCOPE, "object_key": intent.object_key}
            conn.execute(
                insert(base).values(
                    **here, ref=f"own:{number}", city_id=500 + number, digest=digest, intent=body, verified_at=now,
                    how="adopted" if number == 3 else "delivered",
                )
            )  # fmt: skip
            conn.execute(
                insert(shadow).values(
                    **here, city_id=500 + number, digest=digest, body=b"{}", on_date=now.date(), seen_at=now,
                    row_digest=digest,
                )
            )  # fmt: skip
            conn.execute(
                insert(intended).values(
                    **here, ref=f"own:{number}", state="sendable", reason="", digest=digest, intent=body,
                    on_date=now.date(), create_mode="automatic", change_mode="automatic", row_digest=digest,
                )
            )  # fmt: skip
    return school


def post(caller: Any, path: str, **body: Any) -> Any:
    return caller.post(path, body, key=uuid.uuid4().hex)


def test_a_curator_proposes_a_deputy_head_lets_out_and_what_a_person_typed_stays(wronged: Any) -> None:
    curator, deputy, place_id = wronged.call("curator"), wronged.call("deputy"), wronged.place_ids[0]

    made = post(curator, f"/links/{REF}/split", to_city_id=RIGHT, reason="перепутана с тёзкой")
    assert made.status_code == 201, made.text
    unit = made.json()
    assert unit["counts"] == {"delete": 2, "hand": 0, "keep": 1, "create": 0}
    with wronged.gateway.store.read() as conn:
        assert load_open_moves(conn, place_id, now=wronged.gateway.store.now(conn)) == {REF: unit["number"]}

    path = f"/relinks/{unit['number']}/approval"
    assert post(curator, path, hash=unit["hash"], reason="сам").status_code == 404
    wrong_hash = post(deputy, path, hash="f" * 64, reason="проверено")
    assert wrong_hash.status_code == 409
    if wronged.gateway.store.dialect == "sqlite":  # a server has a clock of its own
        wronged.clock.advance(900)
        assert post(deputy, path, hash=unit["hash"], reason="проверено").json()["code"] == "LOGIN_NOT_FRESH"
        deputy = wronged.call("deputy")
    done = post(deputy, path, hash=unit["hash"], reason="проверено")

    assert done.status_code == 200, done.text
    assert done.json()["released"]["queued"] == 2
    with wronged.gateway.store.read() as conn:
        assert load_links(conn, place_id, Kind.PERSON)[REF] == RIGHT
        refs = set(conn.execute(select(base.c.ref).where(base.c.place_id == place_id)).scalars())
        assert refs == {f"moved:{unit['number']}:own:1", f"moved:{unit['number']}:own:2"}
        queued = conn.execute(select(operation).where(operation.c.place_id == place_id, operation.c.op == "delete"))
        assert {row.city_id for row in queued} == {501, 502}
        busy = load_busy(conn, place_id, [SCOPE])[SCOPE].records
        assert {key: busy[key][1] for key in (("mark", "own:1"), ("mark", "own:2"))} == {
            ("mark", "own:1"): "RELINKING",
            ("mark", "own:2"): "RELINKING",
        }
        assert load_let_on(conn, place_id) == frozenset()
    sheet = deputy.get(f"/incidents/{unit['incident']}").json()
    assert {one["removal"] for one in sheet["shown"]} == {"удаляет шлюз", "внесено человеком, не трогаем"}
    assert any(entry.object_type == "incident" for entry in wronged.entries())
    assert deputy.get(f"/relinks/{unit['number']}").json()["line"]["state"] == "approved"


def test_one_person_never_lets_out_his_own_proposal(wronged: Any) -> None:
    deputy = wronged.call("deputy")

    unit = post(deputy, f"/links/{REF}/split", reason="перепутана").json()
    refused = post(deputy, f"/relinks/{unit['number']}/approval", hash=unit["hash"], reason="проверено")
    told = post(wronged.call("director"), f"/incidents/{unit['incident']}/notice", text="подано")

    assert (refused.status_code, refused.json()["code"]) == (409, "SECOND_PERSON")
    assert told.json() == {"noted": True}
    with wronged.gateway.store.read() as conn:
        state = conn.execute(select(relink.c.state).where(relink.c.id == unit["number"])).scalar_one()
    assert state == "proposed"


def test_a_proposal_that_a_newer_one_replaces_is_withdrawn_with_an_entry(wronged: Any) -> None:
    older = post(wronged.call("deputy"), f"/links/{REF}/split", to_city_id=RIGHT, reason="перепутана").json()

    newer = post(wronged.call("curator"), f"/links/{REF}/split", reason="чей профиль, неизвестно").json()

    told = [(one.action, one.object_id) for one in wronged.entries("deeds") if one.action.startswith("relink.")]
    assert told[-2:] == [
        ("relink.withdrawn", f"relink:{older['number']}"),
        ("relink.proposed", f"relink:{newer['number']}"),
    ]
    path = f"/relinks/{older['number']}/approval"
    late = post(wronged.call("director"), path, hash=older["hash"], reason="проверено")
    assert (late.status_code, late.json()["code"]) == (409, "PLAN_USED")


def test_two_who_approve_one_unit_at_once_let_it_out_once(wronged: Any) -> None:
    """Both have read that it is proposed before either has written anything."""
    unit = post(wronged.call("curator"), f"/links/{REF}/split", to_city_id=RIGHT, reason="перепутана с тёзкой").json()
    path, body = f"/relinks/{unit['number']}/approval", {"hash": unit["hash"], "reason": "проверено"}
    callers = [wronged.call(login) for login in ("deputy", "director")]
    began = threading.Barrier(2)

    def ask(caller: Any) -> Any:
        began.wait(10)
        return post(caller, path, **body)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, callers))

    assert sorted(answer.status_code for answer in answers) == [200, 409], [answer.text for answer in answers]
    (late,) = [answer for answer in answers if answer.status_code == 409]
    assert late.json()["code"] == "PLAN_USED"
    approved = [entry for entry in wronged.entries("deeds") if entry.action == "relink.approved"]
    assert len(approved) == 1
    with wronged.gateway.store.read() as conn:
        queued = conn.execute(
            select(operation).where(operation.c.place_id == wronged.place_ids[0], operation.c.op == "delete")
        ).all()
    assert sorted(row.city_id for row in queued) == [501, 502]
