"""One suite for every way to the city: by its interface, and by exported workbooks with a person who types the list.

What `connectors/port.py` promises of a city (`CityPort`) in words that do not depend on ids. What only an interface can do (a
profile's refusals, request ids, weathers) is in `test_mesh_suite.py`; what only a workbook can be is in `test_mesh_file.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.mesh.file.connector import FileCity
from gateway.connectors.port import Accepted, CheckState, CityScope
from gateway.domain.city import AbsenceIntent, HomeworkIntent, MarkIntent
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import ConnectorError
from gateway.domain.identifiers import Kind
from gateway.mapping.normalise import normal_text
from gateway.sandbox.remote import save_export
from gateway.settings import MeshSettings

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
YEAR_FROM, YEAR_TO = date(2026, 9, 1), date(2026, 12, 31)
ALGEBRA = "7А — Алгебра"
KINDS = (Kind.MARK, Kind.ABSENCE, Kind.HOMEWORK, Kind.COMMENT, Kind.FINAL, Kind.TOPICS)
Open = Callable[..., Any]


class Way(ABC):
    """A way to the city, and how what was written by it comes to stand there."""

    def __init__(self, city: Any) -> None:
        self.city = city

    @abstractmethod
    def open(self) -> Any:
        """The port as another process opens it, seeing what stands now."""

    @abstractmethod
    def settle(self, accepted: Accepted, op: str, kind: str, **typed: Any) -> None:
        """What has to happen until an accepted write stands there."""

    @abstractmethod
    def lose(self) -> Any:
        """The port with nothing behind it."""


class ByToken(Way):
    """The interface: what was accepted stands there."""

    def __init__(self, city: Any, open_journal: Open) -> None:
        super().__init__(city)
        self._open = open_journal

    def open(self) -> Any:
        return self._open(self.city).connector

    def settle(self, accepted: Accepted, op: str, kind: str, **typed: Any) -> None:
        del op, kind, typed
        assert not accepted.is_by_hand
        self.city.settle()

    def lose(self) -> Any:
        return self._open(self.city, base_url="http://127.0.0.1:9").connector


class ByExport(Way):
    """Workbooks: what was accepted is on the list, a person types it, and the next export shows it."""

    def __init__(self, city: Any, folder: Path) -> None:
        super().__init__(city)
        self._folder = folder

    def open(self) -> Any:
        save_export(self.city.base_url, self._folder)
        return self._port(self._folder)

    def settle(self, accepted: Accepted, op: str, kind: str, **typed: Any) -> None:
        assert accepted.is_by_hand
        self.city.human(op, kind, **typed)

    def lose(self) -> Any:
        return self._port(self._folder / "nothing")

    @staticmethod
    def _port(folder: Path) -> FileCity:
        # the seed's absences are of reason 1, which the export spells «н»
        fields = {"kind": "file", "folder": folder, "absence_reason_id": 1}
        return FileCity(MeshSettings.model_validate(fields), clock=VirtualClock(NOW))


@pytest.fixture(params=["token", "export"])
def way(request: pytest.FixtureRequest, city: Any, open_journal: Open, tmp_path: Path) -> Way:
    if request.param == "token":
        return ByToken(city, open_journal)
    return ByExport(city, tmp_path / "export")


class Seen:
    """What a port says, in words."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self.directory = port.fetch_directory(NOW.date())
        self.groups = {one.name: one for one in self.directory.groups}
        self.pupils = {one.id: (one.last_name, one.first_name) for one in self.directory.pupils}
        self.forms = {one.id: one.name for one in self.directory.forms}

    def lessons(self, name: str) -> list[Any]:
        return list(self.port.fetch_lessons([self.groups[name].id], YEAR_FROM, YEAR_TO))

    def lesson(self, name: str, day: date) -> Any:
        return next(one for one in self.lessons(name) if one.starts_at.date() == day)

    def scope(self, kind: Kind, name: str, from_on: date = YEAR_FROM, to_on: date = YEAR_TO) -> CityScope:
        group = self.groups[name]
        return CityScope(
            kind=kind,
            group_id=group.id,
            subject_id=group.subject_id,
            level=group.level,
            from_on=from_on,
            to_on=to_on,
        )

    def read(self, kind: Kind, name: str = ALGEBRA) -> list[Any]:
        found = self.port.fetch_scope(self.scope(kind, name))
        assert found.is_complete, found.problem
        assert not found.faults
        return list(found.objects)

    def cell(self, whose: tuple[str, str], day: date) -> list[tuple[str, int, str]]:
        return [
            (one.value, one.weight, self.forms[one.form_id])
            for one in self.read(Kind.MARK)
            if self.pupils[one.pupil_id] == whose and one.on == day
        ]


