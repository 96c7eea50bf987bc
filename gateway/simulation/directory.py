"""The sandbox city's directories as the connector hands them up, straight from its rows."""

from __future__ import annotations

from datetime import date

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
)
from gateway.sandbox.city.city import City
from gateway.sandbox.city.state import Row


def build_directory(city: City) -> CityDirectory:
    """Read all directories as they are now."""
    rows = city.state.iter_rows
    year = next(row for row in rows("academic_years") if row["current_year"])
    return CityDirectory(
        year=CityYear(
            id=year["id"],
            name=year["name"],
            begins_on=date.fromisoformat(year["begin_date"]),
            ends_on=date.fromisoformat(year["end_date"]),
            is_current=True,
        ),
        periods=tuple(
            CityPeriod(
                id=period["id"],
                schedule_id=schedule["id"],
                name=period["name"],
                begins_on=date.fromisoformat(period["begin_date"]),
                ends_on=date.fromisoformat(period["end_date"]),
                is_closed=period["x_closed"],
                edit_until_on=date.fromisoformat(period["x_edit_until"]),
            )
            for schedule in rows("attestation_periods_schedules")
            for period in schedule["periods"]
        ),
        classes=tuple(
            CityClass(id=row["id"], name=row["name"], level=row["class_level_id"]) for row in rows("class_units")
        ),
        subjects=tuple(CitySubject(id=row["id"], name=row["name"]) for row in rows("subjects")),
        groups=tuple(_to_group(city, row) for row in rows("groups")),
        teachers=tuple(
            CityTeacher(
                id=row["id"],
                last_name=row["last_name"],
                first_name=row["first_name"],
                middle_name=row["middle_name"],
                group_ids=tuple(row["assigned_group_ids"]),
            )
            for row in rows("teacher_profiles")
        ),
        pupils=tuple(_to_pupil(city, row) for row in rows("student_profiles")),
        forms=tuple(_to_form(city, row) for row in rows("control_forms")),
    )


def _to_group(city: City, row: Row) -> CityGroup:
    return CityGroup(
        id=row["id"],
        name=row["name"],
        subject_id=row["subject_id"],
        subject_name=row["subject_name"],
        class_ids=tuple(row["class_unit_ids"]),
        class_name=row["class_unit_name"],
        level=row["class_level_id"],
        schedule_id=row["attestation_periods_schedule_id"],
        teacher_ids=tuple(row["teacher_ids"]),
        pupil_ids=tuple(pupil["id"] for pupil in city.list_members(row["id"], city.today())),
    )


def _to_pupil(city: City, row: Row) -> CityPupil:
    class_unit = city.state.find("class_units", row["class_unit_id"]) or {}
    return CityPupil(
        id=row["id"],
        person_id=row["person_id"],
        last_name=row["last_name"],
        first_name=row["first_name"],
        middle_name=row["middle_name"],
        birth_on=date.fromisoformat(row["birth_date"]),
        class_id=row["class_unit_id"],
        class_name=class_unit.get("name"),
        is_active=not row["transferred"],
        memberships=tuple(
            CityMembership(
                group_id=one["id"],
                begins_on=date.fromisoformat(one["begin_date"]),
                ends_on=date.fromisoformat(one["end_date"]),
            )
            for one in row["groups"]
        ),
    )


def _to_form(city: City, row: Row) -> CityForm:
    system = city.state.find("grade_systems", row["grade_system_id"]) or {}
    return CityForm(
        id=row["id"],
        name=row["name"],
        weight=row["weight"],
        grade_system_id=row["grade_system_id"],
        grade_system=system.get("type", ""),
        subject_id=row["subject_id"],
        level=2,
        is_deleted=row["deleted_at"] is not None,
    )
