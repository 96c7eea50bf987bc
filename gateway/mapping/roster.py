"""The school office's list of who is who: what of it may be confirmed.

The office fills in the portal id and the city's person id of each pupil. A row is believed only where its name, class
and birth date agree with both systems: one shifted cell must not give a child another child's marks. Pure; the file
itself is `mapping.roster_file`, whose names are given here as well.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from gateway.domain.city import CityPupil
from gateway.domain.identifiers import source_of
from gateway.domain.records import Person
from gateway.mapping.likeness import Evidence
from gateway.mapping.normalise import class_key, name_part_key, person_id_key
from gateway.mapping.roster_file import HEADS, RosterFault, RosterRead, RosterRow, read_roster, write_template


class Refusal(StrEnum):
    """Why a row is not confirmed."""

    DUPLICATE_ROW = "DUPLICATE_ROW"
    PORTAL_UNKNOWN = "PORTAL_UNKNOWN"
    PORTAL_AMBIGUOUS = "PORTAL_AMBIGUOUS"
    PERSON_UNKNOWN = "PERSON_UNKNOWN"
    PERSON_AMBIGUOUS = "PERSON_AMBIGUOUS"
    NAME_PORTAL = "NAME_PORTAL"
    NAME_CITY = "NAME_CITY"
    BIRTH_PORTAL = "BIRTH_PORTAL"
    BIRTH_CITY = "BIRTH_CITY"
    CLASS_PORTAL = "CLASS_PORTAL"
    CLASS_CITY = "CLASS_CITY"
    OTHER_PERSON_ID = "OTHER_PERSON_ID"
    LINKED_OTHERWISE = "LINKED_OTHERWISE"
    CITY_TAKEN = "CITY_TAKEN"


REFUSAL_SENTENCES: dict[Refusal, str] = {
    Refusal.DUPLICATE_ROW: "Этот ID портала или person_id встречается в списке ещё раз: оставьте одну строку.",
    Refusal.PORTAL_UNKNOWN: "На портале нет ученика с таким ID: проверьте столбец «ID портала».",
    Refusal.PORTAL_AMBIGUOUS: "Под этот ID подходят несколько учеников портала: укажите ID вида user:3.",
    Refusal.PERSON_UNKNOWN: "В городском журнале нет ученика с таким person_id: проверьте столбец.",
    Refusal.PERSON_AMBIGUOUS: "В городском журнале несколько учеников с таким person_id: обратитесь в поддержку журнала.",
    Refusal.NAME_PORTAL: "Фамилия или имя не совпадает с порталом.",
    Refusal.NAME_CITY: "Фамилия или имя не совпадает с городским журналом.",
    Refusal.BIRTH_PORTAL: "Дата рождения не совпадает с порталом.",
    Refusal.BIRTH_CITY: "Дата рождения не совпадает с городским журналом.",
    Refusal.CLASS_PORTAL: "Класс не совпадает с порталом.",
    Refusal.CLASS_CITY: "Класс не совпадает с городским журналом.",
    Refusal.OTHER_PERSON_ID: "На портале у ученика записан другой person_id: исправьте профиль или список.",
    Refusal.LINKED_OTHERWISE: "Ученик портала уже связан с другим учеником городского журнала.",
    Refusal.CITY_TAKEN: "Ученик городского журнала уже связан с другим учеником портала.",
}


class ImportLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that the list proves."""

    local_ref: str
    city_id: int
    evidence: Evidence


class ImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an import would do.

    Attributes:
        unchanged: Rows whose link stands already.
    """

    confirm: tuple[ImportLink, ...]
    refuse: tuple[tuple[RosterRow, Refusal], ...]
    unchanged: int


def plan_import(
    rows: Iterable[RosterRow],
    local: Iterable[Person],
    city: Iterable[CityPupil],
    linked: Mapping[str, int],
) -> ImportPlan:
    """Say which rows may become links; pure.

    Name and class must agree with both sides where a side knows them, the birth date where it is known. An existing
    different link is never overwritten.

    Args:
        local: All people of the portal.
        city: All pupils of the school in the city.
        linked: Local ref → city pupil id.
    """
    return _Import(tuple(rows), local, city, linked).plan()


class _Import:
    def __init__(
        self,
        rows: Sequence[RosterRow],
        local: Iterable[Person],
        city: Iterable[CityPupil],
        linked: Mapping[str, int],
    ) -> None:
        self._rows = rows
        self._linked = linked
        self._holders: dict[int, str] = {}
        for ref, city_id in sorted(linked.items(), key=lambda one: source_of(one[0]), reverse=True):
            self._holders[city_id] = ref  # the portal's record, whose list this is, where several sources have one
        self._local: dict[str, dict[str, Person]] = defaultdict(dict)
        for person in local:
            if person.role == "pupil":
                for name in {person.ref, person.ref.rpartition(":")[2], person.school_id or person.ref}:
                    self._local[name][person.ref] = person
        self._city: dict[str, list[CityPupil]] = defaultdict(list)
        for pupil in city:
            if (key := person_id_key(pupil.person_id)) is not None:
                self._city[key].append(pupil)
        for key, same in self._city.items():
            self._city[key] = [one for one in same if one.is_active] or same

    def plan(self) -> ImportPlan:
        confirm: list[ImportLink] = []
        refuse: list[tuple[RosterRow, Refusal]] = []
        unchanged = 0
        found = [self._find(row) for row in self._rows]
        # Counted by the person found, not by the cell: «3» and «user:3» are one pupil.
        people = Counter(pair[0].ref for pair in found if not isinstance(pair, Refusal))
        pupils = Counter(pair[1].id for pair in found if not isinstance(pair, Refusal))
        for row, pair in zip(self._rows, found, strict=True):
            if isinstance(pair, Refusal):
                refuse.append((row, pair))
                continue
            person, pupil = pair
            if people[person.ref] > 1 or pupils[pupil.id] > 1:
                refuse.append((row, Refusal.DUPLICATE_ROW))
            elif (refusal := self._why_not(row, person, pupil)) is not None:
                refuse.append((row, refusal))
            elif person.ref in self._linked:
                unchanged += 1
            else:
                confirm.append(
                    ImportLink(local_ref=person.ref, city_id=pupil.id, evidence=_evidence(row, person, pupil))
                )
        return ImportPlan(confirm=tuple(confirm), refuse=tuple(refuse), unchanged=unchanged)

    def _find(self, row: RosterRow) -> tuple[Person, CityPupil] | Refusal:
        people = self._local.get(row.portal_id.strip(), {})
        if len(people) != 1:
            return Refusal.PORTAL_AMBIGUOUS if people else Refusal.PORTAL_UNKNOWN
        pupils = self._city.get(person_id_key(row.person_id) or "", [])
        if len(pupils) != 1:
            return Refusal.PERSON_AMBIGUOUS if pupils else Refusal.PERSON_UNKNOWN
        return next(iter(people.values())), pupils[0]

    def _why_not(self, row: RosterRow, person: Person, pupil: CityPupil) -> Refusal | None:
        if self._linked.get(person.ref, pupil.id) != pupil.id:
            return Refusal.LINKED_OTHERWISE
        holder = self._holders.get(pupil.id, person.ref)
        if holder != person.ref and source_of(holder) == source_of(person.ref):
            return Refusal.CITY_TAKEN  # the record of another source would be the same child's
        own_id = person_id_key(person.person_id)
        if own_id is not None and own_id != person_id_key(row.person_id):
            return Refusal.OTHER_PERSON_ID
        checks = (
            (Refusal.NAME_PORTAL, _names_agree(row, person)),
            (Refusal.NAME_CITY, _names_agree(row, pupil)),
            (Refusal.BIRTH_PORTAL, _agree(row.birth_on, person.birth_on)),
            (Refusal.BIRTH_CITY, _agree(row.birth_on, pupil.birth_on)),
            (Refusal.CLASS_PORTAL, _agree(class_key(row.class_name), class_key(person.class_name))),
            (Refusal.CLASS_CITY, _agree(class_key(row.class_name), class_key(pupil.class_name))),
        )
        return next((refusal for refusal, agrees in checks if not agrees), None)


def _names_agree(row: RosterRow, other: Person | CityPupil) -> bool:
    return (
        _agree(name_part_key(row.last_name), name_part_key(other.last_name))
        and _agree(name_part_key(row.first_name), name_part_key(other.first_name))
        and _agree(name_part_key(row.middle_name), name_part_key(other.middle_name))
    )


def _agree(ours: object, theirs: object) -> bool:
    return ours is None or theirs is None or ours == theirs


def _evidence(row: RosterRow, person: Person, pupil: CityPupil) -> Evidence:
    def told(value: object, *others: object) -> str:
        return "unknown" if value is None or None in others else "equal"

    return {
        "person_id": "roster",
        "name": told(row.last_name, name_part_key(pupil.last_name), name_part_key(pupil.first_name)),
        "class": told(row.class_name, person.class_name, pupil.class_name),
        "birth": told(row.birth_on, person.birth_on, pupil.birth_on),
    }


__all__ = [
    "HEADS",
    "REFUSAL_SENTENCES",
    "ImportLink",
    "ImportPlan",
    "Refusal",
    "RosterFault",
    "RosterRead",
    "RosterRow",
    "plan_import",
    "read_roster",
    "write_template",
]
