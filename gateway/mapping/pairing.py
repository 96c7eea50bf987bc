"""Works out which records of the school's own sources are one thing, before anything meets the city.

Pure. Between the snapshot and joining. People are one by an id that both sources own, never by name; groups by subject
and class; lessons by their beginning; marks, absences and homework by their cell in the group's journal. What can't be
told apart is not guessed: it waits with its candidates. What was found once is stored and never moved
(`mapping.record_links`), so a name corrected later changes nothing here.

The answer depends on the sets alone: sources are taken in the order of the rules and records in the order of their refs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import source_of
from gateway.domain.reasons import AMBIGUOUS_LINK, NOT_LINKED, PERSON_ID_NAME_MISMATCH, SOURCES_BOTH_SENT
from gateway.domain.records import Group, Lesson, Person, Record, Subject
from gateway.mapping.normalise import class_key, name_key, normal_text, person_id_key
from gateway.mapping.rules import Rules

R = TypeVar("R", bound=Record)
Trait = Callable[[Any], Hashable | None]
"""What a record says of itself, to be compared; None where it says nothing."""
NOTHING: Mapping[str, str] = {}


class NewPair(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is the same thing as the canonical one, and how that is known."""

    ref: str
    canonical: str
    how: str


class Pairing(msgspec.Struct, frozen=True, kw_only=True):
    """What was found beside what was known.

    Attributes:
        waiting: Ref → reason why it is neither another source's thing nor safely one of its own.
    """

    pairs: tuple[NewPair, ...] = ()
    waiting: Mapping[str, str] = {}


def pair_people(
    people: Iterable[Person],
    known: Mapping[str, str],
    rules: Rules,
    *,
    city_ids: Mapping[str, str] = NOTHING,
    sent: Collection[str] = (),
) -> Pairing:
    """Find one person's records in several sources: by the city's person id, else by the school's own id.

    Args:
        people: Of all sources; a teacher and a pupil are never one.
        known: Ref → canonical ref, as found earlier; never changed here.
        city_ids: Ref → the city's person id of the pupil it is linked to, for records that bear none themselves.
        sent: Refs linked to the city: of two such the pair is a person's decision.
    """
    found = _Finder(known, rules, sent)
    seen: list[Person] = []
    for person in found.ordered(people):
        others = [one for one in seen if one.role == person.role and source_of(one.ref) != source_of(person.ref)]
        twins = [one for one in seen if source_of(one.ref) == source_of(person.ref)]
        seen.append(person)
        if person.ref in known:
            continue
        same = _same_ids(person, others, city_ids)
        if same:
            reason = _why_not(person, same, twins, city_ids)
            if reason is None:
                found.add(person.ref, same[0].ref, how="id")
            else:
                found.waiting[person.ref] = reason
        elif person.role == "pupil" and _has_namesake(person, others, city_ids):
            # Two records of one name and class, without an id in common: one child or two, a person must say.
            found.waiting[person.ref] = NOT_LINKED
    return found.pairing()


def _id_of(person: Person, city_ids: Mapping[str, str]) -> str | None:
    return person_id_key(person.person_id) or person_id_key(city_ids.get(person.ref))


def _same_ids(person: Person, others: Sequence[Person], city_ids: Mapping[str, str]) -> list[Person]:
    key = _id_of(person, city_ids)
    same = [one for one in others if key is not None and _id_of(one, city_ids) == key]
    if not same and person.school_id:
        same = [one for one in others if one.school_id == person.school_id and not _differ(key, _id_of(one, city_ids))]
    return same


def _why_not(
    person: Person, same: Sequence[Person], twins: Sequence[Person], city_ids: Mapping[str, str]
) -> str | None:
    """Say why an equal id is no pair: two records of one source bear it, or the names contradict."""
    key = _id_of(person, city_ids)
    sources = [source_of(one.ref) for one in same]
    if len(set(sources)) < len(sources) or any(key is not None and _id_of(one, city_ids) == key for one in twins):
        return AMBIGUOUS_LINK
    mine = name_key(person.last_name, person.first_name)
    if any(_differ(mine, name_key(one.last_name, one.first_name)) for one in same):
        return PERSON_ID_NAME_MISMATCH
    return None


