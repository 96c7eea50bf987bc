"""How to put up each source that the gateway has: a connector more is one factory more, and its name in `STANDS`."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx
import msgspec
from pydantic import SecretStr
from sqlalchemy import insert, text, update
from sqlalchemy.exc import SQLAlchemyError

from gateway.connectors.planner.asc.source import AscSource
from gateway.connectors.planner.door.inbox import DoorInbox
from gateway.connectors.planner.door.source import build_door_source
from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.days import SchoolYear as WrittenYear
from gateway.connectors.planner.workbook.register import Bells
from gateway.connectors.planner.workbook.source import WorkbookSource
from gateway.connectors.port import CheckLine, PortalSource, ScopeRead, Stored, Want
from gateway.connectors.portal.moodle.source import build_moodle_source
from gateway.connectors.retry import Retry
from gateway.domain.clock import VirtualClock
from gateway.domain.identifiers import Kind, Place
from gateway.domain.records import Entry, Lesson, Record
from gateway.domain.school_year import SchoolYear
from gateway.flows.journal import JournalSource
from gateway.flows.tables import journal_entry
from gateway.mapping.links import get_place_id
from gateway.sandbox.planner import DEFAULT_TOKEN, build_planner_app
from gateway.sandbox.planner.books import PlannerBooks
from gateway.sandbox.planner.timetable import build_asc_xml
from gateway.sandbox.portal.app import DEFAULT_TOKEN as PORTAL_TOKEN
from gateway.sandbox.portal.recording import read_recording
from gateway.sandbox.portal.replay import build_replay_app
from gateway.sandbox.school import School
from gateway.sandbox.serve import serve_in_thread
from gateway.settings import PlannerSettings, PortalSettings
from gateway.store.transaction import Store
from tests.contract.sources.laws import Spoilt, Stand, connections_to, files_open_in
from tests.flow.office import write_book

NOW = datetime(2026, 11, 23, 15, 50, tzinfo=UTC)
ZONE = "Europe/Moscow"
NOWHERE = "http://127.0.0.1:9"
GRADES = "gradereport_user_get_grade_items"
PAGES = ("lessons", "marks", "absences", "homework")


class Served(Stand):
    """A stand of a sandbox that is asked over HTTP."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._stack = ExitStack()
        served = self._stack.enter_context(serve_in_thread(self.build_app()))
        self.port = served.port
        self.served_url = self.base_url = served.base_url

    def build_app(self) -> Any:
        raise NotImplementedError

    def fault(self, fault: str, path: str) -> None:
        self._control("DELETE", "faults")
        self._control("POST", "faults", {"match": {"path": path}, "fault": fault})

    def edit(self, **order: Any) -> None:
        self._control("POST", "edit", order)

    def _control(self, method: str, name: str, body: Any = None) -> None:
        # a connection a call: the sources' own are counted
        url = f"{self.served_url}/__sandbox/{name}"
        httpx.request(method, url, json=body, trust_env=False).raise_for_status()

    def held(self) -> int:
        return connections_to(self.port)

    def close(self) -> None:
        self._stack.close()


