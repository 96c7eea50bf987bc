"""Laws of correlation: the order of records means nothing, and nobody is ever given somebody else's profile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.city import CityMembership, CityPupil
from gateway.domain.records import Person
from gateway.mapping.correlate import Correlation
from gateway.mapping.normalise import name_key, name_part_key, person_id_key
from gateway.mapping.people import correlate_people
from gateway.mapping.roster import RosterRow, plan_import

# Few names, ids and classes, so that namesakes, doubled ids and gaps are the usual case and not a rare one.
LAST = st.sampled_from(["Семёнов", "Семенов", "Cеменов", "Ким", "None", ""])
FIRST = st.sampled_from(["Алёна", "Алена", "Роман", "None"])
IDS = st.sampled_from(["p-1", "P-1", "p-2", "p-3", "p-4", None])
ROLES: list[Literal["pupil", "teacher"]] = ["pupil", "pupil", "pupil", "teacher"]
CLASSES = st.sampled_from(["7А", "7-а", "7A", "7Б", None])


def people() -> st.SearchStrategy[list[Person]]:
    fields = st.tuples(LAST, FIRST, IDS, CLASSES, st.sampled_from(ROLES))
    return st.lists(fields, max_size=6).map(
        lambda rows: [
            Person(
                ref=f"user:{at}",
                role=role,
                last_name=last,
                first_name=first,
                person_id=person_id,
                class_name=class_name,
            )
            for at, (last, first, person_id, class_name, role) in enumerate(rows, start=1)
        ]
    )


def pupils() -> st.SearchStrategy[list[CityPupil]]:
    known = st.tuples(st.one_of(LAST, st.none()), st.one_of(FIRST, st.none()), IDS, CLASSES, st.booleans())
    return st.lists(known, max_size=6).map(
        lambda rows: [
            CityPupil(
                id=at,
                person_id=person_id or "",
                last_name=last,
                first_name=first,
                middle_name=None,
                birth_on=None,
                class_id=None,
                class_name=class_name,
                is_active=is_active,
                memberships=(CityMembership(group_id=1),),
            )
            for at, (last, first, person_id, class_name, is_active) in enumerate(rows, start=41)
        ]
    )


def linked_to(local: list[Person], city: list[CityPupil], draw: Callable[..., Any]) -> dict[str, int]:
    """Some links that stand already, one to one."""
    count = draw(st.integers(0, min(len(local), len(city))))
    refs = draw(st.permutations([person.ref for person in local]))[:count]
    ids = draw(st.permutations([pupil.id for pupil in city]))[:count]
    return dict(zip(refs, ids, strict=True))


def answers(found: Correlation) -> Any:
    return (
        {one.local_ref: one.city_id for one in found.links},
        {(one.local_ref, one.city_id, one.reason) for one in found.candidates},
        dict(found.waiting),
    )


@given(people(), pupils(), st.data())
def test_the_order_of_records_changes_no_answer(
    local: list[Person], city: list[CityPupil], data: st.DataObject
) -> None:
    linked = linked_to(local, city, data.draw)
    usual = correlate_people(local, city, linked)
    shuffled = correlate_people(data.draw(st.permutations(local)), data.draw(st.permutations(city)), linked)

    assert answers(shuffled) == answers(usual)


@given(people(), pupils(), st.data())
def test_a_link_is_one_to_one_proven_by_the_id_and_contradicted_by_no_name(
    local: list[Person], city: list[CityPupil], data: st.DataObject
) -> None:
    linked = linked_to(local, city, data.draw)
    by_ref, by_id = {one.ref: one for one in local}, {one.id: one for one in city}

    found = correlate_people(local, city, linked)

    for link in found.links:
        person, pupil = by_ref[link.local_ref], by_id[link.city_id]
        key = person_id_key(person.person_id)
        assert key is not None
        assert key == person_id_key(pupil.person_id)
        assert sum(person_id_key(one.person_id) == key for one in local if one.role == "pupil") == 1
        for ours, theirs in ((person.last_name, pupil.last_name), (person.first_name, pupil.first_name)):
            assert None in (name_part_key(ours), name_part_key(theirs)) or name_part_key(ours) == name_part_key(theirs)
    taken = Counter([*linked.values(), *(link.city_id for link in found.links)])
    assert all(count == 1 for count in taken.values())


@given(people(), pupils(), st.data())
def test_every_pupil_is_linked_or_waits_and_nobody_both(
    local: list[Person], city: list[CityPupil], data: st.DataObject
) -> None:
    linked = linked_to(local, city, data.draw)

    found = correlate_people(local, city, linked)

    new = {link.local_ref for link in found.links}
    asked = {one.ref for one in local if one.role == "pupil"} - linked.keys()
    assert new | found.waiting.keys() == asked
    assert not new & found.waiting.keys()
    assert {one.local_ref for one in found.candidates} <= found.waiting.keys()


@given(people(), pupils())
def test_a_pupil_without_an_id_is_never_linked_by_his_name(local: list[Person], city: list[CityPupil]) -> None:
    without_id = [one for one in local if one.person_id is None]

    assert not correlate_people(without_id, city, {}).links


@given(people(), pupils(), st.data())
def test_a_list_never_gives_a_pupil_the_profile_of_another_name(
    local: list[Person], city: list[CityPupil], data: st.DataObject
) -> None:
    linked = linked_to(local, city, data.draw)
    cells = st.tuples(
        st.sampled_from(["1", "2", "3", "user:1", "user:2"]), LAST, FIRST, IDS, st.sampled_from(["7А", "7Б"])
    )
    rows = [
        RosterRow(
            sheet="x",
            number=at,
            portal_id=portal_id,
            last_name=last,
            first_name=first,
            person_id=person_id or "",
            class_name=class_name,
        )
        for at, (portal_id, last, first, person_id, class_name) in enumerate(
            data.draw(st.lists(cells, max_size=6)), start=2
        )
    ]
    by_ref, by_id = {one.ref: one for one in local}, {one.id: one for one in city}

    plan = plan_import(rows, local, city, linked)

    assert len(plan.confirm) + len(plan.refuse) + plan.unchanged == len(rows)
    for link in plan.confirm:
        ours = name_key(by_ref[link.local_ref].last_name, by_ref[link.local_ref].first_name)
        theirs = name_key(by_id[link.city_id].last_name, by_id[link.city_id].first_name)
        assert ours is None or theirs is None or ours == theirs
        assert link.local_ref not in linked
        assert link.city_id not in linked.values()
    assert len({link.local_ref for link in plan.confirm}) == len({link.city_id for link in plan.confirm})
