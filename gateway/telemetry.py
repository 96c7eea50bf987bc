"""Logs: one JSON object a line on stderr, with constant events and fields from an allow-list.

What is not on the list does not get out: a value under an unknown key is dropped and counted, a text that is not a code
or looks like a token is masked, another library's message and every exception's text stay inside (they may quote a
payload). What remains is what an operator needs: which event, which ids, how many, how long, which class of error, where.
"""

from __future__ import annotations

import atexit
import io
import json
import logging
import queue
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextvars import Token
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.contextvars import bind_contextvars, merge_contextvars, reset_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

from gateway.domain.errors import ConfigurationError, ConnectorError, GatewayError, RecordError

ALLOWED_KEYS = frozenset(
    {
        # what and when
        "event", "level", "logger", "at", "source", "dropped_count", "masked_count",
        # ids and codes
        "action", "actor_kind", "attempt", "channel", "city", "city_id", "code", "code_version", "dialect", "endpoint",
        "environment", "epoch", "fence", "form", "group", "host", "instance_id", "kind", "lane", "method", "migration",
        "number", "object_key", "op", "operation_id", "outcome", "phase", "place_id", "plan_hash", "plan_id", "port",
        "portal", "profile", "reason", "recovery", "ref", "request_id", "role", "route", "rule_version", "run_id",
        "scope", "seq", "setting", "signal", "stage", "state", "status", "step", "stream", "subject", "system", "thread",
        "version", "worker", "year",
        # errors, written by `_render_error`
        "error", "error_causes", "error_reason", "error_recovery", "error_system", "error_method", "error_request_id",
        "error_status", "error_where", "error_frames",
    }
)  # fmt: skip
"""Keys that may be written. A key that ends in a unit (`_count _s _ms _bytes _ratio`) may too, for a number."""

SILENCED = (
    "httpx",
    "httpcore",
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
    "alembic",
    "asyncio",
    "dramatiq",
    "redis",
)
"""Loggers below WARNING of which nothing is wanted: they write URLs and messages at INFO."""

MASK = "***"
LIBRARY_EVENT = "library.message_logged"
REFUSED_EVENT = "telemetry.event_refused"
LOST_EVENT = "log.lines_lost"

_UNITS = ("_count", "_s", "_ms", "_bytes", "_ratio")
_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_CODE = re.compile(r"[A-Za-z0-9_.:/@+\-#|=,*~<>]{0,200}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
# a JSON web token; 32 hex digits, which is what the portal's tokens are; a long run of letters and digits
_TOKEN = re.compile(r"eyJ[\w-]{8,}|\b[0-9a-fA-F]{32,}\b|(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{40,}")
_HASHES = frozenset({"plan_hash", "request_id", "error_request_id", "instance_id", "rule_version", "subject"})
_OURS = frozenset(
    {"error_frames", "error_causes"}
)  # names of modules, functions and types, put there by `_render_error`
_FRAMES_COUNT = 12
_CAUSES_COUNT = 5

_dropped: Counter[str] = Counter()
_dropped_lock = threading.Lock()


def configure_logging(stream: TextIO | io.TextIOBase | None = None, level: str = "INFO") -> None:
    """Send all logging of this process through one formatter. Calling it again replaces the first.

    Args:
        stream: Open text file; None = stderr. stdout stays for what the user asked for.
        level: DEBUG, INFO, WARNING or ERROR.

    Raises:
        ConfigurationError: No such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigurationError("Уровень журнала не распознан: DEBUG, INFO, WARNING или ERROR")
    handler = _LineHandler(stream or sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[_replace_library_message, *_PROCESSORS],
            processors=[ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
        )
    )
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    # a message that can't be formatted would be printed with its arguments
    logging.raiseExceptions = False
    for name in SILENCED:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


class UnblockedStream(io.TextIOBase):
    """A text stream whose writer never waits: lines go through a thread of its own, and are dropped where it is stuck.

    For long-running commands: their stderr may be a pipe that nobody reads any more, or a disk that hangs, and a thread
    that waits there with a claim in its hands delivers nothing. What was dropped is counted and told when the stream
    takes lines again.

    Args:
        stream: Where the lines go.
        lines_count: Lines kept for a stream that is slow.
    """

    def __init__(self, stream: TextIO, *, lines_count: int = 10_000) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str] = queue.Queue(lines_count)
        self._lost = 0
        self._lost_lock = threading.Lock()
        threading.Thread(target=self._pass_on, name="log", daemon=True).start()
        atexit.register(self.drain)

    def write(self, text: str, /) -> int:
        """Take a line, or count it as lost."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._lose(1)
        return len(text)

    def drain(self, within_s: float = 2.0) -> None:
        """Wait until the lines taken so far are out, but no longer than that: a stuck stream must not keep a process."""
        done = threading.Event()

        def wait() -> None:
            self._lines.join()
            done.set()

        threading.Thread(target=wait, name="log-drain", daemon=True).start()
        done.wait(within_s)

    def _pass_on(self) -> None:
        while True:
            text = self._lines.get()
            with self._lost_lock:
                lost, self._lost = self._lost, 0
            try:
                if lost:
                    line = {"event": LOST_EVENT, "level": "warning", "lost_count": lost}
                    self._stream.write(json.dumps(line) + "\n")
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                self._lose(lost + 1)  # full, or closed: the next line tries again
            finally:
                self._lines.task_done()

    def _lose(self, count: int) -> None:
        with self._lost_lock:
            self._lost += count


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger that filters by itself, so that it tells no more before `configure_logging` than after it."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            merge_contextvars,
            *_PROCESSORS,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


class RunBinding:
    """What `bind_run` returns: leaving it as a context takes the run away again."""

    def __init__(self, tokens: dict[str, Token[Any]]) -> None:
        self._tokens = tokens

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_exc: object) -> None:
        reset_contextvars(**dict(self._tokens))


