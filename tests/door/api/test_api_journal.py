"""What is typed into the gateway by API: for whom and by whom is kept, all faults at once, once a key, and of one's own only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.access.roles import Role, Tie
from gateway.connectors.port import Want
from gateway.domain.records import Absence, Entry, Mark
from gateway.flows.journal import JournalSource
from gateway.reconcile.snapshot import StoredScopes

AT = "2026-11-25T12:00:00+03:00"
"""The one lesson of each group."""
TYPED = {
    "pupil": "user:1",
    "group": "group:1",
    "lesson_at": AT,
    "value": 5,
    "on_behalf_of": "user:50",
    "answers": "user:51",
}


@pytest.fixture
def admitted(school: Any) -> Iterator[Any]:
    school.account("curator", Role.CURATOR, (Tie.CURATES, "course:1"))
    school.account("teacher", Role.TEACHER, (Tie.TEACHES, "group:1"))
    school.account("deputy", Role.DEPUTY_HEAD)
    return school


def heard(school: Any) -> list[Any]:
    """What the next pull hears of the gateway's own journal."""
    on = school.clock.now().date()
    source = JournalSource(school.gateway.store, school.place_ids[0])
    return [one for read in source.iter_scopes(Want(from_on=on, to_on=on), StoredScopes()) for one in read.records]


def test_a_curator_types_for_a_teacher_and_all_three_are_kept(admitted: Any) -> None:
    curator = admitted.call("curator")

    answer = curator.post("/journal/entries", TYPED, key="key-journal-1")
    absent = {"pupil": "user:2", "group": "group:1", "lesson_at": AT, "form": "late"}
    curator.post("/journal/entries", absent, key="key-journal-2")

    assert answer.status_code == 201
    account = curator.session["account"]
    told = answer.json()
    assert (told["typed_by"], told["on_behalf_of"], told["answers"]) == (account, "user:50", "user:51")
    mark, late = sorted(heard(admitted), key=lambda one: one.kind, reverse=True)
    assert isinstance(mark, Mark)
    assert isinstance(late, Absence)
    assert mark.entry == Entry(typed_by=account, on_behalf_of="user:50", answers="user:51", way="journal")
    assert late.entry == Entry(typed_by=account, way="journal")
    deeds = [one for one in admitted.entries("deeds") if one.action == "journal.entered"]
    assert {one.actor for one in deeds} == {account}
    listed = admitted.call("deputy").get("/journal/entries", params={"limit": 1}).json()
    rest = admitted.call("deputy").get("/journal/entries", params={"after": listed["next"]}).json()
    assert [one["form"] for one in listed["items"]] == ["late"]
    assert [one["id"] for one in rest["items"]] == [told["id"]]


def test_the_same_key_types_once_and_the_same_thing_again_is_refused_with_what_to_do(admitted: Any) -> None:
    teacher = admitted.call("teacher")

    first = teacher.post("/journal/entries", TYPED, key="key-journal-1")
    again = teacher.post("/journal/entries", TYPED, key="key-journal-1")
    twice = teacher.post("/journal/entries", TYPED, key="key-journal-2")
    meant = teacher.post("/journal/entries", {**TYPED, "again": True}, key="key-journal-2")

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert twice.status_code == 422
    assert [one["pointer"] for one in twice.json()["errors"]] == ["/body/value"]
    assert f"запись {first.json()['id']}" in twice.json()["errors"][0]["detail"]
    assert meant.status_code == 201  # the refused request did not use its key up
    assert len(heard(admitted)) == 2


def test_all_that_is_wrong_is_told_at_once_by_its_place(admitted: Any) -> None:
    wrong = {
        **TYPED,
        "form": "absent",
        "lesson_at": "2026-11-25T13:00:00+03:00",
        "work": "Игра в города",
        "on_behalf_of": "user:998",
        "answers": "user:999",
    }

    answer = admitted.call("teacher").post("/journal/entries", wrong, key="key-journal-1")

    problem = answer.json()
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "REQUEST_INVALID"
    assert [one["pointer"] for one in problem["errors"]] == [
        f"/body/{name}" for name in ("value", "on_behalf_of", "answers", "lesson_at", "work")
    ]
    assert not heard(admitted)


def test_all_that_is_wrong_is_told_in_english_to_who_asks_for_it(admitted: Any) -> None:
    teacher = admitted.call("teacher")
    wrong = {**TYPED, "form": "absent", "lesson_at": "2026-11-25T13:00:00+03:00", "answers": "user:999"}

    def ask(body: dict[str, Any], key: str) -> Any:
        headers = {"Idempotency-Key": key, "Accept-Language": "en"}
        return teacher.ask("POST", "/journal/entries", json=body, headers=headers)

    refused = ask(wrong, "key-journal-1")
    number = ask(TYPED, "key-journal-2").json()["id"]
    twice = ask(TYPED, "key-journal-3")

    assert (refused.status_code, twice.status_code) == (422, 422)
    assert {one["pointer"]: one["detail"] for one in refused.json()["errors"]} == {
        "/body/value": "Either a mark or an absence is needed",
        "/body/answers": "The person for whom it is entered is not among the school's people",
        "/body/lesson_at": "This group has no lesson that starts then",
    }
    assert twice.json()["errors"][0]["detail"].startswith(f"This mark was entered already: entry {number}.")
    assert not re.search(r"[А-Яа-яё]", refused.text + twice.text)


def test_an_entry_of_another_group_is_not_there_to_type_to_see_or_to_take_back(admitted: Any) -> None:
    admitted.account("other", Role.TEACHER, (Tie.TEACHES, "group:3"))
    admitted.account("leader", Role.CLASS_TEACHER, (Tie.LEADS, "7А"))
    other, teacher = admitted.call("other"), admitted.call("teacher")
    number = teacher.post("/journal/entries", TYPED, key="key-journal-1").json()["id"]

    refused = [
        other.post("/journal/entries", TYPED, key="key-journal-2"),
        other.post("/journal/entries", {**TYPED, "group": "group:3"}, key="key-journal-3"),
        other.post("/journal/entries", {**TYPED, "pupil": "user:5"}, key="key-journal-4"),
        other.post(f"/journal/entries/{number}/withdrawal", key="key-journal-5"),
        admitted.call("leader").post("/journal/entries", TYPED, key="key-journal-6"),
    ]

    assert [one.status_code for one in refused] == [404] * 5
    assert other.get("/journal/entries").json()["items"] == []
    assert [one["id"] for one in admitted.call("leader").get("/journal/entries").json()["items"]] == [number]
    assert len(heard(admitted)) == 1


def test_what_is_taken_back_is_heard_no_more_and_only_once_taken_back(admitted: Any) -> None:
    teacher = admitted.call("teacher")
    number = teacher.post("/journal/entries", TYPED, key="key-journal-1").json()["id"]

    taken = teacher.post(f"/journal/entries/{number}/withdrawal", key="key-journal-2")
    repeated = teacher.post(f"/journal/entries/{number}/withdrawal", key="key-journal-2")
    again = teacher.post(f"/journal/entries/{number}/withdrawal", key="key-journal-3")

    assert (taken.status_code, repeated.json()) == (200, taken.json())
    assert taken.json()["withdrawn_at"] is not None
    assert again.status_code == 422
    assert heard(admitted) == []
    assert [one.action for one in admitted.entries("deeds") if one.action.startswith("journal.")] == [
        "journal.entered",
        "journal.withdrawn",
    ]
