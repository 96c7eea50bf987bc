"""Every fault of the sandbox, once and for good, on a read and on a write."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.pace import PacedByClock
from gateway.connectors.port import CheckState
from gateway.domain.clock import VirtualClock
from gateway.domain.errors import (
    AccessDeniedError,
    ConfigurationError,
    ConnectorError,
    IncompleteReadError,
    OutcomeUnknownError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.identifiers import Kind

ALGEBRA = "7А — Алгебра"
RAW_POINTS = "4.37"
MARKS = "/marks"

Open = Callable[..., Any]

# fault → problem of a read when it stays; None = the read is right all the same
READ_FAULTS: list[tuple[str, type[ConnectorError] | None]] = [
    ("drop_after_commit", UnavailableError),
    ("drop_before", UnavailableError),
    ("500", UnavailableError),
    ("502", UnavailableError),
    ("503", UnavailableError),
    ("504", UnavailableError),
    ("429", ThrottledError),
    ("html", UnavailableError),
    ("slow", UnavailableError),
    ("reset", UnavailableError),
    ("truncate", IncompleteReadError),
    ("duplicate_page", IncompleteReadError),
    ("float_ids", None),
    ("null_names", None),
    ("kill_token", AccessDeniedError),
]
HEALED_BY_A_SECOND_TRY = (
    "drop_after_commit",
    "drop_before",
    "500",
    "502",
    "503",
    "504",
    "429",
    "html",
    "slow",
    "reset",
)

# fault → (class of a write, whether the city has the mark)
WRITE_FAULTS: list[tuple[str, type[ConnectorError] | None, bool]] = [
    ("drop_after_commit", OutcomeUnknownError, True),
    ("drop_before", OutcomeUnknownError, False),
    ("500", OutcomeUnknownError, False),
    ("502", OutcomeUnknownError, False),
    ("503", OutcomeUnknownError, False),
    ("504", OutcomeUnknownError, False),
    ("429", ThrottledError, False),
    ("html", OutcomeUnknownError, False),
    ("slow", OutcomeUnknownError, True),
    ("reset", OutcomeUnknownError, True),
    ("truncate", OutcomeUnknownError, True),
    ("duplicate_page", None, True),
    ("float_ids", None, True),
    ("null_names", None, True),
    ("kill_token", AccessDeniedError, False),
]


@pytest.mark.row("A7", "A14", "A20")
@pytest.mark.parametrize(("fault", "expected"), READ_FAULTS)
def test_a_fault_that_stays_discards_the_scope_and_no_other(
    city: Any, open_journal: Open, fault: str, expected: type[ConnectorError] | None
) -> None:
    journal = open_journal(city)
    group = journal.group(ALGEBRA)
    whole = journal.read(Kind.MARK, group)
    absences = journal.read(Kind.ABSENCE, group)
    hasty = open_journal(city, deadline_s=0.3)
    city.fault(fault, MARKS, delay_s=0.6 if fault == "slow" else None)

    read = hasty.connector.fetch_scope(journal.scope(Kind.MARK, group))

    if expected is None:
        assert (read.problem, {one.id: one for one in read.objects}) == (None, whole)
        return
    assert (type(read.problem), list(read.objects)) == (expected, [])
    if fault != "kill_token":
        assert {one.id for one in hasty.read(Kind.ABSENCE, group).values()} == set(absences)


@pytest.mark.parametrize("fault", HEALED_BY_A_SECOND_TRY)
def test_a_fault_that_passes_is_not_even_seen(city: Any, open_journal: Open, fault: str) -> None:
    journal = open_journal(city)
    group = journal.group(ALGEBRA)
    whole = journal.read(Kind.MARK, group)
    hasty = open_journal(city, deadline_s=0.3)
    city.fault(fault, MARKS, times=1, delay_s=0.6 if fault == "slow" else None)

    assert hasty.read(Kind.MARK, group) == whole


@pytest.mark.row("A2", "A3", "A5", "A6")
@pytest.mark.parametrize(("fault", "expected", "is_written"), WRITE_FAULTS)
def test_a_fault_on_a_write_is_named_by_what_may_have_happened(
    city: Any, open_journal: Open, fault: str, expected: type[ConnectorError] | None, is_written: bool
) -> None:
    journal = open_journal(city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    intent = journal.mark(group, lesson)
    hasty = open_journal(city, deadline_s=0.5)
    hasty.connector.fetch_directory(date(2026, 11, 23))
    before = city.request_count(MARKS)
    city.fault(fault, MARKS, method="POST", delay_s=0.8 if fault == "slow" else None)

    if expected is None:
        assert hasty.connector.create(intent, request_id="create-1").city_id is not None
    else:
        with pytest.raises(expected):
            hasty.connector.create(intent, request_id="create-1")

    assert city.request_count(MARKS) <= before + 1
    if fault != "slow":  # that one lands whenever the server has slept
        assert len(city.ledger()) == (1 if is_written else 0)


@pytest.mark.row("A4")
def test_a_write_that_lands_late_was_unknown_before(city: Any, open_journal: Open) -> None:
    city.begin({"late_s": 60})
    journal = open_journal(city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    city.fault("drop_after_commit", MARKS, method="POST")

    with pytest.raises(OutcomeUnknownError):
        journal.connector.create(journal.mark(group, lesson), request_id="create-1")

    assert city.ledger() == []
    city.settle()
    assert len(journal.cell(group, lesson, group.pupil_ids[3])) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_no_write_is_sent_twice_whatever_was_lost(city: Any, open_journal: Open, method: str) -> None:
    journal = open_journal(city)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    intent = journal.mark(group, lesson)
    city_id = journal.connector.create(intent, request_id="create-1").city_id
    city.fault("drop_after_commit", MARKS, method=method)

    calls = {
        "POST": lambda: journal.connector.create(intent, request_id="second"),
        "PUT": lambda: journal.connector.change(city_id, journal.mark(group, lesson, value="2"), request_id="second"),
        "DELETE": lambda: journal.connector.delete(city_id, intent, request_id="second"),
    }

    with pytest.raises(OutcomeUnknownError):
        calls[method]()

    assert [one["request_id"] for one in city.ledger()] == ["create-1", "second"]


def test_a_server_that_is_not_there_took_nothing(city: Any, open_journal: Open) -> None:
    journal = open_journal(city, base_url="http://127.0.0.1:9")

    with pytest.raises(UnreachableError):
        journal.connector.fetch_directory(date(2026, 11, 23))


@pytest.mark.row("A15")
def test_a_wrong_subsystem_is_an_incomplete_read_and_no_empty_city(city: Any, open_journal: Open) -> None:
    journal = open_journal(city, subsystem="journalsw")

    with pytest.raises(IncompleteReadError):
        journal.connector.fetch_directory(date(2026, 11, 23))
    states = {line.subject: line.state for line in journal.connector.check()}
    assert CheckState.FAILED in {state for subject, state in states.items() if "canary" in subject}

    city.begin({"wrong_subsystem": 403})
    with pytest.raises(AccessDeniedError):
        open_journal(city, subsystem="journalsw").connector.fetch_directory(date(2026, 11, 23))


@pytest.mark.row("A14", "A15")
def test_a_directory_that_looks_empty_is_refused_whichever_it_is(city: Any, open_journal: Open) -> None:
    """A page cut to nothing by a proxy would otherwise look like a school without pupils."""
    for path in ("student_profiles", "groups", "control_forms", "class_units"):
        city.begin({})
        city.fault("html", path)
        with pytest.raises(UnavailableError):
            open_journal(city).connector.fetch_directory(date(2026, 11, 23))


@pytest.mark.row("A9", "G8")
def test_a_new_token_in_the_file_is_used_without_a_stop(city: Any, open_journal: Open, tmp_path: Path) -> None:
    admin = city.profiles[0]
    file = tmp_path / "token"
    file.write_text(admin["token"], encoding="utf-8")
    profile = {"profile_id": admin["profile_id"], "token_file": str(file), "role": "school_admin"}
    journal = open_journal(city, profiles={"office": profile})
    group = journal.group(ALGEBRA)
    login = {"login": admin["login"], "password_plain": admin["password"]}
    token = city._http.post("/lms/api/sessions", json=login).json()["authentication_token"]

    assert isinstance(journal.connector.fetch_scope(journal.scope(Kind.MARK, group)).problem, AccessDeniedError)
    file.write_text(f"{token}\n", encoding="utf-8")
    lesson = journal.lesson(group, "2026-11-17")
    assert journal.connector.create(journal.mark(group, lesson), request_id="create-1").profile == "office"
    assert len(city.ledger()) == 1


@pytest.mark.row("A9")
def test_many_threads_read_at_once_and_renew_a_token_once(city: Any, open_journal: Open, tmp_path: Path) -> None:
    admin = city.profiles[0]
    file = tmp_path / "token"
    file.write_text("dead", encoding="utf-8")
    profile = {"profile_id": admin["profile_id"], "token_file": str(file), "role": "school_admin"}
    journal = open_journal(city, profiles={"office": profile})
    problems: list[object] = []
    with pytest.raises(AccessDeniedError):
        journal.connector.fetch_directory(date(2026, 11, 23))
    file.write_text(admin["token"], encoding="utf-8")
    group = open_journal(city).group(ALGEBRA)

    def read() -> None:
        problems.append(journal.connector.fetch_scope(journal.scope(Kind.MARK, group)).problem)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert problems == [None] * 8


def test_the_pace_keeps_the_city_from_refusing(city: Any, open_journal: Open) -> None:
    """The sandbox's clock stands still, so its bucket of ten never fills again: the eleventh request is refused."""
    clock = VirtualClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    city.begin({"rate": 5})
    journal = open_journal(city, pace=PacedByClock(clock, rate_per_s=5))

    with pytest.raises(ThrottledError):
        journal.connector.fetch_directory(date(2026, 11, 23))

    spent_s = (clock.now() - datetime(2026, 11, 23, 12, 0, tzinfo=UTC)).total_seconds()
    assert spent_s == pytest.approx((city.request_count("/api/ej") - 1) / 5, abs=1e-3)


