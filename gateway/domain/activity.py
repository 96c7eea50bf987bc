"""What people did at the portal, in few kinds: which event of the portal's log means what, and which means nothing here.

Pure. Only who, when, what kind, in which course: no address, no content, nothing that an event carries beside them.

Source: Moodle's event names (component, action, target), recorded rows of 4.5.6 [M]; core plugins' events [S].
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class ActivityKind(StrEnum):
    """What was done."""

    ENTERED = "entered"
    VIEWED = "viewed"
    SUBMITTED = "submitted"  # work handed in
    ATTEMPTED = "attempted"  # a test begun or ended
    MARKED = "marked"  # somebody's work, or who was there
    COMMUNICATED = "communicated"


KIND_TEXTS: dict[ActivityKind, str] = {
    ActivityKind.ENTERED: "вход",
    ActivityKind.VIEWED: "просмотр",
    ActivityKind.SUBMITTED: "сдача работы",
    ActivityKind.ATTEMPTED: "попытка теста",
    ActivityKind.MARKED: "оценивание",
    ActivityKind.COMMUNICATED: "общение",
}


class LeftOut(StrEnum):
    """Why an event is nobody's activity."""

    OWN = "own"  # the gateway's account
    SYSTEM = "system"  # nobody did it: cron, a restored course, a notice
    ANOTHER = "another"  # somebody in another's name («log in as»): the name's owner did nothing
    ANONYMOUS = "anonymous"  # the portal promised not to tell
    TECHNICAL = "technical"  # goes with another event, or is no deed
    STRANGER = "stranger"  # neither pupil nor teacher
    UNREADABLE = "unreadable"  # a row that no Moodle writes; the rows after it are read
    UNMAPPED = "unmapped"  # not in the table: counted, so that somebody may put it there


LEFT_OUT_TEXTS: dict[LeftOut, str] = {
    LeftOut.OWN: "обращения самого шлюза",
    LeftOut.SYSTEM: "сделано порталом, а не человеком",
    LeftOut.ANOTHER: "администратор под чужим именем",
    LeftOut.ANONYMOUS: "анонимно",
    LeftOut.TECHNICAL: "служебное",
    LeftOut.STRANGER: "не ученик и не учитель",
    LeftOut.UNREADABLE: "строка не по форме",
    LeftOut.UNMAPPED: "вид не определён",
}


class LogEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the portal's log.

    Attributes:
        id: The log's own number; grows, but a row may become visible after one with a greater number.
        person: Whose deed, `user:3`; None where nobody's.
        about: To whom it was done, where the event says.
        is_as_another: The deed of somebody logged in as `person`.
        module: Course module (`cmid`), where it happened in one.
        is_readable: False where only the number of the row could be understood.
    """

    id: int
    at: datetime
    component: str
    action: str
    target: str
    person: str | None
    about: str | None = None
    programme: str | None = None
    module: int | None = None
    origin: str = ""
    is_anonymous: bool = False
    is_as_another: bool = False
    is_readable: bool = True


ANY = "*"
_K, _T = ActivityKind, LeftOut.TECHNICAL
# fmt: off
EVENTS: tuple[tuple[str, str, str, ActivityKind | LeftOut], ...] = (
    ("core", "loggedin", "user", _K.ENTERED),
    ("core", "loggedout", "user", _T),
    ("core", "called", "webservice_function", _T),
    ("core", "failed", "webservice_login", _T),
    ("core", "failed", "user_login", _T),
    ("core", ANY, "webservice_token", _T),
    ("core", "sent", "notification", _T),
    ("core", "viewed", "notification", _T),
    (ANY, "viewed", ANY, _K.VIEWED),
    (ANY, "downloaded", ANY, _K.VIEWED),
    ("mod_quiz", "started", "attempt", _K.ATTEMPTED),
    ("mod_quiz", "submitted", "attempt", _K.ATTEMPTED),
    ("mod_quiz", "reviewed", "attempt", _K.VIEWED),
    ("mod_quiz", "updated", "attempt", _T),  # each page of a test that is gone on with
    ("mod_quiz", "autosaved", "attempt", _T),
    ("mod_quiz", "graded", "attempt", _T),  # by the portal itself
    ("mod_quiz", "regraded", "attempt", _K.MARKED),
    ("mod_quiz", "graded", "question_manually", _K.MARKED),
    ("mod_scorm", "launched", "sco", _K.ATTEMPTED),
    ("mod_scorm", "submitted", ANY, _K.ATTEMPTED),
    ("mod_lesson", "started", "lesson", _K.ATTEMPTED),
    ("mod_lesson", "ended", "lesson", _K.ATTEMPTED),
    ("mod_h5pactivity", "received", "statement", _K.ATTEMPTED),
    ("mod_assign", "submitted", "assessable", _K.SUBMITTED),
    ("mod_assign", "graded", "submission", _K.MARKED),
    ("mod_assign", "submitted", "feedback", _K.MARKED),
    ("assignsubmission_comments", "created", "comment", _K.COMMUNICATED),
    # a draft that is saved is not handed in, and what is handed in has its own event
    ("mod_assign", "created", "submission", _T),
    ("mod_assign", "updated", "submission", _T),
    ("assignsubmission_file", ANY, ANY, _T),
    ("assignsubmission_onlinetext", ANY, ANY, _T),
    ("mod_workshop", "uploaded", "assessable", _K.SUBMITTED),
    ("mod_workshop", "assessed", "submission", _K.MARKED),
    ("mod_feedback", "submitted", "response", _K.SUBMITTED),
    ("mod_choice", "created", "answer", _K.SUBMITTED),
    ("mod_choice", "submitted", "answer", _K.SUBMITTED),
    ("mod_data", "created", "record", _K.SUBMITTED),
    ("mod_glossary", "created", "entry", _K.SUBMITTED),
    ("mod_wiki", "created", "page", _K.SUBMITTED),
    ("mod_wiki", "updated", "page", _K.SUBMITTED),
    ("mod_attendance", "taken", "attendance", _K.MARKED),
    ("core", "graded", "user", _K.MARKED),
    ("mod_forum", "uploaded", "assessable", _T),
    ("mod_forum", "created", "discussion", _K.COMMUNICATED),
    ("mod_forum", "created", "post", _K.COMMUNICATED),
    ("mod_chat", "sent", "message", _K.COMMUNICATED),
    ("core", "sent", "message", _K.COMMUNICATED),
    ("core", "sent", "group_message", _K.COMMUNICATED),
    (ANY, "created", "comment", _K.COMMUNICATED),
)
# fmt: on
"""(component, action, target) → what it is; the first row that fits decides. What no row fits is counted as unmapped."""

NOT_PEOPLE_ORIGINS = frozenset({"restore"})


def classify(event: LogEvent, *, own: frozenset[str]) -> ActivityKind | LeftOut:
    """Say what an event is.

    Args:
        own: The gateway's own accounts at the portal.
    """
    if not event.is_readable:
        return LeftOut.UNREADABLE
    if event.person is None or event.origin in NOT_PEOPLE_ORIGINS:
        return LeftOut.SYSTEM
    if event.person in own:
        return LeftOut.OWN
    if event.is_as_another:
        return LeftOut.ANOTHER
    if event.is_anonymous:
        return LeftOut.ANONYMOUS
    found = next(
        (
            kind
            for component, action, target, kind in EVENTS
            if component in (ANY, event.component) and action in (ANY, event.action) and target in (ANY, event.target)
        ),
        LeftOut.UNMAPPED,
    )
    if found is ActivityKind.MARKED and event.about == event.person:
        # the portal's own arithmetic after a test, in the pupil's name: nobody marks himself
        return LeftOut.SYSTEM
    return found


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log has been read.

    Numbers are given when a row is written and seen when it is committed, and that is not the same order: of two web
    servers the later number may be there first. So the log is read again from `settled` every time, and the numbers taken
    behind it are remembered: none is taken twice, and one that comes late is not passed over.

    Attributes:
        series: Counts the logs: one that was begun anew begins to count again.
        settled: All rows up to this number were there when it was reached, and old enough that no other can come.
        top: Greatest number ever taken, and `top_at`, its moment: by it a log that was begun anew is known.
        own: The gateway's own accounts, as last told by the portal.
    """

    series: int = 1
    settled: int = 0
    top: int = 0
    top_at: datetime | None = None
    own: tuple[str, ...] = ()


def move_cursor(cursor: Cursor, batch: list[LogEvent], *, settled_before: datetime) -> Cursor:
    """Move on after a batch that is stored in the same transaction.

    Args:
        batch: In the order of numbers.
        settled_before: Rows older than this are not joined by others with smaller numbers.
    """
    old = (event.id for event in batch if event.is_readable and event.at <= settled_before)
    settled = max(old, default=cursor.settled)
    last = batch[-1] if batch else None
    is_further = last is not None and last.id > cursor.top
    return msgspec.structs.replace(
        cursor,
        settled=max(cursor.settled, settled),
        top=last.id if last is not None and is_further else cursor.top,
        top_at=last.at if last is not None and is_further else cursor.top_at,
    )


__all__ = [
    "ANY",
    "EVENTS",
    "KIND_TEXTS",
    "LEFT_OUT_TEXTS",
    "ActivityKind",
    "Cursor",
    "LeftOut",
    "LogEvent",
    "classify",
    "move_cursor",
]
