"""Cards of a timetable laid out over the school's year: bit masks of days, weeks and terms become lessons with dates.

Pure. A card is one placed slot; which days it falls on is said by the calendar: holidays, moved days, the last day of a
grade. A lesson of several classes is one lesson of each class's group, because journals are kept by group.

Source: portal-and-planner.md §d, reading rules.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import msgspec

from gateway.connectors.planner.asc.xml import Export, Row
from gateway.domain.errors import RecordError
from gateway.domain.identifiers import sourced
from gateway.domain.records import Entry, Group, Lesson, Person, Subject, TeachingAssignment
from gateway.domain.school_year import SchoolYear

ENTRY = Entry(way="timetable")
_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_GRADE = re.compile(r"\d{1,2}")
_MASK = re.compile(r"[01]{1,62}")


class Expanded(msgspec.Struct, frozen=True, kw_only=True):
    """A timetable with dates.

    Attributes:
        lessons: Group ref → its lessons of the whole year, in order; laid out when they are asked for, one group at a time.
        lesson_faults: Group ref → what of its lessons can't be placed, parked under what their refs begin with.
        faults: What of the file is of no group; the rest is placed.
    """

    subjects: tuple[Subject, ...]
    teachers: tuple[Person, ...]
    groups: tuple[Group, ...]
    assignments: Mapping[str, tuple[TeachingAssignment, ...]]
    lessons: Mapping[str, tuple[Lesson, ...]]
    lesson_faults: Mapping[str, tuple[RecordError, ...]]
    faults: tuple[RecordError, ...]

    @property
    def faults_count(self) -> int:
        """Lessons and cards that can't be placed."""
        return len(
            {(one.where, one.sentence) for found in (self.faults, *self.lesson_faults.values()) for one in found}
        )


class _Lessons(Mapping[str, tuple[Lesson, ...]]):
    """Lessons by group, made anew each time: a school's whole year at once would be a hundred thousand records."""

    def __init__(self, keys: Mapping[str, str], lay_out: Callable[[str], tuple[Lesson, ...]]) -> None:
        self._keys = keys
        self._lay_out = lay_out

    def __getitem__(self, ref: str) -> tuple[Lesson, ...]:
        return self._lay_out(self._keys[ref])

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class _Team(msgspec.Struct, frozen=True, kw_only=True):
    """One group of ours: a class or a part of it in one subject."""

    key: str
    subject: str
    class_id: str
    group: Row | None


