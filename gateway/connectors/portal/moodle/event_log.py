"""Moodle's log of events, read from its own table or the one that the external database log store writes. Read only.

No web service reads it (portal-and-planner.md §a.5). Columns are those of `logstore_standard_log`; what an event carries
(`other`), and where from (`ip`), is not even selected.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gateway.connectors.foreign_sql import ForeignDatabase, NumberedTable
from gateway.connectors.kept_port import LogHead
from gateway.connectors.portal.moodle.directory import course_ref, user_ref
from gateway.domain.activity import LogEvent

SYSTEM = "portal_log"
_NO_MOMENT = (TypeError, ValueError, OverflowError, OSError)
_EPOCH = datetime.fromtimestamp(0, UTC)
MODULE_LEVEL = 70
SITE_COURSE = 1
_COLUMNS = (
    *("id", "component", "action", "target", "userid", "relateduserid", "realuserid", "courseid"),
    *("contextlevel", "contextinstanceid", "anonymous", "origin", "timecreated"),
)


class MoodleLog:
    """The table; implements `gateway.connectors.port.ActivityLog`.

    Args:
        database: Where it is.
        name: Of the table, with its schema where it needs one: `public.mdl_logstore_standard_log`.
        fetch_own: Asks the portal for the gateway's own account.
    """

    def __init__(self, database: ForeignDatabase, name: str, *, fetch_own: Callable[[], str]) -> None:
        self._database = database
        self._table = NumberedTable(database, name, _COLUMNS)
        self._fetch_own = fetch_own

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def fetch_own(self) -> str:
        """Ask the portal for the gateway's own account."""
        return self._fetch_own()

    def find_head(self) -> LogHead | None:
        """The newest row; None where the table is empty."""
        return _head(self._table.find_newest())

    def find_row(self, number: int) -> LogHead | None:
        """One row; None where it is not there (any more)."""
        return _head(self._table.find_row(number))

    def find_first(self, since: datetime) -> int | None:
        """The smallest number of what happened at a moment or after it; None where nothing did."""
        return self._table.find_first("timecreated", int(since.timestamp()))

    def load_batch(self, after: int, limit: int) -> list[LogEvent]:
        """The next rows by number, in its order."""
        return [_to_event(row) for row in self._table.load_after(after, limit)]


def _head(row: dict[str, Any] | None) -> LogHead | None:
    if row is None:
        return None
    try:
        return LogHead(id=int(row["id"]), at=_moment(row["timecreated"]))
    except _NO_MOMENT:
        return LogHead(id=int(row["id"]), at=_EPOCH)


def _moment(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _to_event(row: dict[str, Any]) -> LogEvent:
    try:
        userid, related = int(row["userid"]), int(row["relateduserid"] or 0)
        course = int(row["courseid"] or 0)
        return LogEvent(
            id=int(row["id"]),
            at=_moment(row["timecreated"]),
            component=str(row["component"])[:100],
            action=str(row["action"])[:100],
            target=str(row["target"])[:100],
            # nobody is 0, and in the log of what cron did also less
            person=user_ref(userid) if userid > 0 else None,
            about=user_ref(related) if related > 0 else None,
            programme=course_ref(course) if course > SITE_COURSE else None,
            module=int(row["contextinstanceid"]) if row["contextlevel"] == MODULE_LEVEL else None,
            origin=str(row["origin"] or ""),
            is_anonymous=bool(int(row["anonymous"] or 0)),
            is_as_another=bool(int(row["realuserid"] or 0)),
        )
    except _NO_MOMENT:
        # its number is an integer column's; nothing else of it is believed
        return LogEvent(
            id=int(row["id"]), at=_EPOCH, component="", action="", target="", person=None, is_readable=False
        )
