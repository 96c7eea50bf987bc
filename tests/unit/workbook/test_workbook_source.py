"""A folder of workbooks as a source: whose mark it is, what waits, what is the same file twice, and that nothing looks cleared."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.register import Bells
from gateway.connectors.planner.workbook.source import WorkbookSource
from gateway.connectors.port import CheckState, ScopeRead, Want
from gateway.domain.clock import MOSCOW, VirtualClock
from gateway.domain.errors import UnreachableError
from gateway.domain.identifiers import Kind, Place, source_of, source_of_scope
from gateway.domain.records import (
    Absence,
    Final,
    Guardian,
    Homework,
    Lesson,
    LessonComment,
    LessonPlan,
    Mark,
    Membership,
    Person,
)
from gateway.domain.school_year import MovedDay, SchoolYear, YearHoliday
from gateway.mapping.links import get_place_id
from gateway.reconcile.gone import DELETABLE, Gone
from gateway.reconcile.snapshot import StoredScopes, load_records, store_scope
from gateway.reconcile.tables import record, record_version, scope_state
from gateway.store.transaction import Store

WANT = Want(from_on=date(2026, 9, 1), to_on=date(2027, 8, 31))
ROSTER = [
    ["Фамилия", "Имя", "Отчество", "Дата рождения", "Класс", "Email родителя", "Телефон родителя"],
    ["Ким", "Роман", "Ильич", "01.02.2013", "7А", "a@example.org; b@example.org", "+7 900 000-00-00"],
    ["Ёлкина", "Анна", None, "03.04.2013", "7А", None, None],
    ["Ким", "Роман", "Львович", "05.06.2013", "7А", None, None],
    ["Цой", "Ли", None, "07.08.2013", "7Б", None, None],
]
TIMETABLE = [
    ["Класс", "Предмет", "День недели", "№ урока", "Начало"],
    ["7А", "Алгебра", "суббота", 2, time(9, 25)],
    ["7А", "Алгебра", "суббота", 3, time(10, 20)],
]
TITLE = [["Класс: 7А"], ["Предмет: Алгебра"], []]
PAGE = [
    *TITLE,
    ["ФИО", "05.09", "05.09", "12.09"],
    ["Елкина Анна", "5(2К)", None, "н"],
    ["Ким Роман Ильич", None, "4,3", None],
]
LESSONS = [
    *TITLE,
    ["Дата", "№ урока", "Тема", "Домашнее задание", "К какому дню"],
    ["05.09", 2, "Степень", "§ 1", None],
    ["12.09", 3, "Корень", "§ 2", "26.09"],
]


@dataclass
class Folder:
    """A folder and the source that reads it."""

    path: Path
    clock: VirtualClock
    formats: ModuleType
    reader: Reader
    bells: Bells = field(default_factory=Bells)
    year: SchoolYear | None = None

    def write(self, name: str, *pages: tuple[str, list[list[Any]]], age_s: float = 3600.0) -> Path:
        path = self.path / name
        self.formats.write_xlsx(path, [self.formats.Page(title, rows) for title, rows in pages])
        return self.grow_old(path, age_s)

    def grow_old(self, path: Path, age_s: float = 3600.0) -> Path:
        moment = datetime.now(UTC).timestamp() - age_s
        os.utime(path, (moment, moment))
        return path

    def source(self, **changes: Any) -> WorkbookSource:
        usual: dict[str, Any] = {
            "clock": self.clock,
            "reader": lambda _: self.reader,
            "zone": ZoneInfo("Europe/Moscow"),
            "bells": self.bells,
            "find_year": lambda: self.year,
            "is_holiday": lambda day: day == date(2026, 9, 19),
            "settle_s": 2.0,
        }
        return WorkbookSource("workbook", self.path, **(usual | changes))

    def read(self, want: Want = WANT) -> list[ScopeRead]:
        return list(self.source().iter_scopes(want, StoredScopes()))


@pytest.fixture
def folder(tmp_path: Path, clock: VirtualClock, formats: ModuleType, reader: Reader) -> Folder:
    path = tmp_path / "planner"
    path.mkdir()
    return Folder(path, clock, formats, reader)


@pytest.fixture
def school(folder: Folder) -> Folder:
    """A class list, a timetable, a page and a list of lessons, each in a file of its own."""
    folder.write("1 списки.xlsx", ("Ученики", ROSTER))
    folder.write("2 расписание.xlsx", ("Расписание", TIMETABLE))
    folder.write("3 журнал.xlsx", ("Журнал", PAGE), ("Уроки", LESSONS))
    return folder


def of(reads: list[ScopeRead], cls: type[Any]) -> list[Any]:
    return [record for read in reads for record in read.records if isinstance(record, cls)]


def parked(reads: list[ScopeRead]) -> list[str]:
    return [fault.reason_code for read in reads for fault in read.faults]


def test_everything_of_a_folder_comes_as_records_that_refer_to_each_other(school: Folder) -> None:
    reads = school.read()

    people = {person.ref: person for person in of(reads, Person)}
    lessons = {lesson.ref: lesson for lesson in of(reads, Lesson)}
    marks, absences, homework = of(reads, Mark), of(reads, Absence), of(reads, Homework)
    assert all(read.is_complete and not read.faults for read in reads)
    assert [(person.last_name, person.class_name, person.birth_on) for person in people.values()][:2] == [
        ("Ким", "7А", date(2013, 2, 1)),
        ("Ёлкина", "7А", date(2013, 4, 3)),
    ]
    assert len(of(reads, Membership)) == 3
    assert [(one.email, one.phone) for one in of(reads, Guardian)] == [
        ("a@example.org", "+7 900 000-00-00"),
        ("b@example.org", None),
    ]
    first = [lesson for lesson in lessons.values() if lesson.starts_at.date() == date(2026, 9, 5)]
    assert [(lesson.starts_at.astimezone(MOSCOW).time(), lesson.ordinal) for lesson in first] == [
        (time(9, 25), 1),
        (time(10, 20), 2),
    ]
    assert [lesson.topic for lesson in lessons.values() if lesson.topic] == ["Степень", "Корень"]
    told = [
        (people[mark.pupil].last_name, mark.raw_points, mark.weight, mark.item_name, lessons[mark.item])
        for mark in marks
    ]
    assert told == [
        ("Ёлкина", 5.0, 2.0, "Контрольная работа", first[0]),
        ("Ким", 4.0, None, "", first[1]),
        ("Ким", 3.0, None, "", first[1]),
    ]
    assert all(mark.lesson_at == lessons[mark.item].starts_at for mark in marks)
    assert [(people[one.pupil].last_name, one.form, lessons[one.lesson].starts_at.date()) for one in absences] == [
        ("Ёлкина", "absent", date(2026, 9, 12))
    ]
    assert [(one.text, one.assigned_on, one.prepared_for) for one in homework] == [
        ("§ 1", date(2026, 9, 5), date(2026, 9, 12)),
        ("§ 2", date(2026, 9, 12), date(2026, 9, 26)),
    ]


def test_refs_and_scopes_bear_the_source_and_no_name_of_a_person(school: Folder) -> None:
    reads = school.read()

    refs = [record.ref for read in reads for record in read.records]
    scopes = [read.scope for read in reads]
    assert len(refs) == len(set(refs))
    assert len(scopes) == len(set(scopes))
    assert {source_of(ref) for ref in refs} == {source_of_scope(scope) for scope in scopes} == {"workbook"}
    assert not [text for text in (*refs, *scopes) if "ким" in text.casefold() or "списки" in text.casefold()]
    assert max(len(text) for text in (*refs, *scopes)) < 200


def test_every_record_says_how_it_came_in_and_a_sheet_may_say_who_typed_it_for_whom_by_post(school: Folder) -> None:
    titled = [["Внёс: куратор"], ["За кого:", "учитель"], *PAGE]
    school.write("3 журнал.xlsx", ("Журнал", titled))
    reads = school.read()

    assert {record.entry.way for read in reads for record in read.records} == {"workbook"}
    assert {(mark.entry.typed_by, mark.entry.on_behalf_of) for mark in of(reads, Mark)} == {("curator", "teacher")}
    assert {person.entry.typed_by for person in of(reads, Person)} == {""}

    school.write("3 журнал.xlsx", ("Журнал", [["Внёс: Иванова Мария Петровна"], *PAGE]))
    assert {mark.entry.typed_by for mark in of(school.read(), Mark)} == {""}  # a name is not kept


@pytest.mark.row("E11")
def test_hostile_texts_are_kept_as_they_are(school: Folder) -> None:
    nasty = ["=cmd|'/c calc'!A1", "<script>alert(1)</script>", "\u202eабв", "'; DROP TABLE record;--"]
    school.write(
        "3 журнал.xlsx",
        ("Уроки", [*LESSONS[:4], *[["05.09", at + 2, text, text, None] for at, text in enumerate(nasty[:2])]]),
    )
    school.write(
        "ктп.xlsx",
        (
            "КТП",
            [
                *TITLE,
                ["№ урока", "Тема урока", "Домашнее задание"],
                *[[at + 1, text, text] for at, text in enumerate(nasty)],
            ],
        ),
    )

    reads = school.read()

    assert [(plan.topic, plan.homework) for plan in of(reads, LessonPlan)] == [(text, text) for text in nasty]
    assert [one.text for one in of(reads, Homework)] == nasty[:2]


def test_a_holiday_has_no_lessons_and_bells_stand_for_a_lesson_s_number(folder: Folder) -> None:
    folder.bells = Bells((time(8, 30), time(9, 25)), minutes=40)
    folder.write(
        "a.xlsx", ("Расписание", [["День", "Урок", "7А"], ["суббота", 2, "Алгебра"], ["суббота", 9, "Физика"]])
    )

    reads = folder.read()

    lessons = of(reads, Lesson)
    assert date(2026, 9, 19) not in {lesson.starts_at.date() for lesson in lessons}
    assert {(lesson.starts_at.time(), lesson.duration_min) for lesson in lessons} == {(time(9, 25), 40)}
    assert parked(reads) == ["WB_TIME_UNKNOWN"]


def test_the_school_s_calendar_says_which_days_a_timetable_means(school: Folder) -> None:
    school.year = SchoolYear(
        year="2026/27",
        from_on=date(2026, 9, 1),
        to_on=date(2026, 9, 30),
        saturday_grades=(7,),
        holidays=(YearHoliday(name="каникулы", from_on=date(2026, 9, 12), to_on=date(2026, 9, 12)),),
        moved=(MovedDay(on=date(2026, 9, 15), weekday=6),),
    )
    school.write("4 воскресенье.xlsx", ("Расписание", [TIMETABLE[0], ["7А", "Физика", "воскресенье", 1, time(9, 0)]]))

    reads = school.read()

    days = sorted({lesson.starts_at.astimezone(MOSCOW).date() for lesson in of(reads, Lesson)})
    assert days == [date(2026, 9, day) for day in (5, 15, 19, 26)]
    assert "WB_NO_SCHOOL_DAY" in parked(reads)


@pytest.mark.row("E13")
def test_a_mark_goes_to_nobody_where_the_pupil_can_not_be_told(school: Folder) -> None:
    page = [*PAGE, ["Ким Роман", 5, None, None], ["Чужой Пётр", 5, None, None], ["Цой Ли", 2, None, None]]
    school.write("3 журнал.xlsx", ("Журнал", page))

    reads = school.read()

    assert sorted(parked(reads)) == ["WB_NAMESAKES", "WB_UNKNOWN_PUPIL", "WB_UNKNOWN_PUPIL"]
    assert len(of(reads, Mark)) == 3


def test_a_class_without_a_list_is_named_as_such(folder: Folder) -> None:
    folder.write("a.xlsx", ("Журнал", PAGE))

    reads = folder.read()

    assert set(parked(reads)) == {"WB_NO_ROSTER"}
    assert not of(reads, Mark)


def test_a_page_without_a_timetable_keeps_its_marks_by_the_day_and_parks_what_needs_a_lesson(school: Folder) -> None:
    (school.path / "2 расписание.xlsx").unlink()

    reads = school.read()

    assert [(mark.item_number, mark.lesson_at) for mark in of(reads, Mark)] == [("2026-09-05", None)] * 3
    assert not of(reads, Absence)
    assert parked(reads).count("WB_NOT_IN_TIMETABLE") == 3  # two topics, one «н»


def test_what_two_sheets_say_of_one_cell_is_taken_once_or_not_at_all(school: Folder) -> None:
    same = [*TITLE, ["ФИО", "05.09"], ["Ёлкина Анна", "5(2К)"]]
    other = [*TITLE, ["ФИО", "05.09"], ["Ёлкина Анна", "3"]]
    school.write("3 журнал.xlsx", ("Журнал", PAGE), ("Копия", same))
    assert len(of(school.read(), Mark)) == 3

    school.write("3 журнал.xlsx", ("Журнал", PAGE), ("Копия", other))
    reads = school.read()

    assert set(parked(reads)) == {"WB_CONTRADICTION"}
    assert len(of(reads, Mark)) == 2


def test_a_pupil_of_whom_two_lists_say_different_things_is_taken_from_neither(school: Folder) -> None:
    school.write("4 ещё.xlsx", ("Ученики", [ROSTER[0], [*ROSTER[2][:4], "7Б", None, None]]))

    reads = school.read()

    assert len(of(reads, Person)) == 3
    assert [fault.where for read in reads for fault in read.faults if fault.reason_code == "WB_CONTRADICTION"] != []


@pytest.mark.row("E14")
def test_a_copy_of_a_file_is_not_read_twice(school: Folder) -> None:
    before = school.read()
    for name in ("3 журнал.xlsx", "1 списки.xlsx"):
        copy = school.path / f"Копия {name}"
        copy.write_bytes((school.path / name).read_bytes())
        school.grow_old(copy)

    after = school.read()

    assert len(of(after, Mark)) == len(of(before, Mark)) == 3
    assert {record.ref for read in after for record in read.records} == {
        record.ref for read in before for record in read.records
    }
    assert not parked(after)


@pytest.mark.row("E14")
@pytest.mark.parametrize("how", ["half", "open in Excel", "open in LibreOffice", "no bytes", "growing"])
def test_a_file_that_is_not_there_yet_waits_and_the_others_go_on(school: Folder, how: str) -> None:
    path = school.path / "3 журнал.xlsx"
    if how == "half":
        path.write_bytes(path.read_bytes()[:1000])
    elif how == "open in Excel":
        (school.path / "~$3 журнал.xlsx").write_bytes(b"x")
    elif how == "open in LibreOffice":
        (school.path / ".~lock.3 журнал.xlsx#").write_bytes(b"x")
    elif how == "no bytes":
        path.write_bytes(b"")
    else:
        school.grow_old(path, age_s=0)

        class Growing(VirtualClock):
            def wait(self, seconds: float) -> None:
                path.write_bytes(path.read_bytes() + b"more")
                super().wait(seconds)

        school.clock = Growing(school.clock.now())

    reads = school.read()

    problems = [read for read in reads if not read.is_complete]
    assert {read.problem.reason_code for read in problems if read.problem} <= {
        "WB_HALF_WRITTEN",
        "WB_OPEN_ELSEWHERE",
        "INCOMPLETE_READ",
    }
    assert any(read.problem and read.problem.reason_code.startswith("WB_") for read in problems)
    assert {read.kind for read in problems} == {Kind.PROGRAMME, Kind.LESSON}
    assert len(of(reads, Person)) == 4
    assert not of(reads, Mark)


def test_a_lock_left_behind_a_day_ago_is_nobody_s(school: Folder) -> None:
    lock = school.path / "~$3 журнал.xlsx"
    lock.write_bytes(b"x")
    school.grow_old(lock, age_s=2 * 86_400)

    assert len(of(school.read(), Mark)) == 3


def test_check_names_the_files_that_can_not_be_read(school: Folder) -> None:
    (school.path / "~$1 списки.xlsx").write_bytes(b"x")

    lines = list(school.source().check())

    assert [line.state for line in lines] == [CheckState.OK, CheckState.WARNING]
    assert "1 списки.xlsx" in lines[1].sentence


def test_a_hidden_sheet_that_looks_like_ours_is_told_and_others_are_not(school: Folder, formats: ModuleType) -> None:
    pages = [formats.Page("Журнал", PAGE), formats.Page("Старый", PAGE, is_hidden=True)]
    path = school.path / "3 журнал.xlsx"
    formats.write_xlsx(path, [*pages, formats.Page("Списки", [["понедельник", "вторник"]], is_hidden=True)])
    school.grow_old(path)

    reads = school.read()

    assert parked(reads) == ["WB_HIDDEN_SHEET"]
    assert len(of(reads, Mark)) == 3


def test_a_narrow_wish_reads_its_class_and_subject_only(school: Folder) -> None:
    school.write("5 другой.xlsx", ("7А Физика", [["ФИО", "05.09"], ["Ёлкина Анна", 5]]))

    narrow = Want(from_on=WANT.from_on, to_on=WANT.to_on, class_names=frozenset({"7А"}), subjects=frozenset({"физика"}))
    reads = school.read(narrow)

    assert [mark.item_number for mark in of(reads, Mark)] == ["2026-09-05"]
    assert not of(school.read(Want(from_on=WANT.from_on, to_on=WANT.to_on, class_names=frozenset({"8А"}))), Mark)
    assert not of(school.read(Want(from_on=WANT.from_on, to_on=WANT.to_on, kinds=frozenset({Kind.PERSON}))), Mark)


def test_a_plan_of_a_class_refers_to_its_group(folder: Folder) -> None:
    rows = [
        ["№ урока", "Тема урока", "Количество часов", "Дата изучения"],
        [1, "Степень", 1, "05.09"],
        [2, "Корень", 1, "1 неделя"],
    ]
    folder.write("ктп.xlsx", ("КТП", [*TITLE, *rows]))

    plans = of(folder.read(), LessonPlan)

    assert [(plan.number, plan.topic, plan.study_on, plan.study_text) for plan in plans] == [
        (1, "Степень", date(2026, 9, 5), None),
        (2, "Корень", None, "1 неделя"),
    ]
    assert {plan.group for plan in plans} == {"workbook/group:7а:алгебра"}


class Kept:
    """What a store has of a folder's reads."""

    def __init__(self, store: Store, folder: Folder) -> None:
        self.store = store
        self.folder = folder
        self.run = 0

    def pull(self) -> dict[str, int]:
        self.run += 1
        total = {"new": 0, "changed": 0, "gone": 0}
        for read in self.folder.read():
            with self.store.write() as conn:
                counts = store_scope(conn, self.place_id(conn), read, run_id=self.run)
            total = {name: count + getattr(counts, name) for name, count in total.items()}
        return total

    def place_id(self, conn: Any) -> int:
        return get_place_id(conn, Place(city="c", portal="p", year="2026/27"))

    def gone(self) -> dict[str, str]:
        with self.store.read() as conn:
            return {row.ref: row.gone for row in conn.execute(select(record.c.ref, record.c.gone)) if row.gone}

    def marks(self) -> list[Mark]:
        with self.store.write() as conn:
            return load_records(conn, self.place_id(conn), Mark)

    def problems(self) -> set[str]:
        """Why the scopes of marks were not read whole when last tried."""
        with self.store.read() as conn:
            rows = conn.execute(select(scope_state.c.scope, scope_state.c.problem))
            return {row.problem for row in rows if row.scope.startswith("mark|") and row.problem}

    def version_count(self) -> int:
        with self.store.read() as conn:
            return len(conn.execute(select(record_version.c.id)).all())


