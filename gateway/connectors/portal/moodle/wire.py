"""Moodle's answers as pydantic models, in Moodle's spelling.

Strict on what is read, blind to the rest: fields we don't use may come, go and change type. Where Moodle says a number
as text, or a flag as a number, the type here says so by name.

Source: portal-and-planner.md §a.4, recorded answers of 4.5.6 [M].
"""

from __future__ import annotations

import html
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter

# A tag begins with a letter: since 4.5 names of items are raw text and may hold a lone «<».
_TAG = re.compile(r"</?[A-Za-z!][^>]*>")


def to_plain(text: str) -> str:
    """Text of a formatted field: markup and entities off, blanks trimmed."""
    return html.unescape(_TAG.sub("", text)).replace("\xa0", " ").strip()


def _number_text(value: Any) -> Any:
    """Database rows handed through as they are: `"5"`, `"4.00000"`."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else number
    return value


def _flag(value: Any) -> Any:
    """Flags come as true, 1 or "1", depending on the function."""
    return {0: False, 1: True, "0": False, "1": True}.get(value, value) if isinstance(value, int | str) else value


def _absent_as_empty(value: Any) -> Any:
    """PHP spells an absent object `[]` and an absent list null."""
    return [] if value is None else value


NumberText = Annotated[int, BeforeValidator(_number_text)]
Flag = Annotated[bool, BeforeValidator(_flag)]


class Wire(BaseModel):
    """Base of all wire models."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class SiteFunction(Wire):
    name: str


class SiteInfo(Wire):
    sitename: str
    release: str
    version: str
    userid: int
    functions: list[SiteFunction]


class Category(Wire):
    id: int
    name: str
    path: str = ""


class Course(Wire):
    id: int
    shortname: str
    fullname: str
    categoryid: int
    format: str = ""
    startdate: int | None = None
    enddate: int | None = None


class Cohort(Wire):
    id: int
    name: str


class CohortMembers(Wire):
    cohortid: int
    userids: list[int]


class CourseGroup(Wire):
    id: int
    courseid: int
    name: str


class GroupMembers(Wire):
    groupid: int
    userids: list[int]


class Role(Wire):
    shortname: str


class GroupLabel(Wire):
    id: int


class Enrolled(Wire):
    id: int
    roles: list[Role] = []
    groups: list[GroupLabel] = []


class CustomField(Wire):
    shortname: str
    value: str | None = None


class User(Wire):
    id: int
    firstname: str
    lastname: str
    idnumber: str = ""
    suspended: Flag = False
    customfields: Annotated[list[CustomField], BeforeValidator(_absent_as_empty)] = []


class GradeItem(Wire):
    """One cell of the user report; `scaleid` is not read: it repeats `outcomeid` (a fault upstream)."""

    id: int
    itemname: str | None
    itemtype: str
    itemmodule: str | None = None
    iteminstance: int | None = None
    idnumber: str | None = None
    categoryid: int | None = None
    graderaw: float | None
    gradedategraded: int | None
    gradehiddenbydate: Flag = False
    gradeishidden: Flag = False
    gradeisoverridden: Flag = False
    gradeformatted: str = ""
    grademin: float
    grademax: float
    feedback: str | None = None


class UserGrades(Wire):
    courseid: int
    userid: int
    gradeitems: list[GradeItem]


class GradeReport(Wire):
    usergrades: list[UserGrades]


class Module(Wire):
    id: int
    instance: int
    modname: str
    visible: Flag = True


class Section(Wire):
    modules: list[Module] = []


class Status(Wire):
    id: int
    acronym: str


class LogRow(Wire):
    """Ids come as text here: the plugin hands its database rows through."""

    studentid: NumberText
    statusid: NumberText | None


class Session(Wire):
    id: int
    attendanceid: int
    groupid: int
    sessdate: int
    duration: int
    description: str | None = None
    lasttakenby: NumberText | None = None
    statuses: list[Status]
    attendance_log: list[LogRow]


class Event(Wire):
    id: int
    name: str
    courseid: int | None
    groupid: int | None
    modulename: str | None
    instance: int | None = None
    eventtype: str
    timestart: int
    timeduration: int
    visible: Flag = True


class Events(Wire):
    events: list[Event]


class Assignment(Wire):
    """`grade`: most points, or minus the id of a word scale, or 0 where it is not graded."""

    id: int
    name: str
    intro: str = ""
    duedate: int
    allowsubmissionsfromdate: int
    grade: float


class AssignmentCourse(Wire):
    id: int
    assignments: list[Assignment]


class Assignments(Wire):
    courses: list[AssignmentCourse]


class Quiz(Wire):
    """`grademethod`: 1 highest, 2 average, 3 first, 4 last; `sumgrades` is in question points, `grade` the quiz's scale.

    The review settings are bits of moments; all of them are left out for whom the quiz's access rules keep out, as they do
    with everybody after it has closed. `reviewmaxmarks` is there since 4.3.
    """

    id: int
    course: int
    coursemodule: int | None = None
    visible: Flag = True
    timeclose: int | None = None
    grademethod: int | None = None
    sumgrades: float | None = None
    grade: float | None = None
    reviewattempt: int | None = None
    reviewcorrectness: int | None = None
    reviewmarks: int | None = None
    reviewmaxmarks: int | None = None


class Quizzes(Wire):
    quizzes: list[Quiz]


class QuizAttempt(Wire):
    id: int
    quiz: int
    userid: int
    attempt: int
    preview: Flag = False
    state: str
    timestart: int
    timefinish: int
    sumgrades: float | None


class Attempts(Wire):
    attempts: list[QuizAttempt]


class ReviewQuestion(Wire):
    """One question of a review; `mark` is a formatted number in the site's language, empty where there is none."""

    slot: int
    type: str
    number: int | str | None = None
    questionnumber: str | None = None
    html: str = ""
    state: str | None = None
    mark: str | float | None = None
    maxmark: float | None = None


class AttemptReview(Wire):
    """The whole attempt as the service account sees it, whatever the pupil may see."""

    attempt: QuizAttempt
    questions: list[ReviewQuestion]


class ReviewOption(Wire):
    name: str
    value: NumberText


class ReviewOptions(Wire):
    """What a pupil is shown now: `someoptions` in one of his attempts at least, `alloptions` in all of them."""

    someoptions: list[ReviewOption]
    alloptions: list[ReviewOption]


SITE_INFO = TypeAdapter(SiteInfo)
CATEGORIES = TypeAdapter(list[Category])
COURSES = TypeAdapter(list[Course])
COHORTS = TypeAdapter(list[Cohort])
COHORT_MEMBERS = TypeAdapter(list[CohortMembers])
GROUPS = TypeAdapter(list[CourseGroup])
GROUP_MEMBERS = TypeAdapter(list[GroupMembers])
ENROLLED = TypeAdapter(list[Enrolled])
USERS = TypeAdapter(list[User])
GRADE_REPORT = TypeAdapter(GradeReport)
CONTENTS = TypeAdapter(list[Section])
SESSIONS = TypeAdapter(list[Session])
EVENTS = TypeAdapter(Events)
ASSIGNMENTS = TypeAdapter(Assignments)
QUIZZES = TypeAdapter(Quizzes)
ATTEMPTS = TypeAdapter(Attempts)
REVIEW = TypeAdapter(AttemptReview)
REVIEW_OPTIONS = TypeAdapter(ReviewOptions)