def bind_run(run_id: int | str) -> RunBinding:
    """Put `run_id` on every later line of this thread: `with bind_run(7): ...`. A new thread binds its own."""
    return RunBinding(dict(bind_contextvars(run_id=run_id)))


def get_dropped_counts() -> dict[str, int]:
    """How often a key was dropped since the start, for a metric. Keys that are no words are counted under `?`."""
    with _dropped_lock:
        return dict(_dropped)


class _LineHandler(logging.StreamHandler[TextIO | io.TextIOBase]):
    """Our handler, told from others' when it is replaced."""


def _replace_library_message(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    record: logging.LogRecord = event_dict["_record"]
    event_dict["event"] = LIBRARY_EVENT
    event_dict["source"] = f"{record.module}:{record.lineno}"
    return event_dict


def _render_error(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Say of an exception its type, its ids, its causes' types and where it went: no text, no locals."""
    given = event_dict.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else None
    if isinstance(given, tuple):
        error = given[1]
    elif given is True:
        error = sys.exc_info()[1]
    if error is None:
        return event_dict
    event_dict["error"] = type(error).__qualname__
    event_dict["error_frames"] = "|".join(list(_iter_frames(error.__traceback__))[-_FRAMES_COUNT:])
    event_dict["error_causes"] = ",".join(type(cause).__qualname__ for cause in _iter_causes(error))
    if isinstance(error, GatewayError):
        event_dict["error_reason"] = error.reason_code
        event_dict["error_recovery"] = error.recovery.value
    if isinstance(error, ConnectorError):
        event_dict["error_system"] = error.system
        event_dict["error_method"] = error.method
        event_dict["error_request_id"] = error.request_id
        event_dict["error_status"] = error.status
    if isinstance(error, RecordError):
        event_dict["error_where"] = error.where
    return event_dict


def _iter_frames(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        frame = trace.tb_frame
        yield f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}:{trace.tb_lineno}"
        trace = trace.tb_next


def _iter_causes(error: BaseException) -> Iterator[BaseException]:
    for _ in range(_CAUSES_COUNT):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return
        yield cause
        error = cause


def _filter_fields(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    kept: MutableMapping[str, Any] = {}
    dropped: list[str] = []
    masked = 0
    for key, value in event_dict.items():
        if key in ("_record", "_from_structlog"):
            kept[key] = value
        elif not _may_pass(key, value):
            dropped.append(key)
        elif key == "event":
            kept[key] = value if isinstance(value, str) and _EVENT.fullmatch(value) else REFUSED_EVENT
        else:
            kept[key] = _mask(key, value)
            masked += kept[key] is not value
    if dropped:
        kept["dropped_count"] = len(dropped)
        with _dropped_lock:
            _dropped.update(key if _KEY.fullmatch(key) else "?" for key in dropped)
    if masked:
        kept["masked_count"] = masked
    return kept


def _may_pass(key: str, value: Any) -> bool:
    if key in ALLOWED_KEYS:
        return True
    return key.endswith(_UNITS) and isinstance(value, int | float)


def _mask(key: str, value: Any) -> Any:
    """Let numbers and codes through. An object would be written as its repr, which may hold anything."""
    if value is None or isinstance(value, bool | int | float) or key in _OURS:
        return value
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        return MASK
    return value if key in _HASHES or not _TOKEN.search(value) else MASK


_PROCESSORS: list[structlog.typing.Processor] = [
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    _render_error,
    _filter_fields,
]