@pytest.fixture
def kept(tmp_path: Path, school: Folder) -> Any:
    store = Store.open(f"sqlite:///{tmp_path / 'g.sqlite'}", school.clock)
    yield Kept(store, school)
    store.close()


@pytest.mark.row("E14")
def test_the_same_files_again_write_nothing_whatever_row_they_stand_in(kept: Kept) -> None:
    assert kept.pull()["new"] > 10
    before = kept.version_count()

    assert kept.pull() == {"new": 0, "changed": 0, "gone": 0}
    kept.folder.write("3 журнал.xlsx", ("Журнал", [[], ["новая строка"], *PAGE]), ("Уроки", LESSONS))
    assert kept.pull() == {"new": 0, "changed": 0, "gone": 0}
    assert kept.version_count() == before


@pytest.mark.row("E14")
def test_a_half_file_leaves_what_was_read_of_it_before(kept: Kept) -> None:
    kept.pull()
    path = kept.folder.path / "3 журнал.xlsx"
    path.write_bytes(path.read_bytes()[:1000])

    kept.pull()
    kept.pull()

    assert kept.gone() == {}
    assert len(kept.marks()) == 3
    assert kept.problems() == {"WB_HALF_WRITTEN"}

    path.write_bytes(b"")
    kept.folder.write("3 журнал.xlsx", ("Журнал", PAGE), ("Уроки", LESSONS))
    kept.pull()
    assert kept.problems() == set()