DAY = date(2026, 11, 17)


class Cell:
    """The group's fourth pupil, who has no marks in the second quarter, at a lesson of it: for the port and for a person."""

    def __init__(self, way: Way) -> None:
        state = way.city.state()
        self.group = next(one for one in state["groups"] if one["name"] == ALGEBRA)
        pupil = self.group["student_ids"][3]
        row = next(one for one in state["student_profiles"] if one["id"] == pupil)
        self.whose = (row["last_name"], row["first_name"])
        lesson = next(
            one
            for one in state["schedule_items"]
            if (one["group_id"], one["date"]) == (self.group["id"], [DAY.year, DAY.month, DAY.day])
        )
        self.place = {"student_profile_id": pupil, "schedule_lesson_id": lesson["id"]}
        self.form = next(
            one
            for one in state["control_forms"]
            if one["subject_id"] == self.group["subject_id"] and one["weight"] == 1
        )

    def intent(self, seen: Seen, **changes: Any) -> MarkIntent:
        group, lesson = seen.groups[ALGEBRA], seen.lesson(ALGEBRA, DAY)
        form = next(
            one
            for one in seen.directory.forms
            if one.name == self.form["name"] and one.subject_id == group.subject_id and not one.is_deleted
        )
        fields: dict[str, Any] = {
            "pupil_id": next(one for one, name in seen.pupils.items() if name == self.whose),
            "lesson_id": lesson.id,
            "group_id": group.id,
            "subject_id": group.subject_id,
            "teacher_id": lesson.teacher_id,
            "on": DAY,
            "value": "5",
            "weight": 1,
            "form_id": form.id,
            "grade_system_id": form.grade_system_id,
            **changes,
        }
        return MarkIntent(**fields)

    def typed(self, value: str) -> dict[str, Any]:
        return {"cell": self.place, "control_form_id": self.form["id"], "weight": 1, "value": value}


def test_the_directory_and_the_timetable_are_those_of_the_city(way: Way) -> None:
    state = way.city.state()
    seen = Seen(way.open())

    assert set(seen.groups) == {one["name"] for one in state["groups"]}
    assert {one.name for one in seen.directory.subjects} == {
        one["name"] for one in state["subjects"] if one["id"] in {group["subject_id"] for group in state["groups"]}
    }
    assert seen.directory.faults == ()
    group = next(one for one in state["groups"] if one["name"] == ALGEBRA)
    told = {seen.pupils[one] for one in seen.groups[ALGEBRA].pupil_ids}
    names = {one["id"]: (one["last_name"], one["first_name"]) for one in state["student_profiles"]}
    # three of the seed bear one name, which a page alone can't tell apart, and one has none yet
    borne = Counter(normal_text(f"{last} {first}") for last, first in names.values())
    expected = {names[one] for one in group["student_ids"] if names[one][0]}
    expected = {one for one in expected if borne[normal_text(" ".join(one))] == 1}
    assert len(expected) == 8
    assert expected <= told
    theirs = Counter(date(*one["date"]) for one in state["schedule_items"] if one["group_id"] == group["id"])
    ours = Counter(one.starts_at.date() for one in seen.lessons(ALGEBRA))
    assert ours == Counter({day: count for day, count in theirs.items() if YEAR_FROM <= day <= YEAR_TO})


def test_all_marks_that_stand_there_are_read_and_no_others(way: Way) -> None:
    group = Cell(way).group
    standing = [one for one in way.city.state()["marks"] if one["group_id"] == group["id"] and not one["deleted_at"]]
    taken = standing.pop()
    way.city.human("delete", "mark", id=taken["id"])
    way.city.settle()

    found = Seen(way.open()).read(Kind.MARK)

    assert Counter(one.value for one in found) == Counter(one["name"] for one in standing)


def test_a_second_opening_gives_the_same_ids_and_objects(way: Way) -> None:
    first, second = Seen(way.open()), Seen(way.open())

    assert {name: one.id for name, one in first.groups.items()} == {name: one.id for name, one in second.groups.items()}
    for kind in KINDS:
        assert {one.id: one for one in first.read(kind)} == {one.id: one for one in second.read(kind)}, kind