@pytest.mark.row("A12")
@pytest.mark.parametrize("status", [429, 433])
def test_a_city_that_is_asked_too_fast_says_how_long_to_wait(city: Any, open_journal: Open, status: int) -> None:
    city.begin({"rate": 1, "rate_status": status})
    journal = open_journal(city)

    with pytest.raises(ThrottledError) as caught:
        journal.connector.fetch_directory(date(2026, 11, 23))

    assert 1.0 <= caught.value.retry_after_s <= 3600.0


@pytest.mark.row("G8")
def test_the_check_says_a_line_for_everything_and_no_secret(city: Any, open_journal: Open) -> None:
    admin, teacher, other = city.profiles[:3]
    journal = open_journal(
        city,
        profiles={
            "office": {"profile_id": admin["profile_id"], "token": admin["token"], "role": "school_admin"},
            "swapped": {"profile_id": teacher["profile_id"], "token": other["token"]},
            "role": {"profile_id": other["profile_id"], "token": other["token"], "role": "school_admin"},
            "dead": {"profile_id": 5, "token": "canary-dead-token", "owner": "завуч"},
            "stopped": {"profile_id": 6, "token": "canary-stopped-token"},
        },
        paused=lambda name: name == "stopped",
    )

    lines = list(journal.connector.check())

    states = {line.subject: line.state for line in lines}
    assert states["mesh.reachable"] is CheckState.OK
    assert states["mesh.profile.office"] is CheckState.OK
    assert states["mesh.profile.swapped"] is CheckState.FAILED
    assert states["mesh.profile.role"] is CheckState.WARNING
    assert states["mesh.profile.dead"] is CheckState.FAILED
    assert states["mesh.profile.stopped"] is CheckState.WARNING
    assert {states[f"mesh.canary.{name}"] for name in ("year", "groups", "control_forms", "pupils")} == {CheckState.OK}
    texts = " ".join(line.sentence for line in lines)
    assert not any(secret in texts for secret in (admin["token"], teacher["token"], "canary"))
    assert "завуч" in texts


