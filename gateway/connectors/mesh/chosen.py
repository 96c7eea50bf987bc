"""What stands in the city of the kinds a school chooses by name: remarks, final marks, lesson plans.

The other half of `source`. Remarks and final marks have no list of their own: they come inside their pupils' rows. An
answer without that part has not understood the question and says nothing of what stands there.

Source: city-journal.md §1.5 «Final marks», «Absences» (remarks), «КТП», «Pupils».
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from gateway.connectors.http import QueryValue
from gateway.connectors.mesh import SYSTEM
from gateway.connectors.mesh.answers import read_whole
from gateway.connectors.mesh.client import CORE, PLAN, MeshClient
from gateway.connectors.mesh.wire import (
    Model,
    WireCalendarPlan,
    WireFinal,
    WireLessonPlan,
    WirePlanLesson,
    WirePlanModule,
    WirePlanTopic,
    WirePupilFinals,
    WirePupilRemarks,
    WireRemark,
    read_rows,
    to_fault,
)
from gateway.connectors.port import CityScope
from gateway.domain.city import CityComment, CityFinal, CityTopics
from gateway.domain.errors import IncompleteReadError, RecordError
from gateway.domain.records import FinalForm, PlannedLesson

Part = TypeVar("Part", WirePlanModule, WirePlanTopic, WirePlanLesson)
PUPILS_PAGE_SIZE = 100
PAGE_SIZE = 300
DEBT = "А/З"
"""Academic debt, as the journal shows it (R3)."""
_FORMS: Mapping[str | None, FinalForm] = {
    None: "period",
    "intermediate_attestation": "intermediate",
    "attestation": "final",
}


def fetch_comments(client: MeshClient, scope: CityScope) -> tuple[list[CityComment], list[RecordError]]:
    """Read the remarks on a group's pupils; those of other groups' lessons too, which `keep` of the caller drops.

    Raises:
        IncompleteReadError: The pupils came without their remarks.
        ConnectorError: As its type says.
    """
    pupils = _fetch_pupils(client, scope, "with_lesson_comments", WirePupilRemarks)
    comments: list[CityComment] = []
    faults: list[RecordError] = []
    for pupil in pupils:
        found, wrong = read_rows(WireRemark, standing(pupil.lesson_comments), "remark")
        faults += wrong
        comments += [to_comment(one, pupil.id, client.settings.late_text) for one in found]
    return comments, faults


def fetch_finals(client: MeshClient, scope: CityScope) -> tuple[list[CityFinal], list[RecordError]]:
    """Read the final marks of a group's pupils in its subject and year.

    Raises:
        IncompleteReadError: The pupils came without their final marks.
        ConnectorError: As its type says.
    """
    year_id = client.get_year(scope.from_on).id
    pupils = _fetch_pupils(client, scope, "with_final_marks", WirePupilFinals)
    finals: list[CityFinal] = []
    faults: list[RecordError] = []
    for pupil in pupils:
        found, wrong = read_rows(WireFinal, standing(pupil.final_marks), "final_mark")
        faults += wrong
        for one in found:
            if one.subject_id != scope.subject_id or one.academic_year_id not in (None, year_id):
                continue
            final = to_final(one, pupil.id, scope.group_id)
            if final is None:
                faults.append(to_fault("final_mark", {"id": one.id}, "attestation_period_id"))
            else:
                finals.append(final)
    return finals, faults


def _fetch_pupils(client: MeshClient, scope: CityScope, flag: str, model: type[Model]) -> list[Model]:
    year_id = client.get_year(scope.from_on).id
    query: dict[str, QueryValue] = {
        "academic_year_id": year_id,
        "group_ids": scope.group_id,
        "with_transferred": True,  # what was set before somebody left still stands
        flag: True,
    }
    rows = client.fetch_rows(
        f"{CORE}/student_profiles", query, year_id=year_id, page_size=PUPILS_PAGE_SIZE, of_groups=(scope.group_id,)
    )
    fitting, faults = read_rows(model, rows, "pupil") if rows else ([], [])
    if faults:
        raise IncompleteReadError("Ученики группы отданы без отметок или замечаний", system=SYSTEM, method="GET")
    return fitting


def fetch_lesson_plans(client: MeshClient, scope: CityScope) -> tuple[list[CityTopics], list[RecordError]]:
    """Read the КТП of a group, an empty one included.

    Raises:
        ConnectorError: As its type says.
    """
    year_id = client.get_year(scope.from_on).id
    query: dict[str, QueryValue] = {
        "academic_year_id": year_id,
        "group_ids": scope.group_id,
        "status": "for_calendar_plan",
        "with_lessons": True,
        "with_modules": True,
        "with_topics": True,
        "ignore_owner": True,
    }
    rows = standing(
        client.fetch_rows(
            f"{PLAN}/lesson_plans", query, year_id=year_id, page_size=PAGE_SIZE, of_groups=(scope.group_id,)
        )
    )
    plans, faults = read_rows(WireLessonPlan, rows, "lesson_plan") if rows else ([], [])
    if not plans:
        return [], faults
    calendar_query: dict[str, QueryValue] = {"academic_year_id": year_id, "group_id": scope.group_id}
    calendars = read_whole(
        WireCalendarPlan,
        client.fetch_rows(
            f"{PLAN}/calendar_plans", calendar_query, year_id=year_id, page_size=PAGE_SIZE, of_groups=(scope.group_id,)
        ),
        "calendar_plan",
    )
    calendar_id = next((one.id for one in calendars if one.group_id == scope.group_id), None)
    return [
        to_lesson_plan(plan, scope.group_id, calendar_id)
        for plan in plans
        if plan.group_ids is None or scope.group_id in plan.group_ids
    ], faults


def standing(rows: Sequence[object]) -> list[object]:
    """Leave out what was deleted there; the city may list it or not."""
    return [row for row in rows if not (isinstance(row, dict) and row.get("deleted_at"))]


def to_comment(one: WireRemark, pupil_id: int, late_text: str) -> CityComment:
    """A remark of a pupil's row; the whole text being the letter for late makes it one of being late."""
    text = one.comment or ""
    return CityComment(
        id=one.id,
        pupil_id=pupil_id,
        lesson_id=one.schedule_lesson_id,
        form="late" if text.strip().casefold() == late_text.casefold() else "remark",
        text=text,
        teacher_id=one.teacher_id,
    )


