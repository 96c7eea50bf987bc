"""Why a record stands where it stands: every code a decision, an operation or an error may carry.

A code is stored on decision rows, operations and audit entries and never renamed; the sentences are for people and may
change. Whoever shows a code looks its texts up here, in Russian first.
"""

from __future__ import annotations

import msgspec

from gateway.domain.reason_texts import DECISION_TEXTS, MAPPING_TEXTS, ReasonCategory, ReasonOwner
from gateway.domain.reason_texts_chosen import CHOSEN_TEXTS
from gateway.domain.reason_texts_delivery import DELIVERY_TEXTS, FAULT_TEXTS
from gateway.domain.reason_texts_sources import SOURCE_TEXTS


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One code with what it means and whose turn it is.

    Attributes:
        what_ru: What it is, one Russian sentence.
        todo_ru: What to do, one Russian sentence.
        owner: The post whose turn it is when something is to be done.
    """

    code: str
    category: ReasonCategory
    owner: ReasonOwner
    what_ru: str
    todo_ru: str
    what_en: str
    todo_en: str


REASONS: dict[str, Reason] = {
    row[0]: Reason(
        code=row[0],
        category=row[1],
        owner=row[2],
        what_ru=row[3],
        todo_ru=row[4],
        what_en=row[5],
        todo_en=row[6],
    )
    for row in (*MAPPING_TEXTS, *SOURCE_TEXTS, *DECISION_TEXTS, *DELIVERY_TEXTS, *FAULT_TEXTS, *CHOSEN_TEXTS)
}


def get_reason(code: str) -> Reason:
    """Return what a stored code means.

    Raises:
        KeyError: A code that no release of the gateway has ever written.
    """
    return REASONS[code]


# What mapping says of one record.
NO_CHANGE = "NO_CHANGE"
OUT_OF_SCOPE = "OUT_OF_SCOPE"
OP_NOT_ALLOWED = "OP_NOT_ALLOWED"
HIDDEN_AT_SOURCE = "HIDDEN_AT_SOURCE"
ATTEMPT_UNFINISHED = "ATTEMPT_UNFINISHED"
LATE_NOT_SENT = "LATE_NOT_SENT"
OBSERVE_ONLY = "OBSERVE_ONLY"
NOT_LINKED = "NOT_LINKED"
AMBIGUOUS_LINK = "AMBIGUOUS_LINK"
NO_CANDIDATE = "NO_CANDIDATE"
PERSON_ID_NAME_MISMATCH = "PERSON_ID_NAME_MISMATCH"
LINK_LOST = "LINK_LOST"
GROUP_NOT_LINKED = "GROUP_NOT_LINKED"
LESSON_NOT_LINKED = "LESSON_NOT_LINKED"
NO_LESSON = "NO_LESSON"
LESSON_NOT_YET = "LESSON_NOT_YET"
LESSON_CANCELLED = "LESSON_CANCELLED"
NO_CONTROL_FORM = "NO_CONTROL_FORM"
VALUE_OUT_OF_RANGE = "VALUE_OUT_OF_RANGE"
NOT_IN_GROUP = "NOT_IN_GROUP"
NO_TEACHER = "NO_TEACHER"
WINDOW_CLOSED = "WINDOW_CLOSED"
WINDOW_EDIT_OVER = "WINDOW_EDIT_OVER"
VALIDATION_LOCAL = "VALIDATION_LOCAL"
NO_PERIOD = "NO_PERIOD"
PERIOD_NOT_OVER = "PERIOD_NOT_OVER"
NO_LESSON_PLAN = "NO_LESSON_PLAN"
LESSON_WITHOUT_TOPIC = "LESSON_WITHOUT_TOPIC"

# What is said of a record that several sources of the school have.
SOURCES_DISAGREE = "SOURCES_DISAGREE"
SOURCE_UNREAD = "SOURCE_UNREAD"
SOURCES_BOTH_SENT = "SOURCES_BOTH_SENT"

# What comparison says.
CREATE = "CREATE"
CHANGE = "CHANGE"
DELETE_HELD = "DELETE_HELD"
ADOPTED = "ADOPTED"
DRIFT = "DRIFT"
CONFLICT = "CONFLICT"
PROBABLE_TWIN = "PROBABLE_TWIN"
FOREIGN = "FOREIGN"
UNREAD_TARGET = "UNREAD_TARGET"
INCOMPLETE_READ = "INCOMPLETE_READ"
PUPIL_LEFT = "PUPIL_LEFT"
SCOPE_RESET = "SCOPE_RESET"
SCOPE_REMOVED = "SCOPE_REMOVED"
ABSENCE_UNPROVEN = "ABSENCE_UNPROVEN"
GUARD_HOLD = "GUARD_HOLD"
LEFT_TO_CITY = "LEFT_TO_CITY"
MARKED_HOLD = "MARKED_HOLD"
NO_CITY_CALL = "NO_CITY_CALL"

# What delivery meets.
BASE_MOVED = "BASE_MOVED"
PLAN_EXPIRED = "PLAN_EXPIRED"
PLAN_USED = "PLAN_USED"
REJECTED_TARGET = "REJECTED_TARGET"
TRANSPORT = "TRANSPORT"
AUTH = "AUTH"
NO_PROFILE = "NO_PROFILE"
QUOTA = "QUOTA"
UNKNOWN_OUTCOME = "UNKNOWN_OUTCOME"
CONTRACT = "CONTRACT"
VERIFY_MISMATCH = "VERIFY_MISMATCH"
NOT_SEEN_AFTER_ACCEPT = "NOT_SEEN_AFTER_ACCEPT"
SEVERAL_AFTER_UNKNOWN = "SEVERAL_AFTER_UNKNOWN"
SUPERSEDED = "SUPERSEDED"
MANUAL_CANCEL = "MANUAL_CANCEL"
SENDING_STOPPED = "SENDING_STOPPED"
EPOCH_UNREAD = "EPOCH_UNREAD"
EPOCH_STRANGER = "EPOCH_STRANGER"
EPOCH_BEGUN = "EPOCH_BEGUN"
TOO_MANY_ATTEMPTS = "TOO_MANY_ATTEMPTS"
POISON = "POISON"
DATES_NOT_BUILT = "DATES_NOT_BUILT"
ENTER_BY_HAND = "ENTER_BY_HAND"

# What is wrong with the gateway itself.
CONFIGURATION = "CONFIGURATION"
INTERNAL = "INTERNAL"
AUDIT = "AUDIT"
ALREADY_RUNNING = "ALREADY_RUNNING"
HEARTBEAT_FAILED = "HEARTBEAT_FAILED"
