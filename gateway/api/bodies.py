"""Shapes of what comes in, and of what is made here. Unknown fields are refused; texts have a longest and no NUL."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Header, Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.access.roles import Role, Tie
from gateway.domain.discrepancies import Choice, Outside
from gateway.domain.identifiers import Kind
from gateway.domain.storable import FIRST_ON, LAST_ON

T = TypeVar("T")

LARGEST = 2**31 - 1
"""Largest number of a row: PostgreSQL's INTEGER; a larger one names nothing and would be a fault in the driver."""
LARGEST_SEQ = 2**63 - 1

_CLEAN = r"^[^\x00]*$"
Text = Annotated[str, StringConstraints(max_length=2000, pattern=_CLEAN)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_CLEAN)]
_REACH = {"first": FIRST_ON.isoformat(), "last": LAST_ON.isoformat()}
_FIRST_AT, _LAST_AT = datetime.combine(FIRST_ON, time(0), UTC), datetime.combine(LAST_ON, time(0), UTC)


def _within_days(day: date) -> date:
    if not FIRST_ON <= day <= LAST_ON:
        raise _beyond()
    return day


def _within_moments(moment: datetime) -> datetime:
    # compared before it is told in UTC: next to the calendar's ends that can't be done in every zone
    if not _FIRST_AT <= moment <= _LAST_AT:
        raise _beyond()
    return moment.astimezone(UTC)


def _beyond() -> PydanticCustomError:
    # told in Russian by `domain.faults_ru`
    return PydanticCustomError("beyond_calendar", "a day from {first} to {last} is needed", _REACH)


Day = Annotated[date, AfterValidator(_within_days)]
"""A day that any zone, count of days and database can reach; the ends of the calendar are typed by mistake only."""
Moment = Annotated[AwareDatetime, AfterValidator(_within_moments)]
"""As `Day`, in UTC."""
Ref = Annotated[str, Path(min_length=1, max_length=200, pattern=_CLEAN)]
Number = Annotated[int, Path(ge=1, le=LARGEST)]
After = Annotated[int, Query(ge=0, le=LARGEST_SEQ, description="Номер последней строки прошлой страницы.")]
AfterNumber = Annotated[int, Query(ge=0, le=LARGEST, description="Номер последней строки прошлой страницы.")]
AfterRef = Annotated[str, Query(max_length=200, pattern=_CLEAN, description="Последняя запись прошлой страницы.")]
Limit = Annotated[int, Query(ge=1, le=200, description="Строк на странице.")]
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="Свой у каждого начатого дела; повтор с тем же ключом не начинает его второй раз.",
    ),
]


