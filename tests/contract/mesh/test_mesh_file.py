"""The city without a token: an export says of a group what the interface says of it, and nothing is ever written."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from gateway.connectors.mesh.file.connector import FileCity
from gateway.connectors.port import CheckState, CityDirectory, CityScope
from gateway.domain.city import CityAbsence, CityComment, CityFinal, CityHomework, CityMark
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import ConfigurationError, IncompleteReadError
from gateway.domain.identifiers import Kind
from gateway.sandbox.remote import save_export
from gateway.settings import MeshSettings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
YEAR_FROM, YEAR_TO = date(2026, 9, 1), date(2026, 12, 31)
ALGEBRA = "7А — Алгебра"
KINDS = (Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK, Kind.COMMENT, Kind.FINAL, Kind.TOPICS)
Open = Callable[..., Any]


def open_file(folder: Path, **settings: Any) -> FileCity:
    # The seed's absences are of reason 1, which the export spells «н».
    fields = {"kind": "file", "folder": folder, "absence_reason_id": 1, **settings}
    return FileCity(MeshSettings.model_validate(fields), clock=VirtualClock(NOW))


class Told:
    """A connector's answers in words that do not depend on ids."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self.directory: CityDirectory = port.fetch_directory(NOW.date())
        self.pupils = {one.id: (one.last_name, one.first_name, one.birth_on) for one in self.directory.pupils}
        self.forms = {one.id: one.name for one in self.directory.forms}
        self.periods = {one.id: one.name for one in self.directory.periods}
        self.teachers = {one.id: (one.last_name, one.first_name) for one in self.directory.teachers}
        self.groups = {one.name: one for one in self.directory.groups}

    def lessons(self, name: str) -> dict[int, tuple[Any, ...]]:
        return {
            one.id: (one.starts_at, one.duration_min, one.number, one.is_cancelled, self.teachers.get(one.teacher_id))
            for one in self.port.fetch_lessons([self.groups[name].id], YEAR_FROM, YEAR_TO)
        }

    def read(self, kind: Kind, name: str) -> Any:
        group = self.groups[name]
        return self.port.fetch_scope(
            CityScope(
                kind=kind,
                group_id=group.id,
                subject_id=group.subject_id,
                level=group.level,
                from_on=YEAR_FROM,
                to_on=YEAR_TO,
            )
        )

    def told(self, kind: Kind, name: str) -> Counter[Any]:
        read = self.read(kind, name)
        assert read.problem is None, read.problem.sentence
        lessons = self.lessons(name)
        return Counter(self._words(one, lessons) for one in read.objects)

    def _words(self, one: Any, lessons: dict[int, Any]) -> tuple[Any, ...]:
        match one:
            case CityMark():
                place = (self.pupils[one.pupil_id], lessons[one.lesson_id], one.on)
                return (*place, one.value, one.weight, self.forms[one.form_id], one.is_point)
            case CityAbsence():
                return (self.pupils[one.pupil_id], lessons[one.lesson_id], one.reason_id)
            case CityComment():
                return (self.pupils[one.pupil_id], lessons[one.lesson_id], one.form, one.text)
            case CityFinal():
                return (self.pupils[one.pupil_id], one.form, self.periods.get(one.period_id), one.value)
            case CityHomework():
                whom = tuple(sorted(str(self.pupils[pupil]) for pupil in one.pupil_ids))
                return (one.assigned_on, one.prepared_for, one.text, whom, self.teachers.get(one.teacher_id))
        return tuple((lesson.module, lesson.topic) for lesson in one.lessons)


@pytest.fixture
def exported(city: Any, tmp_path: Path) -> Path:
    """The seed's school with something of every kind, as a person exported it."""
    state = city.state()
    group = next(one for one in state["groups"] if one["name"] == ALGEBRA)
    lesson = next(one for one in state["schedule_items"] if one["group_id"] == group["id"] and one["date"][1] == 11)
    pupil = group["student_ids"][2]
    cell = {"schedule_lesson_id": lesson["id"]}
    city.human("create", "lesson_comment", student_id=pupil, cell=cell, value="О")
    year = {"subject_id": group["subject_id"], "academic_year_id": 14}
    city.human("create", "final_mark", student_profile_id=pupil, is_year_mark=True, value="5", **year)
    days = {"date_assigned_on": "10.11.2026", "date_prepared_for": "17.11.2026"}
    body = {
        "group_id": group["id"],
        "subject_id": group["subject_id"],
        "teacher_id": group["teachers"][0]["id"],
        **days,
    }
    city.human("create", "homework", value="§ 4, № 12", student_ids=group["student_ids"][:2], **body)
    save_export(city.base_url, tmp_path / "export")
    return tmp_path / "export"