def test_a_cell_that_became_unreadable_is_not_a_cleared_one(kept: Kept) -> None:
    kept.pull()
    page = [list(row) for row in PAGE]
    page[4][1] = "5(2К"
    page[5][2] = "4,3,что-то"
    kept.folder.write("3 журнал.xlsx", ("Журнал", page), ("Уроки", LESSONS))

    kept.pull()
    kept.pull()

    assert kept.gone() == {}
    assert len(kept.marks()) == 3


def test_a_head_that_became_unreadable_clears_no_mark(kept: Kept) -> None:
    kept.pull()
    page = [list(row) for row in PAGE]
    page[3][1] = "о5.09"
    kept.folder.write("3 журнал.xlsx", ("Журнал", page), ("Уроки", LESSONS))

    kept.pull()
    kept.pull()

    assert not {gone for gone in kept.gone().values() if Gone(gone) in DELETABLE}
    # the other column of that day is not taken for the first lesson now
    assert not kept.marks()


def test_a_name_that_became_unreadable_clears_no_mark(kept: Kept) -> None:
    kept.pull()
    page = [list(row) for row in PAGE]
    page[4][0] = "Елкина Ання"
    kept.folder.write("3 журнал.xlsx", ("Журнал", page), ("Уроки", LESSONS))

    kept.pull()
    kept.pull()

    assert not {gone for gone in kept.gone().values() if Gone(gone) in DELETABLE}


