"""What speaks against a link that stands: later evidence, compared with what was known when a person decided.

Pure. A link is never moved by a machine; it is doubted, and then the pupil's records wait. What a person saw when he
confirmed is kept as fingerprints beside the link, so that the same difference is not held against him twice, and a new
one is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from gateway.domain.city import CityPupil
from gateway.domain.records import Person, digest_of
from gateway.mapping.likeness import names_differ, same
from gateway.mapping.normalise import class_key, name_key, person_id_key

DAYS_OF_ANOTHER_CLASS = 14
"""A transfer reaches the two systems days apart; after two weeks it is no delay any more."""
KEPT = "kept."
"""How fields of a link's evidence begin that hold what a person saw, as fingerprints."""
SETTLED = "_settled"
"""How those of them end that say which doubt a person has settled."""
AGAINST = f"{KEPT}against"
"""Who confirmed a link against its evidence, as the audit names him; another person has to settle it."""
AGAINST_AT = f"{KEPT}against_at"
"""When he did, as ISO text; the link itself may be much older."""
AGAINST_PERSON = f"{KEPT}against_person"
"""His person ref, where the account has one: two accounts of one person are not two."""


class Code(StrEnum):
    """What speaks against a link. Stored; never renamed."""

    BIRTH = "birth"
    OWN_NAME = "own_name"
    CITY_NAME = "city_name"
    CLASS = "class"
    OTHER_PROFILE = "other_profile"
    TWO_PUPILS = "two_pupils"
    AGAINST = "against"


CODE_WORDS: Mapping[Code, str] = {
    Code.BIRTH: "дата рождения на портале и в городском журнале разная",
    Code.OWN_NAME: "имя ученика на портале сменилось после подтверждения связи",
    Code.CITY_NAME: "имя ученика в городском журнале сменилось после подтверждения связи",
    Code.CLASS: f"класс на портале и в городском журнале разный дольше {DAYS_OF_ANOTHER_CLASS} дней",
    Code.OTHER_PROFILE: "у ребёнка в городском журнале есть другой действующий профиль, а этот закрыт",
    Code.TWO_PUPILS: "на этот профиль города указывают два ученика портала",
    Code.AGAINST: "связь подтвердили вопреки данным, и второй человек её ещё не проверил",
}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A link that stands; `evidence` holds what its decider saw."""

    local_ref: str
    city_id: int
    is_machine: bool
    evidence: Mapping[str, str]


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that speaks against a link; it is another one when its fingerprint is another."""

    local_ref: str
    city_id: int
    code: Code
    fingerprint: bytes


def look(person: Person, pupil: CityPupil) -> dict[str, str]:
    """What is seen now, as the fields that are kept beside a link when a person decides it."""
    return {
        f"{KEPT}own_name": _print(name_key(person.last_name, person.first_name)),
        f"{KEPT}city_name": _print(name_key(pupil.last_name, pupil.first_name)),
        f"{KEPT}birth": _print((person.birth_on, pupil.birth_on)),
        f"{KEPT}class": _print((class_key(person.class_name), class_key(pupil.class_name))),
    }


def baseline(standing: Standing, person: Person, pupil: CityPupil) -> dict[str, str] | None:
    """Say what is to be kept of a person's link that knows no names yet, or whose names have come to agree since.

    Returns:
        The fields to add; None where nothing has to be written. A birth date is not among them: whoever decided before it
        was known has not seen it.
    """
    seen = look(person, pupil)
    names = {field: seen[field] for field in (f"{KEPT}own_name", f"{KEPT}city_name")}
    if standing.is_machine or all(standing.evidence.get(field) == value for field, value in names.items()):
        return None
    if standing.evidence.keys() & names.keys() and names_differ(person, pupil):
        return None  # a doubt: a person says whether it is still the same child
    return names