def test_an_export_says_what_the_interface_says(city: Any, open_journal: Open, exported: Path) -> None:
    by_token, by_file = Told(open_journal(city).connector), Told(open_file(exported))

    assert by_file.groups.keys() == by_token.groups.keys()
    assert set(by_file.pupils.values()) >= {one for one in by_token.pupils.values() if one[0] is not None}
    for name, group in by_token.groups.items():
        theirs = by_file.groups[name]
        assert (theirs.subject_name, theirs.level, theirs.class_name) == (
            group.subject_name,
            group.level,
            group.class_name,
        )
        assert Counter(by_file.lessons(name).values()) == Counter(by_token.lessons(name).values()), name
        for kind in KINDS:
            expected = by_token.told(kind, name)
            if kind is Kind.HOMEWORK:  # the seed's homework is for everybody there was; names of who left are not told
                assert {one[:3] for one in by_file.told(kind, name)} == {one[:3] for one in expected}
            else:
                assert by_file.told(kind, name) == expected, (name, kind)
    assert by_file.told(Kind.MARK, ALGEBRA)
    assert by_file.told(Kind.COMMENT, ALGEBRA)


def test_ids_are_the_same_in_every_export(city: Any, exported: Path, tmp_path: Path) -> None:
    first = Told(open_file(exported))
    city.human("create", "mark", **mark_of(city), value="3")
    save_export(city.base_url, tmp_path / "later")

    later = Told(open_file(tmp_path / "later"))

    assert later.pupils.keys() == first.pupils.keys()
    before = {one.id: one.value for one in first.read(Kind.MARK, ALGEBRA).objects}
    after = {one.id: one.value for one in later.read(Kind.MARK, ALGEBRA).objects}
    assert before.items() < after.items()
    assert len(after) == len(before) + 1


def mark_of(city: Any) -> dict[str, Any]:
    state = city.state()
    group = next(one for one in state["groups"] if one["name"] == ALGEBRA)
    lesson = next(one for one in state["schedule_items"] if one["group_id"] == group["id"] and one["date"][1] == 11)
    form = next(one for one in state["control_forms"] if one["subject_id"] == group["subject_id"])
    cell = {"student_profile_id": group["student_ids"][3], "schedule_lesson_id": lesson["id"]}
    return {"cell": cell, "control_form_id": form["id"], "weight": 1}


def test_nothing_is_ever_written(city: Any, open_journal: Open, exported: Path) -> None:
    journal = open_journal(city)
    intent = journal.mark(journal.group(ALGEBRA), journal.lesson(journal.group(ALGEBRA), "2026-11-17"))
    port = open_file(exported)
    before = {path: path.read_bytes() for path in exported.iterdir()}

    told = [
        port.create(intent, request_id="r1"),
        port.change(7, intent, request_id="r2"),
        port.delete(7, intent, request_id="r3"),
    ]

    assert [(one.is_by_hand, one.city_id) for one in told] == [(True, None), (True, 7), (True, 7)]
    assert {path: path.read_bytes() for path in exported.iterdir()} == before
    assert len(city.ledger()) == 3  # what the person of the fixture typed


def test_the_newest_export_of_a_page_counts(city: Any, exported: Path, tmp_path: Path) -> None:
    city.human("create", "mark", **mark_of(city), value="3")
    city._post("clock", {"advance_s": 3600})
    save_export(city.base_url, tmp_path / "later")
    for path in (tmp_path / "later").iterdir():
        path.rename(exported / f"новая {path.name}")

    newest = Told(open_file(exported)).read(Kind.MARK, ALGEBRA)

    values = [one.value for one in newest.objects]
    only_later = Told(open_file(exported))
    assert values.count("3") >= 1
    assert newest.read_at == datetime(2026, 11, 23, 13, 0, tzinfo=UTC)
    assert len(only_later.groups) == len({one.name for one in only_later.directory.groups})


def test_a_folder_is_read_again_only_when_something_in_it_changed(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = CalamineWorkbook.from_path
    port = open_file(exported)
    told = Told(port)
    monkeypatch.setattr(
        "gateway.connectors.mesh.file.workbook.CalamineWorkbook",
        type("Spy", (), {"from_path": staticmethod(lambda path: opened.append(str(path)) or real(path))}),
    )

    told.read(Kind.MARK, ALGEBRA)
    assert opened == []
    (exported / "Ученики.xlsx").touch()
    told.read(Kind.MARK, ALGEBRA)

    assert len(opened) == len(list(exported.iterdir()))


# --- pages as people make them


def write_book(path: Path, sheets: dict[str, list[Sequence[Any]]]) -> None:
    with xlsxwriter.Workbook(str(path)) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)


