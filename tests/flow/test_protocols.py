"""Protocols of tests, end to end: what the test shows is kept, what it hides is erased, and nothing of it goes to the city."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gateway.audit.read import EntryFilter, iter_entries
from gateway.domain.attempts import Verdict
from gateway.domain.errors import ConfigurationError
from gateway.domain.identifiers import Kind
from gateway.domain.protocols import Part, Why
from gateway.flows.protocols import Kept, check_tests, keep_protocols, show_protocols
from gateway.flows.pull import pull
from gateway.flows.runs import start_run
from gateway.report.tables import attempt_protocol
from gateway.sandbox.portal.school_course import FIRST_COURSE

REVIEW = "mod_quiz_get_attempt_review"
ALWAYS, OPEN_ONLY, CLOSED_ONLY = 0x11110, 0x11100, 0x00010
ANSWERED = "Утверждение"


@pytest.fixture
def world(build_world: Any) -> Any:
    """A class of six in one subject, whose tests' protocols are kept."""
    world = build_world(pupils=6)
    world.protocols = True
    return world


def rows(hand: Any) -> dict[str, Any]:
    with hand.gateway.store.read() as conn:
        found = conn.execute(select(attempt_protocol).where(attempt_protocol.c.place_id == hand.gateway.place_id(conn)))
        return {row.ref: row for row in found}


def reviews_asked(world: Any) -> int:
    return sum(REVIEW.encode() in one.body for one in world.portal.asked)


def attempts(world: Any) -> list[dict[str, Any]]:
    book = world.portal.sandbox.book.course(FIRST_COURSE)
    return [attempt for each in book.attempts.values() for attempt in each]


def night(hand: Any) -> Kept:
    """A night's reading of the portal and keeping of protocols; the city is left alone."""
    want = msgspec.structs.replace(hand.want, kinds=frozenset({Kind.MARK, Kind.ATTEMPT}))
    pull(hand.gateway, want, start_run(hand.gateway, "pull", want))
    return keep(hand)


def keep(hand: Any) -> Kept:
    kept = keep_protocols(hand.gateway)
    assert kept is not None
    return kept


def test_a_run_keeps_what_the_test_shows_and_sends_nothing_of_it(world: Any) -> None:
    with world.open() as hand:
        hand.link_everybody()
        synced = hand.through()

        stored = rows(hand)
        assert set(stored) == {f"attempt:{one['id']}" for one in attempts(world)}
        for attempt in attempts(world):
            [one] = show_protocols(hand.gateway, f"attempt:{attempt['id']}")
            assert [asked.text for asked in one.questions] == [f"Утверждение {n} верно?" for n in (1, 2, 3, 4)]
            assert {asked.answer for asked in one.questions} <= {"True", "False"}
            assert sum(asked.result == "right" for asked in one.questions) == attempt["sumgrades"]
            assert sum(asked.points or 0 for asked in one.questions) == attempt["sumgrades"]
            assert one.protocol.points == attempt["sumgrades"] * 2.5
            assert one.protocol.absent == {}
            assert one.protocol.finished_at is not None
        assert synced.exit_code in (0, 3, 4)
        assert not any(ANSWERED.encode() in one.body for one in world.city.asked)
        hand.assert_sound()


