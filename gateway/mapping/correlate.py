"""Works out which local group or lesson is which in the city's journal; people are `mapping.people`.

Pure. What is unique by a key that both systems own becomes a link; everything else becomes candidates that wait for a
person, with their evidence and reason. The answer depends on the sets alone, never on the order in which records come.

Source: city-journal.md §7.5 (natural keys); design, "Which lesson a mark hangs on".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup, CityLesson
from gateway.domain.reasons import AMBIGUOUS_LINK, LESSON_NOT_LINKED, NO_CANDIDATE, NOT_LINKED
from gateway.domain.records import Group, Lesson, Subject
from gateway.mapping.likeness import Evidence
from gateway.mapping.normalise import class_key, normal_text
from gateway.mapping.rules import Rules


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
