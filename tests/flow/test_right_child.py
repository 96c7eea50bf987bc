"""Never a mark on the wrong child: two namesakes in one class, a pupil who changed class, one who left, a new profile in the city.

Each ends as a candidate or as a discrepancy with an owner, and the city's ledger is the judge.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from gateway.domain.clock import moscow_day
from gateway.domain.discrepancies import LIVE, Outside
from gateway.domain.errors import AmbiguousMatchError, ConfigurationError, PlanRefusedError, SecondPersonError
from gateway.domain.identifiers import Kind
from gateway.flows.correlate import correlate
from gateway.flows.links import confirm_link, reject_link
from gateway.flows.outside import wait_outside
from gateway.flows.pull import pull
from gateway.flows.runs import start_run
from gateway.mapping.doubts import DAYS_OF_ANOTHER_CLASS
from gateway.mapping.links import load_candidates
from gateway.reconcile.tables import discrepancy
from gateway.report.links import get_card, load_asking
from tests.flow.persons import as_account, lose_post

COURSE = 2
FIRST, NAMESAKE = 1000, 1003
"""Two pupils of the made-up class of whom the portal has no person id."""
KNOWN = 1001
"""One who has."""


def profile_of(world: Any, user: int) -> dict[str, Any]:
    """The city's live row of a pupil; a test that changes it is a hand in the city's office."""
    person_id = next(row["person_id"] for row in world.like.pupils if row["portal_id"] == user)
    rows = world.city.sandbox.state.iter_rows("student_profiles")
    found: dict[str, Any] = next(row for row in rows if row["person_id"] == person_id)
    return found


def cells(world: Any) -> list[dict[str, Any]]:
    """What was accepted about single pupils; a group's homework names its pupils and changes with them."""
    return [entry for entry in world.city.ledger() if entry["kind"] != "homework"]


def open_ones(hand: Any) -> list[Any]:
    with hand.gateway.store.read() as conn:
        return list(conn.execute(select(discrepancy).where(discrepancy.c.state.in_([one.value for one in LIVE]))))


def offered(hand: Any, ref: str) -> list[int]:
    with hand.gateway.store.read() as conn:
        found = load_candidates(conn, hand.gateway.place_id(conn), Kind.PERSON)
    return [one.city_id for one in found if one.local_ref == ref]


def asked_of(hand: Any, ref: str) -> Any:
    with hand.gateway.store.write() as conn:
        return next(one for one in load_asking(conn, hand.gateway.place_id(conn), None) if one.ref == ref)


def give_marks(world: Any, user: int) -> int:
    """Change every hand-made mark of a pupil at the portal; how many there are."""
    own = [item for who, item in world.portal.cells(COURSE) if who == user and item["itemtype"] == "manual"]
    for item in own:
        value = 3 if round(item["graderaw"] + 0.001) != 3 else 5
        world.portal.edit("set_grade", courseid=COURSE, itemid=item["id"], userid=user, grade=value)
    return len(own)


def assert_nobody_has_anothers_mark(world: Any, hand: Any) -> None:
    """By the city's own rows: a mark of a pupil of the portal stands under his own profile and no other."""
    users = {row["person_id"]: row["portal_id"] for row in world.like.pupils}
    person_of = {row["id"]: row["person_id"] for row in world.city.state()["student_profiles"]}
    bases = {row.city_id: row.ref for row in hand.base_rows() if row.kind == "mark"}
    for row in world.city.standing("marks"):
        if row["id"] in bases:
            assert users[person_of[row["student_profile_id"]]] == int(bases[row["id"]].split(":")[2])


@pytest.fixture
def namesakes(build_world: Any) -> Any:
    """A class in which two pupils have one name, and nothing but a birth date in the city tells them apart."""
    world = build_world(pupils=4)
    first = profile_of(world, FIRST)
    name = {"lastname": first["last_name"], "firstname": first["first_name"]}
    world.portal.edit("set_name", userid=NAMESAKE, **name)
    profile_of(world, NAMESAKE).update(last_name=first["last_name"], first_name=first["first_name"])
    return world


@pytest.fixture
def strangers(build_world: Any) -> Any:
    """A class in which the machine knows neither of two pupils of quite different names."""
    world = build_world(pupils=4)
    for user, last, first in ((FIRST, "Бобров", "Андрей"), (NAMESAKE, "Яшина", "Любовь")):
        world.portal.edit("set_name", userid=user, lastname=last, firstname=first)
        profile_of(world, user).update(last_name=last, first_name=first)
    return world


