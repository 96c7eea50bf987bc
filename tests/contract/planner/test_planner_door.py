"""The planner's door, by HTTP and by SQL: one contract, whole books or none, and each fault named in its row."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import SecretStr

from gateway.connectors.planner.door import wire
from gateway.connectors.planner.door.inbox import DoorInbox
from gateway.connectors.planner.door.records import Names, to_group, to_person
from gateway.connectors.planner.door.source import DoorSource, build_door_source
from gateway.connectors.port import CheckState, ScopeRead, Want
from gateway.connectors.retry import Retry
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import AccessDeniedError, ConfigurationError, RecordError, UnreachableError
from gateway.domain.identifiers import Kind, source_of, source_of_scope
from gateway.domain.records import Absence, Entry, Lesson, Mark, Person, Record
from gateway.sandbox.planner import DEFAULT_TOKEN, build_planner_app
from gateway.sandbox.planner.books import PlannerBooks
from gateway.sandbox.serve import serve_in_thread
from gateway.settings import PlannerSettings
from tests.contract.sources.stands import QUERIES, write_planner_database

NOW = datetime(2026, 11, 23, 15, 50, tzinfo=UTC)
WANT = Want(from_on=date(2026, 9, 1), to_on=date(2027, 8, 31))
GROUP = "7А-ALG"


class Nothing:
    """A consumer who has stored nothing."""

    def changed_marks(self, scope: str) -> list[str]:
        del scope
        return []


class Planner:
    """A served sandbox planner and ways to it."""

    def __init__(self, base_url: str, books: PlannerBooks, folder: Path) -> None:
        self.base_url = base_url
        self.books = books
        self.folder = folder
        self.clock = VirtualClock(NOW)
        self._sources: list[DoorSource] = []
        self._http = httpx.Client(base_url=base_url, trust_env=False)

    def source(self, **changes: Any) -> DoorSource:
        fields = {"door_url": self.base_url, "token": SecretStr(DEFAULT_TOKEN), **changes}
        return self._build(PlannerSettings(**fields))

    def sql_source(self, **changes: Any) -> DoorSource:
        return self._build(PlannerSettings(**({"sql_url": self.write_database(), "sql": QUERIES} | changes)))

    def _build(self, settings: PlannerSettings) -> DoorSource:
        retry = Retry(self.clock, tries_count=2, random_ratio=lambda: 0.0)
        source = build_door_source(settings, clock=self.clock, zone="Europe/Moscow", retry=retry)
        assert source is not None
        self._sources.append(source)
        return source

    def read(self, source: DoorSource, want: Want = WANT) -> dict[str, ScopeRead]:
        reads = list(source.iter_scopes(want, Nothing()))
        assert len({read.scope for read in reads}) == len(reads)
        return {read.scope: read for read in reads}

    def fault(self, fault: str, path: str, **more: Any) -> None:
        self._http.post("/__sandbox/faults", json={"match": {"path": path}, "fault": fault, **more}).raise_for_status()

    def clear(self) -> None:
        self._http.delete("/__sandbox/faults").raise_for_status()
        self.books.edits.rows.clear()
        while self._sources:
            self._sources.pop().close()

    def close(self) -> None:
        self._http.close()

    def write_database(self) -> str:
        """The same books as tables of a school's own database, moments without a zone."""
        path = self.folder / "planner.sqlite"
        write_planner_database(self.books, path)
        return f"sqlite:///{path}"

    def rows(self, book: str, group: str | None = None) -> list[dict[str, Any]]:
        found = self.books.book(book, group)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planner]:
    app = build_planner_app(27, now=lambda: NOW, subjects_count=2)
    with ExitStack() as stack:
        here = stack.enter_context(serve_in_thread(app))
        planner = Planner(here.base_url, app.state.planner.books, tmp_path_factory.mktemp("planner"))
        stack.callback(planner.close)
        yield planner


@pytest.fixture
def planner(served: Planner) -> Iterator[Planner]:
    yield served
    served.clear()


def records(reads: dict[str, ScopeRead], cls: type[Record]) -> list[Any]:
    return [one for read in reads.values() for one in read.records if isinstance(one, cls)]


def scope(kind: Kind, group: str = GROUP) -> str:
    return f"{kind.value}|planner/school|planner/group:{group}"


