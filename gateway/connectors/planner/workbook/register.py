"""Who is in which class, and which lessons a group has: what the pages of a folder are read against. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from gateway.connectors.planner.workbook.cells import PersonName
from gateway.connectors.planner.workbook.days import SchoolYear
from gateway.connectors.planner.workbook.entries import LessonEntry, PupilEntry, SlotEntry
from gateway.connectors.planner.workbook.faults import CellError
from gateway.connectors.planner.workbook.names import GroupKey, Names
from gateway.connectors.planner.workbook.words import name_key
from gateway.domain.reasons import (
    WB_NAMESAKES,
    WB_NO_ROSTER,
    WB_NO_SCHOOL_DAY,
    WB_NOT_IN_TIMETABLE,
    WB_TIME_UNKNOWN,
    WB_UNKNOWN_PUPIL,
)

LAST_LESSON_DAY = (5, 31)
"""Month and day after which a school without a calendar has no lessons."""
SchoolDays = Callable[[date, date, int], Iterable[tuple[date, int]]]
"""First day, last day, grade → (day, weekday whose timetable is taught that day)."""


def days_without_calendar(is_holiday: Callable[[date], bool]) -> SchoolDays:
    """Every day that is no holiday, up to the end of May: what can be said where the school has no calendar yet."""

    def iter_days(first: date, last: date, _: int) -> Iterator[tuple[date, int]]:
        end = date(last.year if last.month < 9 else last.year + 1, *LAST_LESSON_DAY)
        for number in range((min(last, end) - first).days + 1):
            day = first + timedelta(days=number)
            if not is_holiday(day):
                yield day, day.isoweekday()

    return iter_days


class Pupil(msgspec.Struct, frozen=True, kw_only=True):
    """A pupil of the lists, under his ref."""

    ref: str
    entry: PupilEntry


class Pupils:
    """The class lists of all files together.

    Attributes:
        contradicted: Refs of pupils of whom two lists say different things.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._by_ref: dict[str, Pupil] = {}
        self._by_class: dict[str, dict[tuple[str, str], list[Pupil]]] = defaultdict(lambda: defaultdict(list))
        self.contradicted: set[str] = set()

    def add(self, entry: PupilEntry) -> tuple[str, bool]:
        """Take a pupil; return his ref and whether he is new."""
        ref = self._names.pupil(entry)
        known = self._by_ref.get(ref)
        if known is not None:
            if _contradict(known.entry, entry):
                self.contradicted.add(ref)
            return ref, False
        pupil = Pupil(ref=ref, entry=entry)
        self._by_ref[ref] = pupil
        key = (name_key(entry.name.last), name_key(entry.name.first))
        self._by_class[entry.class_name][key].append(pupil)
        return ref, True

    def get(self, ref: str) -> Pupil:
        """Return a pupil who was taken."""
        return self._by_ref[ref]

    def of_class(self, class_name: str) -> list[Pupil]:
        """The pupils of a class of whom nothing contradicts, in the order of the lists."""
        found = [pupil for same in self._by_class.get(class_name, {}).values() for pupil in same]
        return [pupil for pupil in found if pupil.ref not in self.contradicted]

    def find(self, class_name: str, name: PersonName) -> str:
        """Return the ref of the one pupil of a class who bears a name.

        Raises:
            CellError: None does, several do, or the class has no list: nobody guesses whose mark it is.
        """
        if class_name not in self._by_class:
            raise CellError(WB_NO_ROSTER)
        same = self._by_class[class_name].get((name_key(name.last), name_key(name.first)), [])
        if name.middle:
            middle = name_key(name.middle)
            same = [one for one in same if one.entry.name.middle is None or name_key(one.entry.name.middle) == middle]
        if not same or any(one.ref in self.contradicted for one in same):
            raise CellError(WB_UNKNOWN_PUPIL)
        if len(same) > 1:
            raise CellError(WB_NAMESAKES)
        return same[0].ref


def _contradict(ours: PupilEntry, theirs: PupilEntry) -> bool:
    pairs = (
        (ours.class_name, theirs.class_name),
        (ours.birth_on, theirs.birth_on),
        (ours.person_id, theirs.person_id),
        (ours.school_id, theirs.school_id),
        (name_key(ours.name.last), name_key(theirs.name.last)),
        (name_key(ours.name.first), name_key(theirs.name.first)),
    )
    return any(one is not None and other is not None and one != other for one, other in pairs)


class Slot(msgspec.Struct, frozen=True, order=True):
    """One lesson in time.

    Attributes:
        number: Of the lesson in the school's day, where the timetable says it.
    """

    starts_at: datetime
    duration_min: int
    number: int | None = None
    form: Literal["offline", "online"] = "offline"


