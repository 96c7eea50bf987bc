"""Where two persons are needed the command line asks for two accounts, as the API does: there is no way round by the machine."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from gateway.access.roles import Role, Tie
from gateway.queue.tables import operation
from gateway.reconcile.tables import decision, plan, relink, relink_item
from tests.door.api.command_line import Typed, build_typed

__all__ = ["build_typed"]

PASSWORD = "correct horse 7"
WHY = ("--reason", "проверено")


@pytest.fixture
def staffed(school: Any) -> Any:
    school.account("director", Role.DIRECTOR)
    school.account("deputy", Role.DEPUTY_HEAD)
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    with school.gateway.store.write() as conn:
        # one line of the plan is a delete
        conn.execute(
            update(decision)
            .where(decision.c.plan_id == 1, decision.c.seq == 1)
            .values(op="delete", category="delete", gate="delete")
        )
    return school


@pytest.fixture
def typed(staffed: Any, build_typed: Any) -> Typed:
    made: Typed = build_typed(staffed)
    return made


def queued(school: Any) -> int:
    with school.gateway.store.read() as conn:
        return len(conn.execute(select(operation.c.id).where(operation.c.state == "ready")).all())


def state(school: Any) -> str:
    with school.gateway.store.read() as conn:
        return str(conn.execute(select(plan.c.state).where(plan.c.id == 1)).scalar_one())


@pytest.mark.parametrize("what", ["--with-deletes", "--with-held"])
def test_the_machines_user_alone_lets_out_no_delete_and_nothing_held(staffed: Any, typed: Typed, what: str) -> None:
    refused = typed("plan", "approve", staffed.hashes[1], what, *WHY, code=4)

    assert "SECOND_PERSON" in refused.stderr
    assert "--as" in refused.stderr
    assert (state(staffed), queued(staffed)) == ("waiting_approval", 0)


def test_a_delete_is_refused_to_its_own_proposer_and_goes_by_another_account(staffed: Any, typed: Typed) -> None:
    shown = staffed.hashes[1]
    made = typed.json("plan", "propose", shown, "--with-deletes", "--as", "deputy", *WHY, password=PASSWORD)

    own = typed("plan", "approve", shown, "--with-deletes", "--as", "deputy", *WHY, code=4, password=PASSWORD)
    more = typed(
        "plan", "approve", shown, "--with-deletes", "--with-held", "--as", "director", *WHY, code=4, password=PASSWORD
    )
    assert state(staffed) == "waiting_approval"
    typed("plan", "approve", shown, "--with-deletes", "--as", "director", *WHY, password=PASSWORD)

    assert (made["alone_from"], "SECOND_PERSON" in own.stderr, "SECOND_PERSON" in more.stderr) == (None, True, True)
    (approved,) = [entry for entry in staffed.entries("deeds") if entry.action == "plan.approved"]
    assert (approved.actor, approved.originator, approved.is_authenticated) == ("account:1", "account:2", True)
    again = typed("plan", "approve", shown, "--with-deletes", "--as", "director", *WHY, code=4, password=PASSWORD)
    assert "PLAN_USED" in again.stderr


def test_one_person_is_one_whichever_door_he_comes_by(staffed: Any, typed: Typed) -> None:
    body = {"plan_hash": staffed.hashes[1], "reason": "по сети", "with_deletes": True}
    proposed = staffed.call("deputy").post("/plans/1/proposals", body, key=uuid.uuid4().hex)

    own = typed(
        "plan", "approve", staffed.hashes[1], "--with-deletes", "--as", "deputy", *WHY, code=4, password=PASSWORD
    )

    assert proposed.status_code == 202
    assert "SECOND_PERSON" in own.stderr
    assert state(staffed) == "waiting_approval"


def test_who_may_not_or_is_not_who_he_says_is_refused_and_it_is_written(staffed: Any, typed: Typed) -> None:
    shown = staffed.hashes[1]

    wrong = typed("plan", "approve", shown, "--as", "deputy", *WHY, code=4, password="not the password")
    nobody = typed("plan", "approve", shown, "--as", "nobody", *WHY, code=4, password=PASSWORD)
    teacher = typed("plan", "approve", shown, "--as", "teacher", *WHY, code=4, password=PASSWORD)

    assert "LOGIN_REFUSED" in wrong.stderr
    assert wrong.stderr == nobody.stderr, "whether there is such an account is told to nobody"
    assert "NOT_VISIBLE" in teacher.stderr
    refused = [entry for entry in staffed.entries() if entry.action == "session.refused"]
    assert [entry.source_address for entry in refused] == ["cli", "cli"]
    opened = [entry.action for entry in staffed.entries() if entry.actor == "account:3"]
    assert opened == ["session.opened", "access.refused", "session.closed"], "no session is left behind"
    assert state(staffed) == "waiting_approval"


def test_the_only_approver_confirms_his_own_proposal_later_and_it_is_written_that_he_was_alone(
    staffed: Any, build_typed: Any
) -> None:
    typed = build_typed(staffed, "[school]\nsingle_approver = true\n")
    words = (staffed.hashes[1], "--with-deletes", "--as", "deputy", *WHY)
    typed("plan", "propose", *words, password=PASSWORD)

    early = typed("plan", "approve", *words, code=4, password=PASSWORD)
    staffed.clock.advance(601)
    typed("plan", "approve", *words, password=PASSWORD)

    assert "SECOND_PERSON" in early.stderr
    (approved,) = [entry for entry in staffed.entries("deeds") if entry.action == "plan.approved"]
    assert approved.counts["alone"] == 1


def test_a_unit_with_deletes_needs_two_accounts(staffed: Any, typed: Typed) -> None:
    """It was proposed by an account that is not this one; the machine's user is nobody's second word."""
    with staffed.gateway.store.write() as conn:
        conn.execute(
            insert(relink_item).values(
                relink_id=1, seq=1, kind="mark", ref="mark:1:user:1", moved_ref="moved:1:mark:1:user:1", scope="mark|1",
                city_id=5, object_key="mark/1001/1", digest=bytes(16), old=b"{}", stood_since=staffed.clock.now(),
                removal="delete",
            )
        )  # fmt: skip

    words = ("relinks", "approve", "1", staffed.hashes[1], *WHY)
    refused = typed(*words, code=4)
    with staffed.gateway.store.write() as conn:
        conn.execute(update(relink).values(proposed_by="operator"))
    unvouched = typed(*words, "--as", "director", code=4, password=PASSWORD)

    assert "SECOND_PERSON" in refused.stderr
    assert "--as" in refused.stderr
    assert "SECOND_PERSON" in unvouched.stderr, "nor is he anybody's first"


def test_one_time_approvals_are_an_accounts(staffed: Any, typed: Typed) -> None:
    typed("periods", "approve", "1", *WHY, code=2)  # no --as
    without = typed("periods", "approve", "1", "--as", "deputy", *WHY, code=4, password=PASSWORD)
    early = typed(
        "periods", "propose", staffed.hashes[1], "--pupil", "user:1", "--as", "deputy", *WHY, code=4, password=PASSWORD
    )

    assert "без учётной записи" in " ".join(without.stderr.split()), "it was proposed by the machine's user"
    assert "ещё не выпущен" in " ".join(early.stderr.split())