def test_all_books_are_read_whole_under_refs_of_the_planner_s_own(planner: Planner) -> None:
    reads = planner.read(planner.source())

    assert all(read.is_complete and not read.faults for read in reads.values())
    assert all(source_of_scope(name) == "planner" for name in reads)
    assert all(source_of(one.ref) == "planner" for read in reads.values() for one in read.records)
    assert len(records(reads, Person)) == 27 + 4
    marks = records(reads, Mark)
    assert len(marks) == sum(len(planner.rows("marks", row["id"])) for row in planner.rows("groups"))
    lessons = {one.ref: one for one in records(reads, Lesson)}
    assert all(mark.lesson_at == lessons[mark.item].starts_at for mark in marks)
    assert reads[scope(Kind.MARK)].pupils_present == {f"planner/person:p{number}" for number in range(25)}


def test_a_database_gives_the_same_records_as_the_door(planner: Planner) -> None:
    by_http, by_sql = planner.read(planner.source()), planner.read(planner.sql_source())

    for cls in (Person, Lesson, Mark):
        assert records(by_sql, cls) == [
            one for one in records(by_http, cls) if not isinstance(one, Person) or one.role in ("pupil", "teacher")
        ]
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(f"file:{planner.folder / 'planner.sqlite'}?mode=ro", uri=True).execute("DELETE FROM mark")


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ({"people": "SELECT 1"}, "нет: subjects, groups, members"),
        ({**QUERIES, "marks": "DELETE FROM mark"}, "planner.sql.marks"),
        ({**QUERIES, "marks": "SELECT 1; DROP TABLE mark"}, "planner.sql.marks"),
        ({**QUERIES, "grades": "SELECT 1"}, "лишнее: grades"),
    ],
)
def test_a_query_that_is_no_book_or_no_select_is_refused_by_its_name(
    planner: Planner, sql: dict[str, str], what: str
) -> None:
    with pytest.raises(ConfigurationError, match=what):
        planner.sql_source(sql=sql)


def test_a_query_that_fails_discards_its_book_and_tells_nothing_of_the_address(planner: Planner) -> None:
    reads = planner.read(planner.sql_source(sql={**QUERIES, "marks": "SELECT nothing FROM nowhere"}))

    assert reads[scope(Kind.LESSON)].is_complete
    problem = reads[scope(Kind.MARK)].problem
    assert problem is not None
    assert problem.reason_code == "INCOMPLETE_READ"
    assert "sqlite" not in problem.sentence


@pytest.mark.row("E3")
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("lost_row", "INCOMPLETE_READ"),
        ("moving_revision", "INCOMPLETE_READ"),
        ("row_without_id", "INCOMPLETE_READ"),
        ("truncate", "INCOMPLETE_READ"),
        ("duplicate_page", "INCOMPLETE_READ"),
        ("500", "TRANSPORT"),
        ("html", "INCOMPLETE_READ"),
    ],
)
def test_a_book_that_is_not_whole_is_discarded_and_the_others_go_on(planner: Planner, fault: str, reason: str) -> None:
    if fault == "moving_revision":
        for number in range(501):
            planner.books.edits.put(
                GROUP,
                "marks",
                {"id": f"x{number}", "pupil": "p1", "lesson": planner.rows("lessons", GROUP)[0]["id"], "value": 5},
            )
    planner.fault(fault, "/marks")

    reads = planner.read(planner.source())

    problem = reads[scope(Kind.MARK)].problem
    assert problem is not None
    assert problem.reason_code == reason
    assert not reads[scope(Kind.MARK)].records
    assert reads[scope(Kind.LESSON)].is_complete
    assert reads[scope(Kind.ABSENCE)].is_complete


def test_lessons_that_can_not_be_read_take_the_pages_with_them_and_not_the_homework(planner: Planner) -> None:
    planner.fault("lost_row", f"{GROUP.replace('А', '%D0%90')}|{GROUP}/lessons")

    reads = planner.read(planner.source())

    assert not any(reads[scope(kind)].is_complete for kind in (Kind.LESSON, Kind.MARK, Kind.ABSENCE))
    assert reads[scope(Kind.HOMEWORK)].is_complete
    assert reads[scope(Kind.MARK, "7А-RUS")].is_complete


@pytest.mark.row("E12")
def test_a_row_that_does_not_fit_is_one_fault_with_its_place_and_no_value(planner: Planner) -> None:
    good = planner.rows("marks", GROUP)
    for number, changes in enumerate(
        ({"value": "отлично"}, {"lesson": "nowhere"}, {"value": 6}, {"surprise": 1}, {"comment": "ы" * 5000})
    ):
        planner.books.edits.put(GROUP, "marks", {**good[number], **changes})

    read = planner.read(planner.source())[scope(Kind.MARK)]

    assert read.is_complete
    assert len(read.records) == len(good) - 5
    refs = {f"planner/mark:{row['id']}" for row in good[:5]}
    assert {fault.where for fault in read.faults} == refs
    assert all("отлично" not in fault.sentence and "ыы" not in fault.sentence for fault in read.faults)
    assert {fault.sentence.rpartition(" ")[2] for fault in read.faults} >= {"value", "surprise", "comment"}


