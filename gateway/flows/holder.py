"""Who works on a run: this machine's name, the process's number and the moment it began.

A number alone is given out again; with its start it names one process for ever, so that the next start on the same
machine sees at once that a killed run's process is gone. Another machine's process is judged by its heartbeat alone.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19
"""Positions behind the name in `/proc/PID/stat`: state is field 3, starttime field 22 (proc(5))."""
_ODD = re.compile(r"[^A-Za-z0-9_.-]")


def describe_holder() -> str:
    """Name this process: `host/number/start`; the start is empty where the system does not tell it."""
    number = os.getpid()
    return f"{_host()}/{number}/{_find_start(number) or ''}"


def is_gone(holder: str | None) -> bool:
    """Whether that process is known to have ended; False where that can't be known from here."""
    host, _, rest = (holder or "").rpartition("/")[0].partition("/")
    started = (holder or "").rpartition("/")[2]
    if host != _host() or not started or not rest.isdigit() or not (_PROC / "self" / "stat").exists():
        return False
    return _find_start(int(rest)) != started


def _host() -> str:
    return _ODD.sub("_", socket.gethostname())[:100] or "unknown"


def _find_start(number: int) -> str | None:
    """When a process began, in the system's ticks; None where it is not there any more (an unburied one neither)."""
    try:
        text = (_PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # the name may hold spaces and brackets: everything behind the last bracket has fixed places
    fields = text.rpartition(")")[2].split()
    return None if fields[_STATE] in ("Z", "X") else fields[_STARTED]
