"""A backup, more deliveries and changes, the old file back, a sync: the city holds everything once (M16, G5, F18)."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.audit.deed import Actor
from gateway.audit.erased import load_erased
from gateway.audit.read import verify
from gateway.audit.subjects import erase, pseudonym_of
from gateway.cli.check import iter_lines
from gateway.connectors.port import CheckState
from gateway.domain.errors import ConfigurationError, GatewayError, PlanRefusedError
from gateway.flows.backup import check_backup, make_backup, manifest_path
from gateway.flows.restore import restore
from gateway.flows.runs import start_run
from gateway.flows.stop import stop_sending
from gateway.queue.barrier import find_stop
from gateway.store.epoch import find_write_lock, get_epoch

OPERATOR = Actor(kind="os_user", name="operator")


@pytest.fixture
def school(build_world: Any, database_url: str) -> Any:
    """One class of six in one subject, on each database in turn."""
    return build_world(pupils=6, database_url=database_url)


def back_up(hand: Any, path: Path) -> Path:
    make_backup(hand.gateway.store, hand.gateway.audit, path, actor=OPERATOR)
    return path


def put_back(world: Any, path: Path, **more: Any) -> Any:
    words = {"is_sure": True, **more}
    return restore(
        world.database_url,
        path,
        clock=world.clock,
        actor=OPERATOR,
        environment="default",
        code_version=__version__,
        **words,
    )


def set_mark(portal: Any, index: int, value: int) -> None:
    courseid = portal.courses()[0]
    userid, item = portal.cells(courseid)[index]
    portal.edit("set_grade", courseid=courseid, userid=userid, itemid=item["id"], grade=value)


def effects(city: Any) -> Counter[tuple[str, str, int]]:
    return Counter((entry["kind"], entry["op"], entry["id"]) for entry in city.machine_ledger())


def cells_of(city: Any) -> Counter[tuple[int, int, int]]:
    return Counter(
        (row["student_profile_id"], row["schedule_lesson_id"], row["control_form_id"]) for row in city.standing("marks")
    )


@pytest.mark.row("G6")
def test_a_missing_or_old_backup_is_told_by_the_check_until_a_good_one_is_made(school: Any, tmp_path: Path) -> None:
    def told(hand: Any) -> CheckState:
        return next(line.state for line in iter_lines(hand.gateway) if line.subject == "backup")

    with school.open() as hand:
        states = [told(hand)]
        back_up(hand, tmp_path / "monday.backup")
        states.append(told(hand))
        school.clock.advance(37 * 3600)
        states.append(told(hand))
        with suppress(ConfigurationError):
            back_up(hand, tmp_path / "nowhere" / "tuesday.backup")
        states.append(told(hand))

    assert states == [CheckState.WARNING, CheckState.OK, CheckState.WARNING, CheckState.WARNING]


@pytest.mark.row("G5")
def test_an_old_backup_is_restored_and_nothing_is_doubled_or_lost(school: Any, tmp_path: Path) -> None:
    """Deliver, back up, deliver a change, restore, sync: the change is adopted and not sent again."""
    with school.open() as hand:
        hand.link_everybody()
        hand.through()
        copy = back_up(hand, tmp_path / "monday.backup")
        set_mark(school.portal, 0, 2)
        set_mark(school.portal, 1, 3)
        hand.until_quiet()
        bases = {(row.kind, row.ref): (row.city_id, row.digest) for row in hand.base_rows()}
    ledger = effects(school.city)
    cells = cells_of(school.city)

    restored = put_back(school, copy)
    with school.open() as hand:
        hand.until_quiet()

        assert restored.epoch == 2
        assert effects(school.city) == ledger
        assert cells_of(school.city) == cells
        assert {(row.kind, row.ref): (row.city_id, row.digest) for row in hand.base_rows()} == bases
        assert all(verify(hand.gateway.store, stream).ok for stream in ("deeds", "access"))
        actions = [entry.action for entry in hand.actions()]
        assert actions.count("backup.restored") == actions.count("epoch.begun") == actions.count("epoch.covered") == 1


@pytest.mark.row("G5")
def test_what_was_delivered_after_the_backup_is_adopted_by_its_record(school: Any, tmp_path: Path) -> None:
    """The backup knows nothing of the city: every mark is found there, none is sent a second time."""
    with school.open() as hand:
        hand.link_everybody()
        copy = back_up(hand, tmp_path / "before-anything.backup")
        hand.through()
        hand.until_quiet()
        bases = {(row.kind, row.ref): row.city_id for row in hand.base_rows()}
    ledger = effects(school.city)

    put_back(school, copy)
    with school.open() as hand:
        hand.until_quiet()

        assert effects(school.city) == ledger
        assert {(row.kind, row.ref): row.city_id for row in hand.base_rows()} == bases


@pytest.mark.row("G5")
def test_nothing_is_sent_before_the_city_was_read_in_the_new_epoch(school: Any, tmp_path: Path) -> None:
    """What stood in the queue at the time of the backup is dropped and never sent as it was."""
    with school.open() as hand:
        hand.link_everybody()
        synced = hand.sync()
        hand.approve(synced)
        waiting = hand.states()["ready"]
        copy = back_up(hand, tmp_path / "queued.backup")
        hand.deliver()
    ledger = effects(school.city)

    restored = put_back(school, copy)
    with school.open() as hand:
        with hand.gateway.store.read() as conn:
            assert find_write_lock(conn) is not None
            assert get_epoch(conn) == 2
        hand.deliver()

        assert waiting == restored.dropped > 0
        assert effects(school.city) == ledger
        hand.until_quiet()
        assert effects(school.city) == ledger
        with hand.gateway.store.read() as conn:
            assert find_write_lock(conn) is None


def test_late_writes_of_the_old_epoch_are_waited_for(school: Any, tmp_path: Path) -> None:
    """A write that the city applies after the restore is no row of the restored database and is not sent again."""
    with school.open() as hand:
        hand.link_everybody()
        copy = back_up(hand, tmp_path / "before.backup")
        before = school.clock.now()

    put_back(school, copy)
    with school.open() as hand:
        hand.sync()

    assert school.clock.now() >= before + hand.gateway.terms.untouchable


def test_a_scope_that_can_not_be_read_stays_locked_and_the_others_go_on(build_world: Any, tmp_path: Path) -> None:
    """With one kind unreadable the lock stands, and only what was read is sent."""
    world = build_world(pupils=6)
    with world.open() as hand:
        hand.link_everybody()
        copy = back_up(hand, tmp_path / "empty.backup")
    put_back(world, copy)
    world.city.fault("500", path="/attendances", method="GET")

    with world.open() as hand:
        hand.through()

        assert {entry["kind"] for entry in world.city.machine_ledger()} == {"mark", "homework"}
        with hand.gateway.store.read() as conn:
            assert find_write_lock(conn) is not None
    world.city.clear()
    with world.open() as hand:
        hand.until_quiet()

        assert "absence" in {entry["kind"] for entry in world.city.machine_ledger()}
        hand.assert_sound()


def test_a_second_restore_of_the_same_file_begins_yet_another_epoch(school: Any, tmp_path: Path) -> None:
    with school.open() as hand:
        copy = back_up(hand, tmp_path / "one.backup")

    assert [put_back(school, copy).epoch for _ in range(3)] == [2, 3, 4]


def test_a_running_run_an_unsure_operator_or_an_open_database_refuse_the_restore(school: Any, tmp_path: Path) -> None:
    with school.open() as hand:
        copy = back_up(hand, tmp_path / "one.backup")
        start_run(hand.gateway, "sync", hand.want)

    with pytest.raises(PlanRefusedError, match="--yes"):
        put_back(school, copy, is_sure=False)
    with pytest.raises(PlanRefusedError, match="Идёт запуск"):
        put_back(school, copy)
    assert put_back(school, copy, abandon_runs=True).epoch == 2


def test_a_database_that_somebody_has_open_is_not_replaced(build_world: Any, tmp_path: Path) -> None:
    world = build_world(pupils=6)
    with world.open() as hand:
        copy = back_up(hand, tmp_path / "one.backup")
        with pytest.raises(ConfigurationError, match="открыта другим"):
            put_back(world, copy)
        with hand.gateway.store.read() as conn:
            assert get_epoch(conn) == 1


def test_a_stop_given_after_the_backup_outlives_the_restore(school: Any, tmp_path: Path) -> None:
    with school.open() as hand:
        copy = back_up(hand, tmp_path / "one.backup")
        stop_sending(hand.gateway, reason="проверка")

    put_back(school, copy)

    with school.open() as hand, hand.gateway.store.read() as conn:
        assert find_stop(conn, hand.gateway.place.city) is not None


@pytest.mark.row("G6")
def test_a_damaged_swapped_or_bare_copy_is_refused(school: Any, tmp_path: Path) -> None:
    with school.open() as hand:
        copy = back_up(hand, tmp_path / "one.backup")
    assert copy.stat().st_mode & 0o777 == manifest_path(copy).stat().st_mode & 0o777 == 0o600
    check_backup(copy, school.clock)

    whole = copy.read_bytes()
    copy.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(GatewayError, match="повреждена"):
        put_back(school, copy)
    copy.write_bytes(whole)
    manifest_path(copy).unlink()
    with pytest.raises(ConfigurationError, match="описи"):
        put_back(school, copy)


def test_a_backup_never_takes_the_place_of_an_older_one(school: Any, tmp_path: Path) -> None:
    with school.open() as hand:
        copy = back_up(hand, tmp_path / "one.backup")
        before = copy.read_bytes()
        with pytest.raises(ConfigurationError, match="уже есть"):
            back_up(hand, copy)

    assert copy.read_bytes() == before


@pytest.mark.parametrize("witness", ["database", "sink"])
def test_whoever_was_erased_after_the_backup_is_erased_again(school: Any, tmp_path: Path, witness: str) -> None:
    """The replaced database tells who was erased; where it is gone, the exported lines of the audit do."""
    sink = tmp_path / "lines.jsonl"
    with school.open() as hand:
        hand.link_everybody()
        hand.through()
        copy = back_up(hand, tmp_path / "one.backup")
        pupil = hand.city.standing("marks")[0]["student_profile_id"]
    with school.open() as hand, hand.gateway.store.write() as conn:
        known = pseudonym_of(conn, hand.gateway.place, f"city-pupil:{pupil}")
        if witness == "database":
            erase(conn, known)
        else:
            sink.write_text(f'{{"action":"subject.erased","subject":"{known}"}}\n{{"action":"subject.era')

    restored = put_back(school, copy, sink_file=sink)

    assert restored.erased_again == 1
    with school.open() as hand, hand.gateway.store.read() as conn:
        assert known in load_erased(conn)


def test_a_mark_of_the_lost_time_that_changed_since_waits_for_a_person(school: Any, tmp_path: Path) -> None:
    """Delivered as 5 after the backup, 2 at the portal when the file is back: a second mark beside it would be a double."""
    with school.open() as hand:
        hand.link_everybody()
        copy = back_up(hand, tmp_path / "before.backup")
        for index in range(4):
            set_mark(school.portal, index, 5)
        hand.through()
    ledger = effects(school.city)
    for index in range(4):
        set_mark(school.portal, index, 2)

    put_back(school, copy)
    with school.open() as hand:
        last = hand.until_quiet()

        held = [row for row in hand.decisions(last) if row.reason == "PROBABLE_TWIN"]
        assert len(held) == 4
        assert last.planned.plan.by_reason["EPOCH_STRANGER"] == 4
        assert effects(school.city) == ledger
    for row in held:
        school.city.human("delete", "mark", id=row.city_id)
    with school.open() as hand:
        hand.until_quiet()

        assert Counter(row["name"] for row in school.city.standing("marks"))["2"] >= 4
        assert len(hand.base_rows()) == len(ledger)


def test_a_missing_tool_is_said_in_one_sentence_and_leaves_no_file(
    school: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL is copied by its own tools; SQLite needs none."""
    monkeypatch.setattr("gateway.store.backup.shutil.which", lambda name: None)
    with school.open() as hand:
        if hand.gateway.store.dialect == "sqlite":
            back_up(hand, tmp_path / "one.backup")
            return
        with pytest.raises(ConfigurationError, match="pg_dump"):
            back_up(hand, tmp_path / "one.backup")

    assert list(tmp_path.glob("one.backup*")) == []