class Bells(msgspec.Struct, frozen=True):
    """When lessons begin and how long they are.

    Attributes:
        starts: Beginning of the first, second … lesson of a day.
        minutes: Length of a lesson whose end is not written.
    """

    starts: tuple[time, ...] = ()
    minutes: int = 45

    def of(self, ordinal: int | None) -> time | None:
        """The beginning of a lesson by its number, or None."""
        return self.starts[ordinal - 1] if ordinal is not None and 1 <= ordinal <= len(self.starts) else None


class Timetable:
    """The lessons of all groups, expanded to days.

    Args:
        year: The school year.
        zone: Of the written times.
        bells: For lessons whose number alone is written.
        school_days: Of a grade, between two days.
    """

    def __init__(self, year: SchoolYear, zone: ZoneInfo, bells: Bells, school_days: SchoolDays) -> None:
        self._year = year
        self._zone = zone
        self._bells = bells
        self._school_days = school_days
        self._slots: dict[GroupKey, dict[date, list[Slot]]] = defaultdict(lambda: defaultdict(list))

    def add(self, entry: SlotEntry) -> GroupKey:
        """Take a place of the timetable.

        Raises:
            CellError: It is not said when the lesson begins, or the school has no such day.
        """
        key = GroupKey.of(entry.class_name, entry.subject, entry.group)
        starts = entry.starts or self._bells.of(entry.ordinal)
        if starts is None:
            raise CellError(WB_TIME_UNKNOWN)
        minutes = self._bells.minutes
        if entry.ends is not None:
            written = (entry.ends.hour - starts.hour) * 60 + entry.ends.minute - starts.minute
            minutes = written if written > 0 else minutes
        days = self._days(entry, key.level)
        if not days:
            raise CellError(WB_NO_SCHOOL_DAY)
        for day in days:
            self._put(key, day, starts, minutes, entry.ordinal, entry.form)
        return key

    def add_lesson(self, entry: LessonEntry) -> bool:
        """Take a lesson of a list that says itself when it begins, on a day of which the timetable knows none."""
        key = GroupKey.of(entry.class_name, entry.subject, entry.group)
        starts = entry.starts or self._bells.of(entry.ordinal)
        if starts is None or self._slots[key].get(entry.day):
            return False
        self._put(key, entry.day, starts, self._bells.minutes, entry.ordinal, "offline")
        return True

    def _put(
        self,
        key: GroupKey,
        day: date,
        starts: time,
        minutes: int,
        number: int | None,
        form: Literal["offline", "online"],
    ) -> None:
        slot = Slot(datetime.combine(day, starts, self._zone), minutes, number, form)
        slots = self._slots[key][day]
        if all(one.starts_at != slot.starts_at for one in slots):
            slots.append(slot)
            slots.sort(key=lambda one: one.starts_at)

    def _days(self, entry: SlotEntry, level: int) -> list[date]:
        if entry.day is not None:
            return [entry.day]
        first, last = entry.from_on or self._year.first_on, entry.to_on or self._year.last_on
        return [day for day, weekday in self._school_days(first, last, level) if weekday == entry.weekday]

    def groups(self) -> list[GroupKey]:
        """The groups that have lessons."""
        return sorted(key for key, days in self._slots.items() if any(days.values()))

    def of(self, key: GroupKey) -> list[tuple[date, Sequence[Slot]]]:
        """A group's lessons by day, in order."""
        return sorted((day, slots) for day, slots in self._slots.get(key, {}).items() if slots)

    def find(self, key: GroupKey, day: date, nth: int, ordinal: int | None = None) -> Slot:
        """Return a group's lesson of a day: by its number in the school's day, else which of the group's it is.

        Raises:
            CellError: The timetable has none.
        """
        slots = self._slots.get(key, {}).get(day, [])
        by_number = [slot for slot in slots if ordinal is not None and slot.number == ordinal]
        if by_number:
            return by_number[0]
        if ordinal is not None and len(slots) == 1 and slots[0].number is None:
            return slots[0]
        if nth > len(slots):
            raise CellError(WB_NOT_IN_TIMETABLE)
        return slots[nth - 1]

    def count(self, key: GroupKey, day: date) -> int:
        """How many lessons a group has on a day."""
        return len(self._slots.get(key, {}).get(day, []))

    def next_day(self, key: GroupKey, day: date) -> date | None:
        """The group's next day with a lesson."""
        return min((one for one, slots in self._slots.get(key, {}).items() if one > day and slots), default=None)