def _has_namesake(person: Person, others: Sequence[Person], city_ids: Mapping[str, str]) -> bool:
    name, room = name_key(person.last_name, person.first_name), class_key(person.class_name)
    return name is not None and any(
        name_key(one.last_name, one.first_name) == name
        and not _differ(room, class_key(one.class_name))
        and not _differ(_id_of(person, city_ids), _id_of(one, city_ids))
        and not _differ(person.birth_on, one.birth_on)
        for one in others
    )


def pair_groups(
    groups: Iterable[Group],
    subjects: Mapping[str, Subject],
    known: Mapping[str, str],
    rules: Rules,
    *,
    sent: Collection[str] = (),
) -> Pairing:
    """Find one group in several sources: by subject (through the dictionary) and class, then by its name.

    Args:
        subjects: Subject ref of any source → subject.
        sent: Refs linked to the city.
    """
    found = _Finder(known, rules, sent)
    cells: dict[Hashable, list[Group]] = defaultdict(list)
    for group in found.ordered(groups):
        subject = subjects.get(group.subject)
        key = rules.city_class(group.class_name or group.name)
        if subject is not None and key is not None:
            cells[normal_text(rules.city_subject(subject.ref, subject.name)), key].append(group)
    for cell in cells.values():
        found.pair_cell(cell, work_of=_says_nothing, tell_apart=(lambda group: normal_text(group.name),), how="natural")
    return found.pairing()


def pair_lessons(lessons: Iterable[Lesson], known: Mapping[str, str], rules: Rules) -> Pairing:
    """Find one lesson of one group in several sources: by its beginning, then by its number in the day."""
    found = _Finder(known, rules, ())
    ordered = found.ordered(lessons)
    for key in (lambda one: one.starts_at, lambda one: (moscow_day(one.starts_at), one.ordinal)):
        cells: dict[Hashable, list[Lesson]] = defaultdict(list)
        for lesson in ordered:
            cells[key(lesson)].append(lesson)
        for cell in cells.values():
            found.pair_cell(cell, work_of=_says_nothing, tell_apart=(), how="natural")
    # A timetable's lesson that nothing else knows is a lesson of its own: silence of the others is no contradiction.
    found.waiting.clear()
    return found.pairing()


def pair_cells(
    records: Iterable[R],
    known: Mapping[str, str],
    rules: Rules,
    *,
    cell_of: Callable[[R], Hashable | None],
    work_of: Callable[[R], Hashable | None] | None = None,
    tell_apart: Sequence[Callable[[R], Hashable | None]] = (),
    sent: Collection[str] = (),
    busy: Collection[str] = (),
) -> Pairing:
    """Find marks, absences or homework that are one thing: in one cell, one of each source, or told apart by what they say.

    Args:
        records: Live records of one kind and one group, of all sources.
        cell_of: Where a record stands (pupil and lesson, or the day of a homework); None = not known yet, so not paired.
        work_of: What makes two records of one cell two things (kind of work, text); None = the record does not say.
        tell_apart: Where a source has several in one cell: what else distinguishes them, tried in turn.
        sent: Refs with something of theirs in the city: they keep their own ref as the canonical one.
        busy: Refs that delivery holds: nothing is decided about them now.
    """
    found = _Finder(known, rules, sent)
    cells: dict[Hashable, list[R]] = defaultdict(list)
    for record in found.ordered(records):
        cell = cell_of(record)
        if cell is not None and record.ref not in busy and known.get(record.ref) not in busy:
            cells[cell].append(record)
    for same in cells.values():
        found.pair_cell(same, work_of=work_of or _says_nothing, tell_apart=tell_apart, how="cell")
    return found.pairing()