class MoodleStand(Served):
    """The portal: a recorded Moodle, replayed over HTTP."""

    source = ""
    kinds = frozenset(
        {
            Kind.PROGRAMME,
            Kind.SUBJECT,
            Kind.PERSON,
            Kind.GROUP,
            Kind.MEMBERSHIP,
            Kind.ASSIGNMENT,
            Kind.LESSON,
            Kind.MARK,
            Kind.ATTEMPT,
            Kind.ABSENCE,
            Kind.COMMENT,
            Kind.HOMEWORK,
        }
    )
    cuts = ("a gradebook is torn", "a right is lost silently", "down half-way", "a list comes doubled")
    _CUTS: ClassVar = {
        cuts[0]: ("truncate", f"{GRADES} courseid=2 groupid=1 "),
        cuts[1]: ("empty", r"core_group_get_group_members .*groupids\[0\]=3"),
        cuts[2]: ("maintenance", GRADES),
        cuts[3]: ("duplicate_page", f"{GRADES} courseid=4 groupid=5 "),
    }

    def build_app(self) -> Any:
        return build_replay_app(read_recording())

    def open(self) -> PortalSource:
        clock = VirtualClock(NOW)
        settings = PortalSettings(name="portal", base_url=self.base_url, token=PORTAL_TOKEN)
        return build_moodle_source(settings, clock=clock, retry=Retry(clock, tries_count=1))

    def cut(self, how: str) -> None:
        self.fault(*self._CUTS[how])

    def vanish(self) -> None:
        self.base_url = NOWHERE

    def spoil(self) -> Spoilt:
        self.edit(op="hide_module", courseid=2, modname="assign", instance=1)
        refs = frozenset({"homework:1:1", "homework:1:2"})  # given to both groups
        return Spoilt(refs=refs, wheres=refs, value="ДЗ №1")

    def clear(self) -> frozenset[str]:
        self.edit(op="clear_grade", courseid=2, userid=16, itemid=5)
        return frozenset({"mark:5:16"})

    def leave(self) -> str:
        self.edit(op="unenrol", courseid=2, userid=16)
        return "user:16"

    def enter(self) -> tuple[str, Entry]:
        # Moodle tells one typist only: whoever took the attendance of a session
        return "absence:1:5", Entry(typed_by="user:35", way="portal")

    def secrets(self) -> frozenset[str]:
        return frozenset({PORTAL_TOKEN})


class DoorStand(Served):
    """The planner's door, pulled over HTTP."""

    source = "planner"
    kinds = frozenset(
        {
            Kind.PERSON,
            Kind.SUBJECT,
            Kind.GROUP,
            Kind.MEMBERSHIP,
            Kind.ASSIGNMENT,
            Kind.LESSON,
            Kind.MARK,
            Kind.ABSENCE,
            Kind.HOMEWORK,
        }
    )
    cuts: ClassVar[tuple[str, ...]] = ("a row is lost", "a page is torn", "a book fails", "a directory fails")
    _CUTS: ClassVar = {
        "a row is lost": ("lost_row", "/marks"),
        "a page is torn": ("truncate", "/lessons"),
        "a book fails": ("500", "/absences"),
        "a directory fails": ("truncate", "/v1/groups$"),
    }
    GROUP = "7А-ALG"

    def build_app(self) -> Any:
        app = build_planner_app(27, now=lambda: NOW, subjects_count=2)
        self.books: PlannerBooks = app.state.planner.books
        return app

    def open(self) -> PortalSource:
        return self.build(PlannerSettings(door_url=self.base_url, token=SecretStr(DEFAULT_TOKEN)))

    def build(self, settings: PlannerSettings) -> PortalSource:
        clock = VirtualClock(NOW)
        retry = Retry(clock, tries_count=1)
        source = build_door_source(settings, clock=clock, zone=ZONE, retry=retry)
        assert source is not None
        return source

    def rows(self, book: str, group: str | None = None) -> list[dict[str, Any]]:
        found = self.books.book(book, group)
        assert found is not None
        return found

    def cut(self, how: str) -> None:
        self.fault(*self._CUTS[how])

    def vanish(self) -> None:
        self.base_url = NOWHERE

    def spoil(self) -> Spoilt:
        row = self.rows("marks", self.GROUP)[0]
        self.books.edits.put(self.GROUP, "marks", {**row, "value": "превосходно"})
        refs = frozenset({f"planner/mark:{row['id']}"})
        return Spoilt(refs=refs, wheres=refs, value="превосходно")

    def clear(self) -> frozenset[str]:
        row = self.rows("marks", self.GROUP)[0]
        self.books.edits.take_out(self.GROUP, "marks", row["id"])
        return frozenset({f"planner/mark:{row['id']}"})

    def leave(self) -> str:
        group = next(row for row in self.rows("groups") if row["id"] == self.GROUP)
        self.books.edits.put("", "groups", {**group, "pupils": [one for one in group["pupils"] if one != "p1"]})
        for book in ("marks", "absences"):
            for row in self.rows(book, self.GROUP):
                if row["pupil"] == "p1":
                    self.books.edits.take_out(self.GROUP, book, row["id"])
        return "planner/person:p1"

    def enter(self) -> tuple[str, Entry]:
        row = self.rows("marks", self.GROUP)[0]
        entry = {"typed_by": "t9-curator", "on_behalf_of": "t0-0", "answers": "t0-0"}
        self.books.edits.put(self.GROUP, "marks", {**row, "entry": entry})
        teacher = "planner/person:t0-0"
        typed_by = "planner/person:t9-curator"
        return f"planner/mark:{row['id']}", Entry(
            typed_by=typed_by, on_behalf_of=teacher, answers=teacher, way=self.WAY
        )

    WAY: ClassVar[str] = "page"

    def secrets(self) -> frozenset[str]:
        return frozenset({DEFAULT_TOKEN})