def standing_of(world: Any, city_id: int) -> int:
    return sum(
        row["student_profile_id"] == city_id for table in ("marks", "attendances") for row in world.city.standing(table)
    )


def test_a_pair_of_other_names_is_refused_in_words_and_then_held_until_a_second_person(strangers: Any) -> None:
    ref, stranger = f"user:{FIRST}", profile_of(strangers, NAMESAKE)["id"]
    with strangers.open() as hand:
        hand.sync()
        for despite, reason in ((False, ""), (False, "это он"), (True, " ")):
            with pytest.raises(PlanRefusedError) as refused:
                confirm_link(as_account(hand.gateway, 6), ref, stranger, despite_evidence=despite, reason=reason)
            assert "фамилия другая, имя другое" in refused.value.sentence
            assert "Яшина" not in refused.value.sentence
        hand.through()
        assert standing_of(strangers, stranger) == 0

        with pytest.raises(SecondPersonError, match="--as"):
            confirm_link(hand.gateway, ref, stranger, despite_evidence=True, reason="сменил имя")
        first = as_account(hand.gateway, 6)
        assert confirm_link(first, ref, stranger, despite_evidence=True, reason="сменил имя") is True
        (doubt,) = [row for row in open_ones(hand) if row.type == "link_doubt"]
        assert (doubt.ref, doubt.owner, doubt.reason) == (ref, "curator", "LINK_DOUBTED")
        deed = [one for one in hand.actions() if one.action == "link.confirmed"][-1]
        assert deed.counts == {"against": 2}
        assert deed.note_id is not None
        hand.through()
        hand.until_quiet()
        assert standing_of(strangers, stranger) == 0, "one person's word sends nothing"
        assert [row.ref for row in open_ones(hand) if row.type == "link_doubt"] == [ref]
        with pytest.raises(SecondPersonError):
            confirm_link(first, ref, stranger, despite_evidence=True, reason="это он")
        with pytest.raises(SecondPersonError, match="--as"):
            confirm_link(hand.gateway, ref, stranger, despite_evidence=True, reason="и машина тоже")

        second = as_account(hand.gateway, 7)
        with pytest.raises(PlanRefusedError):
            confirm_link(second, ref, stranger)
        assert confirm_link(second, ref, stranger, despite_evidence=True, reason="видел личное дело") is True
        assert confirm_link(second, ref, stranger) is False
        hand.through()
        hand.until_quiet()
        assert not [row for row in open_ones(hand) if row.type == "link_doubt"]
        assert standing_of(strangers, stranger) > 0


def test_a_number_that_the_city_does_not_have_is_not_linked(strangers: Any) -> None:
    ref, own = f"user:{FIRST}", profile_of(strangers, FIRST)["id"]
    with strangers.open() as hand:
        with pytest.raises(ConfigurationError, match="на портале нет"):
            confirm_link(hand.gateway, ref, own)
        hand.sync()
        with pytest.raises(ConfigurationError, match="в городском журнале нет"):
            confirm_link(hand.gateway, ref, 999)
        with pytest.raises(ConfigurationError, match="на портале нет"):
            confirm_link(hand.gateway, "user:77777", own)
        assert confirm_link(hand.gateway, ref, own) is True
        with pytest.raises((AmbiguousMatchError, PlanRefusedError)):
            confirm_link(hand.gateway, f"user:{NAMESAKE}", own, despite_evidence=True, reason="это он")


@pytest.mark.row("E5")
def test_two_namesakes_in_one_class_are_candidates_for_each_other_and_get_nothing(namesakes: Any) -> None:
    with namesakes.open() as hand:
        hand.sync()

        both = sorted(profile_of(namesakes, user)["id"] for user in (FIRST, NAMESAKE))
        for user in (FIRST, NAMESAKE):
            asked = asked_of(hand, f"user:{user}")
            assert (asked.reason, asked.owner) == ("AMBIGUOUS_LINK", "curator")
            assert sorted(one.city_id for one in asked.offers) == both
            assert all("фамилия совпадает" in one.evidence for one in asked.offers)
        assert not [row for row in namesakes.city.standing("marks") if row["student_profile_id"] in both]
        owners = {row.owner for row in open_ones(hand) if row.ref.endswith((f":{FIRST}", f":{NAMESAKE}"))}
        assert owners == {"curator"}