def test_a_mark_that_was_cleared_is_a_cleared_one(kept: Kept) -> None:
    kept.pull()
    page = [list(row) for row in PAGE]
    page[5][2] = "4"
    kept.folder.write("3 журнал.xlsx", ("Журнал", page), ("Уроки", LESSONS))

    kept.pull()

    assert set(kept.gone().values()) == {Gone.CLEARED.value}
    assert sorted(mark.raw_points for mark in kept.marks()) == [4.0, 5.0]


def test_a_file_under_another_name_is_the_same_records(kept: Kept) -> None:
    kept.pull()
    (kept.folder.path / "3 журнал.xlsx").rename(kept.folder.path / "4 журнал.xlsx")

    counts = kept.pull()

    assert counts["new"] == counts["gone"] == 0
    assert len(kept.marks()) == 3


def test_a_missing_folder_stops_the_source_and_not_the_others(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "rglob", refuse)

    with pytest.raises(UnreachableError) as caught:
        folder.read()
    assert caught.value.reason_code == "WB_FOLDER"
    monkeypatch.undo()
    folder.path.rmdir()
    with pytest.raises(UnreachableError):
        folder.read()
    assert [line.state for line in folder.source().check()] == [CheckState.FAILED]


ENDS = [
    *TITLE,
    ["ФИО", "05.09", "05.09", "Замечание 05.09", "12.09", "1 четверть", "Год"],
    ["Ёлкина Анна", "о", None, "Помогала другим", None, 5, "зач"],
    ["Ким Роман Ильич", None, "о", None, "5(", 4, 7],
]
REMARKS = [
    ["Дата", "№ урока", "Класс", "Предмет", "ФИО", "Замечание"],
    ["12.09", 2, "7А", "Алгебра", "Ким Роман Ильич", "Без тетради"],
    ["06.09", 1, "7А", "Алгебра", "Ким Роман Ильич", "В воскресенье"],
]


