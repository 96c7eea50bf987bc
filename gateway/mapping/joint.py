"""One group's records of several sources → one canonical record a thing, before they are mapped to the city.

Pure. A mark's cell is the pupil and the lesson it hangs on, which is what identifies it in the city too; words are
compared by what they mean (4.5 points and «5» are one mark, «н» with and without an excuse are one «н»). Where a source
has taken its word back and another has not, the thing stands; where none has a word left, it may go only when each has
been read without it as often as a delete needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from gateway.domain.clock import moscow_day
from gateway.domain.identifiers import Kind, source_of
from gateway.domain.reasons import ABSENCE_UNPROVEN, REASONS
from gateway.domain.records import Absence, Final, Homework, Lesson, LessonComment, Mark, Record
from gateway.mapping.chosen import find_period
from gateway.mapping.context import GroupContext, Mapped, MappedState
from gateway.mapping.joining import Conflict, Joined, Same, Word, join
from gateway.mapping.lessons import Chosen, choose_in
from gateway.mapping.mesh import Sent, map_record
from gateway.mapping.normalise import normal_text
from gateway.mapping.pairing import NewPair, Pairing, pair_cells, pair_lessons
from gateway.mapping.rules import Rules
from gateway.mapping.values import five_value


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a group's sources beside their records.

    Attributes:
        known: Ref → canonical ref, of one kind.
        unread: Sources that could not be read whole when last tried.
        silenced: Sources that are no longer configured: their words count where nobody else has one.
        sent: Refs that stand in the city, or that a person has to decide about there.
        busy: Refs that delivery holds.
        unproven: Canonical refs of which some member's absence is not proven.
    """

    known: Mapping[str, str] = {}
    unread: frozenset[str] = frozenset()
    silenced: frozenset[str] = frozenset()
    sent: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
    unproven: frozenset[str] = frozenset()