PAGE: dict[str, list[Sequence[Any]]] = {
    "Журнал": [
        ("ГБОУ Школа № 0",),
        (),
        ("Предмет", "", "Алгебра"),
        ("Класс:", "7А"),
        ("Учебная группа:", "7А Алгебра"),
        ("Сформировано:", "23.11.2026 10:00"),
        ("Дата рождения", "ФИО", "10.11.2026 №2", "11.11.2026"),
        ("", "Семёнова Алёна Львовна", "н, 5 (2КР)", ""),
        ("01.02.2013", "Белов Илья", "4", "•2 (1Т)"),
        ("", "", "", ""),
    ],
    "Расписание": [
        ("Тема урока", "№ урока", "Начало", "Дата", "Преподаватель"),
        ("Степень", 2, "09:25", "10.11.2026", "Ромашкина Тамара Игоревна"),
        ("", 1, "08:30", "2026-11-11", ""),
    ],
    "Виды работ": [("Вид работы", "Кратко", "Вес"), ("Контрольная работа", "КР", 2), ("Тест", "Т", 1)],
    "Периоды": [("Период", "Начало", "Окончание"), ("2 Четверть", "02.11.2026", "30.12.2026")],
}


def page_with(folder: Path, **changes: Any) -> Told:
    folder.mkdir(exist_ok=True)
    write_book(folder / "алгебра.xlsx", {**PAGE, **changes})
    return Told(open_file(folder))


def test_heads_are_found_by_meaning_in_any_order_below_any_title(tmp_path: Path) -> None:
    told = page_with(tmp_path)

    (group,) = told.directory.groups
    assert (group.name, group.subject_name, group.level) == ("7А Алгебра", "Алгебра", 7)
    marks = {
        (told.pupils[one.pupil_id][0], one.value, one.weight, told.forms.get(one.form_id), one.is_point)
        for one in told.read(Kind.MARK, group.name).objects
    }
    assert marks == {
        ("Семёнова", "5", 2, "Контрольная работа", False),
        ("Белов", "4", 1, None, False),
        ("Белов", "2", 1, "Тест", True),
    }
    (absence,) = told.read(Kind.ABSENCE, group.name).objects
    assert (told.pupils[absence.pupil_id][0], absence.on) == ("Семёнова", date(2026, 11, 10))
    assert told.pupils[next(one for one in told.pupils if told.pupils[one][0] == "Белов")][2] == date(2013, 2, 1)


def test_a_schools_own_words_are_read_from_its_layout_file(tmp_path: Path) -> None:
    layout = tmp_path / "layout.toml"
    layout.write_text('[sheets]\njournal = ["Лист1"]\n[heads.journal]\npupil = ["Обучающийся"]\n', encoding="utf-8")
    rows = [("Обучающийся" if cell == "ФИО" else cell for cell in row) for row in PAGE["Журнал"]]
    folder = tmp_path / "export"
    folder.mkdir()
    others = {name: sheet for name, sheet in PAGE.items() if name != "Журнал"}
    write_book(folder / "а.xlsx", {"Лист1": [list(row) for row in rows], **others})

    told = Told(open_file(folder, layout_file=layout))

    assert len(told.read(Kind.MARK, "7А Алгебра").objects) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[sheets]\nmarks = ["Лист1"]\n', "sheets.marks"),
        ('[heads.grades]\npupil = ["a"]\n', "heads.grades"),
        ("[sheets", "не читается"),
        ("[sheets]\njournal = 5\n", "sheets.journal"),
    ],
)
def test_a_wrong_layout_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "layout.toml").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=message):
        open_file(tmp_path, layout_file=tmp_path / "layout.toml")


def changed_cell(sheet: str, row: int, column: int, cell: Any) -> dict[str, Any]:
    rows = [list(one) for one in PAGE[sheet]]
    rows[row][column] = cell
    return {sheet: rows}


