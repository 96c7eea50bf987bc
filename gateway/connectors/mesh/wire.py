"""The city's payloads in the city's spelling, only the fields we read.

Between `Answer` and canonical objects. Tolerant of fields we do not read; strict on the types of those we do, because
a silently converted value is a wrong mark. A row that does not fit is a fault of its own; too many of them mean that
the contract has changed.

Source: city-journal.md §1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.connectors.mesh import SYSTEM, codecs
from gateway.domain.errors import ContractError, RecordError

FAULTY_RATIO = 0.01  # above this share the payload has changed, not a row (reliability.md A26)


def _whole(value: object) -> object:
    """Take `123.0` for 123: the legacy control_forms answer so (S1). Other fractions and booleans stay what they are."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


Id = Annotated[int, BeforeValidator(_whole), Field(ge=0, lt=2**63)]
Count = Annotated[int, BeforeValidator(_whole)]
Dotted = Annotated[date, BeforeValidator(codecs.from_dotted)]
DottedMinute = Annotated[datetime, BeforeValidator(codecs.from_dotted_minute)]
Dashed = Annotated[date, BeforeValidator(codecs.from_dashed)]
Triple = Annotated[date, BeforeValidator(codecs.from_triple)]
ClockPair = Annotated[tuple[int, int], BeforeValidator(codecs.from_clock)]
Stamp = Annotated[datetime, BeforeValidator(codecs.from_stamp)]
Gone = object
"""`deleted_at` and its like: only whether it is set matters, its form differs between resources."""


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)


class WireYear(_Wire):
    id: Id
    name: str
    begin_date: Dashed
    end_date: Dashed
    current_year: bool | None = None


class WirePeriod(_Wire):
    id: Id
    name: str
    begin_date: Dotted
    end_date: Dotted
    x_closed: bool | None = None
    x_edit_until: Dotted | None = None


class WirePeriodsSchedule(_Wire):
    id: Id
    periods: list[WirePeriod] | None = None


class WireClass(_Wire):
    id: Id
    name: str
    class_level_id: Id


class WireSubject(_Wire):
    id: Id
    name: str
    deleted_at: Gone = None


class WireGroupTeacher(_Wire):
    id: Id


class WireGroup(_Wire):
    id: Id
    name: str
    subject_id: Id
    subject_name: str | None = None
    class_level_id: Id
    class_unit_id: Id | None = None
    class_unit_ids: list[Id] | None = None
    class_unit_name: str | None = None
    attestation_periods_schedule_id: Id | None = None
    student_ids: list[Id] | None = None
    teachers: list[WireGroupTeacher] | None = None
    is_metagroup: bool | None = None
    is_subgroup: bool | None = None


class WireTeacher(_Wire):
    id: Id
    name: str | None = None
    last_name: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    assigned_group_ids: list[Id] | None = None
    replacement_groups_ids: list[Id] | None = None
    deleted_at: Gone = None


class WirePupilClass(_Wire):
    id: Id
    name: str


class WirePupilGroup(_Wire):
    id: Id
    begin_date: Dotted | None = None
    end_date: Dotted | None = None


class WirePupil(_Wire):
    id: Id
    person_id: str | None = None
    contingent_guid: str | None = None
    last_name: str | None = None
    first_name: str | None = None
    middle_name: str | None = None
    birth_date: Dotted | None = None
    class_unit: WirePupilClass | None = None
    groups: list[WirePupilGroup] | None = None
    left_on: Dotted | None = None
    transferred: bool | None = None
    deleted: bool | None = None
    deleted_at: Gone = None
    previously_profile_id: Id | None = None


class WireGradeSystem(_Wire):
    id: Id
    type: str


class WireForm(_Wire):
    id: Id
    name: str
    weight: Count
    grade_system: WireGradeSystem
    deleted_at: Gone = None
    is_deleted: bool | None = None


class WireLesson(_Wire):
    id: Id
    group_id: Id
    subject_id: Id
    date: Triple
    time: ClockPair
    duration: Count | None = None
    lesson_number: Count | None = None
    ordinal: Count | None = None
    teacher_id: Id | None = None
    replaced: bool | None = None
    replaced_teacher_id: Id | None = None
    cancelled: bool | None = None
    topic_name: str | None = None


class WireMark(_Wire):
    id: Id
    student_profile_id: Id
    schedule_lesson_id: Id
    control_form_id: Id
    name: str
    weight: Count
    date: Dotted
    teacher_id: Id | None = None
    subject_id: Id | None = None
    group_id: Id | None = None
    is_point: bool | None = None
    mark_type_id: Id | None = None
    created_at: DottedMinute | None = None
    updated_at: DottedMinute | None = None
    deleted_at: Gone = None


class WireAbsence(_Wire):
    id: Id
    student_profile_id: Id
    schedule_lesson_id: Id
    date: Dotted | None = None
    absence_reason_id: Id | None = None
    deleted_at: Gone = None


class WireHomeworkEntry(_Wire):
    id: Id
    description: str | None = None
    student_ids: list[Id] | None = None
    deleted_at: Gone = None