class JointScope(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one kind of a group.

    Attributes:
        records: The canonical records.
        pairs: Found just now, to be stored.
    """

    records: tuple[Record, ...]
    mapped: tuple[Mapped, ...]
    pairs: tuple[NewPair, ...]
    conflicts: tuple[Conflict, ...]


class JointLessons(msgspec.Struct, frozen=True, kw_only=True):
    """The lessons of a group; `canonical` leads from every source's ref to the lesson's own."""

    lessons: tuple[Lesson, ...]
    canonical: Mapping[str, str]
    pairs: tuple[NewPair, ...]
    conflicts: tuple[Conflict, ...]


def join_lessons(lessons: Sequence[Lesson], standing: Standing, rules: Rules) -> JointLessons:
    """Make one list of lessons of what all sources know of one group."""
    pairing = pair_lessons(lessons, standing.known, rules)
    canonical = _follow(standing.known, pairing)
    things = _things(lessons, canonical, standing, rules, SAME_LESSON)
    return JointLessons(
        lessons=_numbered([thing.record for thing in things if isinstance(thing.record, Lesson)]),
        canonical={lesson.ref: canonical.get(lesson.ref, lesson.ref) for lesson in lessons},
        pairs=pairing.pairs,
        conflicts=tuple(conflict for thing in things for conflict in thing.conflicts),
    )


SAME_LESSON: Mapping[str, Same] = {
    "lesson.time": lambda ours, theirs: (ours.starts_at, ours.duration_min) == (theirs.starts_at, theirs.duration_min)
}
"""The number in the day follows from what else the source knows of the day."""


def _numbered(lessons: Sequence[Lesson]) -> tuple[Lesson, ...]:
    """Number the lessons of each day anew: each source counts only those it knows."""
    starts: dict[date, set[datetime]] = defaultdict(set)
    for lesson in lessons:
        starts[moscow_day(lesson.starts_at)].add(lesson.starts_at)
    ordered = {day: sorted(found) for day, found in starts.items()}
    return tuple(
        msgspec.structs.replace(lesson, ordinal=ordered[moscow_day(lesson.starts_at)].index(lesson.starts_at) + 1)
        for lesson in lessons
    )


def join_scope(kind: Kind, records: Sequence[Sent], context: GroupContext, standing: Standing) -> JointScope:
    """Join one kind of a group and map what came out of it.

    Args:
        kind: Of all the records.
        records: Live records of all sources; their references are canonical already.
        context: Of the linked group; its lesson links lead from every source's lesson ref.
    """
    rules = context.rules
    sight = _Sight(context)
    pairing = pair_cells(
        records,
        standing.known,
        rules,
        cell_of=sight.cell_of,
        work_of=sight.work_of,
        tell_apart=(sight.value_of,) if kind is Kind.MARK else (),
        sent=standing.sent,
        busy=standing.busy,
    )
    canonical = _follow(standing.known, pairing)
    things = _things(records, canonical, standing, rules, sight.same)
    mapped = [_map_thing(thing, context, sight, pairing.waiting) for thing in things]
    there = {thing.record.ref for thing in things}
    mapped += [
        Mapped(ref=ref, kind=kind, state="waiting", reason=ABSENCE_UNPROVEN)
        for ref in sorted(standing.unproven & standing.sent)
        if ref not in there
    ]
    return JointScope(
        records=tuple(thing.record for thing in things),
        mapped=tuple(mapped),
        pairs=pairing.pairs,
        conflicts=tuple(conflict for thing in things for conflict in thing.conflicts),
    )


def _follow(known: Mapping[str, str], pairing: Pairing) -> dict[str, str]:
    return {**known, **{pair.ref: pair.canonical for pair in pairing.pairs}}


def _things(
    records: Sequence[Record],
    canonical: Mapping[str, str],
    standing: Standing,
    rules: Rules,
    same: Mapping[str, Same],
) -> list[Joined]:
    words: dict[str, list[Word]] = defaultdict(list)
    for record in records:
        is_fresh = source_of(record.ref) not in standing.unread
        words[canonical.get(record.ref, record.ref)].append(Word(record=record, is_fresh=is_fresh))
    things = []
    for ref in sorted(words):
        spoken = [word for word in words[ref] if word.source not in standing.silenced] or words[ref]
        things.append(join(spoken, ref, rules.sources, same=same))
    return things


def _map_thing(thing: Joined, context: GroupContext, sight: _Sight, waiting: Mapping[str, str]) -> Mapped:
    record = thing.record
    if not isinstance(record, Sent):
        raise TypeError(f"{record.kind} is not sent")
    reason = next((waiting[ref] for ref in thing.members if ref in waiting), thing.held)
    if not reason:
        return map_record(record, context)
    state: MappedState = "held" if REASONS[reason].category == "held" else "waiting"
    return Mapped(ref=record.ref, kind=record.kind, state=state, reason=reason, on=sight.day_of(record))


class _Sight:
    """What a group's records mean, for telling whether two of them are one thing and say the same."""

    def __init__(self, context: GroupContext) -> None:
        self._context = context
        self.same: Mapping[str, Same] = {
            "mark.value": lambda ours, theirs: (
                self._value(ours) is not None and self._value(ours) == self._value(theirs)
            ),
            "mark.work": lambda ours, theirs: self.work_of(ours) == self.work_of(theirs),
            "absence.form": lambda ours, theirs: (ours.form == "late") == (theirs.form == "late"),
            # a page of the journal has no titles: the lesson's topic stands in its place and contradicts nobody
            "homework.text": lambda ours, theirs: self.work_of(ours) == self.work_of(theirs),
        }

    def cell_of(self, record: Record) -> Hashable | None:
        """Pupil and lesson, or pupil and period, or the day a homework is for; None while the lesson is not known."""
        match record:
            case Mark():
                lesson_id = self._lesson_of(record)
                return None if lesson_id is None else (record.pupil, lesson_id)
            case Absence() | LessonComment():
                lesson_id = self._context.lesson_links.get(record.lesson)
                return None if lesson_id is None else (record.pupil, lesson_id)
            case Homework():
                return record.prepared_for
            case Final():
                # «2» of the one source and «2 триместр» of the other are one period
                period = find_period(record, self._context.timetable.periods)
                return None if period is None else (record.pupil, record.form, period.begins_on)
        return None

    def work_of(self, record: Record) -> Hashable | None:
        """Kind of work of a mark, text of a homework or remark; None where the source does not say."""
        match record:
            case Mark(item_name=""):
                return None
            case Mark():
                rule = self._context.rules.find_item_rule(record)
                return normal_text(self._context.rules.form_name(rule)) if rule is not None else None
            case Homework():
                return normal_text(record.text or record.title) or None
            case LessonComment():
                return record.form, normal_text(record.text)
        return None

    def value_of(self, record: Record) -> Hashable | None:
        """What a mark is worth."""
        return self._value(record) if isinstance(record, Mark) else None

    def day_of(self, record: Record) -> Any:
        """Moscow day of the lesson, where it is known."""
        if isinstance(record, Homework):
            return record.assigned_on
        if isinstance(record, Final):
            return None
        cell = self.cell_of(record)
        return self._context.timetable.day_of.get(cell[1]) if isinstance(cell, tuple) else None

    def _value(self, mark: Mark) -> int | None:
        # Two that were paired once stay comparable where the lesson is no longer found: by today's percent table.
        return five_value(mark, self._context.rules, self.day_of(mark) or moscow_day(self._context.now))

    def _lesson_of(self, mark: Mark) -> int | None:
        context = self._context
        rule = context.rules.find_item_rule(mark)
        if rule is not None and not rule.send:
            return None
        if mark.ref in context.chosen:
            return context.chosen[mark.ref]
        attempts = context.attempts.get((mark.activity or "", mark.pupil), ())
        lesson_date = rule.lesson if rule is not None else None
        choice = choose_in(context.timetable, mark, attempts=attempts, lesson_date=lesson_date, now=context.now)
        return choice.lesson.id if isinstance(choice, Chosen) else None


def rewrite(record: Record, people: Mapping[str, str], groups: Mapping[str, str]) -> Record:
    """Lead a record's references to the canonical person and group; the record's own ref stays."""
    changes: dict[str, Any] = {}
    for field, refs in (("pupil", people), ("person", people), ("group", groups)):
        ref = getattr(record, field, None)
        if isinstance(ref, str) and ref in refs:
            changes[field] = refs[ref]
    if isinstance(record, Homework) and any(ref in people for ref in record.pupils):
        changes["pupils"] = tuple(sorted({people.get(ref, ref) for ref in record.pupils}))
    return msgspec.structs.replace(record, **changes) if changes else record


__all__ = ["JointLessons", "JointScope", "Standing", "join_lessons", "join_scope", "rewrite"]
