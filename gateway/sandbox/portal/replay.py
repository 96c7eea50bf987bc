"""The sandbox portal that replays a recorded whole read of a real Moodle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from starlette.applications import Starlette

from gateway.sandbox.portal.app import DEFAULT_TOKEN, build_portal_app
from gateway.sandbox.portal.recording import RecordedBook


def build_replay_app(
    lines: Iterable[Mapping[str, Any]], *, token: str = DEFAULT_TOKEN, now: Callable[[], datetime] | None = None
) -> Starlette:
    """Serve a recording.

    Args:
        lines: Recorded calls as `recording.read_recording()` gives them.
        token: The only token accepted.
        now: Clock for edits; None = the moment of the recording.
    """
    return build_portal_app(RecordedBook(lines), token=token, now=now)