class Body(BaseModel):
    """What comes in: strict, and nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogIn(Body):
    login: Word
    password: Annotated[SecretStr, Field(min_length=1, max_length=256)]
    role: Role | None = None


class Proof(Body):
    password: Annotated[SecretStr, Field(min_length=1, max_length=256)]


class RoleChoice(Body):
    role: Role


class Reason(Body):
    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_CLEAN, strip_whitespace=True)]


class StartSync(Body):
    class_name: Word | None = None
    group: Word | None = None
    pupil: Word | None = None
    from_on: Day | None = None
    to_on: Day | None = None
    dry_run: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> StartSync:
        if self.from_on is not None and self.to_on is not None and self.to_on < self.from_on:
            raise PydanticCustomError("days_reversed", "to_on is before from_on")
        return self


Discrepancies = Annotated[list[Annotated[int, Field(ge=1, le=LARGEST)]], Field(min_length=1, max_length=5000)]


class Settle(Reason):
    ids: Discrepancies
    choice: Choice
    own_value: Annotated[str, StringConstraints(max_length=3, pattern=r"^[0-9]+$")] | None = None
    until: Moment | None = None
    preview: bool = False
    with_removals: bool = False
    shown: Annotated[
        dict[Annotated[int, Field(ge=1, le=LARGEST)], Moment],
        Field(max_length=5000, description="Номер → changed_at, каким его показали; что изменилось, выпадает."),
    ] = {}
    shown_at: Annotated[
        Moment | None,
        Field(description="Когда смотрели на те, которых нет в shown; что изменилось с тех пор, выпадает."),
    ] = None


class Assign(Reason):
    ids: Discrepancies
    assignee: Word


class WaitOutside(Reason):
    ids: Discrepancies
    whom: Outside
    until: Moment


class LookForEmptied(Body):
    kinds: Annotated[list[Kind], Field(max_length=20)] = []
    classes: Annotated[list[Word], Field(max_length=100)] = []


class BelieveEmptied(Reason):
    kinds: Annotated[list[Kind], Field(max_length=20)] = []
    classes: Annotated[list[Word], Field(max_length=100)] = []


class HoldBack(Reason):
    until: Moment
    kind: Kind | None = None
    op: Literal["create", "change", "delete"] | None = None
    ref: Word | None = None
    pupil: Word | None = None
    class_name: Word | None = None


Login = Annotated[str, Path(min_length=2, max_length=80, pattern=_CLEAN)]
NewPassword = Annotated[SecretStr, Field(min_length=1, max_length=256)]


class NewAccount(Body):
    login: Word
    password: NewPassword | None = None
    person_ref: Word | None = None


class GivenPassword(Body):
    password: NewPassword


class Dated(Body):
    begins_on: Day | None = None
    ends_on: Day | None = None


class GivenRole(Dated):
    role: Role
    deputises_for: Word | None = None


class GivenRelation(Dated):
    tie: Tie
    object_ref: Word
    restricted: bool = False
    substitutes: Word | None = None


class Pair(Body):
    city_id: Annotated[int, Field(ge=1, le=LARGEST_SEQ)]
    despite_evidence: bool = False
    reason: Text = ""


class RefusedPair(Reason):
    city_id: Annotated[int, Field(ge=1, le=LARGEST_SEQ)]


class Split(Reason):
    to_city_id: Annotated[int, Field(ge=1, le=LARGEST_SEQ)] | None = None
    swap: bool = False


class ApprovedUnit(Reason):
    hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Said(Body):
    text: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_CLEAN, strip_whitespace=True)]


class LetOut(Reason):
    plan_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    with_deletes: bool = False
    with_held: bool = False


class LetOutChosen(LetOut):
    items: Annotated[list[Annotated[int, Field(ge=1, le=LARGEST)]], Field(max_length=5000)] = []
    classes: Annotated[list[Word], Field(max_length=100)] = []
    pupils: Annotated[list[Word], Field(max_length=100)] = []
    kinds: Annotated[
        list[Literal["mark", "absence", "homework", "comment", "final", "topics"]], Field(max_length=6)
    ] = []


class MakePrecedent(Reason):
    pattern: Word
    choice: Choice
    until: Moment


class TypedEntry(Body):
    """A mark or an absence, typed by the account for whom it says."""

    pupil: Word
    group: Word
    lesson_at: Moment
    value: Annotated[int, Field(ge=1, le=5)] | None = None
    work: Annotated[str, StringConstraints(max_length=200, pattern=_CLEAN)] = ""
    form: Literal["absent", "excused", "late"] | None = None
    on_behalf_of: Annotated[str, StringConstraints(max_length=200, pattern=_CLEAN)] = ""
    answers: Annotated[str, StringConstraints(max_length=200, pattern=_CLEAN)] = ""
    again: bool = False


class SwitchPrecedentOn(Reason):
    with_others: bool = False


class DraftMapping(Reason):
    toml: Annotated[str, StringConstraints(max_length=200_000, pattern=_CLEAN)]


class MapValue(Reason):
    name: Word
    local: Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=_CLEAN)]
    city: Word
    on: Annotated[int, Field(ge=1, le=LARGEST)] | None = None


class ActivateMapping(Reason):
    since: Moment | None = None
    with_refused: bool = False


class RollBackMapping(Reason):
    since: Moment | None = None
    to: Annotated[int, Field(ge=1, le=LARGEST)] | None = None


class MappingText(BaseModel):
    toml: str


class Begun(BaseModel):
    href: str


class SignPeriod(Reason):
    class_name: Word
    period: Word


class OpenPeriod(Reason):
    until: Moment


class LetLocked(Reason):
    plan_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    pupils: Annotated[list[Word], Field(min_length=1, max_length=200)]
    with_deletes: bool = False


Numbers = Annotated[list[Annotated[int, Field(ge=1, le=LARGEST)]], Field(max_length=5000)]


class PutOnList(Reason):
    operations: Numbers = []
    closed: bool = False


class TakeOffList(Reason):
    operations: Annotated[Numbers, Field(min_length=1)]


class ChooseOutage(Reason):
    kind: Kind
    choice: Literal["wait", "by_hand"]


class Page(BaseModel, Generic[T]):
    """One page; `next` is the `after` of the one behind it, null on the last."""

    items: list[T]
    next: int | str | None


class SessionAnswer(BaseModel):
    account: str
    role: Role
    roles: list[Role]
    csrf_token: str
    proved_at: datetime | None


class RunBegun(BaseModel):
    run: int
    href: str


class Confirmed(BaseModel):
    confirmed: bool


class Merged(BaseModel):
    forgotten: int


class Noted(BaseModel):
    noted: bool


class Lifted(BaseModel):
    lifted: int


class Moved(BaseModel):
    taken: list[int]
    left_out: list[int]


class Health(BaseModel):
    state: str