def test_who_typed_a_row_for_whom_is_kept_with_it(planner: Planner) -> None:
    row = planner.rows("marks", GROUP)[0]
    planner.books.edits.put(
        GROUP, "marks", {**row, "entry": {"typed_by": "t9-curator", "on_behalf_of": "t0-0", "answers": "t0-0"}}
    )

    reads = planner.read(planner.source())

    mark = next(one for one in records(reads, Mark) if one.ref.endswith(row["id"]))
    teacher = "planner/person:t0-0"
    assert mark.entry == Entry(typed_by="planner/person:t9-curator", on_behalf_of=teacher, answers=teacher, way="page")
    absences = [one for one in records(reads, Absence) if one.group == f"planner/group:{GROUP}"]
    assert {one.entry.typed_by for one in absences} == {teacher}


def test_a_dead_token_ends_the_read_and_a_new_one_in_its_file_goes_on(planner: Planner, tmp_path: Path) -> None:
    with pytest.raises(AccessDeniedError) as caught:
        planner.read(planner.source(token=SecretStr("another")))
    assert caught.value.is_session_dead
    assert "another" not in caught.value.sentence

    file = tmp_path / "token"
    file.write_text("old")
    source = planner.source(token=None, token_file=file)
    file.write_text(DEFAULT_TOKEN)

    assert planner.read(source)


def test_nobody_at_the_address_is_told_as_that(planner: Planner) -> None:
    with pytest.raises(UnreachableError):
        planner.read(planner.source(door_url="http://127.0.0.1:1"))


def test_the_check_counts_the_directories_and_warns_of_a_token_in_the_clear(planner: Planner) -> None:
    lines = list(planner.source().check())
    far = list(planner.source(door_url="http://planner.invalid", deadline_s=0.5).check())

    assert [(line.subject, line.state) for line in lines] == [
        (f"planner.door.{book}", CheckState.OK) for book in ("people", "subjects", "groups")
    ]
    assert [line.state for line in far] == [CheckState.WARNING, CheckState.FAILED]


Load = Callable[[str], list[Record]]


def batch(book: str, rows: list[Any], **changes: Any) -> bytes:
    fields = {"book": book, "revision": 1, "total": len(rows), "rows": rows, **changes}
    return msgspec.json.encode(fields)


def test_what_is_pushed_is_read_as_what_is_pulled(planner: Planner) -> None:
    inbox = DoorInbox("planner")
    stored: dict[str, list[Record]] = {}
    pulled = planner.read(planner.source())
    for book in ("people", "subjects", "groups", "lessons", "marks", "absences", "homework"):
        group = GROUP if book in ("lessons", "marks", "absences", "homework") else None
        body = batch(book, planner.rows(book, group), group=group)
        found = inbox.read_batch(body, read_at=NOW, load_scope=lambda name: stored.get(name, []))
        for read in found.scopes:
            stored[read.scope] = list(read.records)
            want = pulled[read.scope]
            assert [strip(one) for one in read.records] == [strip(one) for one in want.records]
            assert (read.pupils_present, read.items_present) == (want.pupils_present, want.items_present)


def strip(record: Record) -> Record:
    return msgspec.structs.replace(record, entry=msgspec.UNSET)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", "batch"),
        (batch("marks", [], group="g", extra=1), "extra"),
        (batch("marks", []), "group"),
        (batch("people", [], group="g"), "group"),
        (batch("people", [], total=3), "total"),
        (batch("marks", [], group="g"), "group"),
        (batch("people", [{"role": "pupil"}]), "rows"),
    ],
)
def test_a_batch_that_can_not_be_used_is_refused_by_its_place(body: bytes, where: str) -> None:
    with pytest.raises(RecordError) as caught:
        DoorInbox("planner").read_batch(body, read_at=NOW, load_scope=lambda _: [])

    assert caught.value.where == where


GROUP_ROW = {"id": "7a", "subject": "alg", "name": "7А", "pupils": ["p1", "p2"], "teachers": ["t1"]}
PERSON_ROW = {"id": "p1", "role": "pupil", "last_name": "Иванов", "first_name": "Иван"}
LESSON_ROW = {"id": "l1", "starts_at": "2026-11-10T09:00:00+03:00"}
TASK_ROW = {"id": "h1", "text": "п. 5", "assigned_on": "2026-11-10", "prepared_for": "2026-11-12"}


