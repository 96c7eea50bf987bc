"""The portal's log of events, end to end: a real table of the made-up school, read on by its number, kept and never sent."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import create_engine, delete, func, select, text, update

from gateway.audit.read import EntryFilter, iter_entries
from gateway.cli.check import iter_lines
from gateway.connectors.port import CheckState
from gateway.domain.activity import ActivityKind
from gateway.domain.errors import AuditError, ConfigurationError, IncompleteReadError, LogBegunAnewError
from gateway.domain.identifiers import Kind
from gateway.flows.activity import Taken, load_kinds, pull_activity, show_activity
from gateway.flows.protocols import keep_protocols, show_protocols
from gateway.flows.pull import pull
from gateway.flows.runs import start_run
from gateway.report.tables import activity_event, activity_taken
from gateway.sandbox.portal.event_log import (
    SERVICE_USER,
    TABLE,
    append_events,
    build_event,
    build_table,
    iter_events,
    write_event_log,
)
from gateway.sandbox.portal.school_course import FIRST_COURSE, FIRST_PUPIL, FIRST_TEACHER
from gateway.sandbox.portal.school_server import DEFAULT_NOW
from gateway.sandbox.school import School

PUPIL = f"user:{FIRST_PUPIL}"


class Log:
    """The portal's table as its own programs write it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url)
        self.table = build_table()

    def add(self, *events: dict[str, Any]) -> None:
        append_events(self.url, iter(events))

    def do(self, statement: Any) -> None:
        with self.engine.begin() as conn:
            conn.execute(statement)

    def count(self) -> int:
        with self.engine.connect() as conn:
            return int(conn.execute(select(func.count()).select_from(self.table)).scalar_one())


def view(at: datetime, **more: Any) -> dict[str, Any]:
    return build_event("core", "viewed", "course", userid=FIRST_PUPIL, at=at, courseid=2, **more)


@pytest.fixture
def log_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'events.sqlite'}"


@pytest.fixture
def world(build_world: Any, log_url: str) -> Any:
    world = build_world(pupils=6)
    world.settings_changes = {"activity": {"url": log_url, "batch_count": 7}}
    return world


@pytest.fixture
def log(log_url: str) -> Any:
    write_event_log(log_url, 6)
    log = Log(log_url)
    yield log
    log.engine.dispose()


def read_people(hand: Any) -> None:
    want = msgspec.structs.replace(hand.want, kinds=frozenset({Kind.PERSON}))
    pull(hand.gateway, want, start_run(hand.gateway, "pull", want))


def take(hand: Any, **more: Any) -> Taken:
    taken = pull_activity(hand.gateway, **more)
    assert taken is not None
    return taken


def stored(hand: Any) -> list[tuple[int, int]]:
    with hand.gateway.store.read() as conn:
        found = conn.execute(select(activity_event.c.series, activity_event.c.log_id).order_by(activity_event.c.log_id))
        return [(row.series, row.log_id) for row in found]


