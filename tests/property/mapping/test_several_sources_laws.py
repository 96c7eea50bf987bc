"""Laws of several sources of one thing: order is nothing, agreement is one record, silence is no word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.city import CityForm, CityGroup, CityLesson, CityMembership, CityPeriod, CityPupil
from gateway.domain.identifiers import Kind, source_of, sourced
from gateway.domain.records import Absence, Group, Mark, Scale
from gateway.mapping.context import GroupContext, Mapped
from gateway.mapping.joint import JointScope, Standing, join_scope
from gateway.mapping.rules import everything_on, load_rules

RULES = everything_on(load_rules(None))
DAYS = [date(2026, 11, 9) + timedelta(days=shift) for shift in range(3)]
STARTS = [datetime(day.year, day.month, day.day, 6, tzinfo=UTC) for day in DAYS]
PUPILS = {"user:1": 41, "user:2": 42}
WORKS = ("", "Урок: работа на уроке", "Проект")
NAMES = ("Работа на уроке", "Домашнее задание", "Тест", "Проект")


def context() -> GroupContext:
    members = (CityMembership(group_id=7, begins_on=date(2026, 9, 1), ends_on=date(2027, 8, 31)),)
    return GroupContext(
        group=Group(ref="group:1", programme="course:2", subject="subject:алгебра", name="7А", class_name="7А"),
        city_group=CityGroup(
            id=7,
            name="7А",
            subject_id=70,
            subject_name="Алгебра",
            class_ids=(1,),
            class_name="7А",
            level=7,
            schedule_id=1,
            teacher_ids=(900,),
            pupil_ids=(41, 42),
        ),
        subject="Алгебра",
        class_name="7А",
        pupils=PUPILS,
        pupils_waiting={},
        city_pupils={
            city_id: CityPupil(
                id=city_id,
                person_id=f"p-{city_id}",
                last_name="Иванов",
                first_name="Иван",
                middle_name=None,
                birth_on=None,
                class_id=1,
                class_name="7А",
                is_active=True,
                memberships=members,
            )
            for city_id in PUPILS.values()
        },
        lessons=tuple(
            CityLesson(
                id=100 + at, group_id=7, subject_id=70, starts_at=starts, duration_min=45, number=1, teacher_id=900
            )
            for at, starts in enumerate(STARTS)
        ),
        lesson_links={f"session:{at}": 100 + at for at in range(len(STARTS))},
        periods=(CityPeriod(id=1, schedule_id=1, name="1", begins_on=date(2026, 9, 1), ends_on=date(2026, 12, 30)),),
        forms=tuple(
            CityForm(id=21 + at, name=name, weight=1, grade_system_id=31, grade_system="five", subject_id=70, level=2)
            for at, name in enumerate(NAMES)
        ),
        attempts={},
        chosen={},
        rules=RULES,
        now=datetime(2026, 11, 23, 16, tzinfo=UTC),
        absence_reason_id=2,
    )


CONTEXT = context()


def mark(source: str, number: int, pupil: str, lesson: int, work: str, points: float) -> Mark:
    return Mark(
        ref=sourced(source, f"mark:{number}"),
        pupil=pupil,
        programme="course:2",
        group="group:1",
        item=sourced(source, f"item:{lesson}:{work}"),
        item_name=work,
        item_form="manual",
        module=None if work else "page",
        scale=Scale("points", 0, 5),
        raw_points=points,
        lesson_at=STARTS[lesson],
    )


@st.composite
def marks(draw: st.DrawFn, source: str) -> list[Mark]:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(sorted(PUPILS)),
                st.integers(0, len(STARTS) - 1),
                st.sampled_from(WORKS),
                st.sampled_from([3.0, 4.0, 4.5, 5.0]),
            ),
            max_size=6,
        )
    )
    return [mark(source, number, *row) for number, row in enumerate(rows)]


def joined(records: Sequence[Mark | Absence], kind: Kind = Kind.MARK, **standing: object) -> JointScope:
    return join_scope(kind, records, CONTEXT, Standing(**standing))  # type: ignore[arg-type]  # keywords of the struct


def by_ref(scope: JointScope) -> dict[str, Mapped]:
    assert len({one.ref for one in scope.mapped}) == len(scope.mapped)
    return {one.ref: one for one in scope.mapped}


@settings(max_examples=60)
@given(marks(""), marks("planner"), marks("journal"), st.randoms(use_true_random=False))
def test_the_order_of_sources_and_of_reading_does_not_matter(
    portal: list[Mark], planner: list[Mark], journal: list[Mark], random: object
) -> None:
    records: list[Mark | Absence] = [*portal, *planner, *journal]
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random

    assert joined(shuffled) == joined(records)


@settings(max_examples=60)
@given(marks(""), st.booleans())
def test_sources_that_agree_are_one_record_as_if_one_had_spoken(marked: list[Mark], names_work: bool) -> None:
    portal = list({(one.pupil, one.lesson_at): one for one in marked}.values())
    copies = [
        msgspec.structs.replace(
            one,
            ref=sourced("planner", one.ref),
            item_name=one.item_name if names_work else "",
            raw_points=5.0 if one.raw_points == 4.5 else one.raw_points,
        )
        for one in portal
    ]

    alone, together = joined(portal), joined([*portal, *copies])

    assert by_ref(together) == by_ref(alone)
    assert not together.conflicts
    assert {pair.ref for pair in together.pairs} == {one.ref for one in copies}


@settings(max_examples=60)
@given(marks(""), marks("planner"))
def test_what_is_stored_of_the_pairs_gives_the_same_answer_again(portal: list[Mark], planner: list[Mark]) -> None:
    first = joined([*portal, *planner])
    known = {pair.ref: pair.canonical for pair in first.pairs}

    again = joined([*portal, *planner], known=known)

    assert not again.pairs
    assert by_ref(again) == by_ref(first)


@settings(max_examples=60)
@given(marks(""), marks("planner"))
def test_a_source_that_was_not_read_whole_outvotes_nobody(portal: list[Mark], planner: list[Mark]) -> None:
    """What is sent for a thing the portal speaks of is what it alone would send, or nothing for now."""
    known = {pair.ref: pair.canonical for pair in joined([*portal, *planner]).pairs}
    alone = by_ref(joined(portal))

    together = by_ref(joined([*portal, *planner], known=known, unread=frozenset({"planner"})))

    for ref, mapped in together.items():
        if source_of(ref) == "" and mapped.intent is not None and known.get(ref, ref) == ref:
            spoken = [one for one in planner if known.get(one.ref) == ref and one.item_name]
            assert mapped == alone[ref] or (spoken and mapped.intent.value == alone[ref].intent.value)  # type: ignore[union-attr]  # marks have values


@pytest.mark.row("E9")
@settings(max_examples=60)
@given(marks(""), marks("planner"), marks("journal"))
def test_one_work_of_one_cell_is_sent_once_however_many_sources_tell_of_it(
    portal: list[Mark], planner: list[Mark], journal: list[Mark]
) -> None:
    single = [
        one
        for found in (portal, planner, journal)
        for one in {(one.pupil, one.lesson_at): one for one in found}.values()
    ]

    together = joined(single)

    sent = Counter(
        (one.intent.object_key, one.intent.form_id)  # type: ignore[union-attr]  # marks have forms
        for one in together.mapped
        if one.intent is not None
    )
    works: dict[tuple[str, datetime | None], set[str]] = {}
    for one in single:
        works.setdefault((one.pupil, one.lesson_at), set()).update({one.item_name} - {""})
    assert all(count == 1 for count in sent.values())
    assert sum(sent.values()) <= sum(max(1, len(found)) for found in works.values())


@settings(max_examples=60)
@given(marks(""), marks("planner"))
def test_a_thing_that_nobody_asserts_goes_only_when_every_source_has_proven_it(
    portal: list[Mark], planner: list[Mark]
) -> None:
    refs = {one.ref for one in portal}

    waiting = joined(planner, sent=frozenset(refs), unproven=frozenset(refs))

    found = by_ref(waiting)
    assert all(found[ref].intent is None and found[ref].reason == "ABSENCE_UNPROVEN" for ref in refs)


@settings(max_examples=60)
@given(st.sampled_from(["absent", "excused", "late"]), st.sampled_from(["absent", "excused", "late"]))
def test_an_absence_of_two_sources_is_one_and_two_meanings_of_it_wait(ours: str, theirs: str) -> None:
    both: list[Mark | Absence] = [
        Absence(
            ref=sourced(source, "absence:1"),
            pupil="user:1",
            lesson="session:1",
            group="group:1",
            form=form,  # type: ignore[arg-type]  # drawn from the literal
        )
        for source, form in (("", ours), ("planner", theirs))
    ]

    scope = joined(both, Kind.ABSENCE)

    assert len(scope.mapped) == 1
    differ = (ours == "late") != (theirs == "late")
    assert (scope.mapped[0].reason == "SOURCES_DISAGREE") is differ
    assert scope.mapped[0].ref == "absence:1"
