"""The planner pushes by the door: whole books under an account's token, each fault by its place, nothing unasked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.access.roles import Role
from gateway.domain.records import Mark
from gateway.reconcile.snapshot import load_records


@pytest.fixture
def deputy(build_school: Any) -> Iterator[Any]:
    with build_school(planner={"accepts_push": True}) as school:
        school.account("deputy2", Role.DEPUTY_HEAD)
        caller = school.call("deputy2")
        caller.school = school
        yield caller


def put(caller: Any, book: str, rows: list[Any], **changes: Any) -> Any:
    body = {"book": book, "revision": 1, "total": len(rows), "rows": rows, **changes}
    return caller.ask("PUT", "/planner/books", json=body)


def test_books_are_stored_whole_and_a_repeat_changes_nothing(deputy: Any) -> None:
    people = [{"id": "p1", "role": "pupil", "last_name": "Иванов", "first_name": "Иван", "person_id": "x-1"}]
    group = [{"id": "7a", "subject": "alg", "name": "7А", "class_name": "7А", "pupils": ["p1"]}]
    lesson = [{"id": "l1", "starts_at": "2026-11-10T09:00:00+03:00", "topic": "Степени"}]
    mark = {"id": "m1", "pupil": "p1", "lesson": "l1", "value": 5}

    for book, rows in (("people", people), ("subjects", [{"id": "alg", "name": "Алгебра"}]), ("groups", group)):
        assert put(deputy, book, rows).json()["new"] >= 1
    assert put(deputy, "lessons", lesson, group="7a").status_code == 200
    first = put(deputy, "marks", [mark, {**mark, "id": "m2", "value": 7}], group="7a")
    again = put(deputy, "marks", [mark, {**mark, "id": "m2", "value": 7}], group="7a")
    older = put(deputy, "marks", [mark], group="7a", revision=9)
    late = put(deputy, "marks", [mark], group="7a", revision=8)

    assert (first.json()["new"], [ref for ref, _ in first.json()["parked"]]) == (1, ["planner/mark:m2"])
    assert again.json()["is_repeated"] is True
    assert (older.status_code, late.status_code) == (200, 422)
    assert late.json()["errors"][0]["pointer"] == "/body/revision"
    with deputy.school.gateway.store.read() as conn:
        marks = [one for one in load_records(conn, 1, Mark) if one.ref.startswith("planner/")]
    assert [(one.pupil, one.raw_points) for one in marks] == [("planner/person:p1", 5.0)]
    deeds = [entry for entry in deputy.school.entries("deeds") if entry.action == "planner.received"]
    assert len(deeds) == 6
    assert {entry.actor for entry in deeds} == {"account:1"}


@pytest.mark.parametrize(
    ("changes", "where"),
    [({"total": 5}, "/body/total"), ({"book": "marks", "group": "none"}, "/body/group"), ({"extra": 1}, "/body/extra")],
)
def test_a_batch_that_can_not_be_used_is_told_by_its_place(deputy: Any, changes: dict[str, Any], where: str) -> None:
    body = {"book": "people", "revision": 1, "total": 0, "rows": [], **changes}

    answer = deputy.ask("PUT", "/planner/books", json=body)

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [where]


def test_a_book_that_is_refused_is_refused_in_english_to_who_asks_for_it(deputy: Any) -> None:
    body = {"book": "people", "revision": 1, "total": 1, "rows": [{"id": []}]}

    answer = deputy.ask("PUT", "/planner/books", json=body, headers={"Accept-Language": "en"})

    assert (answer.status_code, answer.headers["Content-Language"]) == (422, "en")
    assert answer.json()["errors"]
    assert not re.search(r"[А-Яа-яё]", answer.text)


def test_rows_that_nothing_can_keep_are_parked_or_refused_and_never_a_fault_of_the_gateway(deputy: Any) -> None:
    """Written in escapes, as a machine sends them: a library that makes JSON would not let half a character out."""
    good = '{"id": "g", "role": "pupil", "last_name": "И", "first_name": "И"}'
    bad = [r"\ud800", r"a\u0000b", r"a\u0007b"]

    def push(book: str, rows: list[str], group: str = "null", revision: int = 1) -> Any:
        body = f'{{"book": "{book}", "group": {group}, "revision": {revision}, "total": {len(rows)}, "rows": ['
        content = (body + ", ".join(rows) + "]}").encode()
        return deputy.ask("PUT", "/planner/books", content=content, headers={"Content-Type": "application/json"})

    by_id = push("people", [good, *(good.replace('"g"', f'"{id_}"') for id_ in bad)])
    by_text = push(
        "people",
        [good, *(good.replace('"И"', f'"{text}"').replace('"g"', f'"g{n}"') for n, text in enumerate(bad))],
        revision=2,
    )
    by_field = push("people", [good, *(good[:-1] + f', "{name}": 1}}' for name in bad[:1])], revision=3)
    put(deputy, "groups", [{"id": "7a", "subject": "alg", "name": "7А", "pupils": ["g", "nobody"]}])
    days = ["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+03:00", "2026-11-10T09:00:00+03:00"]
    by_day = push("lessons", [f'{{"id": "l{n}", "starts_at": "{day}"}}' for n, day in enumerate(days)], group='"7a"')
    refused = [push("people", [], group=f'"{text}"') for text in bad[:2]]
    refused.append(push("people", ['{"id": []}'], revision=4))

    assert [one.status_code for one in (by_id, by_text, by_day)] == [200, 200, 200]
    assert (by_id.json()["read"], len(by_id.json()["parked"])) == (1, 3)
    assert (by_text.json()["read"], len(by_text.json()["parked"])) == (1, 3)
    assert [ref for ref, _ in by_day.json()["parked"]] == ["planner/lesson:l0", "planner/lesson:l1"]
    assert by_day.json()["new"] == 1
    assert [one.status_code for one in (by_field, *refused)] == [422] * 4
    assert (refused[-1].json()["code"], "в планировщике" in refused[-1].json()["todo"]) == ("PLANNER_INVALID", True)
