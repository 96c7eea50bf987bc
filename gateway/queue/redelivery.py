"""When an undelivered operation is tried again.

Pure. The answer is stored on the row, so the wait outlives the broker and the process.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.domain.errors import GatewayError, Recovery, ThrottledError

FIRST_WAIT_S = 15.0
LONGEST_WAIT_S = 6 * 3600.0  # one school shift: a fault of the morning is tried again the same day
PAUSE_S = 3600.0
"""How often a paused profile's rows are tried again. Whoever lifts the pause wakes them, so nobody waits for this hour; but
each try is an attempt and entries in the audit for each row, and a token that dies on a Friday stays dead till Monday."""


def next_attempt_at(
    error: GatewayError, *, attempts: int, max_attempts: int, now: datetime, kills: int = 0
) -> datetime | None:
    """Decide when the operation is due again.

    The wait doubles from 15 s up to 6 h; the server's Retry-After wins when longer.

    Args:
        error: What the last attempt raised; its `recovery` decides, never its text.
        attempts: Attempts already made, at least 1.
        kills: How many of them ended with their worker: they count towards `max_attempts`, but the city had no part in them, so
            they lengthen no wait.
        max_attempts: After so many a person must look.
        now: Aware UTC.

    Returns:
        Aware UTC moment, or None when a person must decide and the operation is parked.

    Raises:
        ValueError: `now` is naive.

    Source: RFC 9110 §10.2.3 (Retry-After).
    """
    if now.tzinfo is None:
        raise ValueError("now must be aware")
    if error.recovery is Recovery.PAUSE:
        return now + timedelta(seconds=PAUSE_S)
    if error.recovery is not Recovery.RETRY or attempts >= max_attempts:
        return None
    if isinstance(error, ThrottledError):
        return now + timedelta(seconds=error.retry_after_s)
    doublings = min(max(attempts - kills - 1, 0), 32)  # the longest wait is reached long before; a float ends at 1 024
    return now + timedelta(seconds=min(FIRST_WAIT_S * 2.0**doublings, LONGEST_WAIT_S))