TABLES = """
CREATE TABLE person (id, role, last_name, first_name, class_name, person_id, school_id);
CREATE TABLE subject (id, name); CREATE TABLE team (id, subject, name, class_name);
CREATE TABLE member (team, person, role); CREATE TABLE lesson (id, team, starts_at, topic);
CREATE TABLE mark (id, team, pupil, lesson, value, typed_by, on_behalf_of, answers);
CREATE TABLE absence (id, team, pupil, lesson, form);
CREATE TABLE homework (id, team, title, text, assigned_on, prepared_for);
"""
QUERIES = {
    "people": "SELECT * FROM person",
    "subjects": "SELECT * FROM subject",
    "groups": "SELECT * FROM team",
    "members": 'SELECT team AS "group", person, role FROM member',
    "lessons": "SELECT id, starts_at, topic FROM lesson WHERE team = :group",
    "marks": "SELECT id, pupil, lesson, value, typed_by, on_behalf_of, answers FROM mark WHERE team = :group;",
    "absences": "SELECT id, pupil, lesson, form FROM absence WHERE team = :group",
    "homework": "SELECT id, title, text, assigned_on, prepared_for FROM homework WHERE team = :group",
}


def write_planner_database(books: PlannerBooks, path: Path) -> None:
    """Write a planner's books as tables of a school's own database, moments without a zone."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.executescript(TABLES)

    def put(table: str, rows: Sequence[dict[str, Any]], *fields: str, team: str | None = None) -> None:
        for row in rows:
            own = {**row, **(row.get("entry") or {}), "team": team}
            marks = ",".join("?" for _ in fields)
            database.execute(f"INSERT INTO {table} VALUES ({marks})", [own.get(field) for field in fields])

    put("person", books.book("people", None) or [], *PERSON_FIELDS)
    put("subject", books.book("subjects", None) or [], "id", "name")
    for group in books.book("groups", None) or []:
        team = group["id"]
        put("team", [group], "id", "subject", "name", "class_name")
        for role, people in (("pupil", group["pupils"]), ("teacher", group["teachers"])):
            put("member", [{"person": one, "role": role} for one in people], "team", "person", "role", team=team)
        lessons = [{**row, "starts_at": _without_zone(row["starts_at"])} for row in books.book("lessons", team) or []]
        put("lesson", lessons, "id", "team", "starts_at", "topic", team=team)
        entry = ("typed_by", "on_behalf_of", "answers")
        put("mark", books.book("marks", team) or [], "id", "team", "pupil", "lesson", "value", *entry, team=team)
        put("absence", books.book("absences", team) or [], "id", "team", "pupil", "lesson", "form", team=team)
        days = ("assigned_on", "prepared_for")
        put("homework", books.book("homework", team) or [], "id", "team", "title", "text", *days, team=team)
    database.commit()
    database.close()


PERSON_FIELDS = ("id", "role", "last_name", "first_name", "class_name", "person_id", "school_id")


def _without_zone(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(ZONE)).replace(tzinfo=None).isoformat(" ")


class SqlStand(DoorStand):
    """The planner's door as a read-only SQL view."""

    cuts = ("a view is gone", "a directory is gone", "the file is torn")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "planner.sqlite"
        self._told = -1
        self._is_broken = False

    def open(self) -> PortalSource:
        if self._told != self.books.edits.revision and not self._is_broken:
            self._told = self.books.edits.revision
            write_planner_database(self.books, self.path)
        return self.build(PlannerSettings(sql_url=SecretStr(f"sqlite:///{self.path}"), sql=QUERIES))

    def cut(self, how: str) -> None:
        self._is_broken = True
        write_planner_database(self.books, self.path)
        if how == "the file is torn":
            self.path.write_bytes(self.path.read_bytes()[: 4096 * 2])
            return
        database = sqlite3.connect(self.path)
        database.execute("DROP TABLE mark" if how == "a view is gone" else "DROP TABLE subject")
        database.close()

    def vanish(self) -> None:
        self._is_broken = True
        shutil.rmtree(self.path.parent)

    def secrets(self) -> frozenset[str]:
        return frozenset({self.path.name})

    def held(self) -> int:
        return files_open_in(self.path.parent)


