"""The one table of who may do what, and how far: role × action × relation, for the API, the pages and the command line.

Deny by default: an action that a role has no cell for is not there for it, and a door whose route names no action of this
table does not start. `docs/reference/access.md` is made of it; a matrix typed by hand in the tests contradicts it where
it is wrong.

Source: reliability of the design, roles × permissions; 152-ФЗ art. 19 (only those who need it for their work).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.access.roles import Reach, Role


class Action(StrEnum):
    """What can be asked of the gateway by a person."""

    HEALTH_READ = "health.read"
    SESSION_OPEN = "session.open"
    SESSION_KEEP = "session.keep"  # look at it, choose the role, prove the password again, end it
    CONTRACT_READ = "contract.read"  # the OpenAPI document

    PUPILS_READ = "pupils.read"
    MARKS_READ = "marks.read"
    ATTENDANCE_READ = "attendance.read"
    HOMEWORK_READ = "homework.read"
    PROTOCOLS_READ = "protocols.read"  # of tests: question, answer, result, points, time
    ACTIVITY_READ = "activity.read"  # of pupils at the portal: when and of what kind
    STAFF_ACTIVITY_READ = "staff_activity.read"  # of teachers there
    ACTIVITY_KINDS_READ = "activity_kinds.read"  # how much of which kind is kept; nobody is named
    PASSPORT_READ = "passport.read"  # of a record: what became of it, and what stood at a moment
    LOOKS_READ = "looks.read"  # who looked at this child

    RUNS_READ = "runs.read"
    RUNS_UNDO = "runs.undo"  # a plan that takes a run back; it goes out by approval like any other
    SYNC_START = "sync.start"
    SCHEDULES_READ = "schedules.read"  # what runs by itself, the calendar, the sources: no record
    SCHEDULES_RUN = "schedules.run"  # one schedule now; a look for emptied journals
    SOURCES_COMPARE = "sources.compare"  # where the words of sources differ: refs of records
    EMPTINESS_CONFIRM = "emptiness.confirm"  # people have deleted there all that is known
    PLANS_READ = "plans.read"  # counters, guards, state
    PLANS_IMPACT = "plans.impact"  # averages of classes before and after
    ITEMS_READ = "items.read"  # lines of a plan
    PLANS_PROPOSE = "plans.propose"
    PLANS_APPROVE = "plans.approve"
    DECISIONS_READ = "decisions.read"  # what is not sent, why, and whose move it is
    DISCREPANCIES_READ = "discrepancies.read"
    DISCREPANCIES_CHOOSE = "discrepancies.choose"  # whose value stands; a dispute too
    DISCREPANCIES_ASSIGN = "discrepancies.assign"  # to an account, or to wait for somebody outside of the school
    TASKS_READ = "tasks.read"  # what was chosen on a teacher's behalf and is to be corrected at the portal
    TASKS_DONE = "tasks.done"  # his word that it is
    HOLDS_READ = "holds.read"
    HOLDS_CHANGE = "holds.change"  # keep from being sent, and let go
    GUARDS_TRY = "guards.try"  # what other limits would have held; changes nothing
    LINKS_READ = "links.read"  # who waits for a link, who may be meant, what speaks against a link
    LINKS_DECIDE = "links.decide"  # confirm or refuse one; ask that a wrong one be set right
    PRECEDENTS_READ = "precedents.read"  # patterns and counts; no record
    PRECEDENTS_CHANGE = "precedents.change"
    LINKS_MOVE = "links.move"  # let a wrong link be set right: deletes at one child, creates at another
    INCIDENTS_READ = "incidents.read"  # what of a child was shown to whom, and the clocks of the notice
    INCIDENTS_CHANGE = "incidents.change"  # the notice was given, the findings were sent
    QUEUE_READ = "queue.read"
    OPERATIONS_READ = "operations.read"
    OPERATIONS_REPLAY = "operations.replay"
    PERIODS_READ = "periods.read"  # which periods are signed; nobody's name
    PERIODS_SIGN = "periods.sign"  # sign a period of a class, open it until an hour
    HAND_LIST_READ = "hand_list.read"  # what teachers type, with names and values
    HAND_LIST_CHANGE = "hand_list.change"  # onto it, off it, and what an outage means for a kind
    SENDING_STOP = "sending.stop"
    SENDING_ALLOW = "sending.allow"

    MAPPING_READ = "mapping.read"  # versions, texts and counts; no record
    MAPPING_PREVIEW = "mapping.preview"  # what a version makes of records, with their values
    MAPPING_PROPOSE = "mapping.propose"  # draft, map a value, propose, back-test
    MAPPING_ACTIVATE = "mapping.activate"  # let a version count, and take it back

    JOURNAL_READ = "journal.read"  # what was typed into the gateway itself, by whom, for whom
    JOURNAL_CHANGE = "journal.change"  # type a mark or an absence, take one back

    PLANNER_PUSH = "planner.push"  # a book of the planner, by a token for this action alone

    AUDIT_READ = "audit.read"
    AUDIT_VERIFY = "audit.verify"  # whether the chains are whole; no entry
    GLASS_BREAK = "glass.break"
    ALERTS_READ = "alerts.read"
    ACCOUNTS_READ = "accounts.read"
    ACCOUNTS_CHANGE = "accounts.change"


OPEN_TO_ALL = frozenset({Action.HEALTH_READ, Action.SESSION_OPEN})
"""What is answered before anybody has said who he is."""

ANYONE, SELF, CHILD, CLASS, GROUP = Reach.ANYONE, Reach.SELF, Reach.OWN_CHILD, Reach.OWN_CLASS, Reach.OWN_GROUP
PROGRAMME, DEEDS, SCHOOL = Reach.OWN_PROGRAMME, Reach.OWN_DEEDS, Reach.SCHOOL
PSEUDONYMS, VEILED, GLASS = Reach.PSEUDONYMS, Reach.VEILED, Reach.GLASS


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One action and the reach of each role in it; None = the role does not have it.

    Attributes:
        operator: Whether the user of the operating system may do it by the command line, known by name and vouched for
            by nobody: whoever has the machine has the database, and the audit says so.
    """

    action: Action
    operator: bool = False
    pupil: Reach | None = None
    parent: Reach | None = None
    teacher: Reach | None = None
    class_teacher: Reach | None = None
    curator: Reach | None = None
    methodist: Reach | None = None
    deputy_head: Reach | None = None
    director: Reach | None = None
    admin: Reach | None = None
    auditor: Reach | None = None
    inspector: Reach | None = None

    def reach_of(self, role: Role) -> Reach | None:
        """How far the action reaches for a role."""
        reach: Reach | None = getattr(self, role.value)
        return reach


