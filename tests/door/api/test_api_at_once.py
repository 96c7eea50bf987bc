"""Two persons who let the same thing out in the same moment let it out once, on both databases: the second is told so."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from gateway.mapping.rules import DEFAULT_MAPPING_TOML
from gateway.mapping.tables import mapping_version
from gateway.queue.tables import operation, period_signature
from gateway.reconcile.tables import decision, plan

HEAVIER = DEFAULT_MAPPING_TOML.replace('form = "Тест"', 'form = "Тест"\nweight = 7')
WHY = {"reason": "решение педсовета"}


def post(caller: Any, path: str, body: dict[str, Any]) -> Any:
    return caller.post(path, body, key=uuid.uuid4().hex)


def at_once(callers: Sequence[Any], path: str, body: dict[str, Any]) -> list[Any]:
    """The answers to one request of several callers, who wait for one another before they ask."""
    began = threading.Barrier(len(callers))

    def ask(caller: Any) -> Any:
        began.wait(10)
        return post(caller, path, body)

    with ThreadPoolExecutor(len(callers)) as pool:
        return list(pool.map(ask, callers))


def plan_of(school: Any) -> tuple[str, dict[str, Any], str, str]:
    body = {"plan_hash": school.hashes[1], "with_held": True, **WHY}
    proposed = post(school.call("curator"), "/plans/1/proposals", body)
    assert proposed.status_code == 202, proposed.text
    return "/plans/1/approval", body, "plan.approved", "PLAN_USED"


def period_of(school: Any) -> tuple[str, dict[str, Any], str, str]:
    days = {"period_id": 1, "from_on": "2026-11-02", "to_on": "2026-12-27"}
    with school.gateway.store.write() as conn:
        if school.gateway.store.dialect == "postgresql":  # the stored ones have numbers of their own
            for table in ("period_approval", "period_signature"):
                conn.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), 1000)"))
        now = school.gateway.store.now(conn)
        values = {
            "class_name": "7А",
            "name": "2 четверть",
            "periods": [days],
            "signed_by": "account:1",
            "signed_at": now,
        }
        conn.execute(insert(period_signature).values(place_id=school.place_ids[0], **values))
        conn.execute(update(plan).where(plan.c.id == 1).values(state="used"))
        signed = update(decision).where(decision.c.plan_id == 1, decision.c.seq == 1)
        conn.execute(signed.values(gate="l.none", reason="PERIOD_SIGNED"))
    body = {"plan_hash": school.hashes[1], "pupils": ["user:1"], **WHY}
    proposed = post(school.call("curator"), "/plans/1/period-approvals", body)
    assert proposed.status_code == 202, proposed.text
    return f"/period-approvals/{proposed.json()['id']}/approval", WHY, "period.approved", "PLAN_USED"


def version_of(school: Any) -> tuple[str, dict[str, Any], str, str]:
    curator = school.call("curator")
    drafted = post(curator, "/mapping/versions", {"toml": HEAVIER, **WHY}).json()
    post(curator, f"/mapping/versions/{drafted['number']}/proposal", WHY)
    former = curator.get("/mapping/versions").json()["items"][-1]["version"]
    with school.gateway.store.write() as conn:
        at = school.gateway.store.now(conn).isoformat()
        tested = {"version": drafted["version"], "against": former, "at": at, "unread": 0, "newly_refused": 0}
        here = (mapping_version.c.number == drafted["number"], mapping_version.c.place_id == school.place_ids[0])
        conn.execute(update(mapping_version).where(*here).values(backtest=tested))
    return f"/mapping/versions/{drafted['number']}/activation", WHY, "mapping.activated", "WRONG_STATE"


@pytest.mark.parametrize("prepare", [plan_of, period_of, version_of])
def test_what_two_approve_at_once_is_let_out_once(school_on_each_database: Any, prepare: Any) -> None:
    school = school_on_each_database
    path, body, action, code = prepare(school)

    answers = at_once([school.call(login) for login in ("deputy", "director")], path, body)

    assert sorted(one.status_code for one in answers) == [200, 409], [one.text for one in answers]
    (late,) = [one.json() for one in answers if one.status_code == 409]
    assert late["code"] == code
    assert len([entry for entry in school.entries("deeds") if entry.action == action]) == 1
    with school.gateway.store.read() as conn:
        queued = conn.execute(
            select(operation.c.kind, operation.c.ref).where(
                operation.c.place_id == school.place_ids[0], operation.c.state == "ready"
            )
        ).all()
    assert len(queued) == len(set(queued))