@pytest.mark.row("E5")
def test_each_namesake_gets_his_own_marks_once_a_person_has_told_them_apart(namesakes: Any) -> None:
    with namesakes.open() as hand:
        hand.sync()
        reject_link(hand.gateway, f"user:{FIRST}", profile_of(namesakes, NAMESAKE)["id"], reason="другой год рождения")
        confirm_link(hand.gateway, f"user:{FIRST}", profile_of(namesakes, FIRST)["id"])
        hand.through()
        assert offered(hand, f"user:{NAMESAKE}") == [profile_of(namesakes, NAMESAKE)["id"]]
        confirm_link(hand.gateway, f"user:{NAMESAKE}", profile_of(namesakes, NAMESAKE)["id"])
        hand.through()

        assert_nobody_has_anothers_mark(namesakes, hand)
        assert {f"user:{row.ref.split(':')[2]}" for row in hand.base_rows() if row.kind == "mark"} >= {
            f"user:{FIRST}",
            f"user:{NAMESAKE}",
        }
        hand.assert_sound()


def test_a_refused_pair_is_offered_again_only_when_a_side_says_something_new(namesakes: Any) -> None:
    ref, other = f"user:{FIRST}", profile_of(namesakes, NAMESAKE)
    with namesakes.open() as hand:
        hand.sync()
        reject_link(hand.gateway, ref, other["id"], reason="другой ребёнок")
        hand.sync()
        assert other["id"] not in offered(hand, ref)
        other["person_id"] = "another-number-of-the-contingent"
        hand.sync()
        assert other["id"] in offered(hand, ref)
        with pytest.raises(PlanRefusedError):
            reject_link(hand.gateway, ref, other["id"], reason=" ")

        with hand.gateway.store.write() as conn:
            card = get_card(conn, hand.gateway.place_id(conn), None, ref)
        assert [(one.city_id, one.why) for one in card.refused] == [(other["id"], "другой ребёнок")]
        assert [one.action for one in hand.actions()].count("link.rejected") == 1


def test_a_misspelt_name_is_a_candidate_with_its_score_and_never_a_link(build_world: Any) -> None:
    world = build_world(pupils=4)
    there = profile_of(world, FIRST)
    there["last_name"] = there["last_name"][:2] + there["last_name"][3:]
    with world.open() as hand:
        hand.through()
        (offer,) = asked_of(hand, f"user:{FIRST}").offers

    assert offer.city_id == there["id"]
    assert 0 < offer.score < 1
    assert "фамилия похожа, но написана иначе" in offer.evidence
    assert not [row for row in world.city.standing("marks") if row["student_profile_id"] == there["id"]]


@pytest.mark.row("E6")
def test_a_pupil_who_changed_class_in_the_city_is_asked_about_and_nothing_of_his_moves(small: Any) -> None:
    ref, there = f"user:{KNOWN}", profile_of(small, KNOWN)
    with small.open() as hand:
        hand.through()
        ledger = cells(small)
        room = dict(small.city.sandbox.state.find("class_units", there["class_unit_id"]))
        room.update(id=room["id"] + 500, name="11Я")
        small.city.sandbox.state.put("class_units", room, now=small.clock.now())
        there["class_unit_id"] = room["id"]
        for group in there["groups"]:
            group["end_date"] = "2026-11-20"

        hand.sync()
        assert not [row for row in open_ones(hand) if row.type == "link_doubt"], "a transfer takes some days"
        assert "класс на портале и в городском журнале разный дольше 14 дней" in asked_of(hand, ref).doubts
        small.clock.advance(DAYS_OF_ANOTHER_CLASS * 24 * 3600)
        give_marks(small, KNOWN)
        hand.sync()

        (doubt,) = [row for row in open_ones(hand) if row.type == "link_doubt"]
        assert (doubt.kind, doubt.ref, doubt.owner) == ("person", ref, "curator")
        assert cells(small) == ledger


def test_a_pupil_who_left_in_the_city_gets_nothing_more_and_somebody_is_asked(small: Any) -> None:
    there = profile_of(small, KNOWN)
    with small.open() as hand:
        hand.through()
        ledger = cells(small)
        there["transferred"] = True
        for group in there["groups"]:
            group["end_date"] = "2026-09-02"
        assert give_marks(small, KNOWN) > 0

        hand.sync()
        assert cells(small) == ledger
        asked = [row for row in open_ones(hand) if row.ref.endswith(f":{KNOWN}")]
        assert asked
        assert all(row.owner for row in asked)