def _for_all(action: Action) -> Row:
    return msgspec.convert({"action": action, **{role.value: ANYONE for role in Role}}, Row)


# fmt: off
ROWS: tuple[Row, ...] = (
    _for_all(Action.HEALTH_READ),
    _for_all(Action.SESSION_OPEN),
    _for_all(Action.SESSION_KEEP),
    _for_all(Action.CONTRACT_READ),
    Row(action=Action.PUPILS_READ, pupil=SELF, parent=CHILD, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=GLASS, inspector=SCHOOL),
    Row(action=Action.MARKS_READ, pupil=SELF, parent=CHILD, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=GLASS, inspector=SCHOOL),
    Row(action=Action.ATTENDANCE_READ, pupil=SELF, parent=CHILD, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=GLASS, inspector=SCHOOL),
    Row(action=Action.HOMEWORK_READ, pupil=SELF, parent=CHILD, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=GLASS, inspector=SCHOOL),
    Row(action=Action.PROTOCOLS_READ, operator=True, pupil=SELF, parent=CHILD, teacher=GROUP, class_teacher=CLASS,
        curator=PROGRAMME, deputy_head=SCHOOL, director=SCHOOL, admin=GLASS, inspector=SCHOOL),
    Row(action=Action.ACTIVITY_READ, operator=True, pupil=SELF, parent=CHILD, teacher=GROUP, class_teacher=CLASS,
        curator=PROGRAMME, deputy_head=SCHOOL, director=SCHOOL, admin=GLASS),
    Row(action=Action.STAFF_ACTIVITY_READ, operator=True, teacher=DEEDS, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.ACTIVITY_KINDS_READ, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL,
        auditor=SCHOOL),
    Row(action=Action.PASSPORT_READ, operator=True, pupil=SELF, parent=CHILD, teacher=GROUP, class_teacher=CLASS,
        curator=PROGRAMME, deputy_head=SCHOOL, director=SCHOOL, admin=VEILED, inspector=SCHOOL),
    Row(action=Action.LOOKS_READ, pupil=SELF, parent=CHILD, deputy_head=SCHOOL, director=SCHOOL),

    Row(action=Action.RUNS_READ, operator=True, teacher=DEEDS, class_teacher=DEEDS, curator=DEEDS,
        deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL, auditor=SCHOOL),
    Row(action=Action.RUNS_UNDO, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL),
    Row(action=Action.SYNC_START, operator=True, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL),
    Row(action=Action.SCHEDULES_READ, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL,
        auditor=SCHOOL),
    Row(action=Action.SCHEDULES_RUN, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL),
    Row(action=Action.SOURCES_COMPARE, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=GLASS),
    Row(action=Action.EMPTINESS_CONFIRM, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.PLANS_READ, operator=True, teacher=ANYONE, class_teacher=ANYONE, curator=ANYONE,
        methodist=ANYONE, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL, auditor=SCHOOL, inspector=SCHOOL),
    Row(action=Action.PLANS_IMPACT, operator=True, deputy_head=SCHOOL, director=SCHOOL, auditor=SCHOOL,
        inspector=SCHOOL),
    Row(action=Action.ITEMS_READ, operator=True, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=PSEUDONYMS),
    Row(action=Action.PLANS_PROPOSE, curator=ANYONE, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL),
    Row(action=Action.PLANS_APPROVE, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.DECISIONS_READ, operator=True, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        methodist=PROGRAMME, deputy_head=SCHOOL, director=SCHOOL, admin=PSEUDONYMS),
    Row(action=Action.DISCREPANCIES_READ, operator=True, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=PSEUDONYMS),
    Row(action=Action.DISCREPANCIES_CHOOSE, operator=True, teacher=GROUP, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.DISCREPANCIES_ASSIGN, operator=True, curator=PROGRAMME, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.TASKS_READ, operator=True, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=PSEUDONYMS),
    Row(action=Action.TASKS_DONE, operator=True, teacher=GROUP, curator=PROGRAMME, deputy_head=SCHOOL,
        director=SCHOOL),
    Row(action=Action.HOLDS_READ, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=PSEUDONYMS),
    Row(action=Action.HOLDS_CHANGE, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.GUARDS_TRY, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL, auditor=SCHOOL),
    Row(action=Action.LINKS_READ, operator=True, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.LINKS_DECIDE, operator=True, curator=PROGRAMME, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.PRECEDENTS_READ, operator=True, curator=ANYONE, deputy_head=SCHOOL, director=SCHOOL,
        admin=SCHOOL, auditor=SCHOOL),
    Row(action=Action.PRECEDENTS_CHANGE, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.LINKS_MOVE, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.INCIDENTS_READ, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.INCIDENTS_CHANGE, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.QUEUE_READ, operator=True, teacher=ANYONE, class_teacher=ANYONE, curator=ANYONE,
        deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL, auditor=SCHOOL),
    Row(action=Action.OPERATIONS_READ, operator=True, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=PSEUDONYMS),
    Row(action=Action.OPERATIONS_REPLAY, operator=True, teacher=GROUP, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL, admin=PSEUDONYMS),
    Row(action=Action.PERIODS_READ, operator=True, teacher=ANYONE, class_teacher=ANYONE, curator=ANYONE,
        methodist=ANYONE, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL, auditor=SCHOOL),
    Row(action=Action.PERIODS_SIGN, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.HAND_LIST_READ, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.HAND_LIST_CHANGE, operator=True, deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.SENDING_STOP, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL),
    Row(action=Action.SENDING_ALLOW, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL),

    Row(action=Action.MAPPING_READ, operator=True, curator=ANYONE, methodist=ANYONE, deputy_head=SCHOOL,
        director=SCHOOL, admin=SCHOOL, auditor=SCHOOL),
    Row(action=Action.MAPPING_PREVIEW, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=GLASS),
    Row(action=Action.MAPPING_PROPOSE, operator=True, curator=ANYONE, methodist=ANYONE, deputy_head=SCHOOL,
        director=SCHOOL, admin=SCHOOL),
    Row(action=Action.MAPPING_ACTIVATE, operator=True, deputy_head=SCHOOL, director=SCHOOL),

    Row(action=Action.JOURNAL_READ, operator=True, teacher=GROUP, class_teacher=CLASS, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL),
    Row(action=Action.JOURNAL_CHANGE, operator=True, teacher=GROUP, curator=PROGRAMME,
        deputy_head=SCHOOL, director=SCHOOL),

    Row(action=Action.PLANNER_PUSH, deputy_head=SCHOOL, director=SCHOOL),

    Row(action=Action.AUDIT_READ, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=PSEUDONYMS,
        auditor=PSEUDONYMS),
    Row(action=Action.AUDIT_VERIFY, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL, auditor=SCHOOL),
    Row(action=Action.GLASS_BREAK, admin=ANYONE),
    Row(action=Action.ALERTS_READ, operator=True, deputy_head=SCHOOL, director=SCHOOL, auditor=SCHOOL),
    Row(action=Action.ACCOUNTS_READ, operator=True, deputy_head=SCHOOL, director=SCHOOL, admin=SCHOOL, auditor=SCHOOL),
    Row(action=Action.ACCOUNTS_CHANGE, operator=True, director=SCHOOL, admin=SCHOOL),
)
# fmt: on

POLICY: dict[Action, Row] = {row.action: row for row in ROWS}

TECHNICAL_ACTIONS = ("account.", "backup.", "epoch.", "host.", "profile.", "run.", "sending.", "sink.", "token.")
"""Beginnings of the audit actions that an admin may read: how the machine fares, not who did what about whom."""


def find_reach(role: Role, action: Action) -> Reach | None:
    """How far an action reaches for a role; None = the role does not have it."""
    row = POLICY.get(action)
    return None if row is None else row.reach_of(role)