def test_a_scope_of_some_days_is_of_those_days_only(way: Way) -> None:
    seen = Seen(way.open())
    day, later = date(2026, 10, 13), date(2026, 12, 1)

    read = seen.port.fetch_scope(seen.scope(Kind.MARK, ALGEBRA, day, day))
    ahead = [seen.port.fetch_scope(seen.scope(kind, ALGEBRA, later, later)) for kind in (Kind.MARK, Kind.ABSENCE)]

    assert read.is_complete
    assert {one.on for one in read.objects} == {day}
    assert [(one.is_complete, list(one.objects)) for one in ahead] == [(True, [])] * 2


def test_a_mark_is_created_changed_and_deleted_and_each_is_seen_by_the_next_read(way: Way) -> None:
    cell = Cell(way)
    seen = Seen(way.open())
    assert seen.cell(cell.whose, DAY) == []

    way.settle(seen.port.create(cell.intent(seen, value="4"), request_id="r-1"), "create", "mark", **cell.typed("4"))
    seen = Seen(way.open())
    assert seen.cell(cell.whose, DAY) == [("4", 1, cell.form["name"])]

    (mark,) = [one for one in seen.read(Kind.MARK) if seen.pupils[one.pupil_id] == cell.whose and one.on == DAY]
    (row,) = [
        one
        for one in way.city.state()["marks"]
        if {name: one[name] for name in cell.place} == cell.place and not one["deleted_at"]
    ]
    changed = seen.port.change(mark.id, cell.intent(seen, value="3"), request_id="r-2")
    way.settle(changed, "change", "mark", id=row["id"], value="3")
    seen = Seen(way.open())
    assert seen.cell(cell.whose, DAY) == [("3", 1, cell.form["name"])]

    (mark,) = [one for one in seen.read(Kind.MARK) if seen.pupils[one.pupil_id] == cell.whose and one.on == DAY]
    way.settle(seen.port.delete(mark.id, cell.intent(seen), request_id="r-3"), "delete", "mark", id=row["id"])
    assert Seen(way.open()).cell(cell.whose, DAY) == []
    assert [one["op"] for one in way.city.ledger()] == ["create", "change", "delete"]


def test_an_absence_and_a_homework_are_seen_by_the_next_read(way: Way) -> None:
    cell = Cell(way)
    seen = Seen(way.open())
    group, lesson = seen.groups[ALGEBRA], seen.lesson(ALGEBRA, DAY)
    pupil = next(one for one, name in seen.pupils.items() if name == cell.whose)
    absence = AbsenceIntent(
        pupil_id=pupil, lesson_id=lesson.id, group_id=group.id, teacher_id=lesson.teacher_id, on=DAY, reason_id=1
    )
    homework = HomeworkIntent(
        group_id=group.id,
        subject_id=group.subject_id,
        teacher_id=group.teacher_ids[0],
        assigned_on=DAY,
        prepared_for=date(2026, 11, 24),
        text="§ 4, № 12",
        pupil_ids=(pupil,),
    )

    way.settle(seen.port.create(absence, request_id="r-1"), "create", "attendance", cell=cell.place, value=1)
    way.settle(
        seen.port.create(homework, request_id="r-2"),
        "create",
        "homework",
        group_id=cell.group["id"],
        subject_id=cell.group["subject_id"],
        teacher_id=cell.group["teachers"][0]["id"],
        date_assigned_on=f"{DAY:%d.%m.%Y}",
        date_prepared_for="24.11.2026",
        student_ids=[cell.place["student_profile_id"]],
        value="§ 4, № 12",
    )
    seen = Seen(way.open())

    assert [
        one.reason_id for one in seen.read(Kind.ABSENCE) if (seen.pupils[one.pupil_id], one.on) == (cell.whose, DAY)
    ] == [1]
    assert [
        (one.text, one.prepared_for, [seen.pupils[pupil] for pupil in one.pupil_ids])
        for one in seen.read(Kind.HOMEWORK)
        if one.assigned_on == DAY
    ] == [("§ 4, № 12", date(2026, 11, 24), [cell.whose])]


def test_with_nothing_behind_it_nothing_looks_empty_and_no_name_is_told(way: Way) -> None:
    seen = Seen(way.open())
    lost = way.lose()

    with pytest.raises(ConnectorError) as caught:
        lost.fetch_directory(NOW.date())
    read = lost.fetch_scope(seen.scope(Kind.MARK, ALGEBRA))
    lines = list(lost.check())

    assert not read.is_complete
    assert {line.state for line in lines} & {CheckState.FAILED, CheckState.MISSING}
    texts = [str(caught.value), repr(read.problem), *(line.sentence for line in lines)]
    names = {name for pair in seen.pupils.values() for name in pair if name}
    assert not [name for name in names for text in texts if name in text]
