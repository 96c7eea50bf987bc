"""Refs of what stands in workbooks: made of what is written there, because a workbook has no ids of its own. Pure.

The same sheet read again gives the same refs, wherever its rows stand. A pupil is known by the city's or the school's id where
the list has one, else by name and birthday, else by name and class; his name is in no ref.
"""

from __future__ import annotations

import hashlib
from datetime import date, datetime

import msgspec

from gateway.connectors.planner.workbook.entries import PupilEntry
from gateway.connectors.planner.workbook.words import LEVELS, find_class, name_key, slug
from gateway.domain.identifiers import sourced

_KEY_BYTES = 8


class GroupKey(msgspec.Struct, frozen=True, order=True):
    """What is taught to whom: class, subject as compared, group within the class."""

    class_name: str
    subject: str
    group: str = ""

    @staticmethod
    def of(class_name: str, subject: str, group: str | None) -> GroupKey:
        """Make it of what is written."""
        return GroupKey(class_name, slug(subject), slug(group or ""))

    @property
    def level(self) -> int:
        """The grade."""
        found = find_class(self.class_name)
        return found[0] if found else LEVELS.start

    @property
    def name(self) -> str:
        """As a part of refs."""
        return ":".join(part for part in (self.class_name.lower(), self.subject, self.group) if part)


class Names:
    """Makes refs of one source."""

    def __init__(self, source: str) -> None:
        self.source = source

    def ref(self, kind: str, *parts: object) -> str:
        """`workbook/kind:a:b`."""
        return sourced(self.source, ":".join([kind, *map(str, parts)]))

    def pupil(self, entry: PupilEntry) -> str:
        """A pupil's ref."""
        name = (name_key(entry.name.last), name_key(entry.name.first), name_key(entry.name.middle or ""))
        if entry.person_id:
            key = f"person {entry.person_id.casefold()}"
        elif entry.school_id:
            key = f"school {entry.school_id.casefold()}"
        elif entry.birth_on:
            key = f"born {entry.birth_on} {name}"
        else:
            key = f"class {entry.class_name} {name}"
        return self.ref("pupil", hashlib.blake2b(key.encode(), digest_size=_KEY_BYTES).hexdigest())

    def short(self, pupil: str) -> str:
        """The telling part of a pupil's ref."""
        return pupil.rpartition(":")[2]

    def subject(self, subject: str) -> str:
        """A subject's ref, of its compared form."""
        return self.ref("subject", subject)

    def programme(self, level: int, subject: str) -> str:
        """A programme's ref: a subject in a grade."""
        return self.ref("programme", level, subject)

    def group(self, key: GroupKey) -> str:
        """A group's ref."""
        return self.ref("group", key.name)

    def lesson(self, key: GroupKey, starts: datetime) -> str:
        """A lesson's ref: a group is at one place at a time."""
        return self.ref("lesson", key.name, f"{starts:%Y-%m-%d:%H%M}")

    def page_column(self, key: GroupKey, day: date, nth: int) -> str:
        """A column of a page whose lesson is not known."""
        return self.ref("page", key.name, day, nth)

    def cell(self, kind: str, pupil: str, key: GroupKey, day: date, nth: int) -> str:
        """What stands in one cell of a page; a mark's ref goes on with its place within the cell."""
        return self.ref(kind, self.short(pupil), key.name, day, nth)