class WireHomework(_Wire):
    id: Id
    group_id: Id
    subject_id: Id
    teacher_id: Id | None = None
    date_assigned_on: Dotted
    date_prepared_for: Dotted
    homework_entries: list[WireHomeworkEntry]
    updated_at: DottedMinute | None = None
    deleted_at: Gone = None


def _digits(value: object) -> object:
    """Take `"85767"` for 85767: the period of a final mark is a text (S4)."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else _whole(value)


class WireFinal(_Wire):
    """A final mark inside a pupil's row; which of the value's names is filled differs (S2 S4 S7 S9)."""

    id: Id
    subject_id: Id
    academic_year_id: Id | None = None
    attestation_period_id: Annotated[int, BeforeValidator(_digits), Field(ge=0)] | None = None
    is_year_mark: bool | None = None
    year_mark: bool | None = None
    mark_type: Literal["intermediate_attestation", "attestation"] | None = None
    value: object = None
    mark: object = None
    manual_value: object = None
    origin: object = None
    grade: object = None
    no_mark: bool | None = None
    academic_debt: bool | None = None
    updated_at: DottedMinute | None = None
    deleted_at: Gone = None


class WireRemark(_Wire):
    id: Id
    schedule_lesson_id: Id
    comment: str | None = None
    teacher_id: Id | None = None
    deleted_at: Gone = None


class WirePupilFinals(_Wire):
    """A pupil asked for with `with_final_marks`; an answer without the list has not understood the question."""

    id: Id
    final_marks: list[object]


class WirePupilRemarks(_Wire):
    """A pupil asked for with `with_lesson_comments`."""

    id: Id
    lesson_comments: list[object]


class WirePlanLesson(_Wire):
    name: str | None = None
    ordinal: Count | None = None
    is_hw_planned: bool | None = None
    is_test_planned: bool | None = None


class WirePlanTopic(_Wire):
    name: str | None = None
    ordinal: Count | None = None
    lessons: list[WirePlanLesson] | None = None


class WirePlanModule(_Wire):
    name: str | None = None
    ordinal: Count | None = None
    topics: list[WirePlanTopic] | None = None


class WireLessonPlan(_Wire):
    id: Id
    name: str | None = None
    group_ids: list[Id] | None = None
    modules: list[WirePlanModule]
    deleted_at: Gone = None


class WireCalendarPlan(_Wire):
    id: Id
    group_id: Id


class WireProfile(_Wire):
    """A profile of a session: what the token may act as."""

    id: Id
    type: str


class WireSession(_Wire):
    profiles: list[WireProfile]


Model = TypeVar("Model", bound=BaseModel)


def row_id(row: object) -> int | None:
    """The row's own id as a number; None when it has none that can be read."""
    found = _whole(row.get("id")) if isinstance(row, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def read_rows(model: type[Model], rows: Sequence[object], what: str) -> tuple[list[Model], list[RecordError]]:
    """Turn raw rows into wire models.

    Args:
        what: Kind of the rows in a fault's place, e.g. `mark`.

    Returns:
        The rows that fit, in order, and a fault for each that does not (ids and field names only).

    Raises:
        ContractError: More than one in a hundred does not fit.
    """
    fitting: list[Model] = []
    faults: list[RecordError] = []
    for row in rows:
        try:
            fitting.append(model.model_validate(row))
        except ValidationError as exc:
            faults.append(to_fault(what, row, _fields(exc)))
    if len(faults) > len(rows) * FAULTY_RATIO:
        raise contract_error(what, faults)
    return fitting, faults


def to_fault(what: str, row: object, fields: str) -> RecordError:
    """Name a row that can't be used; `where` has the ids that a reader needs to treat its cell as unknown."""
    ids = [f"{what}:{row_id(row)}"]
    if isinstance(row, dict):
        ids += [
            f"{label}:{_whole(row[key])}"
            for label, key in (("pupil", "student_profile_id"), ("lesson", "schedule_lesson_id"))
            if isinstance(_whole(row.get(key)), int)
        ]
    return RecordError(
        f"Запись журнала не разобрана, поля: {fields}", where=f"{SYSTEM} {' '.join(ids)} {fields}", reason="CONTRACT"
    )


def contract_error(what: str, faults: Sequence[RecordError]) -> ContractError:
    """Say that the payload as a whole no longer fits."""
    fields = sorted({fault.where.rsplit(" ", 1)[-1] for fault in faults})
    return ContractError(
        f"Ответ журнала не того вида ({what}): строк {len(faults)}, поля: {', '.join(fields)[:200]}", system=SYSTEM
    )


def read_one(model: type[Model], value: object, what: str) -> Model:
    """Turn one raw object into its wire model.

    Raises:
        ContractError: It does not fit.
    """
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        fault = to_fault(what, value, _fields(exc))
    raise contract_error(what, [fault])


def _fields(exc: ValidationError) -> str:
    """Field names of a validation error, list positions left out; keys of foreign dicts can't occur (extra is ignored)."""
    names = {
        ".".join(str(part) for part in error["loc"] if isinstance(part, str)) or "?"
        for error in exc.errors(include_input=False, include_url=False, include_context=False)
    }
    return ",".join(sorted(names))