@pytest.mark.row("E7")
def test_a_new_profile_number_in_the_city_is_a_candidate_and_never_linked_by_itself(small: Any) -> None:
    ref, there = f"user:{KNOWN}", profile_of(small, KNOWN)
    with small.open() as hand:
        hand.through()
        ledger = cells(small)
        new_id = small.city.sandbox.state.rename("student_profiles", there["id"])
        assert give_marks(small, KNOWN) > 0

        hand.sync()
        asked = asked_of(hand, ref)
        assert (asked.reason, asked.owner) == ("LINK_LOST", "curator")
        assert [one.city_id for one in asked.offers] == [new_id]
        assert "идентификатор контингента совпадает" in asked.offers[0].evidence
        assert cells(small) == ledger
        assert {row.reason for row in open_ones(hand) if row.ref.endswith(f":{KNOWN}")} == {"LINK_LOST"}


def test_a_name_that_changes_in_the_city_holds_the_pupil_until_two_persons_have_looked(small: Any) -> None:
    """The profile may have been given to another child; a confirmed link is doubted, never moved, and two say it is right."""
    ref, there = f"user:{FIRST}", profile_of(small, FIRST)
    with small.open() as hand:
        hand.sync()
        confirm_link(hand.gateway, ref, there["id"])
        hand.through()
        ledger = cells(small)
        there["last_name"] = "Совсемдругая"
        assert give_marks(small, FIRST) > 0

        assert hand.sync().planned.plan.by_reason["LINK_DOUBTED"] > 0
        (doubt,) = [row for row in open_ones(hand) if row.type == "link_doubt"]
        assert (doubt.ref, doubt.owner, doubt.reason) == (ref, "curator", "LINK_DOUBTED")
        assert asked_of(hand, ref).doubts == ["имя ученика в городском журнале сменилось после подтверждения связи"]
        assert cells(small) == ledger

        seen = {"despite_evidence": True, "reason": "сменила фамилию"}
        first, second = as_account(hand.gateway, 6), as_account(hand.gateway, 7)
        with pytest.raises(PlanRefusedError, match="фамилия другая"):
            confirm_link(first, ref, there["id"])
        assert confirm_link(first, ref, there["id"], **seen) is True
        hand.through()
        assert [row.ref for row in open_ones(hand) if row.type == "link_doubt"] == [ref], "one word is not enough"
        assert cells(small) == ledger
        with pytest.raises(SecondPersonError):
            confirm_link(first, ref, there["id"], **seen)
        assert confirm_link(second, ref, there["id"], **seen) is True
        assert confirm_link(second, ref, there["id"]) is False
        hand.through()
        assert not [row for row in open_ones(hand) if row.type == "link_doubt"]
        assert len(cells(small)) > len(ledger)
        hand.assert_sound()


def test_the_first_word_of_who_has_lost_the_post_since_is_none_and_the_next_one_is_the_first(strangers: Any) -> None:
    ref, stranger = f"user:{FIRST}", profile_of(strangers, NAMESAKE)["id"]
    seen = {"despite_evidence": True, "reason": "видел личное дело"}
    with strangers.open() as hand:
        hand.sync()
        assert confirm_link(as_account(hand.gateway, 6), ref, stranger, **seen) is True
        lose_post(hand.gateway, 6)
        assert confirm_link(as_account(hand.gateway, 7), ref, stranger, **seen) is True
        hand.through()
        hand.until_quiet()
        assert standing_of(strangers, stranger) == 0, "one word that counts sends nothing"
        assert [row.ref for row in open_ones(hand) if row.type == "link_doubt"] == [ref]
        with pytest.raises(SecondPersonError):
            confirm_link(as_account(hand.gateway, 7), ref, stranger, **seen)

        assert confirm_link(as_account(hand.gateway, 8), ref, stranger, **seen) is True
        hand.through()
        hand.until_quiet()
        assert standing_of(strangers, stranger) > 0


@pytest.mark.parametrize("is_told", [True, False], ids=["told as a doubt", "read and not told yet"])
def test_what_comes_up_after_the_first_word_is_seen_by_two_as_well(small: Any, is_told: bool) -> None:
    """The second person is the only one who has seen the new difference: his word is the first one about it."""
    ref, there = f"user:{FIRST}", profile_of(small, FIRST)
    seen = {"despite_evidence": True, "reason": "видел личное дело"}
    with small.open() as hand:
        hand.sync()
        confirm_link(hand.gateway, ref, there["id"])
        hand.through()
        ledger = cells(small)
        there["last_name"] = "Совсемдругая"
        assert give_marks(small, FIRST) > 0
        hand.sync()
        first, second = as_account(hand.gateway, 6), as_account(hand.gateway, 7)
        assert confirm_link(first, ref, there["id"], **seen) is True
        if is_told:
            there["first_name"] = "Иная"
            hand.sync()
        else:
            small.portal.edit("set_name", userid=FIRST, firstname="Иная", lastname="Третья")
            pull(hand.gateway, hand.want, start_run(hand.gateway, "pull", hand.want))

        assert confirm_link(second, ref, there["id"], **seen) is True
        hand.sync()
        assert [row.ref for row in open_ones(hand) if row.type == "link_doubt"] == [ref], "one has seen it, not two"
        assert cells(small) == ledger
        with pytest.raises(SecondPersonError):
            confirm_link(second, ref, there["id"], **seen)

        assert confirm_link(first, ref, there["id"], **seen) is True
        hand.through()
        hand.until_quiet()
        assert not [row for row in open_ones(hand) if row.type == "link_doubt"]
        assert len(cells(small)) > len(ledger)