def find_doubts(
    links: Sequence[Standing], people: Mapping[str, Person], pupils: Mapping[int, CityPupil]
) -> list[Doubt]:
    """Find all that speaks against links, in the order of their refs.

    Args:
        people: The portal's pupils by ref.
        pupils: The city's by id.
    """
    by_person_id: dict[str, list[CityPupil]] = defaultdict(list)
    for pupil in sorted(pupils.values(), key=lambda one: one.id):
        if (key := person_id_key(pupil.person_id)) is not None:
            by_person_id[key].append(pupil)
    claims: dict[str, list[str]] = defaultdict(list)
    for ref in sorted(people):
        if (key := person_id_key(people[ref].person_id)) is not None:
            claims[key].append(ref)
    found: list[Doubt] = []
    for link in sorted(links, key=lambda one: one.local_ref):
        person, there = people.get(link.local_ref), pupils.get(link.city_id)
        if person is None or there is None:
            continue
        key = person_id_key(there.person_id) or ""
        found += _about(link, person, there)
        active = [one for one in by_person_id.get(key, ()) if one.is_active and one.id != there.id]
        if not there.is_active and active:
            found.append(_doubt(link, Code.OTHER_PROFILE, tuple(one.id for one in active)))
        others = [ref for ref in claims.get(key, ()) if ref != link.local_ref]
        if others:
            found.append(_doubt(link, Code.TWO_PUPILS, tuple(others)))
        if AGAINST in link.evidence:
            found.append(doubt_against(link.local_ref, link.city_id, link.evidence[AGAINST]))
    kept = {link.local_ref: link.evidence for link in links}
    return [one for one in found if kept[one.local_ref].get(settled_field(one.code)) != one.fingerprint.hex()]


def settled_field(code: Code) -> str:
    """Where a link keeps the fingerprint of a doubt that a person has settled."""
    return f"{KEPT}{code.value}{SETTLED}"


def _about(link: Standing, person: Person, there: CityPupil) -> list[Doubt]:
    """What the two sides say of themselves that they did not say when a person decided."""
    seen, found = look(person, there), []
    if same(person.birth_on, there.birth_on) == "differs" and link.evidence.get(f"{KEPT}birth") != seen[f"{KEPT}birth"]:
        found.append(_doubt(link, Code.BIRTH, seen[f"{KEPT}birth"]))
    if not link.is_machine and names_differ(person, there):
        # of a link by person id a changed name is told by correlation itself
        for code in (Code.OWN_NAME, Code.CITY_NAME):
            field = f"{KEPT}{code.value}"
            if link.evidence.get(field, seen[field]) != seen[field]:
                found.append(_doubt(link, code, seen[field]))
    rooms = class_key(person.class_name), class_key(there.class_name)
    if same(*rooms) == "differs" and link.evidence.get(f"{KEPT}class") != seen[f"{KEPT}class"]:
        found.append(_doubt(link, Code.CLASS, seen[f"{KEPT}class"]))
    return found


def doubt_against(local_ref: str, city_id: int, by: str) -> Doubt:
    """The doubt of a link that a person, named as the audit names him, confirmed against its evidence."""
    return Doubt(
        local_ref=local_ref,
        city_id=city_id,
        code=Code.AGAINST,
        fingerprint=_fingerprint(city_id, Code.AGAINST, by),
    )


def _doubt(link: Standing, code: Code, about: object) -> Doubt:
    return Doubt(
        local_ref=link.local_ref,
        city_id=link.city_id,
        code=code,
        fingerprint=_fingerprint(link.city_id, code, about),
    )


def _fingerprint(city_id: int, code: Code, about: object) -> bytes:
    return digest_of(msgspec.json.encode((code.value, city_id, about)))


def _print(value: object) -> str:
    return digest_of(msgspec.json.encode(value)).hex()


__all__ = [
    "AGAINST",
    "AGAINST_PERSON",
    "CODE_WORDS",
    "DAYS_OF_ANOTHER_CLASS",
    "KEPT",
    "Code",
    "Doubt",
    "Standing",
    "baseline",
    "doubt_against",
    "find_doubts",
    "look",
    "settled_field",
]
