"""Works out which local person, group or lesson is which in the city's journal.

Pure. What is unique by a key that both systems own becomes a link; everything else becomes candidates that wait for a
person, with their evidence and reason. Nobody is linked by name. The answer depends on the sets alone, never on the
order in which records come.

Source: city-journal.md §7.5 (natural keys), S2, S23 (namesakes, null names); design, "Which lesson a mark hangs on".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup, CityLesson, CityPupil
from gateway.domain.reasons import (
    AMBIGUOUS_LINK,
    LESSON_NOT_LINKED,
    NO_CANDIDATE,
    NOT_LINKED,
    PERSON_ID_NAME_MISMATCH,
)
from gateway.domain.records import Group, Lesson, Person, Subject
from gateway.mapping.normalise import class_key, name_key, name_part_key, normal_text, person_id_key
from gateway.mapping.rules import Rules

Evidence = dict[str, str]
"""What speaks for a match, field → `equal`, `differs`, `unknown` and the like; codes only, never the values."""


class NewLink(msgspec.Struct, frozen=True, kw_only=True):
    """A match that needs no person: how it was proven, and on what."""

    local_ref: str
    city_id: int
    how: str
    evidence: Evidence


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A possible match that waits for a person; `score` (0…1) only orders the list, it decides nothing."""

    local_ref: str
    city_id: int
    reason: str
    score: float
    evidence: Evidence


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one kind; every local ref not linked before is in `links` or in `waiting`.

    Attributes:
        waiting: Local ref → reason.
    """

    links: tuple[NewLink, ...]
    candidates: tuple[Candidate, ...]
    waiting: Mapping[str, str]


def correlate_people(
    local: Iterable[Person],
    city: Iterable[CityPupil],
    linked: Mapping[str, int],
    *,
    by_machine: Collection[str] = (),
) -> Correlation:
    """Link pupils by the city's person id; those without wait with candidates by name.

    Args:
        local: All people of the portal; teachers are passed over. Of a part of them a namesake could look unique.
        city: All pupils of the school in the city.
        linked: Links that stand already: local ref → city pupil id; never changed here.
        by_machine: Refs among them that no person has decided: where name or person id contradict by now, the account may
            have been given to another child, and the link waits for a person though it stands.
    """
    pupils = {person.ref: person for person in local if person.role == "pupil"}
    return _People(pupils, tuple(city), linked, by_machine).correlate()


class _People:
    def __init__(
        self,
        pupils: Mapping[str, Person],
        city: Sequence[CityPupil],
        linked: Mapping[str, int],
        by_machine: Collection[str],
    ) -> None:
        self._pupils = pupils
        self._linked = linked
        self._by_machine = by_machine
        self._city = {pupil.id: pupil for pupil in city}
        self._holders = {city_id: ref for ref, city_id in linked.items()}
        self._id_counts = Counter(key for one in pupils.values() if (key := person_id_key(one.person_id)))
        self._by_person_id: dict[str, list[CityPupil]] = defaultdict(list)
        self._by_name: dict[tuple[str, str], list[CityPupil]] = defaultdict(list)
        for pupil in sorted(city, key=lambda one: one.id):
            if (key := person_id_key(pupil.person_id)) is not None:
                self._by_person_id[key].append(pupil)
            if (name := name_key(pupil.last_name, pupil.first_name)) is not None:
                self._by_name[name].append(pupil)
        for key, same in self._by_person_id.items():
            # One child may have a closed profile beside the present one, after a transfer within the school.
            self._by_person_id[key] = [one for one in same if one.is_active] or same

    def correlate(self) -> Correlation:
        links: list[NewLink] = []
        candidates: list[Candidate] = []
        waiting: dict[str, str] = {}
        unproven: list[Person] = []
        for ref in sorted(self._pupils):
            person = self._pupils[ref]
            if ref in self._linked:
                there = self._city.get(self._linked[ref])
                if ref in self._by_machine and there is not None and _contradicts(person, there):
                    waiting[ref] = PERSON_ID_NAME_MISMATCH
                    candidates.append(_candidate(person, there, PERSON_ID_NAME_MISMATCH))
                continue
            same = self._by_person_id.get(person_id_key(person.person_id) or "", [])
            if not same:
                unproven.append(person)
            elif (reason := self._why_not(person, same)) is None:
                links.append(
                    NewLink(local_ref=ref, city_id=same[0].id, how="custom_field", evidence=_evidence(person, same[0]))
                )
            else:
                waiting[ref] = reason
                candidates += [_candidate(person, pupil, reason) for pupil in same]
        # Only now is it known who is taken, so that a namesake without an id is never offered somebody's profile as free.
        holders = self._holders | {link.city_id: link.local_ref for link in links}
        for person in unproven:
            found, reason = self._by_names(person, holders)
            waiting[person.ref] = reason
            candidates += [_candidate(person, pupil, reason) for pupil in found]
        return Correlation(links=tuple(links), candidates=tuple(candidates), waiting=waiting)

    def _why_not(self, person: Person, same: Sequence[CityPupil]) -> str | None:
        """Say why an equal person id is no link, or None when it is one."""
        if len(same) > 1 or self._id_counts[person_id_key(person.person_id) or ""] > 1:
            return AMBIGUOUS_LINK
        if self._holders.get(same[0].id, person.ref) != person.ref:
            return AMBIGUOUS_LINK
        return PERSON_ID_NAME_MISMATCH if "differs" in _names(person, same[0]) else None

    def _by_names(self, person: Person, holders: Mapping[int, str]) -> tuple[list[CityPupil], str]:
        """Return namesakes in the city, of the same class if there are any, and why the person waits."""
        key = name_key(person.last_name, person.first_name)
        namesakes = [
            pupil for pupil in (self._by_name.get(key, []) if key else []) if _birth(person, pupil) != "differs"
        ]
        namesakes = [one for one in namesakes if _class(person, one) != "differs"] or namesakes
        free = [one for one in namesakes if one.id not in holders]
        if not namesakes:
            return [], NO_CANDIDATE
        if not free:
            return namesakes, AMBIGUOUS_LINK
        return free, NOT_LINKED if len(free) == 1 else AMBIGUOUS_LINK


def _contradicts(person: Person, pupil: CityPupil) -> bool:
    """Whether name or person id speak against a link that was made by the person id."""
    ids = _same(person_id_key(person.person_id), person_id_key(pupil.person_id))
    return "differs" in (ids, *_names(person, pupil))


def _candidate(person: Person, pupil: CityPupil, reason: str) -> Candidate:
    evidence = _evidence(person, pupil)
    equal = sum(value == "equal" for value in evidence.values())
    return Candidate(
        local_ref=person.ref,
        city_id=pupil.id,
        reason=reason,
        score=round(equal / len(evidence), 2),
        evidence=evidence,
    )


def _evidence(person: Person, pupil: CityPupil) -> Evidence:
    last, first = _names(person, pupil)
    return {
        "person_id": _same(person_id_key(person.person_id), person_id_key(pupil.person_id)),
        "last_name": last,
        "first_name": first,
        "class": _class(person, pupil),
        "birth": _birth(person, pupil),
        "profile": "equal" if pupil.is_active else "inactive",
    }


def _names(person: Person, pupil: CityPupil) -> tuple[str, str]:
    return (
        _same(name_part_key(person.last_name), name_part_key(pupil.last_name)),
        _same(name_part_key(person.first_name), name_part_key(pupil.first_name)),
    )


def _class(person: Person, pupil: CityPupil) -> str:
    return _same(class_key(person.class_name), class_key(pupil.class_name))


def _birth(person: Person, pupil: CityPupil) -> str:
    return _same(person.birth_on, pupil.birth_on)


def _same(ours: object, theirs: object) -> str:
    if ours is None or theirs is None:
        return "unknown"
    return "equal" if ours == theirs else "differs"


def correlate_groups(
    local: Iterable[Group],
    subjects: Mapping[str, Subject],
    directory: CityDirectory,
    rules: Rules,
    linked: Mapping[str, int],
) -> Correlation:
    """Link groups by subject (through the dictionary) and class.

    Only one plain group of a whole class, alone of its subject, is a link. Subgroups and metagroups have pupils of their
    own: beside or instead of a plain group they are candidates.

    Args:
        subjects: Local subject ref → subject.
        linked: Links that stand already: local ref → city group id.
    """
    class_names = {one.id: class_key(one.name) for one in directory.classes}
    waiting: dict[str, str] = {}
    found: dict[str, list[CityGroup]] = {}
    for group in sorted(local, key=lambda one: one.ref):
        if group.ref not in linked:
            found[group.ref] = _groups_like(group, subjects.get(group.subject), directory, class_names, rules)
    wanted = Counter(city[0].id for city in found.values() if len(city) == 1)
    taken = set(linked.values())
    links: list[NewLink] = []
    candidates: list[Candidate] = []
    evidence = {"subject": "equal", "class": "equal"}
    for ref, city in found.items():
        if not city:
            waiting[ref] = NO_CANDIDATE
            continue
        only = city[0] if len(city) == 1 else None
        is_plain = only is not None and not only.is_metagroup and not only.is_subgroup
        if only is not None and is_plain and wanted[only.id] == 1 and only.id not in taken:
            links.append(NewLink(local_ref=ref, city_id=only.id, how="natural", evidence=evidence))
            continue
        is_open = only is not None and wanted[only.id] == 1 and only.id not in taken
        waiting[ref] = NOT_LINKED if is_open else AMBIGUOUS_LINK
        candidates += [
            Candidate(
                local_ref=ref,
                city_id=one.id,
                reason=waiting[ref],
                score=0.5 if one.is_metagroup or one.is_subgroup else 1.0,
                evidence={**evidence, "group": _group_form(one)},
            )
            for one in city
        ]
    return Correlation(links=tuple(links), candidates=tuple(candidates), waiting=waiting)


def _groups_like(
    group: Group,
    subject: Subject | None,
    directory: CityDirectory,
    class_names: Mapping[int, str | None],
    rules: Rules,
) -> list[CityGroup]:
    key = rules.city_class(group.class_name or group.name)
    if subject is None or key is None:
        return []
    name = normal_text(rules.city_subject(subject.ref, subject.name))
    return [
        one
        for one in sorted(directory.groups, key=lambda one: one.id)
        if normal_text(one.subject_name) == name
        and key in {class_key(one.class_name), *(class_names.get(class_id) for class_id in one.class_ids)}
    ]


def _group_form(group: CityGroup) -> str:
    if group.is_metagroup:
        return "metagroup"
    return "subgroup" if group.is_subgroup else "plain"


def correlate_lessons(
    local: Iterable[Lesson], city: Iterable[CityLesson]
) -> tuple[Mapping[str, CityLesson], Mapping[str, str]]:
    """Match the lessons of one linked group by the moment they start.

    Two on one side at one moment are never told apart by guess, with one exception: a cancelled lesson gives way to the
    one that takes place instead.

    Args:
        local: Lessons of one local group.
        city: Lessons of the city group linked to it.

    Returns:
        Local ref → the city's lesson, and local ref → reason for those that have none.

    Raises:
        ValueError: Lessons of several groups came together.
    """
    ours, theirs = list(local), list(city)
    if len({one.group for one in ours}) > 1 or len({one.group_id for one in theirs}) > 1:
        raise ValueError("lessons of one group at a time")
    at: dict[datetime, list[CityLesson]] = defaultdict(list)
    for there in theirs:
        at[there.starts_at].append(there)
    counts = Counter(one.starts_at for one in ours)
    lessons: dict[str, CityLesson] = {}
    waiting: dict[str, str] = {}
    for lesson in sorted(ours, key=lambda one: one.ref):
        same = at.get(lesson.starts_at, [])
        same = [one for one in same if not one.is_cancelled] or same
        if not same:
            waiting[lesson.ref] = LESSON_NOT_LINKED
        elif len(same) > 1 or counts[lesson.starts_at] > 1:
            waiting[lesson.ref] = AMBIGUOUS_LINK
        else:
            lessons[lesson.ref] = same[0]
    return lessons, waiting