def test_a_doubt_that_waits_for_the_family_is_open_again_at_its_day_and_waits_for_nobody_outside(small: Any) -> None:
    """No plan asks for a doubt, so no plan would open it again."""
    ref, there = f"user:{FIRST}", profile_of(small, FIRST)
    with small.open() as hand:
        hand.sync()
        confirm_link(hand.gateway, ref, there["id"])
        hand.through()
        there["last_name"] = "Совсемдругая"
        hand.sync()
        (doubt,) = [row for row in open_ones(hand) if row.type == "link_doubt"]
        until = hand.gateway.now() + timedelta(days=3)
        assert wait_outside(hand.gateway, [doubt.id], Outside.FAMILY, until=until, reason="ждём паспорт") == [doubt.id]
        hand.sync()
        assert not [row for row in open_ones(hand) if row.type == "link_doubt"]

        small.clock.advance(4 * 24 * 3600)
        hand.sync()

        (again,) = [row for row in open_ones(hand) if row.type == "link_doubt"]
        assert (again.id, again.state, again.assignee, again.until) == (doubt.id, "open", None, None)


def test_a_name_that_has_changed_on_both_sides_is_confirmed_by_one(small: Any) -> None:
    """Nothing contradicts any more: the two sides say the same, and a person has looked."""
    ref, there = f"user:{FIRST}", profile_of(small, FIRST)
    with small.open() as hand:
        hand.sync()
        confirm_link(hand.gateway, ref, there["id"])
        hand.through()
        there["last_name"] = "Совсемдругая"
        hand.sync()
        assert [row.ref for row in open_ones(hand) if row.type == "link_doubt"] == [ref]
        small.portal.edit("set_name", userid=FIRST, lastname="Совсемдругая")
        hand.sync()

        confirm_link(hand.gateway, ref, there["id"])
        hand.through()
        assert not [row for row in open_ones(hand) if row.type == "link_doubt"]


def test_what_waits_in_the_queue_for_a_doubted_pupil_is_not_sent(small: Any) -> None:
    ref, there = f"user:{FIRST}", profile_of(small, FIRST)
    with small.open() as hand:
        hand.sync()
        confirm_link(hand.gateway, ref, there["id"])
        hand.through()
        ledger = cells(small)
        give_marks(small, FIRST)
        small.city.fault("503", path="/marks", method="PUT")
        hand.sync(max_wait_s=0.0)
        small.city.clear()
        assert hand.states().keys() - {"verified"}
        there["first_name"] = "Иная"
        small.clock.advance(3600)

        hand.sync()

        assert cells(small) == ledger


def test_a_plan_that_waits_sends_nothing_to_a_child_whose_link_is_doubted_since(small: Any) -> None:
    """The doubt may come up where nothing of him is planned: by the office's list, or in a run of another class."""
    ref, there = f"user:{FIRST}", profile_of(small, FIRST)
    with small.open() as hand:
        hand.sync()
        confirm_link(hand.gateway, ref, there["id"])
        hand.through()
        ledger = cells(small)
        assert give_marks(small, FIRST) > 0
        shown = hand.sync(asks_first=True)
        there["last_name"] = "Совсемдругая"
        correlate(hand.gateway, hand.gateway.city.fetch_directory(moscow_day(hand.gateway.now())))
        assert [row.ref for row in open_ones(hand) if row.type == "link_doubt"] == [ref]
        hand.approve(shown)
        hand.deliver()

        assert cells(small) == ledger
        for account in (6, 7):
            confirm_link(
                as_account(hand.gateway, account), ref, there["id"], despite_evidence=True, reason="сменила фамилию"
            )
        hand.through()
        assert len(cells(small)) > len(ledger)
        hand.assert_sound()
