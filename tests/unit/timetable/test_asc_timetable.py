"""aSc TimeTables: masks laid out by the calendar, each fault by its lesson, and files that are made to hurt refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.planner.asc.expand import expand
from gateway.connectors.planner.asc.source import AscSource
from gateway.connectors.planner.asc.xml import read_export
from gateway.connectors.port import CheckState, ScopeRead, Want
from gateway.domain.calendar import DayRange
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import IncompleteReadError
from gateway.domain.identifiers import Kind
from gateway.domain.records import Lesson
from gateway.domain.school_year import LastDay, MovedDay, SchoolYear, YearHoliday
from gateway.sandbox.planner.timetable import build_asc_xml
from gateway.sandbox.school import School

NOW = datetime(2026, 11, 23, 15, 50, tzinfo=UTC)
YEAR = SchoolYear(year="2026/27", from_on=date(2026, 9, 1), to_on=date(2027, 5, 26))
WANT = Want(from_on=date(2026, 9, 1), to_on=date(2027, 8, 31))

HEAD = """<?xml version="1.0" encoding="UTF-8"?><timetable ascttversion="2021.6.2"><periods>
<period period="0" starttime="8:00" endtime="8:40"/><period period="1" starttime="9:00" endtime="9:45"/>
<period period="2" starttime="9:55" endtime="10:40"/></periods>
<subjects><subject id="S1" name="Алгебра"/><subject id="S2" name="Английский язык"/></subjects>
<teachers><teacher id="T1" name="Иванова Анна" partner_id="X-1"/></teachers>
<classes><class id="C7" name="7А"/><class id="C8" name="8А"/></classes>
<groups><group id="G7" classid="C7" entireclass="1"/><group id="G71" classid="C7" entireclass="0" name="1 группа"/>
<group id="G8" classid="C8" entireclass="1"/></groups>"""


def export(tmp_path: Path, lessons: str, cards: str, head: str = HEAD) -> Path:
    path = tmp_path / "timetable.xml"
    path.write_text(f"{head}<lessons>{lessons}</lessons><cards>{cards}</cards></timetable>", encoding="utf-8")
    return path


def lesson(**changes: str) -> str:
    usual = {"id": "L1", "subjectid": "S1", "classids": "C7", "groupids": "G7", "teacherids": "T1"}
    return "<lesson " + " ".join(f'{key}="{value}"' for key, value in (usual | changes).items()) + "/>"


def card(**changes: str) -> str:
    usual = {"lessonid": "L1", "period": "1", "days": "10000", "weeks": "1", "terms": "1"}
    return "<card " + " ".join(f'{key}="{value}"' for key, value in (usual | changes).items()) + "/>"


def days(path: Path, year: SchoolYear = YEAR, group: str = "timetable/group:C7-S1") -> list[date]:
    found = expand(read_export(path), year, source="timetable", zone="Europe/Moscow")
    return [one.starts_at.date() for one in found.lessons.get(group, ())]


def test_a_card_falls_on_each_of_its_weekdays_that_the_calendar_teaches(tmp_path: Path) -> None:
    year = SchoolYear(
        year="2026/27",
        from_on=date(2026, 9, 1),
        to_on=date(2027, 5, 26),
        holidays=(YearHoliday(name="осенние", from_on=date(2026, 10, 26), to_on=date(2026, 11, 1)),),
        moved=(MovedDay(on=date(2026, 12, 5), weekday=1), MovedDay(on=date(2026, 11, 9))),
        last_days=(LastDay(on=date(2026, 12, 20), grades=(7,)),),
    )

    found = days(export(tmp_path, lesson(), card()), year)

    assert found[:2] == [date(2026, 9, 7), date(2026, 9, 14)]
    assert date(2026, 10, 26) not in found
    assert date(2026, 11, 9) not in found
    assert date(2026, 12, 5) in found  # a Saturday taught as a Monday
    assert found[-1] == date(2026, 12, 14)


@pytest.mark.parametrize(
    ("weeks", "terms", "first"),
    [
        ("10", "1", [date(2026, 9, 14), date(2026, 9, 28)]),
        ("01", "1", [date(2026, 9, 7), date(2026, 9, 21)]),
        ("10,01", "1", [date(2026, 9, 7), date(2026, 9, 14)]),
        ("1", "01", [date(2027, 1, 11), date(2027, 1, 18)]),
        ("", "", [date(2026, 9, 7), date(2026, 9, 14)]),
    ],
)
def test_weeks_alternate_and_terms_are_those_of_the_calendar(
    tmp_path: Path, weeks: str, terms: str, first: list[date]
) -> None:
    year = SchoolYear(
        year="2026/27",
        from_on=date(2026, 9, 1),
        to_on=date(2027, 5, 26),
        terms=(DayRange(date(2026, 9, 1), date(2026, 12, 30)), DayRange(date(2027, 1, 11), date(2027, 5, 26))),
    )

    assert days(export(tmp_path, lesson(), card(weeks=weeks, terms=terms)), year)[:2] == first


def test_a_double_lesson_is_two_and_the_bells_ring_in_the_school_s_zone(tmp_path: Path) -> None:
    path = export(tmp_path, lesson(periodspercard="2"), card())

    lessons = expand(read_export(path), YEAR, source="timetable", zone="Europe/Moscow").lessons["timetable/group:C7-S1"]

    assert [one.starts_at for one in lessons[:2]] == [
        datetime(2026, 9, 7, 6, 0, tzinfo=UTC),
        datetime(2026, 9, 7, 6, 55, tzinfo=UTC),
    ]
    assert [(one.ordinal, one.duration_min) for one in lessons[:2]] == [(1, 45), (2, 45)]
    assert len({one.ref for one in lessons}) == len(lessons)


def test_a_lesson_of_two_classes_is_one_of_each_and_a_part_of_a_class_a_group_of_its_own(tmp_path: Path) -> None:
    joint = lesson(classids="C7,C8", groupids="G7,G8")
    english = lesson(id="L2", subjectid="S2", groupids="G71")
    path = export(tmp_path, joint + english, card() + card(lessonid="L2", period="0", days="01000"))

    found = expand(read_export(path), YEAR, source="timetable", zone="Europe/Moscow")

    assert {group.ref: group.class_name for group in found.groups} == {
        "timetable/group:C7-S1": "7А",
        "timetable/group:C8-S1": "8А",
        "timetable/group:G71-S2": "7А",
    }
    assert found.groups[-1].name == "Английский язык 7А 1 группа"
    assert {one.person for one in found.assignments["timetable/group:C7-S1"]} == {"timetable/person:T1"}
    assert found.teachers[0].school_id == "X-1"
    assert found.lessons["timetable/group:G71-S2"][0].starts_at == datetime(2026, 9, 1, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lessons", "cards"),
    [
        (lesson(subjectid="S9"), card()),
        (lesson(classids="C9"), card()),
        (lesson(classids=""), card()),
        (lesson(), ""),
        (lesson(), card(period="9")),
        (lesson(), card(days="")),
        (lesson(), card(days="monday")),
    ],
)
def test_what_can_not_be_placed_is_a_fault_of_its_lesson_and_the_rest_stands(
    tmp_path: Path, lessons: str, cards: str
) -> None:
    good = lesson(id="L2", classids="C8", groupids="G8")
    path = export(tmp_path, lessons + good, cards + card(lessonid="L2"))

    found = expand(read_export(path), YEAR, source="timetable", zone="Europe/Moscow")

    parked = [fault for faults in (found.faults, *found.lesson_faults.values()) for fault in faults]
    assert {fault.where for fault in parked} == {"timetable/lesson:L1"}
    assert found.faults_count == 1
    assert len(found.lessons["timetable/group:C8-S1"]) > 30


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ха"}">' for n in range(9))
BODY = "<timetable><x>&a8;</x></timetable>"
UTF8 = '<?xml version="1.0" encoding="UTF-8"?>'


@pytest.mark.row("E13")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"<html></html>",
        f"{UTF8}<!DOCTYPE timetable [{BOMB}]>{BODY}".encode(),
        f'<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE t [{BOMB}]>{BODY}'.encode("utf-16"),
        f'{UTF8}<!DOCTYPE t SYSTEM "http://127.0.0.1:1/x.dtd"><timetable/>'.encode(),
        b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE t+AD4-<timetable/>',
        f"{UTF8}<!--{'x' * 70_000}--><!DOCTYPE t [{BOMB}]>{BODY}".encode(),
        f"{UTF8}<timetable><periods/></timetable>".encode(),
        f"{UTF8}<timetable><lessons><lesson id='1'/>".encode(),
        f"{UTF8}<timetable><period period='1'/><lesson id='{'x' * 30_000}'/></timetable>".encode(),
        (UTF8 + "<timetable>" + "<a>" * 5000).encode(),
    ],
)
def test_a_file_that_is_no_plain_export_is_refused_before_it_can_do_anything(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "timetable.xml"
    path.write_bytes(content)

    with pytest.raises(IncompleteReadError) as caught:
        read_export(path)

    assert "127.0.0.1" not in caught.value.sentence


FAR_DTD = f"<!--<timetable>{'x' * 70_000}--><!DOCTYPE timetable [<!ENTITY e 'Алгебра'>]>"


@pytest.mark.row("E13")
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_a_document_type_is_refused_however_far_from_the_beginning_it_stands(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "timetable.xml"
    whole = HEAD.replace("<timetable", f"{FAR_DTD}<timetable", 1).replace('name="Алгебра"', 'name="&e;"')
    whole = whole.replace("UTF-8", encoding) + f"<lessons>{lesson()}</lessons><cards>{card()}</cards></timetable>"
    path.write_bytes(whole.encode(encoding))

    with pytest.raises(IncompleteReadError, match="DOCTYPE"):
        read_export(path)


@pytest.mark.row("E13")
def test_a_document_type_that_only_the_parser_sees_is_refused_by_what_the_parser_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.connectors.planner.asc.xml._FORBIDDEN", (b"never",))
    path = export(tmp_path, lesson(), card(), HEAD.replace("<timetable", f"{FAR_DTD}<timetable", 1))

    with pytest.raises(IncompleteReadError, match="DOCTYPE"):
        read_export(path)


def test_an_element_of_more_attributes_than_any_export_has_is_refused(tmp_path: Path) -> None:
    path = export(tmp_path, lesson(**{f"a{number}": "" for number in range(200)}), card())

    with pytest.raises(IncompleteReadError, match="свойств"):
        read_export(path)


def test_a_file_beyond_the_caps_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export(tmp_path, lesson(), card() * 50)
    monkeypatch.setattr("gateway.connectors.planner.asc.xml.MAX_ELEMENTS", 40)
    with pytest.raises(IncompleteReadError, match="элементов"):
        read_export(path)
    monkeypatch.setattr("gateway.connectors.planner.asc.xml.MAX_BYTES", 100)
    with pytest.raises(IncompleteReadError, match="МБ"):
        read_export(path)


class Nothing:
    def changed_marks(self, scope: str) -> list[str]:
        del scope
        return []


def source(path: Path, year: SchoolYear | None) -> AscSource:
    return AscSource(path, name="timetable", find_year=lambda: year, zone="Europe/Moscow", clock=VirtualClock(NOW))


def test_the_made_up_school_s_timetable_gives_the_lessons_that_its_portal_holds(tmp_path: Path) -> None:
    school = School(pupils=27, seed=1, now=NOW)
    path = tmp_path / "timetable.xml"
    path.write_bytes(build_asc_xml(school, subjects_count=2))

    reads = list(source(path, YEAR).iter_scopes(WANT, Nothing()))

    assert len({read.scope for read in reads}) == len(reads)
    assert not any(read.faults for read in reads)
    for room in range(school.class_count):
        for subject in range(2):
            name = f"lesson|timetable/school|timetable/group:C{room}-S{subject}"
            starts = {one.starts_at for one in _lessons(reads, name)}
            held = {slot.starts_at for slot in school.iter_lessons(room, subject, is_past=True)}
            planned = {slot.starts_at for slot in school.iter_lessons(room, subject, is_past=False)}
            assert held | planned <= starts


def _lessons(reads: list[ScopeRead], scope: str) -> list[Any]:
    read = next(read for read in reads if read.scope == scope)
    assert read.kind is Kind.LESSON
    assert all(isinstance(one, Lesson) for one in read.records)
    return list(read.records)


def test_without_a_calendar_or_a_file_the_check_says_what_to_do(tmp_path: Path) -> None:
    path = export(tmp_path, lesson(), card())

    states = {
        "none": list(source(path, None).check()),
        "away": list(source(tmp_path / "no.xml", YEAR).check()),
        "good": list(source(path, YEAR).check()),
    }

    assert [states[name][0].state for name in states] == [CheckState.FAILED, CheckState.FAILED, CheckState.OK]
    assert "gateway calendar import" in states["none"][0].sentence
    with pytest.raises(IncompleteReadError):
        list(source(path, None).iter_scopes(WANT, Nothing()))