class _Finder:
    """Collects pairs; a canonical thing has at most one live record of a source."""

    def __init__(self, known: Mapping[str, str], rules: Rules, sent: Collection[str]) -> None:
        self._known = dict(known)
        self._rules = rules
        self._sent = frozenset(sent)
        self._new: list[NewPair] = []
        self.waiting: dict[str, str] = {}

    def ordered(self, records: Iterable[R]) -> list[R]:
        """Sources by the order of the rules, records by their refs: the order of reading does not matter."""
        return sorted(records, key=lambda one: (self._rules.sources.rank(source_of(one.ref)), one.ref))

    def canonical(self, ref: str) -> str:
        """Follow to the thing a record is part of; a record that is known to nobody is a thing of its own."""
        return self._known.get(ref, ref)

    def add(self, ref: str, other: str, *, how: str) -> bool:
        """Say that two records are one thing; the one that the city knows already lends its ref, else the first source's."""
        mine, theirs = self.canonical(ref), self.canonical(other)
        if mine == theirs:
            return True
        if mine in self._sent and theirs in self._sent:
            # Both stand in the city as two objects: which of them goes is a person's decision.
            self.waiting[ref] = SOURCES_BOTH_SENT
            return False
        keep, move = sorted(
            (mine, theirs), key=lambda one: (one not in self._sent, self._rules.sources.rank(source_of(one)), one)
        )
        for one in [move, *(known for known, canonical in self._known.items() if canonical == move)]:
            self._known[one] = keep
            self._new = [pair for pair in self._new if pair.ref != one]
            self._new.append(NewPair(ref=one, canonical=keep, how=how))
        return True

    def pair_cell(self, cell: Sequence[R], *, work_of: Trait, tell_apart: Sequence[Trait], how: str) -> None:
        """Pair what stands in one cell, source by source, in the order of the rules."""
        sources = list(dict.fromkeys(source_of(record.ref) for record in cell))
        for place, source in enumerate(sources):
            self._pair_source(cell, source, frozenset(sources[:place]), work_of, tell_apart, how)

    def _pair_source(
        self,
        cell: Sequence[R],
        source: str,
        earlier: frozenset[str],
        work_of: Trait,
        tell_apart: Sequence[Trait],
        how: str,
    ) -> None:
        things: dict[str, list[R]] = defaultdict(list)
        for record in cell:
            things[self.canonical(record.ref)].append(record)
        left = [
            same[0]
            for same in things.values()
            if len(same) == 1 and source_of(same[0].ref) == source and self._is_new(same[0])
        ]
        # A thing whose record of this source is gone takes in the one that stands there now: set again, it is still one.
        open_things = {
            thing: same
            for thing, same in things.items()
            if source not in {source_of(one.ref) for one in same}
            and (earlier & {source_of(one.ref) for one in same} or not all(self._is_new(one) for one in same))
        }
        before = -1
        while len(left) != before:  # what one pair takes away may leave another no choice
            before = len(left)
            for trait in (work_of, *tell_apart):
                left = self._pair_by(trait, open_things, left, work_of, how)
        if len(left) == 1 and len(open_things) == 1:
            (thing, same), mine = next(iter(open_things.items())), left[0]
            if not _is_other_work(mine, same, work_of):
                self.add(mine.ref, thing, how=how)
            return
        for mine in left:
            if not all(_is_other_work(mine, same, work_of) for same in open_things.values()):
                self.waiting.setdefault(mine.ref, AMBIGUOUS_LINK)

    def _pair_by(
        self, trait: Trait, things: dict[str, list[R]], left: Sequence[R], work_of: Trait, how: str
    ) -> list[R]:
        """Pair what a trait tells apart without doubt: one thing and one record that say the same."""
        still: list[R] = []
        for mine in left:
            said = trait(mine)
            like = [
                thing
                for thing, same in things.items()
                if said is not None
                and any(trait(one) == said for one in same)
                and not _is_other_work(mine, same, work_of)
            ]
            rivals = [one for one in left if trait(one) == said]
            if len(like) == 1 and len(rivals) == 1 and self.add(mine.ref, like[0], how=how):
                things.pop(like[0])
            else:
                still.append(mine)
        return still

    def _is_new(self, record: Record) -> bool:
        """Whether a record is part of no thing but itself."""
        return record.ref not in self._known and record.ref not in self._known.values()

    def pairing(self) -> Pairing:
        """Return what was found."""
        return Pairing(pairs=tuple(self._new), waiting=dict(self.waiting))


def _is_other_work(mine: R, same: Sequence[R], work_of: Trait) -> bool:
    return any(_differ(work_of(mine), work_of(one)) for one in same)


def _says_nothing(_record: object) -> None:
    """A kind of record of which two in one cell are never told apart by what they are."""


def _differ(ours: Hashable | None, theirs: Hashable | None) -> bool:
    return ours is not None and theirs is not None and ours != theirs


__all__ = ["NewPair", "Pairing", "pair_cells", "pair_groups", "pair_lessons", "pair_people"]
