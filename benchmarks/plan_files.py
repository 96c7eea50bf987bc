"""A made-up school as JSON lines on both sides, with differences planted at known places.

Ours holds what should stand in the city, theirs what does; both in the order of the groups, as a night reads them. The
same seed makes the same school, so that the process that prepares last night's database and the one that writes the
files need not talk to each other.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from gateway.domain.city import CityMark, MarkIntent

PUPILS_COUNT = 25
LESSONS_COUNT = 40
GROUP_COUNT = PUPILS_COUNT * LESSONS_COUNT
"""Marks of one group: one scope of the city's journal."""

FIRST_ON = date(2026, 9, 1)
READ_AT = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
OURS_FILE = "ours.jsonl"
THEIRS_FILE = "theirs.jsonl"
_VALUES = ("2", "3", "4", "5")


class Planted(StrEnum):
    """What was done to a mark since last night."""

    NOTHING = "nothing"
    OUR_CHANGE = "our_change"  # the teacher mended it at the portal
    THEIR_CHANGE = "their_change"  # a person changed it in the city
    NEW = "new"  # missing in the city
    CLEARED = "cleared"  # missing at the portal, seen in two complete reads


REASONS = {
    Planted.NOTHING: "NO_CHANGE",
    Planted.OUR_CHANGE: "CHANGE",
    Planted.THEIR_CHANGE: "DRIFT",
    Planted.NEW: "CREATE",
    Planted.CLEARED: "DELETE_HELD",
}
SHARES = ((Planted.OUR_CHANGE, 0.009), (Planted.THEIR_CHANGE, 0.001), (Planted.NEW, 0.0005), (Planted.CLEARED, 0.0005))
"""1 % changed, a tenth of them in the city; 0.1 % missing, half on each side."""


class OurLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A line of our file: a record's ref and what should stand in the city for it."""

    ref: str
    pupil_id: int
    lesson_id: int
    group_id: int
    subject_id: int
    teacher_id: int
    on: date
    value: str
    weight: int
    form_id: int
    grade_system_id: int

    def to_intent(self) -> MarkIntent:
        """What the city is asked to hold."""
        return MarkIntent(
            pupil_id=self.pupil_id,
            lesson_id=self.lesson_id,
            group_id=self.group_id,
            subject_id=self.subject_id,
            teacher_id=self.teacher_id,
            on=self.on,
            value=self.value,
            weight=self.weight,
            form_id=self.form_id,
            grade_system_id=self.grade_system_id,
        )


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One mark of the made-up school: last night's two sides, and today's.

    Attributes:
        ours_before: None for a mark that is new today.
        ours: None for a mark cleared at the portal; `theirs` likewise for one that the city has not got.
    """

    planted: Planted
    ours_before: OurLine | None
    theirs_before: CityMark | None
    ours: OurLine | None
    theirs: CityMark | None


def iter_marks(count: int, seed: int) -> Iterator[Mark]:
    """Yield the school's marks in the order of its groups."""
    rng = random.Random(seed)
    for number in range(count):
        group, place = divmod(number, GROUP_COUNT)
        lesson, pupil = divmod(place, PUPILS_COUNT)
        on = FIRST_ON + timedelta(days=2 * lesson)
        value = rng.choice(_VALUES)
        planted = _pick(rng.random())
        ours = OurLine(
            ref=f"item:{group * LESSONS_COUNT + lesson}/user:{group * PUPILS_COUNT + pupil}",
            pupil_id=3_000_000 + group * PUPILS_COUNT + pupil,
            lesson_id=500_000 + group * LESSONS_COUNT + lesson,
            group_id=1 + group,
            subject_id=1 + group % 15,
            teacher_id=9_000 + group % 90,
            on=on,
            value=value,
            weight=1 + lesson % 3,
            form_id=40 + lesson % 7,
            grade_system_id=1,
        )
        yield _plant(planted, ours, _stands(ours, 70_000_000 + number))


def _pick(draw: float) -> Planted:
    for planted, share in SHARES:
        if draw < share:
            return planted
        draw -= share
    return Planted.NOTHING


def _stands(line: OurLine, city_id: int) -> CityMark:
    at = datetime(line.on.year, line.on.month, line.on.day, 12, 30, tzinfo=UTC)
    return CityMark(
        id=city_id,
        pupil_id=line.pupil_id,
        lesson_id=line.lesson_id,
        group_id=line.group_id,
        subject_id=line.subject_id,
        value=line.value,
        weight=line.weight,
        form_id=line.form_id,
        on=line.on,
        teacher_id=line.teacher_id,
        created_at=at,
        updated_at=at,
    )


def _plant(planted: Planted, ours: OurLine, theirs: CityMark) -> Mark:
    other = _VALUES[(_VALUES.index(ours.value) + 1) % len(_VALUES)]
    is_new = planted is Planted.NEW
    return Mark(
        planted=planted,
        ours_before=None if is_new else ours,
        theirs_before=None if is_new else theirs,
        ours=None
        if planted is Planted.CLEARED
        else msgspec.structs.replace(ours, value=other)
        if planted is Planted.OUR_CHANGE
        else ours,
        theirs=None
        if is_new
        else msgspec.structs.replace(theirs, value=other)
        if planted is Planted.THEIR_CHANGE
        else theirs,
    )


def write_files(folder: Path, count: int, seed: int) -> dict[str, int]:
    """Write both sides' files.

    Returns:
        How often each reason code must come out of the comparison.
    """
    planted: Counter[str] = Counter()
    encoder = msgspec.json.Encoder()
    with (folder / OURS_FILE).open("wb") as ours_file, (folder / THEIRS_FILE).open("wb") as theirs_file:
        for mark in iter_marks(count, seed):
            planted[REASONS[mark.planted]] += 1
            for file, line in ((ours_file, mark.ours), (theirs_file, mark.theirs)):
                if line is not None:
                    file.write(encoder.encode(line) + b"\n")
    return dict(sorted(planted.items()))