class _Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A bell: when a period begins and how long it is."""

    starts: time
    minutes: int


def expand(export: Export, year: SchoolYear, *, source: str, zone: str) -> Expanded:
    """Lay a timetable out over a year.

    Args:
        source: Name put before the refs.
        zone: IANA name of the school's zone, in which the bells ring.
    """
    return _Expansion(export, year, source, ZoneInfo(zone)).run()


class _Expansion:
    def __init__(self, export: Export, year: SchoolYear, source: str, zone: ZoneInfo) -> None:
        self._export = export
        self._year = year
        self._source = source
        self._zone = zone
        self._subjects = export.by_id("subject")
        self._classes = export.by_id("class")
        self._groups = export.by_id("group")
        self._teachers = export.by_id("teacher")
        self._slots = _slots(export)
        self._faults: list[RecordError] = []
        self._days: dict[int | None, list[tuple[date, int]]] = {}

    def run(self) -> Expanded:
        cards: dict[str, list[Row]] = defaultdict(list)
        for card in self._export.of("card"):
            cards[card.get("lessonid", "")].append(card)
        teams: dict[str, _Team] = {}
        taught: dict[str, set[str]] = defaultdict(set)
        placed: dict[str, list[tuple[Row, Row]]] = defaultdict(list)
        unplaced: dict[str, list[RecordError]] = defaultdict(list)
        for lesson in self._export.of("lesson"):
            where = self._ref("lesson", lesson.get("id", "?"))
            found = list(self._teams_of(lesson, where))
            if not found:
                continue
            if not cards[lesson.get("id", "")]:
                self._fault(where, "урок не поставлен ни на один день")
                continue
            for team in found:
                teams[team.key] = team
                taught[team.key].update(_listed(lesson.get("teacherids", "")))
                for card in cards[lesson["id"]]:
                    if self._is_placed(lesson, card):
                        placed[team.key].append((lesson, card))
                    else:
                        unplaced[team.key].append(_fault(where, "звонка или дня карточки нет в файле"))
        return Expanded(
            subjects=tuple(self._subject(row) for _, row in sorted(self._subjects.items())),
            teachers=tuple(self._teacher(row) for _, row in sorted(self._teachers.items())),
            groups=tuple(self._group(team) for _, team in sorted(teams.items())),
            assignments={
                self._ref("group", key): tuple(self._assignment(key, teacher) for teacher in sorted(found))
                for key, found in taught.items()
            },
            lessons=_Lessons(
                {self._ref("group", key): key for key in placed}, lambda key: self._lessons(teams[key], placed[key])
            ),
            lesson_faults={self._ref("group", key): tuple(found) for key, found in unplaced.items()},
            faults=tuple(self._faults),
        )

    def _teams_of(self, lesson: Row, where: str) -> Iterator[_Team]:
        subject = lesson.get("subjectid", "")
        if subject not in self._subjects:
            self._fault(where, "предмета урока нет в файле")
            return
        class_ids = _listed(lesson.get("classids", ""))
        if not class_ids or any(one not in self._classes for one in class_ids):
            self._fault(where, "класса урока нет в файле")
            return
        groups = [self._groups[one] for one in _listed(lesson.get("groupids", "")) if one in self._groups]
        for class_id in class_ids:
            parts = [row for row in groups if row.get("classid") == class_id and row.get("entireclass") != "1"]
            if not parts:
                yield _Team(key=f"{class_id}-{subject}", subject=subject, class_id=class_id, group=None)
            for row in parts:
                yield _Team(key=f"{row['id']}-{subject}", subject=subject, class_id=class_id, group=row)

    def _is_placed(self, lesson: Row, card: Row) -> bool:
        return self._bells(card.get("period", ""), _length(lesson)) is not None and bool(_masks(card.get("days", "")))

    def _iter_starts(self, lesson: Row, card: Row, team: _Team) -> Iterator[tuple[datetime, int, str]]:
        first = card.get("period", "")
        masks = [_masks(card.get(name, "")) for name in ("days", "weeks", "terms")]
        slots = self._bells(first, _length(lesson)) or []
        for day, weekday in self._school_days(_grade(self._classes[team.class_id].get("name", ""))):
            if self._falls(day, weekday, *masks):
                for number, slot in enumerate(slots):
                    local = datetime.combine(day, slot.starts, self._zone)
                    ref = self._ref("lesson", f"{lesson['id']}:{team.key}:{day:%Y%m%d}:{int(first) + number}")
                    yield local.astimezone(UTC), slot.minutes, ref

    def _bells(self, first: str, length: int) -> list[_Slot] | None:
        if not first.isdecimal():
            return None
        slots = [self._slots.get(int(first) + number) for number in range(length)]
        return [slot for slot in slots if slot is not None] if None not in slots else None

    def _falls(self, day: date, weekday: int, days: Sequence[str], weeks: Sequence[str], terms: Sequence[str]) -> bool:
        week = self._year.week_number(day) - 1
        term = self._year.find_term(day)
        return (
            any(weekday <= len(mask) and mask[weekday - 1] == "1" for mask in days)
            and (not weeks or any(mask[week % len(mask)] == "1" for mask in weeks))
            and (
                not terms
                or any(len(mask) == 1 and mask == "1" for mask in terms)
                or any(term is not None and term < len(mask) and mask[term] == "1" for mask in terms)
            )
        )

    def _school_days(self, grade: int | None) -> list[tuple[date, int]]:
        if grade not in self._days:
            self._days[grade] = list(self._year.iter_school_days(grade=grade))
        return self._days[grade]

    def _lessons(self, team: _Team, placed: Sequence[tuple[Row, Row]]) -> tuple[Lesson, ...]:
        moments: dict[tuple[datetime, str], int] = {}
        for lesson, card in placed:
            for starts_at, minutes, ref in self._iter_starts(lesson, card, team):
                moments.setdefault((starts_at, ref), minutes)
        starts: dict[date, set[datetime]] = defaultdict(set)
        for starts_at, _ in moments:
            starts[starts_at.astimezone(self._zone).date()].add(starts_at)
        return tuple(
            Lesson(
                ref=ref,
                origins={"*": f"{self._source}/card"},
                entry=ENTRY,
                group=self._ref("group", team.key),
                starts_at=starts_at,
                duration_min=minutes,
                ordinal=sorted(starts[starts_at.astimezone(self._zone).date()]).index(starts_at) + 1,
            )
            for (starts_at, ref), minutes in sorted(moments.items())
        )

    def _subject(self, row: Row) -> Subject:
        name = row.get("name") or row.get("short") or row["id"]
        return Subject(ref=self._ref("subject", row["id"]), origins=self._origins("subject", row), name=name)

    def _teacher(self, row: Row) -> Person:
        words = row.get("name", "").split()
        return Person(
            ref=self._ref("person", row["id"]),
            origins=self._origins("teacher", row),
            role="teacher",
            last_name=row.get("lastname") or (words[0] if words else row.get("short", row["id"])),
            first_name=row.get("firstname") or " ".join(words[1:]),
            school_id=row.get("partner_id") or None,
        )

    def _group(self, team: _Team) -> Group:
        room = self._classes[team.class_id]
        part = "" if team.group is None else f" {team.group.get('name', '')}"
        subject = self._subjects[team.subject]
        return Group(
            ref=self._ref("group", team.key),
            origins=self._origins("class", room),
            programme=sourced(self._source, "school"),
            subject=self._ref("subject", team.subject),
            name=f"{subject.get('name', '')} {room.get('name', '')}{part}".strip(),
            class_name=room.get("name") or None,
        )

    def _assignment(self, key: str, teacher: str) -> TeachingAssignment:
        return TeachingAssignment(
            ref=self._ref("teaching", f"{key}:{teacher}"),
            person=self._ref("person", teacher),
            group=self._ref("group", key),
        )

    def _ref(self, kind: str, row_id: str) -> str:
        return sourced(self._source, f"{kind}:{row_id}")

    def _origins(self, kind: str, row: Row) -> dict[str, str]:
        return {"*": f"{self._source}/{kind}/{row['id']}"}

    def _fault(self, where: str, what: str) -> None:
        self._faults.append(_fault(where, what))


def _fault(where: str, what: str) -> RecordError:
    return RecordError(f"Расписание: {what}", where=where)


def _length(lesson: Row) -> int:
    """Periods that one card of the lesson takes."""
    return max(1, int(lesson["periodspercard"])) if lesson.get("periodspercard", "").isdecimal() else 1


def _slots(export: Export) -> dict[int, _Slot]:
    slots: dict[int, _Slot] = {}
    for row in export.of("period"):
        begins, ends = (_TIME.fullmatch(row.get(name, "")) for name in ("starttime", "endtime"))
        number = row.get("period", "")
        if begins is None or not number.isdecimal() or int(begins[1]) > 23 or int(begins[2]) > 59:
            continue
        first = int(begins[1]) * 60 + int(begins[2])
        last = int(ends[1]) * 60 + int(ends[2]) if ends is not None else 0
        minutes = last - first if 0 < last - first <= 240 else 45
        slots[int(number)] = _Slot(starts=time(int(begins[1]), int(begins[2])), minutes=minutes)
    return slots


def _masks(text: str) -> tuple[str, ...]:
    """Bit masks of an attribute, `10000` or `10|01`; what is none is left out."""
    return tuple(part for part in re.split(r"[,|]", text) if _MASK.fullmatch(part))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _grade(name: str) -> int | None:
    found = _GRADE.match(name)
    return int(found[0]) if found is not None and 1 <= int(found[0]) <= 11 else None