@pytest.mark.row("E12")
@pytest.mark.parametrize(
    ("book", "good", "changes", "place"),
    [
        ("lessons", LESSON_ROW, {"starts_at": "9999-12-31T23:59:59+00:00"}, "starts_at"),
        ("lessons", LESSON_ROW, {"starts_at": "0001-01-01T00:00:00+03:00"}, "starts_at"),
        ("lessons", LESSON_ROW, {"starts_at": "2206-11-10T09:00:00+03:00"}, "starts_at"),
        ("lessons", LESSON_ROW, {"topic": "a\u0000b"}, "topic"),
        ("lessons", LESSON_ROW, {"topic": "\ud800"}, "topic"),
        ("lessons", LESSON_ROW, {"\ud800": 1}, "row"),
        ("lessons", LESSON_ROW, {"id": "\ud800"}, "id"),
        ("lessons", LESSON_ROW, {"id": "a\u0000b"}, "id"),
        ("lessons", LESSON_ROW, {"id": "a\u0007b"}, "id"),
        ("homework", TASK_ROW, {"prepared_for": "9999-12-31"}, "prepared_for"),
        ("homework", TASK_ROW, {"assigned_on": "0001-01-01"}, "assigned_on"),
        ("homework", TASK_ROW, {"text": "a\u0000b"}, "text"),
        ("homework", TASK_ROW, {"title": "a\u009fb"}, "title"),
        ("homework", TASK_ROW, {"pupils": ["\ud800"]}, "pupils.0"),
        ("people", PERSON_ROW, {"last_name": "И\u0000"}, "last_name"),
        ("people", PERSON_ROW, {"class_name": "\udfff"}, "class_name"),
        ("groups", GROUP_ROW, {"pupils": ["a\u0000b"]}, "pupils.0"),
        ("groups", GROUP_ROW, {"name": "7\u0001А"}, "name"),
    ],
)
def test_characters_and_days_that_nothing_can_keep_are_faults_of_their_row(
    book: str, good: dict[str, Any], changes: dict[str, Any], place: str
) -> None:
    rows = [{**good, "id": "other"}, {**good, **changes}]
    known: dict[str, list[Record]] = {
        "group|planner/site": [to_group(wire.GroupRow(**GROUP_ROW), Names("planner", ""))]
    }
    group = "7a" if book in wire.GROUP_BOOKS else None
    body = json.dumps({"book": book, "group": group, "revision": 1, "total": 2, "rows": rows}).encode()

    found = DoorInbox("planner").read_batch(body, read_at=NOW, load_scope=lambda name: known.get(name, []))

    read = found.scopes[0]
    assert [one.ref.partition(":")[2] for one in read.records] == ["other"]
    assert [(fault.reason_code, fault.sentence.rpartition(" ")[2]) for fault in read.faults] == [
        ("PLANNER_INVALID", place)
    ]


def test_ids_that_are_no_text_refuse_the_book_and_not_the_run() -> None:
    for row_id in ([], {}, 7, ""):
        with pytest.raises(RecordError, match="без id") as caught:
            DoorInbox("planner").read_batch(batch("people", [{"id": row_id}]), read_at=NOW, load_scope=lambda _: [])
        assert caught.value.reason_code == "PLANNER_INVALID"


def test_members_who_are_in_no_book_of_people_are_told_and_stay() -> None:
    people: list[Record] = [to_person(wire.PersonRow(**PERSON_ROW), Names("planner", ""))]

    def read(known: list[Record]) -> list[ScopeRead]:
        body = batch("groups", [GROUP_ROW])
        return list(DoorInbox("planner").read_batch(body, read_at=NOW, load_scope=lambda _: known).scopes)

    told, silent = read(people), read([])

    assert [fault.where for one in told for fault in one.faults] == ["planner/member:7a:p2", "planner/teaching:7a:t1"]
    assert [len(one.records) for one in told] == [len(one.records) for one in silent] == [1, 2, 1]
    assert not any(one.faults for one in silent)


def test_a_moment_of_a_database_that_is_none_is_a_fault_of_its_row(planner: Planner) -> None:
    lessons = {**QUERIES, "lessons": "SELECT id, 'завтра' AS starts_at FROM lesson WHERE team = :group"}

    read = planner.read(planner.sql_source(sql=lessons))[scope(Kind.LESSON)]

    assert (read.is_complete, len(read.records), len(read.faults)) == (True, 0, len(planner.rows("lessons", GROUP)))