def to_final(one: WireFinal, pupil_id: int, group_id: int) -> CityFinal | None:
    """A final mark of a pupil's row; None for one of a period that does not say which."""
    form: FinalForm = "year" if one.is_year_mark or one.year_mark else _FORMS[one.mark_type]
    if form == "period" and one.attestation_period_id is None:
        return None
    return CityFinal(
        id=one.id,
        pupil_id=pupil_id,
        group_id=group_id,
        subject_id=one.subject_id,
        form=form,
        period_id=(one.attestation_period_id or 0) if form == "period" else 0,
        value=_shown(one),
        updated_at=one.updated_at,
    )


def _shown(one: WireFinal) -> str:
    """What stands there to be read; «А/З» for a debt, empty where only `no_mark` stands."""
    if one.academic_debt:
        return DEBT
    for value in (one.value, one.mark, one.manual_value, one.origin, one.grade):
        if isinstance(value, dict):
            value = value.get("parsedValue", value.get("source"))
        if value is not None and not isinstance(value, bool):
            return str(value)
    return ""


def to_lesson_plan(plan: WireLessonPlan, group_id: int, calendar_id: int | None) -> CityTopics:
    """A КТП with its sections and topics flattened, each in the order of its ordinals."""
    lessons: list[PlannedLesson] = []
    for module in _ordered(plan.modules):
        for topic in _ordered(module.topics or []):
            lessons += [
                PlannedLesson(
                    topic=one.name or topic.name or "",
                    module=module.name or "",
                    has_homework=bool(one.is_hw_planned),
                    has_test=bool(one.is_test_planned),
                )
                for one in _ordered(topic.lessons or [])
            ]
    return CityTopics(
        id=plan.id,
        group_id=group_id,
        name=plan.name or "",
        lessons=tuple(lessons),
        is_shared=len(plan.group_ids or ()) > 1,
        calendar_id=calendar_id,
    )


def _ordered(parts: Sequence[Part]) -> list[Part]:
    return sorted(parts, key=lambda one: one.ordinal or 0)


__all__ = ["fetch_comments", "fetch_finals", "fetch_lesson_plans", "standing"]