def test_reading_again_asks_for_nothing_and_writes_nothing(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        before, asked = rows(hand), reviews_asked(world)
        world.clock.advance(3600)

        kept = keep(hand)

        assert kept == Kept(unchanged=len(before))
        assert rows(hand) == before
        assert reviews_asked(world) == asked == len(before)


def test_what_the_test_hides_later_is_erased_and_read_again_when_it_is_shown(
    build_world: Any, database_url: str
) -> None:
    world = build_world(pupils=6, database_url=database_url)
    world.protocols = True
    with world.open() as hand:
        night(hand)
        count = len(rows(hand))
        world.portal.edit("set_quiz", quizid=1, reviewattempt=0)

        assert keep(hand).taken_out == count
        for row in rows(hand).values():
            assert ANSWERED not in row.body.decode()
            assert set(row.absent) == {part.value for part in Part if part is not Part.GRADE}
        world.portal.edit("set_quiz", quizid=1, reviewattempt=ALWAYS, reviewmarks=0)
        assert keep(hand).read == count
        whole = show_protocols(hand.gateway, next(iter(rows(hand))))[0]
        assert all(asked.text and asked.points is None and asked.result for asked in whole.questions)
        assert whole.protocol.points is None
        assert whole.protocol.absent == {Part.POINTS: Why.HIDDEN, Part.GRADE: Why.HIDDEN}


def test_of_a_test_that_hides_its_questions_nothing_is_even_read(world: Any) -> None:
    world.portal.edit(
        "set_quiz", quizid=1, reviewattempt=CLOSED_ONLY, timeclose=int(world.clock.now().timestamp()) + 60
    )
    with world.open() as hand:
        night(hand)

        assert reviews_asked(world) == 0
        stored = rows(hand)
        assert stored
        absent = {part: why for row in stored.values() for part, why in row.absent.items()}
        assert absent == dict.fromkeys(("questions", "result", "points", "maximum"), "later")


def test_a_closed_test_is_judged_by_its_last_seen_settings_while_pupils_are_shown_the_same(world: Any) -> None:
    closes = int(world.clock.now().timestamp()) + 3600
    world.portal.edit("set_quiz", quizid=1, timeclose=closes, reviewcorrectness=OPEN_ONLY)
    with world.open() as hand:
        night(hand)
        count = len(rows(hand))
        world.clock.advance(7200)

        # closed: the portal leaves its settings out, right and wrong are hidden as they said
        assert keep(hand).taken_out == count
        assert {tuple(row.absent) for row in rows(hand).values()} == {("result",)}
        world.portal.edit("set_quiz", quizid=1, reviewmarks=OPEN_ONLY)
        # pupils are shown something else now: nobody knows the settings, and nothing may be kept
        assert keep(hand).taken_out == count
        assert all(ANSWERED not in row.body.decode() for row in rows(hand).values())
        assert {why for row in rows(hand).values() for why in row.absent.values()} == {"settings_unknown"}


def test_a_grade_hidden_in_the_gradebook_hides_its_points(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        pupil = next(iter(rows(hand).values())).pupil
        world.portal.edit("hide_grade", courseid=FIRST_COURSE, itemid=3, userid=int(pupil[5:]))

        night(hand)

        for row in rows(hand).values():
            expected = {"result", "points", "grade"} if row.pupil == pupil else set()
            assert set(row.absent) == expected


def test_an_attempt_deleted_at_the_portal_takes_its_protocol_along(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        twice = Counter(row.pupil for row in rows(hand).values()).most_common(1)[0]
        assert twice[1] == 2, "the seed has a pupil with two attempts"
        last = max(one["id"] for one in attempts(world) if f"user:{one['userid']}" == twice[0])
        world.portal.edit("set_quiz", quizid=1, grademethod=4)
        night(hand)
        world.portal.edit("remove_attempt", attemptid=last)
        night(hand)

        assert f"attempt:{last}" not in rows(hand)


def test_a_new_attempt_is_read_and_the_others_are_left_alone(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        asked, count = reviews_asked(world), len(rows(hand))
        once = next(pupil for pupil, n in Counter(row.pupil for row in rows(hand).values()).items() if n == 1)
        world.portal.edit("set_quiz", quizid=1, grademethod=4)
        world.portal.edit("add_attempt", quizid=1, userid=int(once[5:]), sumgrades=4)

        night(hand)
        # it ended this moment: what is shown «just after» may not be what is shown later
        assert len(rows(hand)) == count
        world.clock.advance(180)
        night(hand)
        assert len(rows(hand)) == count + 1
        assert reviews_asked(world) - asked >= 1


def test_a_run_reads_as_many_as_it_may_and_the_next_goes_on(world: Any) -> None:
    world.settings_changes = {
        "portal": {**world.settings().portal.model_dump(mode="python", exclude_none=True), "protocols_per_run": 2}
    }
    with world.open() as hand:
        night(hand)
        total = len(attempts(world))

        assert len(rows(hand)) == 2
        kept = keep(hand)
        assert (kept.read, kept.unchanged, kept.waiting) == (2, 2, total - 4)


def test_a_portal_that_gives_no_reviews_is_a_remark_and_holds_up_no_mark(world: Any) -> None:
    world.portal.fault("500", path=REVIEW)
    with world.open() as hand:
        hand.link_everybody()
        hand.through()

        assert rows(hand) == {}
        assert world.city.ledger()
        world.portal.clear()
        assert keep(hand).read == len(attempts(world))


def test_one_review_that_is_nonsense_is_left_aside_and_the_rest_are_kept(world: Any) -> None:
    book = world.portal.sandbox.book
    spoilt = attempts(world)[0]["id"]
    book.keep(FIRST_COURSE)
    book.course(FIRST_COURSE).reviews[spoilt] = {"attempt": {}, "questions": "нет", "warnings": []}
    with world.open() as hand:
        night(hand)

        stored = rows(hand)
        assert stored[f"attempt:{spoilt}"].problem == "CONTRACT"
        assert sum(row.problem is None for row in stored.values()) == len(attempts(world)) - 1
        assert keep(hand) == Kept(unchanged=len(stored) - 1)
        with pytest.raises(ConfigurationError):
            show_protocols(hand.gateway, f"attempt:{spoilt}")


def test_protocols_are_removed_when_their_time_is_over(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        count = len(rows(hand))
        world.clock.advance(401 * 86400)

        assert keep(hand).purged >= count


def test_a_test_hidden_from_the_course_shows_nothing(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        world.portal.edit("hide_module", courseid=FIRST_COURSE, modname="quiz", instance=1)

        assert keep(hand).taken_out == len(rows(hand))
        assert {tuple(sorted(row.absent)) for row in rows(hand).values()} == {
            ("grade", "maximum", "points", "questions", "result")
        }


def test_what_is_taken_out_is_gone_from_the_file(world: Any) -> None:
    file = Path(world.database_url.removeprefix("sqlite:///"))
    with world.open() as hand:
        night(hand)
    assert ANSWERED.encode() in file.read_bytes()
    world.portal.edit("set_quiz", quizid=1, reviewattempt=0)
    with world.open() as hand:
        keep(hand)

    assert ANSWERED.encode() not in b"".join(one.read_bytes() for one in file.parent.glob(f"{file.name}*"))


def test_what_an_earlier_school_year_left_is_limited_as_well(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        count = len(rows(hand))
    world.portal.edit("set_quiz", quizid=1, reviewattempt=0)
    world.settings_changes = {"school": {"year": "2027/28"}}
    with world.open() as hand:
        assert keep(hand).taken_out == count


def test_with_the_last_attempt_its_protocol_goes_too(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        once = next(pupil for pupil, n in Counter(row.pupil for row in rows(hand).values()).items() if n == 1)
        [attempt] = [one for one in attempts(world) if f"user:{one['userid']}" == once]
        world.portal.edit("remove_attempt", attemptid=attempt["id"])

        assert night(hand).removed == 1
        assert once not in {row.pupil for row in rows(hand).values()}


def test_switched_off_what_was_kept_is_removed(world: Any) -> None:
    with world.open() as hand:
        count = night(hand).read
    world.protocols = False
    with world.open() as hand:
        assert keep(hand).removed == count
        assert rows(hand) == {}


def test_switched_off_nothing_is_asked(world: Any) -> None:
    world.protocols = False
    with world.open() as hand:
        pull(hand.gateway, hand.want, start_run(hand.gateway, "pull", hand.want))

        assert keep_protocols(hand.gateway) is None
        assert reviews_asked(world) == 0


def test_each_rule_of_the_test_explains_the_gradebook_and_a_typed_grade_is_named(world: Any) -> None:
    with world.open() as hand:
        for method in (1, 2, 3, 4):
            world.portal.edit("set_quiz", quizid=1, grademethod=method)
            night(hand)
            # the way of counting is the test's, while attempts are read where a grade changed: what did not move agrees
            counts = check_tests(hand.gateway, limit=5).counts
            assert counts == {"agrees": len({one["userid"] for one in attempts(world)})}, method
        userid = attempts(world)[0]["userid"]
        world.portal.edit("set_grade", courseid=FIRST_COURSE, itemid=3, userid=userid, grade=1.23)
        night(hand)

        checked = check_tests(hand.gateway, limit=5)

        [line] = checked.differing
        assert (line.pupil, line.verdict, line.in_gradebook) == (f"user:{userid}", Verdict.OVERRIDDEN, 1.23)
        assert checked.counts["overridden"] == 1


def test_who_looks_at_protocols_is_written_down(world: Any) -> None:
    with world.open() as hand:
        night(hand)
        pupil = f"user:{attempts(world)[0]['userid']}"
        show_protocols(hand.gateway, pupil)

        [entry] = iter_entries(hand.gateway.store, EntryFilter(stream="access"))
        assert (entry.action, entry.object_type, entry.outcome) == ("pupil.shown", "protocol", "shown")
        assert pupil not in msgspec.json.encode(entry).decode()