def test_what_people_did_is_kept_by_kind_on_both_databases(build_world: Any, database_url: str, log_url: str) -> None:
    # with PostgreSQL the portal's table is there too, as it is where the portal itself runs on it
    url = database_url if database_url.startswith("postgresql") else log_url
    rows = write_event_log(url, 6)
    world = build_world(pupils=6, database_url=database_url)
    world.settings_changes = {"activity": {"url": url, "batch_count": 50}}
    events = list(iter_events(School(pupils=6, seed=1, now=DEFAULT_NOW)))
    with world.open() as hand:
        read_people(hand)

        taken = take(hand)

        assert (taken.read, taken.again, taken.is_more) == (rows, 0, False)
        theirs = [one for one in events if not one["anonymous"] and not one["realuserid"]]
        by_name = Counter((one["component"], one["action"], one["target"]) for one in theirs)
        nights = len({one["timecreated"] // 86400 for one in events if one["anonymous"]})
        # the one teacher of the course that is read; the others are nobody here
        marked = [one for one in theirs if one["target"] == "submission" and one["userid"] == FIRST_TEACHER]
        assert taken.stored["entered"] == by_name["core", "loggedin", "user"]
        assert taken.stored["attempted"] == 2 * by_name["mod_quiz", "started", "attempt"]
        assert taken.stored["submitted"] == by_name["mod_assign", "submitted", "assessable"]
        assert taken.stored["marked"] == len(marked)
        assert taken.left_out["own"] == sum(one["userid"] == SERVICE_USER for one in events)
        assert taken.left_out["another"] == taken.left_out["anonymous"] == nights
        assert sum(taken.stored.values()) + sum(taken.left_out.values()) == rows
        [unmapped] = load_kinds(hand.gateway).unmapped
        assert (unmapped.component, unmapped.action, unmapped.target) == ("core", "updated", "user_profile")
        assert unmapped.count == by_name["core", "updated", "user_profile"]
        world.clock.advance(3600)
        again = take(hand)
        assert (again.read, again.stored, again.left_out) == (0, {}, {})
        assert len(stored(hand)) == sum(taken.stored.values())


def test_a_run_reads_the_log_after_the_marks_and_sends_nothing_of_it(world: Any, log: Log) -> None:
    with world.open() as hand:
        hand.link_everybody()
        hand.through()

        assert stored(hand)
        counters = hand.runs()[-1].counters
        assert counters["activity"]["read"] == log.count()
        assert not any(b"mod_quiz" in one.body or b"loggedin" in one.body for one in world.city.asked)
        hand.assert_sound()


def test_a_log_that_fails_is_a_remark_and_holds_up_no_mark(world: Any, log: Log) -> None:
    log.do(text(f"DROP TABLE {TABLE}"))
    with world.open() as hand:
        hand.link_everybody()
        hand.through()

        first = hand.runs()[-1]
        assert [problem["scope"] for problem in first.problems if problem["scope"] == "activity"] == ["activity"]
        assert world.city.ledger()
        with pytest.raises(IncompleteReadError) as refused:
            take(hand)
        assert TABLE not in refused.value.sentence
        [line] = [line for line in iter_lines(hand.gateway) if line.subject == "activity"]
        assert line.state is CheckState.FAILED


def test_a_row_that_is_committed_late_is_not_passed_over_and_none_is_taken_twice(world: Any, log: Log) -> None:
    now = world.clock.now()
    with world.open() as hand:
        read_people(hand)
        take(hand)
        top = log.count()
        log.add(view(now, id=top + 1), view(now, id=top + 3))
        assert take(hand).stored == {"viewed": 2}
        # another web server was slower with a smaller number
        log.add(view(now, id=top + 2))
        world.clock.advance(60)

        late = take(hand)
        assert (late.read, late.again, late.stored) == (1, 2, {"viewed": 1})
        assert take(hand).read == 0
        world.clock.advance(3600)
        assert take(hand).read == 0
        with hand.gateway.store.read() as conn:
            assert conn.execute(select(func.count()).select_from(activity_taken)).scalar_one() == 0
        assert len(stored(hand)) == len(set(stored(hand)))


def test_an_attempt_that_changed_no_grade_is_found_by_the_log(world: Any, log: Log) -> None:
    world.protocols = True
    kinds = frozenset({Kind.PERSON, Kind.MARK, Kind.ATTEMPT})
    book = world.portal.sandbox.book
    book.keep(FIRST_COURSE)
    rows = book.course(FIRST_COURSE)
    # his one attempt was a good one: the worse one moves nothing in the gradebook
    userid = next(user for (_, user), each in rows.attempts.items() if len(each) == 1 and each[0]["sumgrades"] > 1)
    with world.open() as hand:

        def night() -> int:
            want = msgspec.structs.replace(hand.want, kinds=kinds)
            pulled = pull(hand.gateway, want, start_run(hand.gateway, "pull", want))
            keep_protocols(hand.gateway)
            take(hand)
            return int(pulled.kinds["attempt"]["new"])

        night()
        world.clock.advance(3600)
        world.portal.edit("add_attempt", quizid=1, userid=userid, sumgrades=1)
        cmid, at = rows.quizzes[0]["coursemodule"], world.clock.now()
        log.add(build_event("mod_quiz", "submitted", "attempt", userid=userid, courseid=FIRST_COURSE, cmid=cmid, at=at))
        world.clock.advance(3600)
        assert night() == 0, "the gradebook tells nothing of it, and the log is read after it"

        world.clock.advance(3600)
        assert night() == 1
        assert len(show_protocols(hand.gateway, f"user:{userid}")) == 2
        calls = len(world.portal.asked)
        world.clock.advance(3600)
        night()
        assert not any(b"get_user_attempts" in one.body for one in world.portal.asked[calls:])


def test_two_readers_at_once_count_nothing_twice(world: Any, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with world.open() as hand, world.open() as other:
        read_people(hand)
        between = [lambda: take(other)]
        load = hand.gateway.activity.load_batch

        def slow(after: int, limit: int) -> Any:
            batch = load(after, limit)
            if between:
                between.pop()()
            return batch

        monkeypatch.setattr(hand.gateway.activity, "load_batch", slow)
        first = take(hand)

        assert (first.read, first.is_more) == (0, True)
        assert len(stored(hand)) == len(set(stored(hand)))
        unmapped = sum(one.count for one in load_kinds(hand.gateway).unmapped)
        assert unmapped == sum(
            one["target"] == "user_profile" for one in iter_events(School(pupils=6, seed=1, now=DEFAULT_NOW))
        )


def test_a_row_that_makes_no_sense_is_counted_and_the_rows_behind_it_are_read(world: Any, log: Log) -> None:
    with world.open() as hand:
        read_people(hand)
        take(hand)
        log.add(view(world.clock.now()), view(world.clock.now()))
        log.do(update(log.table).where(log.table.c.id == log.count() - 1).values(timecreated=10**17))

        taken = take(hand)

        assert (taken.stored, taken.left_out) == ({"viewed": 1}, {"unreadable": 1})
        # such a row may be the newest, too
        log.add(view(world.clock.now()))
        log.do(update(log.table).where(log.table.c.id == log.count()).values(timecreated=10**17))
        assert take(hand).left_out == {"unreadable": 1}
        assert take(hand).read == 0


def test_a_killed_run_begins_where_its_last_batch_ended(world: Any, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    import gateway.flows.activity as flow

    real, calls = flow.store_cursor, 0

    def dies(*args: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:  # the first is the beginning
            raise AuditError("убит")
        real(*args, **more)

    with world.open() as hand:
        read_people(hand)
        monkeypatch.setattr(flow, "store_cursor", dies)
        with pytest.raises(AuditError):
            take(hand)
        kept = len(stored(hand))
        monkeypatch.setattr(flow, "store_cursor", real)

        rest = take(hand)

        assert rest.read == log.count() - 3 * 7
        assert len(stored(hand)) == kept + sum(rest.stored.values())
        assert sum(one.count for one in load_kinds(hand.gateway).unmapped) >= rest.left_out.get("unmapped", 0)


@pytest.mark.parametrize("fate", ["emptied", "shorter", "another"])
def test_a_log_that_is_not_the_one_that_was_read_is_an_error_until_a_person_says_so(
    world: Any, log: Log, fate: str
) -> None:
    with world.open() as hand:
        read_people(hand)
        first = take(hand)
        before = stored(hand)
        top = log.count()
        if fate == "another":
            log.do(update(log.table).where(log.table.c.id == top).values(timecreated=log.table.c.timecreated - 5))
        else:
            log.do(delete(log.table).where(log.table.c.id > (0 if fate == "emptied" else top - 3)))
        with pytest.raises(LogBegunAnewError):
            take(hand)
        assert [line.state for line in iter_lines(hand.gateway) if line.subject == "activity"] == [CheckState.FAILED]
        assert stored(hand) == before

        log.do(delete(log.table))
        log.add(view(world.clock.now(), id=1))
        fresh = take(hand, is_begun_anew=True)

        assert (fresh.read, fresh.stored) == (1, {"viewed": 1})
        assert stored(hand) == sorted([*before, (2, 1)], key=lambda one: one[1])
        assert take(hand).read == 0
        assert first.read == top


def test_a_log_that_was_cleaned_of_its_oldest_rows_is_read_on(world: Any, log: Log) -> None:
    with world.open() as hand:
        read_people(hand)
        take(hand)
        log.do(delete(log.table).where(log.table.c.id <= log.count() - 1))
        log.add(view(world.clock.now()))

        assert take(hand).stored == {"viewed": 1}


def test_what_was_before_the_school_year_is_not_read(world: Any, log_url: str) -> None:
    summer = datetime(2026, 7, 1, 9, tzinfo=UTC)
    log = Log(log_url)
    log.add(view(summer), view(summer + timedelta(days=1)), view(datetime(2026, 9, 1, 6, tzinfo=UTC)))
    with world.open() as hand:
        read_people(hand)

        assert take(hand).read == 1


def test_a_run_reads_as_much_as_it_may_and_the_next_goes_on(world: Any, log: Log) -> None:
    world.settings_changes["activity"]["rows_per_run"] = 20
    with world.open() as hand:
        read_people(hand)
        first = take(hand)
        assert (first.read, first.is_more) == (21, True)

        reads = [first.read]
        while (taken := take(hand)).is_more:
            reads.append(taken.read)

        assert sum(reads) + taken.read == log.count()


def test_people_must_be_known_before_what_they_did(world: Any, log: Log) -> None:
    with world.open() as hand, pytest.raises(ConfigurationError):
        take(hand)


def test_activity_is_removed_when_its_time_is_over_and_does_not_come_back(world: Any, log: Log) -> None:
    with world.open() as hand:
        read_people(hand)
        count = sum(take(hand).stored.values())
        world.clock.advance(201 * 86400)

        taken = take(hand)
        assert (taken.purged, taken.read) == (count, 0)
        assert stored(hand) == []


def test_a_person_is_shown_the_newest_first_and_the_look_is_written_down(world: Any, log: Log) -> None:
    with world.open() as hand:
        read_people(hand)
        take(hand)

        found = show_activity(hand.gateway, PUPIL, limit=5)
        assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
        assert {one.person for one in found} == {PUPIL}
        entered = show_activity(hand.gateway, PUPIL, kind=ActivityKind.ENTERED, limit=500)
        assert {one.kind for one in entered} == {"entered"}
        entries = list(iter_entries(hand.gateway.store, EntryFilter(stream="access")))
        assert [(entry.action, entry.object_type) for entry in entries] == [("pupil.shown", "activity")] * 2