@pytest.mark.parametrize(
    ("change", "kind", "where"),
    [
        (changed_cell("Журнал", 7, 2, "5 (2КР"), Kind.MARK, "алгебра.xlsx / Журнал / C8"),
        (changed_cell("Журнал", 8, 2, "4 (1ЯЯ)"), Kind.MARK, "алгебра.xlsx / Журнал / C9"),
        (changed_cell("Журнал", 6, 2, "12.11.2026 №5"), Kind.ABSENCE, "алгебра.xlsx / Журнал / C8"),
        ({"Замечания": [("Дата", "Урок", "Ученик", "Замечание"), ("вчера", 2, "Белов Илья", "О")]}, Kind.COMMENT, "A2"),
        ({"Итоги": [("Ученик", "Вид", "Отметка"), ("Белов Илья", "полугодовая", "5")]}, Kind.FINAL, "B2"),
        (
            {"Итоги": [("Ученик", "Вид", "Период", "Отметка"), ("Белов Илья", "период", "9 Четверть", "5")]},
            Kind.FINAL,
            "C2",
        ),
        ({"Домашние задания": [("Задано", "Срок", "Текст"), ("10.11.2026", "", "§ 4")]}, Kind.HOMEWORK, "B2"),
        ({"КТП": [("Что-то", "Другое"), ("1", "2")]}, Kind.TOPICS, "алгебра.xlsx / КТП"),
    ],
)
def test_what_is_not_understood_is_named_in_its_cell_and_never_taken_for_absent(
    tmp_path: Path, change: dict[str, Any], kind: Kind, where: str
) -> None:
    read = page_with(tmp_path, **change).read(kind, "7А Алгебра")

    assert not read.objects
    assert read.problem is not None
    assert read.faults[0].where.endswith(where)
    assert "Белов" not in f"{read.problem.sentence} {read.faults[0].where}"


def test_pupils_who_cannot_be_told_apart_are_nobodys(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    heads = ("Фамилия", "Имя", "Отчество", "Дата рождения", "Класс")
    rows = [("Семёнова", "Алёна", "Львовна", day, "7А") for day in ("14.03.2013", "02.08.2013")]
    write_book(folder / "список.xlsx", {"Ученики": [heads, *rows]})
    told = page_with(folder)

    read = told.read(Kind.MARK, "7А Алгебра")

    assert read.problem is not None
    assert read.faults[0].where.endswith("B8")


def test_a_timetable_that_cannot_be_read_stops_the_group_and_no_other(tmp_path: Path) -> None:
    told = page_with(tmp_path, **changed_cell("Расписание", 1, 2, "утром"))
    other = {**PAGE, "Журнал": [("Предмет", "Физика"), *PAGE["Журнал"][3:4], *PAGE["Журнал"][5:]]}
    write_book(tmp_path / "физика.xlsx", other)
    told = Told(open_file(tmp_path))

    with pytest.raises(IncompleteReadError, match="C2"):
        told.lessons("7А Алгебра")
    assert told.lessons("7А — Физика")


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"\0" * (2 * 1024 * 1024))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
        lambda path: path.write_text("не таблица", encoding="utf-8"),
        bomb,
        lambda path: write_book(path, {"Журнал": [("ФИО", "10.11.2026"), ("Белов Илья", "5")]}),
    ],
    ids=["half written", "no workbook", "a bomb", "nobody's page"],
)
def test_a_file_that_is_no_page_is_told_and_the_others_are_read(
    tmp_path: Path, spoil: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.connectors.mesh.file.workbook.MAX_UNPACKED_BYTES", 1024 * 1024)
    page_with(tmp_path)
    write_book(tmp_path / "другая.xlsx", PAGE)
    (tmp_path / "~$алгебра.xlsx").write_bytes(b"lock")
    spoil(tmp_path / "другая.xlsx")
    port = open_file(tmp_path)

    told = Told(port)
    lines = list(port.check())

    assert len(told.directory.groups) == 1
    assert [fault.partition(":")[0].partition(" ")[0] for fault in told.directory.faults] == ["другая.xlsx"]
    assert [line.state for line in lines] == [CheckState.OK, CheckState.FAILED]


def test_an_empty_or_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "нет такой"):
        (line,) = open_file(folder).check()
        assert line.state is CheckState.MISSING
    with pytest.raises(IncompleteReadError):
        open_file(tmp_path).fetch_directory(NOW.date())
    with pytest.raises(ConfigurationError, match=r"mesh\.folder"):
        FileCity(MeshSettings(kind="file"), clock=VirtualClock(NOW))


def test_a_page_that_was_taken_away_is_unknown_and_not_empty(exported: Path) -> None:
    told = Told(open_file(exported))
    for path in exported.glob("Журнал*.xlsx"):
        path.unlink()

    assert isinstance(told.read(Kind.MARK, ALGEBRA).problem, IncompleteReadError)
