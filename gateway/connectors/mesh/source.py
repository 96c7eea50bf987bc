"""What stands in the city's journal: timetable, marks, absences and homework, one group and span of days at a time.

Between the client and the canonical objects of `domain.city`. The city's filters are only half known, so every list is
filtered again here; what was deleted there by a person does not stand in the journal.

Source: city-journal.md §1.5, §7.5a (marks_filter, soft_deleted).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from gateway.connectors.http import QueryValue
from gateway.connectors.mesh import SYSTEM, codecs
from gateway.connectors.mesh.answers import read_whole
from gateway.connectors.mesh.chosen import fetch_comments, fetch_finals, fetch_lesson_plans, standing
from gateway.connectors.mesh.client import CORE, PLAN, MeshClient
from gateway.connectors.mesh.wire import (
    WireAbsence,
    WireHomework,
    WireLesson,
    WireMark,
    read_rows,
)
from gateway.connectors.port import CityRead, CityScope
from gateway.domain.city import CityAbsence, CityComment, CityHomework, CityLesson, CityMark, CityObject
from gateway.domain.clock import moscow_day
from gateway.domain.errors import ConnectorError, IncompleteReadError, RecordError
from gateway.domain.identifiers import Kind

MARKS_PAGE_SIZE = 1000
LESSONS_PAGE_SIZE = 2000
PAGE_SIZE = 300
GROUPS_A_CALL_COUNT = 100  # id lists go in the URL; the city's own clients cut them at 100
LESSON_MIN = 45  # where the city does not say
ANY_LEVEL = 0  # a scope without a level asks for the group alone
POINT_TYPE_ID = 2  # «точка»: a debt with a deadline, not a mark yet (S2)


def fetch_lessons(client: MeshClient, group_ids: Sequence[int], from_on: date, to_on: date) -> list[CityLesson]:
    """Read the timetable of these groups between two days, both included; cancelled lessons come marked.

    Raises:
        ContractError: A lesson does not fit: without it a mark would slide to a neighbouring lesson.
        ConnectorError: As its type says.
    """
    year_id = client.get_year(from_on).id
    wanted = sorted(set(group_ids))
    lessons: list[CityLesson] = []
    for at in range(0, len(wanted), GROUPS_A_CALL_COUNT):
        part = wanted[at : at + GROUPS_A_CALL_COUNT]
        rows = client.fetch_rows(
            f"{PLAN}/schedule_items",
            {
                "academic_year_id": year_id,
                "group_ids": ",".join(map(str, part)),
                "from": codecs.to_dashed(from_on),
                "to": codecs.to_dashed(to_on),
            },
            year_id=year_id,
            page_size=LESSONS_PAGE_SIZE,
            of_groups=part,
        )
        lessons += [
            to_lesson(one)
            for one in read_whole(WireLesson, rows, "lesson")
            if one.group_id in part and from_on <= one.date <= to_on
        ]
    return sorted(lessons, key=lambda lesson: (lesson.starts_at, lesson.group_id, lesson.id))


def fetch_scope(client: MeshClient, scope: CityScope) -> CityRead:
    """Read one kind of one group between two days; a failed read comes back with its problem.

    Raises:
        ValueError: The city has no such kind.
    """
    objects: Sequence[CityObject] = ()
    faults: list[RecordError] = []
    try:
        if scope.kind is Kind.MARK:
            objects, faults = _fetch_marks(client, scope)
        elif scope.kind is Kind.ABSENCE:
            objects, faults = _fetch_absences(client, scope)
        elif scope.kind is Kind.HOMEWORK:
            objects, faults = _fetch_homework(client, scope)
        elif scope.kind is Kind.COMMENT:
            objects, faults = _of_lessons(client, scope, *fetch_comments(client, scope))
        elif scope.kind is Kind.FINAL:
            objects, faults = fetch_finals(client, scope)
        elif scope.kind is Kind.TOPICS:
            objects, faults = fetch_lesson_plans(client, scope)
        else:
            raise ValueError(f"the city's journal has no scope of kind {scope.kind}")
    except ConnectorError as exc:
        return CityRead(scope=scope, read_at=client.clock.now(), problem=exc)
    if faults:
        # A row that can't be read would look absent, and what looks absent is written once more (laws 5 and 11).
        problem = IncompleteReadError(
            f"Строк журнала не разобрано: {len(faults)}, чтение отброшено",
            reason="CONTRACT",
            system=SYSTEM,
            method="GET",
        )
        return CityRead(scope=scope, read_at=client.clock.now(), problem=problem, faults=faults)
    return CityRead(scope=scope, read_at=client.clock.now(), objects=objects)


def fetch_mark_rows(client: MeshClient, scope: CityScope, *, until: float | None = None) -> list[object]:
    """Read raw rows of marks that may belong to the scope.

    Whether the query's days mean the lesson or the entry is unknown: no mark is entered before its lesson, and none
    after today, so a span up to tomorrow holds them under both readings.

    Args:
        until: See `MeshClient.fetch_rows`.

    Raises:
        ConnectorError: As its type says.
    """
    tomorrow = moscow_day(client.clock.now()) + timedelta(days=1)
    query = _scope_query(scope) | {
        "created_at_from": codecs.to_dotted(scope.from_on),
        "created_at_to": codecs.to_dotted(max(scope.to_on, tomorrow)),
        "with_non_numeric_entries": True,
    }
    year_id = client.get_year(scope.from_on).id
    return client.fetch_rows(
        f"{CORE}/marks",
        query,
        year_id=year_id,
        page_size=MARKS_PAGE_SIZE,
        is_read_twice=scope.is_read_twice,
        of_groups=(scope.group_id,),
        until=until,
    )


def _scope_query(scope: CityScope) -> dict[str, QueryValue]:
    query: dict[str, QueryValue] = {"group_ids": scope.group_id, "subject_id": scope.subject_id}
    return query | _level_query(scope)


def _level_query(scope: CityScope) -> dict[str, QueryValue]:
    return {} if scope.level == ANY_LEVEL else {"class_level_id": scope.level}


def _fetch_marks(client: MeshClient, scope: CityScope) -> tuple[list[CityMark], list[RecordError]]:
    rows = standing(fetch_mark_rows(client, scope))
    marks, faults = read_rows(WireMark, rows, "mark")
    return [
        to_mark(one, scope)
        for one in marks
        if scope.from_on <= one.date <= scope.to_on and one.group_id in (None, scope.group_id)
    ], faults


def _fetch_absences(client: MeshClient, scope: CityScope) -> tuple[list[CityAbsence], list[RecordError]]:
    year_id = client.get_year(scope.from_on).id
    query: dict[str, QueryValue] = {
        "group_ids": scope.group_id,
        "academic_year_id": year_id,
        "start_at": codecs.to_dotted(scope.from_on),
        "stop_at": codecs.to_dotted(scope.to_on),
        **_level_query(scope),
    }
    rows = client.fetch_rows(
        f"{CORE}/attendances",
        query,
        year_id=year_id,
        page_size=PAGE_SIZE,
        is_read_twice=scope.is_read_twice,
        of_groups=(scope.group_id,),
    )
    absences, faults = read_rows(WireAbsence, standing(rows), "absence")
    return [
        CityAbsence(
            id=one.id,
            pupil_id=one.student_profile_id,
            lesson_id=one.schedule_lesson_id,
            on=one.date,
            reason_id=one.absence_reason_id,
        )
        for one in absences
        if one.date is None or scope.from_on <= one.date <= scope.to_on
    ], faults


def _fetch_homework(client: MeshClient, scope: CityScope) -> tuple[list[CityHomework], list[RecordError]]:
    year_id = client.get_year(scope.from_on).id
    query: dict[str, QueryValue] = {
        "academic_year_id": year_id,
        "group_ids": scope.group_id,
        "subject_id": scope.subject_id,
        "with_entries": True,
    }
    rows = client.fetch_rows(
        f"{CORE}/homeworks",
        query,
        year_id=year_id,
        page_size=PAGE_SIZE,
        is_read_twice=scope.is_read_twice,
        of_groups=(scope.group_id,),
    )
    homework, faults = read_rows(WireHomework, standing(rows), "homework")
    return [
        to_homework(one)
        for one in homework
        if scope.from_on <= one.date_assigned_on <= scope.to_on and one.group_id == scope.group_id
    ], faults


def _of_lessons(
    client: MeshClient, scope: CityScope, comments: Sequence[CityComment], faults: list[RecordError]
) -> tuple[list[CityComment], list[RecordError]]:
    """Keep the remarks at the group's own lessons between the days; a remark names its lesson and nothing else."""
    days = {
        lesson.id: moscow_day(lesson.starts_at)
        for lesson in (fetch_lessons(client, [scope.group_id], scope.from_on, scope.to_on) if comments else ())
    }
    kept = [msgspec.structs.replace(one, on=days[one.lesson_id]) for one in comments if one.lesson_id in days]
    return kept, faults


