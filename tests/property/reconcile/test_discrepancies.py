"""Random edits on both sides and random choices: what people decide is what stands, and nothing else was written."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from gateway.domain.discrepancies import PUT_ASIDE, TYPE_TEXTS, Choice, DiscrepancyState, DiscrepancyType
from gateway.domain.records import digest_of
from gateway.mapping.atoms import atom_digest, atom_of_city
from gateway.reconcile.choose import load_for_choice, sort_out, store_choice
from gateway.reconcile.corrections import lay_over, load_corrections
from gateway.reconcile.discrepancies import find_effect
from gateway.reconcile.follow import Followed, follow_chunk
from gateway.reconcile.intend import store_intended
from gateway.reconcile.proof import prove_chunk, settle_chunk
from gateway.reconcile.shadow import store_city_scope
from gateway.reconcile.tables import base, discrepancy, discrepancy_step, record
from tests.property.reconcile.conftest import SCOPE_NAME, World

PUPIL = 1
LESSONS = (1, 3, 5)
VALUES = ("2", "3", "4", "5")


class CuratedWorld:
    """A world of three cells with a portal, a city and a curator."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.portal: dict[str, str] = {}
        self.unseen: list[int] = []
        """Objects written over while they held something that nobody had agreed to or seen."""

    def teach(self, lesson: int, value: str) -> None:
        """A teacher gives or corrects a mark at the portal."""
        ref = f"m{lesson}"
        self.portal[ref] = value
        self.world.put_ours(ref, PUPIL, lesson, value)
        with self.world.store.write() as conn:
            conn.execute(delete(record).where(record.c.place_id == self.world.place_id, record.c.ref == ref))
            now = self.world.store.now(conn)
            conn.execute(
                insert(record).values(
                    place_id=self.world.place_id,
                    kind="mark",
                    ref=ref,
                    scope="mark|course:1|group:1",
                    digest=digest_of(value.encode()),
                    body=b"{}",
                    first_seen_at=now,
                    changed_at=now,
                    gone=None,
                    absent_reads=0,
                    run_id=1,
                )
            )

    def erase(self, lesson: int) -> None:
        """A teacher clears a mark at the portal, and two complete reads say so."""
        ref = f"m{lesson}"
        if ref in self.portal:
            del self.portal[ref], self.world.ours[ref]
            with self.world.store.write() as conn:
                conn.execute(delete(record).where(record.c.place_id == self.world.place_id, record.c.ref == ref))
            self.world.note_gone(ref, "cleared", 2)

    def type_there(self, lesson: int, value: str) -> None:
        """A person changes or types a mark in the city's journal."""
        here = [number for number, mark in self.world.city.items() if mark.lesson_id == lesson]
        if here and self.world.city[here[0]].value == value:
            return
        self.world.put_theirs(PUPIL, lesson, value, city_id=here[0] if here else None)

    def remove_there(self, lesson: int) -> None:
        """A person removes a mark in the city's journal."""
        for number in [number for number, mark in self.world.city.items() if mark.lesson_id == lesson]:
            del self.world.city[number]

    def night(self) -> Followed:
        """Plan, carry out what may go, read back, follow."""
        world = self.world
        with world.store.write() as conn:
            found = load_corrections(conn, world.place_id)
            laid = [
                lay_over(item, found["mark", ref])
                if ("mark", ref) in found and found["mark", ref].corrected == digest_of(self.portal[ref].encode())
                else item
                for ref, item in world.ours.items()
            ]
            store_intended(conn, world.place_id, SCOPE_NAME, laid)
            store_city_scope(conn, world.place_id, world.read(), run_id=1)
        sealed = world.seal([world.decide()])
        counts = Followed()
        with world.store.write() as conn:
            now = world.store.now(conn)
            due_at = now + timedelta(days=2)
            after: int | None = 0
            while after is not None:
                after = follow_chunk(
                    conn, world.place_id, sealed.id, after_seq=after, limit=2, now=now, due_at=due_at, counts=counts
                )
            after = 0
            while after is not None:
                after = settle_chunk(
                    conn, world.place_id, sealed.id, is_whole=True, after_id=after, limit=2, now=now, counts=counts
                )
        with world.store.read() as conn:
            query = select(base.c.city_id, base.c.digest).where(base.c.place_id == world.place_id)
            agreed = {row.city_id: row.digest for row in conn.execute(query)}
        shown = {number: atom_digest(atom_of_city(mark)) for number, mark in world.city.items()}
        before = len(world.writes)
        world.carry_out(sealed)
        self.unseen.extend(
            number for op, number in world.writes[before:] if op != "create" and agreed.get(number) != shown[number]
        )
        with world.store.write() as conn:
            prove_chunk(conn, world.place_id, after_id=0, limit=100, now=world.store.now(conn), counts=counts)
        return counts

    def rows(self, *, live_only: bool = True) -> Sequence[Any]:
        """The discrepancies."""
        query = select(discrepancy).where(discrepancy.c.place_id == self.world.place_id).order_by(discrepancy.c.id)
        if live_only:
            query = query.where(discrepancy.c.state == DiscrepancyState.OPEN.value)
        with self.world.store.read() as conn:
            return conn.execute(query).all()

    def choose(self, number: int, choice: Choice, *, own: str = "3", until: datetime | None = None) -> bool:
        """The curator settles one; False where it was not taken."""
        world = self.world
        with world.store.write() as conn:
            rows = load_for_choice(conn, world.place_id, [number])
            taken, _ = sort_out(rows, choice, busy=())
            store_choice(
                conn,
                world.place_id,
                taken,
                choice,
                own_value=own if choice is Choice.OWN else None,
                until=until,
                actor="curator",
                note_id=None,
                now=world.store.now(conn),
            )
        return bool(taken)

    def steps(self, number: int) -> list[str]:
        """What happened to one."""
        with self.world.store.read() as conn:
            return list(
                conn.execute(
                    select(discrepancy_step.c.step)
                    .where(discrepancy_step.c.discrepancy_id == number)
                    .order_by(discrepancy_step.c.id)
                ).scalars()
            )


