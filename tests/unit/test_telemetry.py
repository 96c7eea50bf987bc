"""A log line tells ids, counts and codes, and nothing that a child, a mark or a token could be in."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import telemetry
from gateway.domain.errors import ConfigurationError, GatewayError, OutcomeUnknownError, RecordError
from gateway.telemetry import (
    LIBRARY_EVENT,
    MASK,
    REFUSED_EVENT,
    UnblockedStream,
    bind_run,
    configure_logging,
    get_logger,
)

CANARY = "Канарейкина"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the log goes; the process's logging is put back afterwards."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.raiseExceptions)
    levels = {name: logging.getLogger(name).level for name in telemetry.SILENCED}
    stream = io.StringIO()
    configure_logging(stream, "DEBUG")
    yield stream
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    logging.raiseExceptions = before[2]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def read(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_event_time_and_ids(lines: io.StringIO) -> None:
    get_logger("gateway.queue").info("operation.delivered", operation_id=7, state="sent", took_s=0.25)

    (line,) = read(lines)
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "operation.delivered",
        "level": "info",
        "logger": "gateway.queue",
        "operation_id": 7,
        "state": "sent",
        "took_s": 0.25,
    }


def test_a_key_that_is_not_on_the_list_is_dropped_and_counted(lines: io.StringIO) -> None:
    before = telemetry.get_dropped_counts()

    get_logger("x").info("pupil.read", last_name=CANARY, mark=5, ref="user:3", **{CANARY: 1})

    (line,) = read(lines)
    assert (line["ref"], line["dropped_count"]) == ("user:3", 3)
    assert CANARY not in lines.getvalue()
    after = telemetry.get_dropped_counts()
    assert {key: after[key] - before.get(key, 0) for key in ("last_name", "mark", "?")} == {
        "last_name": 1,
        "mark": 1,
        "?": 1,
    }


def test_a_unit_in_the_key_lets_a_number_through_and_a_text_not(lines: io.StringIO) -> None:
    get_logger("x").info("page.read", row_count=3, note_s=CANARY)

    (line,) = read(lines)
    assert line["row_count"] == 3
    assert "note_s" not in line


@pytest.mark.parametrize(
    "value",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "0123456789abcdef0123456789abcdef",
        "token=0123456789abcdef0123456789abcdef",
        "A1b2C3d4E5f6G7h8I9j0A1b2C3d4E5f6G7h8I9j0",
        "Bearer abc",
        CANARY,
        "two words",
        {"name": CANARY},
        [CANARY],
        ValueError(CANARY),
        b"bytes",
    ],
)
def test_a_value_that_is_no_code_or_looks_like_a_token_is_masked(lines: io.StringIO, value: Any) -> None:
    get_logger("x").info("profile.checked", profile=value)

    (line,) = read(lines)
    assert (line["profile"], line["masked_count"]) == (MASK, 1)
    assert CANARY not in lines.getvalue()


def test_hashes_of_ours_are_not_taken_for_tokens(lines: io.StringIO) -> None:
    get_logger("x").info("plan.sealed", plan_hash="ab" * 32)

    assert read(lines)[0]["plan_hash"] == "ab" * 32


@given(text=st.text(min_size=1))
def test_an_event_is_a_constant_or_it_is_refused(text: str) -> None:
    kept = telemetry._filter_fields(None, "info", {"event": f"{CANARY} {text}"})

    assert kept["event"] == REFUSED_EVENT


def test_a_librarys_message_stays_inside_and_its_place_is_told(lines: io.StringIO) -> None:
    logging.getLogger("some.library").warning("request to /grades?name=%s failed", CANARY)

    (line,) = read(lines)
    assert line["event"] == LIBRARY_EVENT
    assert line["logger"] == "some.library"
    assert line["source"].startswith("test_telemetry:")
    assert CANARY not in lines.getvalue()


@pytest.mark.parametrize("name", telemetry.SILENCED)
def test_chatty_libraries_are_silent_below_warning(
    lines: io.StringIO, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a server of an earlier test cuts its access log off from the root for the rest of the process
    monkeypatch.setattr(logging.getLogger(name), "propagate", True)

    logging.getLogger(name).info("GET /?token=1")
    assert lines.getvalue() == ""

    logging.getLogger(name).warning("trouble")
    assert len(read(lines)) == 1


def test_a_message_that_can_not_be_formatted_tells_nothing(
    lines: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("some.library").warning("%d", CANARY)

    assert CANARY not in lines.getvalue()
    assert CANARY not in capsys.readouterr().err


def test_an_error_of_ours_is_told_by_class_and_ids_and_not_by_its_text(lines: io.StringIO) -> None:
    def fail() -> None:
        secret = CANARY
        try:
            raise ValueError(secret)
        except ValueError as exc:
            raise OutcomeUnknownError(CANARY, system="city", method="POST", request_id="r-1", status=502) from exc

    try:
        fail()
    except OutcomeUnknownError:
        get_logger("x").exception("operation.failed", operation_id=7)

    (line,) = read(lines)
    told = {key.removeprefix("error_"): value for key, value in line.items() if key.startswith("error_")}
    assert line["error"] == "OutcomeUnknownError"
    assert told.pop("frames").count("test_telemetry.") == 2
    assert told == {
        "causes": "ValueError",
        "reason": "UNKNOWN_OUTCOME",
        "recovery": "verify",
        "system": "city",
        "method": "POST",
        "request_id": "r-1",
        "status": 502,
    }
    assert CANARY not in lines.getvalue()


def test_a_librarys_exception_is_told_by_its_type(lines: io.StringIO) -> None:
    try:
        raise KeyError(CANARY)
    except KeyError:
        logging.getLogger("some.library").exception("failed with %s", CANARY)

    (line,) = read(lines)
    assert (line["event"], line["error"]) == (LIBRARY_EVENT, "KeyError")
    assert CANARY not in lines.getvalue()


def test_where_a_record_failed_is_told_only_as_a_code(lines: io.StringIO) -> None:
    log = get_logger("x")

    log.warning("record.rejected", exc_info=RecordError(where="user:3/birth_on"))
    log.warning("record.rejected", exc_info=RecordError(where=CANARY))

    assert [line["error_where"] for line in read(lines)] == ["user:3/birth_on", MASK]


def test_the_run_is_on_every_line_until_its_context_ends(lines: io.StringIO) -> None:
    log = get_logger("x")

    with bind_run(1):
        log.info("run.began")
        with bind_run(2):
            log.info("run.began")
        log.info("run.ended")
    log.info("service.stopped")

    assert [line.get("run_id") for line in read(lines)] == [1, 2, 1, None]


class FullDisk(io.StringIO):
    """A stream that takes nothing."""

    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.row("G9")
@pytest.mark.parametrize("is_unblocked", [False, True])
def test_a_log_that_can_not_be_written_raises_nothing(lines: io.StringIO, is_unblocked: bool) -> None:
    stream = FullDisk()
    configure_logging(UnblockedStream(stream) if is_unblocked else stream, "DEBUG")

    get_logger("x").info("run.began")
    logging.getLogger("some.library").error("trouble")


@pytest.mark.row("G9")
def test_a_log_that_nobody_reads_keeps_nobody_waiting_and_tells_later_what_was_lost(lines: io.StringIO) -> None:
    """A pipe of 64 KiB that is not read: a writer of its own would stand still for ever at the next line."""
    reading, writing = os.pipe()
    unblocked = UnblockedStream(os.fdopen(writing, "w"), lines_count=50)
    configure_logging(unblocked, "DEBUG")
    log = get_logger("x")

    for number in range(2000):
        log.info("operation.sent", operation_id=number)

    told: list[dict[str, Any]] = []

    def read_all() -> None:
        with os.fdopen(reading) as pipe:
            while not told or told[-1]["event"] != "run.ended":
                told.append(json.loads(pipe.readline()))

    reader = threading.Thread(target=read_all)
    reader.start()
    unblocked.drain(30)
    log.info("run.ended")
    reader.join(30)
    seen = [line["operation_id"] for line in told if line["event"] == "operation.sent"]
    lost = sum(line["lost_count"] for line in told if line["event"] == "log.lines_lost")
    assert seen == sorted(set(seen))
    assert lost > 0
    assert len(seen) + lost == 2000


def test_what_was_said_is_out_before_the_process_ends(lines: io.StringIO) -> None:
    out = io.StringIO()
    unblocked = UnblockedStream(out)
    unblocked.write("one\n")
    unblocked.write("two\n")
    unblocked.drain()

    assert out.getvalue() == "one\ntwo\n"


def test_a_second_configuration_replaces_the_first(lines: io.StringIO) -> None:
    second = io.StringIO()

    configure_logging(second, "warning")
    get_logger("x").info("run.began")
    get_logger("x").warning("run.paused")

    assert lines.getvalue() == ""
    assert [line["event"] for line in read(second)] == ["run.paused"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        configure_logging(io.StringIO(), "LOUD")


def test_before_configuration_a_logger_tells_no_more_and_leaves_stdout_clean(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    get_logger("gateway.early").warning("pupil.read", last_name=CANARY, exc_info=GatewayError(CANARY))

    out, err = capsys.readouterr()
    assert out == ""
    assert "pupil.read" in caplog.text
    assert CANARY not in err + caplog.text + str([vars(record) for record in caplog.records])