def to_lesson(one: WireLesson) -> CityLesson:
    """A timetable item as a lesson."""
    return CityLesson(
        id=one.id,
        group_id=one.group_id,
        subject_id=one.subject_id,
        starts_at=codecs.to_moment(one.date, one.time),
        duration_min=one.duration or LESSON_MIN,
        number=one.lesson_number or one.ordinal or 0,
        teacher_id=one.teacher_id,
        replacement_teacher_id=one.replaced_teacher_id if one.replaced is not False else None,
        is_cancelled=bool(one.cancelled),
        topic=one.topic_name,
    )


def to_mark(one: WireMark, scope: CityScope) -> CityMark:
    """A row of the journal as a mark."""
    return CityMark(
        id=one.id,
        pupil_id=one.student_profile_id,
        lesson_id=one.schedule_lesson_id,
        group_id=scope.group_id if one.group_id is None else one.group_id,
        subject_id=one.subject_id,
        value=one.name,
        weight=one.weight,
        form_id=one.control_form_id,
        on=one.date,
        teacher_id=one.teacher_id,
        created_at=one.created_at,
        updated_at=one.updated_at,
        is_point=bool(one.is_point) or one.mark_type_id == POINT_TYPE_ID,
    )


def to_homework(one: WireHomework) -> CityHomework:
    """A homework with its entries flattened, in the order of their ids: one text, one list of pupils."""
    entries = sorted((entry for entry in one.homework_entries if not entry.deleted_at), key=lambda entry: entry.id)
    return CityHomework(
        id=one.id,
        group_id=one.group_id,
        subject_id=one.subject_id,
        teacher_id=one.teacher_id,
        assigned_on=one.date_assigned_on,
        prepared_for=one.date_prepared_for,
        text="\n".join(entry.description or "" for entry in entries),
        pupil_ids=tuple(sorted({pupil for entry in entries for pupil in entry.student_ids or ()})),
        updated_at=one.updated_at,
    )


__all__ = ["ANY_LEVEL", "fetch_lessons", "fetch_mark_rows", "fetch_scope", "to_homework", "to_lesson", "to_mark"]