_EDIT = st.one_of(
    st.tuples(st.sampled_from(("teach", "type")), st.sampled_from(LESSONS), st.sampled_from(VALUES)),
    st.tuples(st.sampled_from(("erase", "remove")), st.sampled_from(LESSONS), st.just("")),
    st.tuples(st.just("choose"), st.sampled_from(LESSONS), st.sampled_from([choice.value for choice in Choice])),
    st.tuples(st.just("night"), st.just(0), st.just("")),
)


_LIFE = {
    "edits": st.lists(_EDIT, max_size=14),
    "last": st.lists(st.sampled_from(list(Choice)), min_size=6, max_size=6),
}
_THOROUGH = os.environ.get("GATEWAY_TEST_THOROUGH") == "1"
in_one_store = settings(
    max_examples=2_000 if _THOROUGH else 200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@in_one_store
@given(**_LIFE)
def test_after_all_choices_both_journals_say_what_was_chosen(
    new_world: Callable[[], World], edits: list[tuple[str, int, str]], last: list[Choice]
) -> None:
    """Two hundred lives, two thousand with GATEWAY_TEST_THOROUGH=1."""
    live(new_world, edits, last)


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
@settings(in_one_store, max_examples=10)
@given(**_LIFE)
def test_the_same_on_a_database_server(
    new_world: Callable[[], World], edits: list[tuple[str, int, str]], last: list[Choice]
) -> None:
    live(new_world, edits, last)


def live(new_world: Callable[[], World], edits: list[tuple[str, int, str]], last: list[Choice]) -> None:
    """Let edits and nights happen, then settle everything, then hold both journals against what was chosen."""
    here = CuratedWorld(new_world())
    for act, lesson, value in edits:
        match act:
            case "teach":
                here.teach(lesson, value)
            case "erase":
                here.erase(lesson)
            case "type":
                here.type_there(lesson, value)
            case "remove":
                here.remove_there(lesson)
            case "night":
                here.night()
            case "choose":
                for row in here.rows():
                    if row.ref == f"m{lesson}":
                        _settle(here, row, [Choice(value)])
    for _ in range(8):
        here.night()
        open_rows = here.rows()
        if not open_rows and not [row for row in here.rows(live_only=False) if row.state == "waiting_proof"]:
            break
        for row in open_rows:
            _settle(here, row, last)

    left = [row for row in here.rows(live_only=False) if row.state != DiscrepancyState.RESOLVED.value]
    assert [row.state for row in left if row.state not in ("ignored", "waiting_outside")] == []
    assert here.unseen == []
    aside = {row.ref for row in left}
    with here.world.store.read() as conn:
        laid = load_corrections(conn, here.world.place_id)
    for ref, value in here.portal.items():
        if ref in aside:
            continue
        corrected = laid.get(("mark", ref))
        if corrected is not None and corrected.corrected == digest_of(value.encode()):
            if corrected.atom is None:
                continue
            value = corrected.atom.value  # type: ignore[union-attr]  # marks only in this world
        lesson = int(ref.removeprefix("m"))
        agreed = here.world.agreed()[ref]
        assert here.world.city[agreed].value == value
        assert here.world.city[agreed].lesson_id == lesson


def _settle(here: CuratedWorld, row: Any, wishes: Sequence[Choice]) -> None:
    """Take the first wish that is offered."""
    offered = TYPE_TEXTS[DiscrepancyType(row.type)].choices
    until = here.world.store.now() + timedelta(days=7)
    for wish in (*wishes, Choice.IGNORE):
        if wish in offered and here.choose(row.id, wish, until=until if wish in PUT_ASIDE else None):
            return


def test_a_choice_is_proven_only_by_a_read_back_and_reopened_when_it_flips(new_world: Callable[[], World]) -> None:
    here = CuratedWorld(new_world())
    here.teach(1, "5")
    here.night()
    here.type_there(1, "3")
    here.night()
    (row,) = here.rows()

    assert (row.type, row.reason, row.owner) == ("fields_differ", "DRIFT", "teacher")
    assert here.choose(row.id, Choice.OURS)
    assert here.rows(live_only=False)[0].state == "waiting_proof"
    here.night()
    assert here.steps(row.id) == ["opened", "chosen", "proven"]
    here.type_there(1, "3")
    here.night()
    assert here.steps(row.id) == ["opened", "chosen", "proven", "reopened"]
    assert here.unseen == []


@pytest.mark.row("V6")
def test_a_value_that_keeps_coming_back_is_two_writers_and_no_longer_ours_to_write(
    new_world: Callable[[], World],
) -> None:
    here = CuratedWorld(new_world())
    here.teach(1, "5")
    here.night()
    for _ in range(2):
        here.type_there(1, "3")
        here.night()
        here.choose(here.rows()[0].id, Choice.OURS)
        here.night()
    here.type_there(1, "3")
    here.night()
    (row,) = here.rows()

    assert (row.type, row.owner, row.flips) == ("two_writers", "deputy_head", 2)
    assert not here.choose(row.id, Choice.OURS)


def test_their_value_stands_until_the_portal_moves_and_then_the_portal_wins(new_world: Callable[[], World]) -> None:
    here = CuratedWorld(new_world())
    here.teach(1, "5")
    here.night()
    here.type_there(1, "3")
    here.night()
    (row,) = here.rows()
    here.choose(row.id, Choice.THEIRS)
    writes = len(here.world.writes)
    here.night()
    here.night()

    assert here.steps(row.id) == ["opened", "chosen", "proven"]
    assert len(here.world.writes) == writes
    here.teach(1, "4")
    here.night()
    assert [mark.value for mark in here.world.city.values()] == ["4"]


def test_a_choice_made_on_what_has_moved_since_is_not_taken(new_world: Callable[[], World]) -> None:
    here = CuratedWorld(new_world())
    here.teach(1, "5")
    here.night()
    here.type_there(1, "3")
    here.night()
    (row,) = here.rows()
    here.type_there(1, "2")
    with here.world.store.write() as conn:
        store_city_scope(conn, here.world.place_id, here.world.read(), run_id=1)
        rows = load_for_choice(conn, here.world.place_id, [row.id])
        taken, excluded = sort_out(rows, Choice.OURS, busy=())
        _, busy = sort_out(rows, Choice.HOLD, busy={("mark", "m1")})

    assert taken == []
    assert [one.why for one in excluded] == ["moved"]
    assert busy == []


def test_two_things_set_apart_are_never_taken_for_one_again(new_world: Callable[[], World]) -> None:
    here = CuratedWorld(new_world())
    here.type_there(1, "4")
    here.teach(1, "5")
    here.night()
    (row,) = here.rows()

    assert row.type == "two_candidates"
    assert here.choose(row.id, Choice.DISTINCT)
    here.night()
    here.night()
    assert sorted(mark.value for mark in here.world.city.values()) == ["4", "5"]
    assert here.steps(row.id) == ["opened", "chosen", "proven"]


def test_a_choice_whose_record_both_sides_let_go_of_meanwhile_is_closed_and_does_not_wait_for_ever(
    new_world: Callable[[], World],
) -> None:
    here = CuratedWorld(new_world())
    here.teach(1, "2")
    here.night()
    here.remove_there(1)
    here.night()
    here.erase(1)
    (row,) = here.rows()

    assert here.choose(row.id, Choice.OURS)
    here.night()
    assert here.steps(row.id) == ["opened", "chosen", "vanished"]
    assert here.world.city == {}


@pytest.mark.parametrize("choice", [Choice.OURS, Choice.THEIRS, Choice.OWN])
def test_a_choice_that_a_newer_edit_at_the_source_overtook_is_closed_when_the_city_shows_that_edit(
    new_world: Callable[[], World], choice: Choice
) -> None:
    here = CuratedWorld(new_world())
    here.teach(1, "5")
    here.night()
    here.type_there(1, "3")
    here.night()
    (row,) = here.rows()

    # seed 472 of the lives: the edit is there, and no read has shown it yet
    assert here.choose(row.id, choice, own="2")
    here.teach(1, "4")
    here.night()

    assert [mark.value for mark in here.world.city.values()] == ["4"]
    assert here.steps(row.id)[-1] == "portal_moved"
    assert [one.state for one in here.rows(live_only=False)] == [DiscrepancyState.RESOLVED.value]
    here.type_there(1, "3")
    here.night()
    assert here.steps(row.id)[-1] == "reopened"


def test_what_was_put_aside_comes_back_at_its_day(new_world: Callable[[], World]) -> None:
    here = CuratedWorld(new_world())
    here.teach(1, "5")
    here.night()
    here.type_there(1, "3")
    here.night()
    (row,) = here.rows()
    here.choose(row.id, Choice.IGNORE, until=here.world.store.now() + timedelta(days=7))
    here.night()
    assert here.rows() == []
    here.choose(row.id, Choice.HOLD, until=here.world.store.now() - timedelta(seconds=1))
    here.night()

    assert here.steps(row.id) == ["opened", "chosen", "chosen", "reopened"]


def test_every_type_offers_only_choices_that_do_something() -> None:
    silent = [
        (type_, choice)
        for type_, text in TYPE_TEXTS.items()
        for choice in text.choices
        if not find_effect(type_, choice)
    ]

    assert silent == []
    assert set(TYPE_TEXTS) == set(DiscrepancyType)
