"""Who is who in exported workbooks: the list of pupils, and names on journal pages matched to it.

An export has names where the city has ids, so an id is made of what identifies: the contingent's id where the list has it,
else name, birth date and class. Two pupils who can't be told apart are a fault and never a guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date

import msgspec

from gateway.connectors.mesh.file.layout import plain
from gateway.connectors.mesh.file.workbook import Row, Sheet, to_day
from gateway.domain.city import CityMembership, CityPupil
from gateway.domain.errors import RecordError


def stable_id(*parts: object) -> int:
    """A number that stands for these parts in every export: 53 bits of their hash, so that JSON keeps it whole."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 11


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A pupil as the list has him."""

    last: str
    first: str
    middle: str
    birth_on: date | None
    class_name: str
    person_id: str = ""
    left_on: date | None = None

    @property
    def id(self) -> int:
        """His number in everything that is read of the export."""
        if self.person_id:
            return stable_id("pupil", self.person_id)
        return stable_id("pupil", plain(self.full_name), self.birth_on, plain(self.class_name))

    @property
    def full_name(self) -> str:
        """Last name, first name, middle name."""
        return " ".join(part for part in (self.last, self.first, self.middle) if part)


class Roll:
    """The school's pupils, and the groups that pages show them in.

    Args:
        listed: Rows of the lists of pupils.
    """

    def __init__(self, listed: Iterable[Listed]) -> None:
        self._listed: dict[int, Listed] = {one.id: one for one in listed}
        self._by_name: dict[str, list[Listed]] = {}
        for one in self._listed.values():
            self._add_name(one)
        self._groups: dict[int, set[int]] = {}

    def _add_name(self, one: Listed) -> None:
        self._by_name.setdefault(plain(one.full_name), []).append(one)
        if one.middle:
            self._by_name.setdefault(plain(f"{one.last} {one.first}"), []).append(one)

    def find(self, name: str, birth_on: date | None, class_names: Sequence[str]) -> Listed:
        """Return the pupil of a page's row; one whom no list has is taken from the page itself.

        Raises:
            RecordError: Several pupils answer to it.
        """
        classes = {plain(one) for one in class_names}
        named = self._by_name.get(plain(name), [])
        fitting = [
            one
            for one in named
            if (not classes or plain(one.class_name) in classes)
            and (birth_on is None or one.birth_on is None or one.birth_on == birth_on)
        ]
        if len(fitting) > 1:
            raise RecordError(
                "Двух учеников не различить: нужна дата рождения на странице журнала", where="", reason="AMBIGUOUS_LINK"
            )
        if fitting:
            return fitting[0]
        last, first, middle = (*name.split(" ", 2), "", "")[:3]
        found = Listed(
            last=last, first=first, middle=middle, birth_on=birth_on, class_name=class_names[0] if class_names else ""
        )
        self._listed[found.id] = found
        self._add_name(found)
        return found

    def enter(self, pupil: Listed, group_id: int) -> None:
        """Note that a group's page shows him."""
        self._groups.setdefault(pupil.id, set()).add(group_id)

    def to_city(self) -> list[CityPupil]:
        """All pupils, with the groups they were met in."""
        return [
            CityPupil(
                id=one.id,
                person_id=one.person_id,
                last_name=one.last or None,
                first_name=one.first or None,
                middle_name=one.middle or None,
                birth_on=one.birth_on,
                class_id=stable_id("class", plain(one.class_name)) if one.class_name else None,
                class_name=one.class_name or None,
                is_active=one.left_on is None,
                memberships=tuple(
                    CityMembership(group_id=group_id, ends_on=one.left_on)
                    for group_id in sorted(self._groups.get(one.id, ()))
                ),
            )
            for one in sorted(self._listed.values(), key=lambda one: one.id)
        ]


def read_roll(sheet: Sheet) -> tuple[list[Listed], list[RecordError]]:
    """Read a list of pupils; a row without a name or a class is a fault of its own."""
    listed: list[Listed] = []
    faults: list[RecordError] = []
    for row in sheet.rows:
        one = _to_listed(sheet, row)
        if one is None:
            faults.append(sheet.fault(row, "last", "В строке списка нет фамилии или класса"))
        else:
            listed.append(one)
    return listed, faults


def _to_listed(sheet: Sheet, row: Row) -> Listed | None:
    one = Listed(
        last=sheet.text(row, "last"),
        first=sheet.text(row, "first"),
        middle=sheet.text(row, "middle"),
        birth_on=to_day(sheet.value(row, "birth")),
        class_name=sheet.text(row, "class"),
        person_id=sheet.text(row, "person"),
        left_on=to_day(sheet.value(row, "left")),
    )
    return one if (one.last or one.first) and one.class_name else None


__all__ = ["Listed", "Roll", "read_roll", "stable_id"]
