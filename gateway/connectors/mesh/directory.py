"""The city's directories of one school year, read whole before anything is compared.

Between the client and `CityDirectory`. A wrong subsystem answers with an empty list instead of an error, so every
directory that can't be empty is refused when it is.

Source: city-journal.md §1.5, §7.5 (load order).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from pydantic import BaseModel

from gateway.connectors.mesh import SYSTEM
from gateway.connectors.mesh.client import CORE, PLAN, MeshClient
from gateway.connectors.mesh.wire import (
    WireClass,
    WireForm,
    WireGroup,
    WirePeriodsSchedule,
    WirePupil,
    WireSubject,
    WireTeacher,
    read_one,
    read_rows,
    to_fault,
)
from gateway.connectors.port import CityDirectory
from gateway.domain.city import (
    CityClass,
    CityForm,
    CityGroup,
    CityMembership,
    CityPeriod,
    CityPupil,
    CitySubject,
    CityTeacher,
    CityYear,
    education_level,
)
from gateway.domain.errors import IncompleteReadError, RecordError

PUPILS_PAGE_SIZE = 100  # the one attested cap (S6)
PAGE_SIZE = 300

Model = TypeVar("Model", bound=BaseModel)


def fetch_directory(client: MeshClient, day: date) -> CityDirectory:
    """Read all directories of the school year of that day.

    Args:
        day: Moscow day; memberships and `is_active` are told as of it.

    Raises:
        IncompleteReadError: A directory that can't be empty is, or a list is not proven whole.
        ContractError: More than one row in a hundred does not fit.
        ConnectorError: As its type says.
    """
    client.readers.forget()
    reader = _Reader(client, client.get_year(day))
    is_partial = client.readers.is_limited()
    periods = reader.periods()
    classes = reader.classes()
    subjects = reader.subjects()
    groups = reader.groups()
    teachers = reader.teachers()
    pupils = reader.pupils(day)
    forms = reader.forms(groups)
    return CityDirectory(
        year=reader.year,
        periods=periods,
        classes=classes,
        subjects=subjects,
        groups=groups,
        teachers=teachers,
        pupils=pupils,
        forms=forms,
        faults=tuple(fault.where for fault in reader.faults),
        # asked at both ends: the one who sees all may have been paused on the way
        is_partial=is_partial or client.readers.is_limited(),
    )


def fetch_forms(client: MeshClient, year: CityYear, subject_id: int, level: int) -> tuple[CityForm, ...]:
    """Read the control forms of a subject at an education level; deleted ones come marked.

    An empty list is asked for again without the level, as the city's own clients do (S2).

    Args:
        level: Education level, 1 to 3.

    Raises:
        ContractError: A form does not fit: a lost form would send marks under another.
        ConnectorError: As its type says.
    """
    query: dict[str, str | int | bool] = {
        "academic_year_id": year.id,
        "school_id": client.settings.school_id,
        "subject_id": subject_id,
        "with_grade_system": True,
        "with_deleted": True,
    }
    path = f"{CORE}/control_forms"
    rows = client.fetch_rows(
        path, {**query, "education_level_id": level}, year_id=year.id, page_size=PAGE_SIZE, may_ignore_paging=True
    )
    if not rows:
        rows = client.fetch_rows(path, query, year_id=year.id, page_size=PAGE_SIZE, may_ignore_paging=True)
    return tuple(_form(read_one(WireForm, row, "control_form"), subject_id, level) for row in rows)


class _Reader:
    """One reading of the directories: collects faults on the way."""

    def __init__(self, client: MeshClient, year: CityYear) -> None:
        self._client = client
        self.year = year
        self.faults: list[RecordError] = []

    def periods(self) -> tuple[CityPeriod, ...]:
        periods: list[CityPeriod] = []
        for schedule in self._rows(WirePeriodsSchedule, f"{CORE}/attestation_periods_schedules", "schedule"):
            whole = schedule
            if whole.periods is None:  # a list without its periods: each schedule has them
                path = f"{CORE}/attestation_periods_schedules/{schedule.id}"
                found = self._client.fetch_object(
                    path, {}, profile=self._client.profiles.choose_reader(), year_id=self.year.id
                )
                whole = read_one(WirePeriodsSchedule, found, "schedule")
            periods += [
                CityPeriod(
                    id=period.id,
                    schedule_id=schedule.id,
                    name=period.name,
                    begins_on=period.begin_date,
                    ends_on=period.end_date,
                    is_closed=bool(period.x_closed),
                    edit_until_on=period.x_edit_until,
                )
                for period in whole.periods or ()
            ]
        return self._some(periods, "периоды")

    def classes(self) -> tuple[CityClass, ...]:
        rows = self._rows(WireClass, f"{CORE}/class_units", "class", with_home_based=True)
        return self._some([CityClass(id=one.id, name=one.name, level=one.class_level_id) for one in rows], "классы")

    def subjects(self) -> tuple[CitySubject, ...]:
        rows = self._rows(WireSubject, f"{CORE}/subjects", "subject")
        return self._some([CitySubject(id=one.id, name=one.name) for one in rows if not one.deleted_at], "предметы")

    def groups(self) -> tuple[CityGroup, ...]:
        rows = self._rows(WireGroup, f"{PLAN}/groups", "group", with_periods_schedule_id=True)
        return self._some([_group(one) for one in rows], "группы")

    def teachers(self) -> tuple[CityTeacher, ...]:
        rows = self._rows(
            WireTeacher,
            f"{CORE}/teacher_profiles",
            "teacher",
            with_assigned_groups=True,
            with_replacement_groups=True,
        )
        return self._some([_teacher(one) for one in rows if not one.deleted_at], "учителя")

    def pupils(self, day: date) -> tuple[CityPupil, ...]:
        rows = self._rows(
            WirePupil,
            f"{CORE}/student_profiles",
            "pupil",
            page_size=PUPILS_PAGE_SIZE,
            with_groups=True,
            with_archived_groups=True,
            with_transferred=True,
            with_deleted=True,
        )
        pupils: list[CityPupil] = []
        for one in rows:
            person_id = (one.person_id or one.contingent_guid or "").strip()
            if person_id:
                pupils.append(_pupil(one, person_id, day))
            else:  # an empty key would match every other empty one
                self.faults.append(to_fault("pupil", {"id": one.id}, "person_id"))
        return self._some(pupils, "ученики")

    def forms(self, groups: Sequence[CityGroup]) -> tuple[CityForm, ...]:
        pairs = sorted({(group.subject_id, education_level(group.level)) for group in groups})
        forms = [form for pair in pairs for form in fetch_forms(self._client, self.year, *pair)]
        return self._some(forms, "формы контроля")

    def _rows(
        self, model: type[Model], path: str, what: str, *, page_size: int = PAGE_SIZE, **flags: bool
    ) -> list[Model]:
        query = {"academic_year_id": self.year.id, "school_id": self._client.settings.school_id, **flags}
        raw = self._client.fetch_rows(
            path,
            query,
            year_id=self.year.id,
            page_size=page_size,
            may_ignore_paging=path != f"{CORE}/student_profiles",
        )
        fitting, faults = read_rows(model, raw, what)
        self.faults += faults
        return fitting

    def _some(self, found: list[Found], what: str) -> tuple[Found, ...]:
        if not found:
            raise IncompleteReadError(
                f"Журнал отдал пустой справочник ({what}): проверьте subsystem и права профиля",
                system=SYSTEM,
                method="GET",
            )
        return tuple(found)


Found = TypeVar("Found")


def _group(one: WireGroup) -> CityGroup:
    class_ids = one.class_unit_ids or ([] if one.class_unit_id is None else [one.class_unit_id])
    return CityGroup(
        id=one.id,
        name=one.name,
        subject_id=one.subject_id,
        subject_name=one.subject_name or "",
        class_ids=tuple(class_ids),
        class_name=one.class_unit_name,
        level=one.class_level_id,
        schedule_id=one.attestation_periods_schedule_id,
        teacher_ids=tuple(teacher.id for teacher in one.teachers or ()),
        pupil_ids=tuple(one.student_ids or ()),
        is_metagroup=bool(one.is_metagroup),
        is_subgroup=bool(one.is_subgroup),
    )


def _teacher(one: WireTeacher) -> CityTeacher:
    """A profile has its name in parts or as one line «Фамилия Имя Отчество»."""
    parts = (one.name or "").split(maxsplit=2) + [""] * 3
    return CityTeacher(
        id=one.id,
        last_name=one.last_name or parts[0],
        first_name=one.first_name or parts[1],
        middle_name=one.middle_name or parts[2] or None,
        group_ids=tuple(one.assigned_group_ids or ()),
        replacement_group_ids=tuple(one.replacement_groups_ids or ()),
    )


def _pupil(one: WirePupil, person_id: str, day: date) -> CityPupil:
    has_left = one.left_on is not None and one.left_on < day
    return CityPupil(
        id=one.id,
        person_id=person_id,
        last_name=one.last_name,
        first_name=one.first_name,
        middle_name=one.middle_name,
        birth_on=one.birth_date,
        class_id=one.class_unit.id if one.class_unit else None,
        class_name=one.class_unit.name if one.class_unit else None,
        is_active=not (one.transferred or one.deleted or one.deleted_at or has_left),
        memberships=tuple(
            CityMembership(group_id=group.id, begins_on=group.begin_date, ends_on=group.end_date)
            for group in one.groups or ()
        ),
        previous_id=one.previously_profile_id,
    )


def _form(one: WireForm, subject_id: int, level: int) -> CityForm:
    return CityForm(
        id=one.id,
        name=one.name,
        weight=one.weight,
        grade_system_id=one.grade_system.id,
        grade_system=one.grade_system.type,
        subject_id=subject_id,
        level=level,
        is_deleted=bool(one.is_deleted or one.deleted_at),
    )


__all__ = ["fetch_directory", "fetch_forms"]
