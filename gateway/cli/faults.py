"""What a command says of an error that nobody foresaw: its class and its place, never its text.

The text of a foreign error may quote what was being stored (PostgreSQL's does: the row that broke a constraint), and stderr
of a worker is a log. So Python's own way of printing it stays out, for the command and for its threads.
"""

from __future__ import annotations

import threading

from rich.markup import escape

from gateway.cli.context import ERR, exit_code_of
from gateway.domain.errors import GatewayError
from gateway.flows.sync import Exit
from gateway.store.passing import is_passing
from gateway.telemetry import get_logger

LOG = get_logger(__name__)


def tell_fault(error: Exception) -> Exit:
    """Say what broke off a command, in a log line and in a sentence; the exit code that goes with it."""
    if isinstance(error, GatewayError):
        ERR.print(f"[red]{type(error).__name__}[/red] {error.reason_code}: {escape(error.sentence)}")
        return exit_code_of(error)
    LOG.error("program.failed", exc_info=error)
    name = type(error).__name__
    if is_passing(error):
        ERR.print(
            f"[red]{name}[/red] DATABASE: База данных прервала работу: она перезапускается, занята или недоступна; "
            "записанное сохранено, повторите команду"
        )
    else:
        ERR.print(
            f"[red]{name}[/red] INTERNAL: Сбой программы; записанное сохранено. "
            "Где он случился, сказано строкой выше (error_frames): передайте её разработчику"
        )
    return Exit.FAULT


def watch_threads() -> None:
    """Have what ends a thread told the same way."""
    threading.excepthook = _tell_thread_fault


def _tell_thread_fault(args: threading.ExceptHookArgs, /) -> None:
    if args.exc_value is not None:
        LOG.error("program.thread_failed", exc_info=args.exc_value)


__all__ = ["tell_fault", "watch_threads"]