def test_final_marks_remarks_and_lateness_come_as_records_of_their_own(school: Folder) -> None:
    school.write("3 журнал.xlsx", ("Журнал", ENDS), ("Замечания", REMARKS))
    reads = school.read()

    people = {person.ref: person.last_name for person in of(reads, Person)}
    finals = {(people[one.pupil], one.form, one.period): one for one in of(reads, Final)}
    assert {key: one.raw_points for key, one in finals.items()} == {
        ("Ёлкина", "period", "1 четверть"): 5.0,
        ("Ким", "period", "1 четверть"): 4.0,
        ("Ёлкина", "year", None): 0.0,
    }
    assert finals["Ёлкина", "year", None].word == "зач"
    lessons = {lesson.ref: lesson.starts_at.astimezone(MOSCOW) for lesson in of(reads, Lesson)}
    told = {
        (people[one.pupil], one.form, f"{lessons[one.lesson]:%d.%m %H:%M}", one.text)
        for one in of(reads, LessonComment)
    }
    assert told == {
        ("Ёлкина", "late", "05.09 09:25", ""),
        ("Ким", "late", "05.09 10:20", ""),
        ("Ёлкина", "remark", "05.09 10:20", "Помогала другим"),
        ("Ким", "remark", "12.09 09:25", "Без тетради"),
    }
    faults = {(read.kind, fault.reason_code) for read in reads for fault in read.faults}
    assert faults == {
        (Kind.MARK, "WB_MARK"),
        (Kind.ABSENCE, "WB_MARK"),
        (Kind.COMMENT, "WB_MARK"),
        (Kind.COMMENT, "WB_NOT_IN_TIMETABLE"),
        (Kind.FINAL, "WB_MARK_SCALE"),
    }
    final_reads = [read for read in reads if read.kind is Kind.FINAL]
    assert {one.item for one in finals.values()} == set(final_reads[0].items_present)
    refs = [record.ref for read in reads for record in read.records]
    assert len(refs) == len(set(refs))


def test_two_sheets_that_differ_on_a_final_mark_or_a_remark_give_neither(school: Folder) -> None:
    other = [*TITLE, ["ФИО", "1 четверть", "Замечание 05.09"], ["Ёлкина Анна", 4, "Помогала другим"]]
    third = [*TITLE, ["ФИО", "05.09", "Замечание 05.09"], ["Ёлкина Анна", None, "Мешала"]]
    school.write("3 журнал.xlsx", ("Журнал", ENDS), ("Итоги", other), ("Ещё", third))
    reads = school.read()

    assert {one.raw_points for one in of(reads, Final) if one.form == "period"} == {4.0}
    assert parked(reads).count("WB_CONTRADICTION") == 1 + 1


def test_kinds_that_nobody_asked_for_are_not_handed_over(school: Folder) -> None:
    school.write("3 журнал.xlsx", ("Журнал", ENDS))
    want = Want(from_on=WANT.from_on, to_on=WANT.to_on, kinds=frozenset({Kind.MARK, Kind.ABSENCE}))

    assert {read.kind for read in school.read(want)} == {Kind.MARK, Kind.ABSENCE}