class Pusher:
    """A planner that pushes its books, seen as a source: what the inbox makes of them, one batch after another."""

    def __init__(self, stand: PushStand) -> None:
        self.name = "planner"
        self._stand = stand
        self._inbox = DoorInbox(self.name)

    def check(self) -> Iterator[CheckLine]:
        yield from self._inbox.check()

    def iter_scopes(self, want: Want, stored: Stored) -> Iterator[ScopeRead]:
        del stored
        kept: dict[str, Sequence[Record]] = {}
        for body in self._stand.batches():
            book = self._inbox.read_batch(body, read_at=NOW, load_scope=lambda name: kept.get(name, ()))
            for read in book.scopes:
                if not read.scope.startswith(("mark|", "absence|", "homework|")):
                    kept[read.scope] = list(read.records)
                if read.kind in want.kinds:
                    yield read
            del book, read


class PushStand(DoorStand):
    """The planner's door, pushed to: a batch a book."""

    WAY = "push"
    cuts = ("a batch is torn", "rows are missing", "a row has no id")
    lacks: ClassVar = {
        "a_source_that_is_away_is_told_as_that": "a planner that does not push is not asked: what it pushed stands",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._cut = ""

    def open(self) -> PortalSource:
        return Pusher(self)

    def batches(self) -> Iterator[bytes]:
        for book in ("people", "subjects", "groups"):
            yield self._batch(book, None)
        for group in [row["id"] for row in self.rows("groups")]:
            for book in PAGES:
                yield self._batch(book, group)

    def _batch(self, book: str, group: str | None) -> bytes:
        rows = [dict(row) for row in self.rows(book, group)]
        total = len(rows)
        if self._cut and (book, group) == ("marks", self.GROUP):
            if self._cut == "rows are missing":
                rows.pop()
            elif self._cut == "a row has no id":
                del rows[0]["id"]
        body = msgspec.json.encode({"book": book, "group": group, "revision": 1, "total": total, "rows": rows})
        is_torn = self._cut == "a batch is torn" and (book, group) == ("marks", self.GROUP)
        return body[: len(body) // 2] if is_torn else body

    def cut(self, how: str) -> None:
        self._cut = how

    def vanish(self) -> None:
        self._cut = "a batch is torn"

    def held(self) -> int:
        return 0


ROSTER = [
    ["Фамилия", "Имя", "Дата рождения", "Класс", "Email родителя"],
    ["Кимова", "Рената", "01.02.2013", "7А", "a@example.org"],
    ["Ёлкина", "Анна", "03.04.2013", "7А", None],
    ["Цоев", "Лаврентий", "07.08.2012", "8Б", None],
    ["Юрьева", "Злата", "09.08.2012", "8Б", None],
]
TIMETABLE = [
    ["Класс", "Предмет", "День недели", "№ урока", "Начало"],
    ["7А", "Алгебра", "суббота", 2, time(9, 25)],
    ["8Б", "Алгебра", "суббота", 3, time(10, 20)],
]
HEADS = ["ФИО", "05.09", "12.09", "26.09"]
CLASSES: dict[str, list[list[Any]]] = {
    "7А": [["Кимова Рената", "5(2К)", "4", "н"], ["Ёлкина Анна", "3", "н", "о"]],
    "8Б": [["Цоев Лаврентий", "5", "4", "н"], ["Юрьева Злата", "н", "5", "4"]],
}


class WorkbookStand(Stand):
    """The planner's folder of workbooks."""

    source = "workbook"
    kinds = frozenset(
        {
            Kind.PERSON,
            Kind.SUBJECT,
            Kind.GROUP,
            Kind.PROGRAMME,
            Kind.MEMBERSHIP,
            Kind.LESSON,
            Kind.MARK,
            Kind.ABSENCE,
            Kind.COMMENT,
            Kind.HOMEWORK,
            Kind.GUARDIAN,
            Kind.LESSON_PLAN,
            Kind.CURRICULUM,
            Kind.PROGRAMME_SECTION,
        }
    )
    cuts = ("half a page", "a page is open elsewhere", "half a list", "half a timetable", "no workbook at all")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "planner"
        self.path.mkdir()
        self.roster = [list(row) for row in ROSTER]
        self.classes = {name: [list(row) for row in rows] for name, rows in CLASSES.items()}
        self.titles: list[list[Any]] = []
        title = [["Класс: 7А"], ["Предмет: Алгебра"]]
        write_book(
            self.path / "4 ктп.xlsx",
            КТП=[*title, ["№ п/п", "Тема урока", "Количество часов"], [1, "Степень", 1], [2, "Корень", 1]],
        )
        write_book(self.path / "5 учебный план.xlsx", План=[["Предмет", "7 класс"], ["Алгебра", 4]])
        heads = ["№ п/п", "Тема урока", "Количество часов", "Программное содержание"]
        write_book(self.path / "6 программа.xlsx", Программа=[*title, heads, [1, "Степень", 10, "Свойства"]])
        self.write()

    def write(self) -> None:
        write_book(self.path / "1 список.xlsx", Ученики=self.roster)
        write_book(self.path / "2 расписание.xlsx", Расписание=TIMETABLE)
        for name, rows in self.classes.items():
            title = [*self.titles, [f"Класс: {name}"], ["Предмет: Алгебра"]]
            write_book(
                self.path / f"3 журнал {name}.xlsx",
                Журнал=[*title, [], HEADS, *rows],
                Уроки=[
                    *title,
                    [],
                    ["Дата", "Тема", "Домашнее задание", "К какому дню"],
                    ["05.09", "Степень", "§ 1", "12.09"],
                    ["12.09", "Корень", "§ 2", "26.09"],
                ],
            )

    def open(self) -> PortalSource:
        return WorkbookSource(
            "workbook",
            self.path,
            clock=VirtualClock(NOW),
            reader=lambda _: Reader(year=WrittenYear(2026), today=NOW.date()),
            zone=ZoneInfo(ZONE),
            bells=Bells(),
            find_year=lambda: None,
            is_holiday=lambda day: day == date(2026, 9, 19),
            settle_s=2.0,
        )

    def cut(self, how: str) -> None:
        for lock in self.path.glob("~$*"):
            lock.unlink()
        self.write()
        page, roster = self.path / "3 журнал 7А.xlsx", self.path / "1 список.xlsx"
        match how:
            case "half a page":
                page.write_bytes(page.read_bytes()[:1000])
            case "a page is open elsewhere":
                page.with_name(f"~${page.name}").write_bytes(b"x")
            case "half a list":
                roster.write_bytes(roster.read_bytes()[:1000])
            case "half a timetable":
                timetable = self.path / "2 расписание.xlsx"
                timetable.write_bytes(timetable.read_bytes()[:1000])
            case _:
                page.write_bytes(b"")

    def vanish(self) -> None:
        shutil.rmtree(self.path)

    def spoil(self) -> Spoilt:
        refs = self._refs()
        self.classes["7А"][0][2] = "превосходно"
        self.write()
        # one cell holds marks, an absence and a lateness: none of the three is known now
        wheres = frozenset(f"workbook/{kind}:" for kind in ("mark", "absence", "late"))
        return Spoilt(refs=refs - self._refs(), wheres=wheres, value="превосходно")

    def clear(self) -> frozenset[str]:
        refs = self._refs()
        self.classes["7А"][0][2] = None
        self.write()
        return refs - self._refs()

    def leave(self) -> str:
        with self.opened() as source:
            people = [one for read in source.iter_scopes(_WANT, _NOTHING) for one in read.records]
        (ref,) = {one.ref for one in people if getattr(one, "last_name", "") == "Ёлкина"}
        del self.roster[2], self.classes["7А"][1]
        self.write()
        return ref

    def enter(self) -> tuple[str, Entry]:
        self.titles = [["Внёс: куратор"], ["За кого:", "учитель"]]
        self.write()
        with self.opened() as source:
            marks = [
                one for read in source.iter_scopes(_WANT, _NOTHING) if read.kind is Kind.MARK for one in read.records
            ]
        return marks[0].ref, Entry(typed_by="curator", on_behalf_of="teacher", way="workbook")

    def _refs(self) -> frozenset[str]:
        with self.opened() as source:
            reads = [read for read in source.iter_scopes(_WANT, _NOTHING) if read.kind is Kind.MARK]
        return frozenset(one.ref for read in reads for one in read.records)

    def held(self) -> int:
        return files_open_in(self.path)


class _Nothing:
    """A consumer who has stored nothing."""

    def changed_marks(self, scope: str) -> list[str]:
        del scope
        return []


_NOTHING = _Nothing()
_WANT = Want(from_on=date(2026, 9, 1), to_on=date(2027, 8, 31))


class AscStand(Stand):
    """The timetable's export of aSc TimeTables."""

    source = "timetable"
    kinds = frozenset({Kind.SUBJECT, Kind.PERSON, Kind.GROUP, Kind.ASSIGNMENT, Kind.LESSON})
    pages = frozenset({Kind.LESSON})
    cuts = ("half a file", "no timetable", "no calendar")
    lacks: ClassVar = {"a_pupil_who_left_takes_nothing_out": "a timetable knows no pupils"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "asc" / "timetable.xml"
        self.path.parent.mkdir()
        school = School(pupils=54, seed=1, now=NOW)
        self.xml = build_asc_xml(school, subjects_count=2, encoding="utf-8").decode()
        self.year: SchoolYear | None = SchoolYear(year="2026/27", from_on=date(2026, 9, 1), to_on=date(2027, 5, 26))
        self._write(self.xml)

    def _write(self, xml: str) -> None:
        self.path.write_text(xml, encoding="utf-8")

    def open(self) -> PortalSource:
        return AscSource(self.path, name="timetable", find_year=lambda: self.year, zone=ZONE, clock=VirtualClock(NOW))

    def cut(self, how: str) -> None:
        match how:
            case "half a file":
                self._write(self.xml[: len(self.xml) // 2])
            case "no timetable":
                self._write("<timetable></timetable>")
            case _:
                self._write(self.xml)
                self.year = None

    def vanish(self) -> None:
        self.path.unlink()

    def _card(self) -> str:
        begins = self.xml.index('<card lessonid="L0-0"')
        return self.xml[begins : self.xml.index("/>", begins) + 2]

    def _lessons(self) -> frozenset[str]:
        with self.opened() as source:
            reads = list(source.iter_scopes(_WANT, _NOTHING))
        return frozenset(one.ref for read in reads for one in read.records if isinstance(one, Lesson))

    def spoil(self) -> Spoilt:
        refs, card = self._lessons(), self._card()
        period = card[card.index('period="') :].split('"')[1]
        self.xml = self.xml.replace(card, card.replace(f'period="{period}"', 'period="двадцатый"'))
        self._write(self.xml)
        where = frozenset({"timetable/lesson:L0-0"})
        return Spoilt(refs=refs - self._lessons(), wheres=where, value="двадцатый")

    def clear(self) -> frozenset[str]:
        """A card is taken out: all its lessons of the year."""
        refs = self._lessons()
        self.xml = self.xml.replace(self._card(), "")
        self._write(self.xml)
        return refs - self._lessons()

    def enter(self) -> tuple[str, Entry]:
        return min(self._lessons()), Entry(way="timetable")

    def held(self) -> int:
        return files_open_in(self.path.parent)


class JournalStand(Stand):
    """What is typed into the gateway itself."""

    source = "journal"
    kinds = frozenset({Kind.MARK, Kind.ABSENCE})
    cuts = ("its table is gone",)
    errors = (SQLAlchemyError,)
    lacks: ClassVar = {
        "a_bad_record_is_parked_alone": "an entry is looked at before it is stored: tests/flow/test_journal_twice.py",
        "a_pupil_who_left_takes_nothing_out": "it keeps no roll: that a pupil left is told by the source of the roll",
        "no_text_tells_a_name": "it knows codes only, and its errors are the store's own",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "journal"
        self.path.mkdir()
        self._store = Store.open(f"sqlite:///{self.path / 'own.sqlite'}", VirtualClock(NOW))
        with self._store.write() as conn:
            self._place_id = get_place_id(conn, Place(city="city", portal="portal", year="2026/27"))
            for number in range(1, 5):
                conn.execute(insert(journal_entry).values(**self._row(number)))

    def _row(self, number: int) -> dict[str, Any]:
        is_mark = number % 2 == 0
        return {
            "place_id": self._place_id,
            "kind": "mark" if is_mark else "absence",
            "group_ref": f"group:{(number + 1) // 2}",
            "pupil": f"user:{number}",
            "lesson": f"session:{number}",
            "lesson_at": NOW,
            "value": 4 if is_mark else None,
            "work": "",
            "form": None if is_mark else "absent",
            "typed_by": "account:7",
            "on_behalf_of": "user:90" if is_mark else "",
            "answers": "user:90" if is_mark else "",
            "entered_at": NOW,
        }

    def open(self) -> PortalSource:
        return JournalSource(self._store, self._place_id)

    def cut(self, how: str) -> None:
        del how
        self.vanish()

    def vanish(self) -> None:
        with self._store.write() as conn:
            conn.execute(text("ALTER TABLE journal_entry RENAME TO journal_entry_lost"))

    def clear(self) -> frozenset[str]:
        with self._store.write() as conn:
            conn.execute(update(journal_entry).where(journal_entry.c.id == 2).values(withdrawn_at=NOW))
        return frozenset({"journal/mark:2"})

    def enter(self) -> tuple[str, Entry]:
        return "journal/mark:2", Entry(typed_by="account:7", on_behalf_of="user:90", answers="user:90", way="journal")

    def close(self) -> None:
        self._store.close()


STANDS: dict[str, type[Stand]] = {
    "moodle": MoodleStand,
    "planner door, pulled": DoorStand,
    "planner door, SQL view": SqlStand,
    "planner door, pushed": PushStand,
    "planner folder": WorkbookStand,
    "aSc TimeTables": AscStand,
    "journal": JournalStand,
}
"""Every source of the gateway by the name that its tests bear."""