def test_the_check_of_a_city_that_is_not_there_says_so_once(city: Any, open_journal: Open) -> None:
    lines = list(open_journal(city, base_url="http://127.0.0.1:9").connector.check())

    assert [(line.subject, line.state) for line in lines] == [("mesh.reachable", CheckState.FAILED)]


def test_the_check_without_a_profile_names_what_is_missing(city: Any, open_journal: Open) -> None:
    lines = list(open_journal(city, profiles={}).connector.check())

    assert [(line.subject, line.state) for line in lines] == [("mesh.profiles", CheckState.MISSING)]


def test_no_name_mark_or_token_stands_in_any_error_or_log_of_all_faults(
    city: Any, open_journal: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    state = city.state()
    names = {one["last_name"] for one in state["student_profiles"] if one["last_name"]}
    tokens = {one["token"] for one in city.profiles}
    journal = open_journal(city, deadline_s=0.5)
    group = journal.group(ALGEBRA)
    lesson = journal.lesson(group, "2026-11-17")
    texts: list[str] = []

    for fault in sorted({fault for fault, _ in READ_FAULTS}):
        city.begin({})
        city.fault(fault, delay_s=0.6 if fault == "slow" else None)
        for call in (
            lambda: journal.connector.fetch_scope(journal.scope(Kind.MARK, group)),
            lambda: journal.connector.create(journal.mark(group, lesson, value=RAW_POINTS), request_id="r1"),
            lambda: open_journal(city, deadline_s=0.5).connector.fetch_directory(date(2026, 11, 23)),
        ):
            try:
                read = call()
                problem = getattr(read, "problem", None)
            except (ConnectorError, ConfigurationError) as exc:
                problem = exc
            if problem is not None:
                texts.append("".join(traceback.format_exception(problem)))

    everything = "".join(texts) + caplog.text
    assert len(texts) > 20
    assert not [one for one in names | tokens | {RAW_POINTS, ALGEBRA} if one in everything]
