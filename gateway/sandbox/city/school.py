"""Building the city's side of a school: rows of all kinds, whoever the pupils are.

Both the fixed seed and the copy of a portal (`like_portal`) are put together here. All people are made up.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from gateway.sandbox.city.rules import to_education_level
from gateway.sandbox.city.state import FIRST_ID, Row

AID = 14
YEAR_BEGIN, YEAR_END = "2026-09-01", "2027-08-31"
EDIT_WINDOW_DAYS = 7  # V7
CREATED_AT = "2026-08-31T09:00:00+00:00"
QUARTERS = (
    ("1 Четверть", "2026-09-01", "2026-10-25"),
    ("2 Четверть", "2026-11-02", "2026-12-27"),
    ("3 Четверть", "2027-01-11", "2027-03-21"),
    ("4 Четверть", "2027-03-29", "2027-05-30"),
)
HALF_YEARS = (("1 полугодие", "2026-09-01", "2026-12-27"), ("2 полугодие", "2027-01-11", "2027-05-30"))
TRIMESTERS = (
    ("1 триместр", "2026-09-01", "2026-11-29"),
    ("2 триместр", "2026-11-30", "2027-02-28"),
    ("3 триместр", "2027-03-01", "2027-05-30"),
)
GRADE_SYSTEMS = (("five", "5-балльная", 6), ("ten", "10-балльная", 11), ("hundred", "100-балльная", 101))
REASONS = ("Болезнь", "Приём у врача", "Соревнования", "Олимпиада", "Семейные обстоятельства", "Больничный лист")


class School:
    """Rows of a school under construction; every `add_` returns the row, so that the next may point to it."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}
        self._last_id: dict[str, int] = dict(FIRST_ID)
        self._subjects: dict[str, Row] = {}
        self._forms_made: set[tuple[int, int]] = set()
        self.systems: dict[str, Row] = {}
        self._add_dictionaries()

    def _next_id(self, kind: str) -> int:
        self._last_id[kind] = self._last_id.get(kind, 0) + 1
        return self._last_id[kind]

    def add(self, kind: str, row: Row) -> Row:
        """Add a row; it gets an id unless it brings one."""
        whole = row if "id" in row else {"id": self._next_id(kind), **row}
        self.rows.setdefault(kind, []).append(whole)
        return whole

    def _add_dictionaries(self) -> None:
        for aid, first in ((AID - 1, 2025), (AID, 2026)):
            name, is_current = f"{first}/{first + 1}", aid == AID
            begin_on, end_on = f"{first}-09-01", f"{first + 1}-08-31"
            row = {"id": aid, "name": name, "begin_date": begin_on, "end_date": end_on}
            self.add("academic_years", {**row, "current_year": is_current, "calendar_id": aid})
        self.quarters = self._add_schedule("ГАП 1-9", QUARTERS, closed=1)
        self.half_years = self._add_schedule("ГАП 10-11", HALF_YEARS)
        self.trimesters = self._add_schedule("ГАП 5-9, триместры", TRIMESTERS)
        for kind, name, nmax in (*GRADE_SYSTEMS, ("approve", "Зачёт / незачёт", 2)):
            self.systems[kind] = self.add("grade_systems", {"name": name, "type": kind, "nmax": nmax})
        for number, name in enumerate(REASONS, start=1):
            flags = {"is_parent_available": number < 6, "ae_only": False, "attachment_needed": False}
            self.add("nonattendance_reasons", {"id": number, "name": name, **flags, "deleted_at": None})

    def _add_schedule(self, name: str, periods: tuple[tuple[str, str, str], ...], closed: int = 0) -> Row:
        rows = [
            {
                "id": self._next_id("attestation_periods"),
                "name": period_name,
                "begin_date": begin_on,
                "end_date": end_on,
                "x_closed": number <= closed,
                "x_edit_until": (date.fromisoformat(end_on) + timedelta(days=EDIT_WINDOW_DAYS)).isoformat(),
            }
            for number, (period_name, begin_on, end_on) in enumerate(periods, start=1)
        ]
        return self.add("attestation_periods_schedules", {"name": name, "academic_year_id": AID, "periods": rows})

    def add_class(self, name: str, level: int) -> Row:
        return self.add("class_units", {"name": name, "class_level_id": level, "home_based": False})

    def get_subject(self, name: str) -> Row:
        """The subject of that name, made when it is new."""
        if name not in self._subjects:
            self._subjects[name] = self.add(
                "subjects", {"name": name, "exam_name": None, "is_curriculum_subject": True, "deleted_at": None}
            )
        return self._subjects[name]

    def add_teacher(self, last: str, first: str, middle: str | None, *, kind: str = "teacher") -> Row:
        number = self._next_id("teacher_profiles")
        return self.add(
            "teacher_profiles",
            {
                "id": number,
                "user_id": number + 50_000,
                "name": " ".join(part for part in (last, first, middle) if part),
                "last_name": last,
                "first_name": first,
                "middle_name": middle,
                "type": kind,
                "roles": [kind],
                "assigned_group_ids": [],
                "replacement_groups_ids": [],
                "class_unit_ids": [],
                "managed_class_unit_ids": [],
                "subject_ids": [],
                "virtual": False,
                "deleted_at": None,
            },
        )

    def add_group(
        self,
        name: str,
        subject: str,
        classes: list[Row],
        teachers: list[Row],
        schedule: Row,
        *,
        is_subgroup: bool = False,
    ) -> Row:
        """Add a group and its subject's control-form level; several classes make it a metagroup."""
        subject_row = self.get_subject(subject)
        group = self.add(
            "groups",
            {
                "name": name,
                "short_name": name,
                "subject_id": subject_row["id"],
                "subject_name": subject_row["name"],
                "class_level_id": classes[0]["class_level_id"],
                "class_unit_id": classes[0]["id"] if len(classes) == 1 else None,
                "class_unit_ids": [one["id"] for one in classes],
                "class_unit_name": ", ".join(one["name"] for one in classes),
                "academic_year_id": AID,
                "attestation_periods_schedule_id": schedule["id"],
                "is_metagroup": len(classes) > 1,
                "is_subgroup": is_subgroup,
                "subgroup_ids": None,
                "meta_group_ids": [],
                "teacher_ids": [one["id"] for one in teachers],
            },
        )
        for teacher in teachers:
            teacher["assigned_group_ids"].append(group["id"])
            if subject_row["id"] not in teacher["subject_ids"]:
                teacher["subject_ids"].append(subject_row["id"])
            for one in classes:
                if one["id"] not in teacher["class_unit_ids"]:
                    teacher["class_unit_ids"].append(one["id"])
        return group

    def add_pupil(self, person_id: str, class_unit: Row, names: tuple[str | None, ...], **more: Any) -> Row:
        """Add a pupil. `names`: last, first, middle; `more` replaces any field."""
        number = self._next_id("student_profiles")
        last, first, middle = names
        return self.add(
            "student_profiles",
            {
                "id": number,
                "person_id": person_id,
                "user_id": number + 60_000,
                "last_name": last,
                "first_name": first,
                "middle_name": middle,
                "short_name": f"{last} {first}",
                "user_name": f"{last} {first}",
                "birth_date": "2013-01-01",
                "sex": "female" if (last or "").endswith("а") else "male",
                "class_unit_id": class_unit["id"],
                "enlisted_on": YEAR_BEGIN,
                "left_on": None,
                "transferred": False,
                "deleted_at": None,
                "previously_profile_id": number - 100_000,
                "migration_date": None,
                "groups": [],
                "home_based_periods": [],
                **more,
            },
        )

    def enrol(self, pupil: Row, group: Row, *, begin_on: str = YEAR_BEGIN, end_on: str = YEAR_END) -> None:
        """Put a pupil into a group for a time, both days included."""
        pupil["groups"].append({"id": group["id"], "begin_date": begin_on, "end_date": end_on})

    def add_forms(self, group: Row, forms: list[tuple[str, str, int, str, bool]]) -> None:
        """Add control forms (name, short name, weight, grade system, deleted) of the group's subject and level, once."""
        level = to_education_level(group["class_level_id"])
        if (group["subject_id"], level) in self._forms_made:
            return
        self._forms_made.add((group["subject_id"], level))
        for name, short_name, weight, system, is_deleted in forms:
            self.add(
                "control_forms",
                {
                    "name": name,
                    "short_name": short_name,
                    "weight": weight,
                    "grade_system_id": self.systems[system]["id"],
                    "subject_id": group["subject_id"],
                    "education_level_id": level,
                    "academic_year_id": AID,
                    "deleted_at": CREATED_AT if is_deleted else None,
                },
            )

    def get_form(self, group: Row, name: str) -> Row:
        """The control form of that name for the group's subject and level."""
        key = (name, group["subject_id"], to_education_level(group["class_level_id"]))
        return next(
            one
            for one in self.rows["control_forms"]
            if (one["name"], one["subject_id"], one["education_level_id"]) == key
        )

    def add_lesson(self, group: Row, day: str, time: str, number: int, **more: Any) -> Row:
        return self.add(
            "schedule_items",
            {
                "group_id": group["id"],
                "subject_id": group["subject_id"],
                "teacher_id": group["teacher_ids"][0] if group["teacher_ids"] else None,
                "date": day,
                "time": time,
                "duration": 45,
                "day_number": date.fromisoformat(day).isoweekday(),
                "lesson_number": number,
                "ordinal": number,
                "study_ordinal": number,
                "bell_id": number,
                "room_id": 7,
                "room_name": "207",
                "building_id": 1,
                "calendar_plan_id": None,
                "calendar_lesson_id": None,
                "lesson_plan_id": None,
                "lesson_id": None,
                "lesson_name": None,
                "topic_id": None,
                "topic_name": None,
                "module_id": None,
                "module_name": None,
                "theme_frame_integration_id": None,
                "cancelled": False,
                "replaced": False,
                "replaced_teacher_id": None,
                "is_transferred": False,
                "transferred_from_date": None,
                "transferred_to_date": None,
                "transferring_id": None,
                "is_home_based": False,
                "comment": None,
                "lesson_type": "NORMAL",
                "course_lesson_type": "LESSON",
                "current": True,
                **more,
            },
        )

    def add_lesson_plan(self, group: Row, names: list[str], dates: list[str]) -> None:
        """Add the group's КТП, published and with dates; no names = one that a teacher has yet to fill."""
        self.add(
            "calendar_plans",
            {
                "group_id": group["id"],
                "group_name": group["name"],
                "academic_year_id": AID,
                "is_published": True,
                "is_finished": True,
                "lessons": [
                    {"name": name, "date": day, "ordinal": number}
                    for number, (name, day) in enumerate(zip(names, dates, strict=False), start=1)
                ],
            },
        )
        topics = [
            {
                "id": number,
                "name": name,
                "ordinal": number,
                "repeatable": False,
                "theme_frame_id": None,
                "color": None,
                "lessons": [{"name": name, "ordinal": 1, "is_hw_planned": True, "is_test_planned": False}],
            }
            for number, name in enumerate(names, start=1)
        ]
        self.add(
            "lesson_plans",
            {
                "group_ids": [group["id"]],
                "academic_year_id": AID,
                "name": group["name"],
                "status": "published",
                "subject_id": group["subject_id"],
                "class_level_id": group["class_level_id"],
                "owner_ids": group["teacher_ids"],
                "is_template": False,
                "modules": [{"id": 1, "name": "Раздел 1", "ordinal": 1, "topics": topics}] if topics else [],
            },
        )

    def add_mark(self, pupil: Row, lesson: Row, form: Row, value: str, **more: Any) -> Row:
        """Add a mark typed by hand at the end of its lesson's day."""
        typed_at = f"{lesson['date']}T12:00:00+00:00"
        is_grade = value.isdigit()
        return self.add(
            "marks",
            {
                "student_profile_id": pupil["id"],
                "schedule_lesson_id": lesson["id"],
                "group_id": lesson["group_id"],
                "subject_id": lesson["subject_id"],
                "teacher_id": lesson["teacher_id"],
                "control_form_id": form["id"],
                "name": value,
                "origins": [{"grade_origin": value, "grade_system_id": form["grade_system_id"]}] if is_grade else [],
                "weight": form["weight"],
                "date": lesson["date"],
                "comment": "",
                "is_exam": False,
                "is_criterion": False,
                "is_point": False,
                "point_date": None,
                "mark_type_id": 1,
                "theme_frame_integration_id": None,
                "course_lesson_topic_id": None,
                "created_at": typed_at,
                "updated_at": typed_at,
                "deleted_at": None,
                "deleted_by": None,
                **more,
            },
        )

    def add_absence(self, pupil: Row, lesson: Row, reason_id: int = 1) -> Row:
        typed_at = f"{lesson['date']}T12:00:00+00:00"
        return self.add(
            "attendances",
            {
                "student_profile_id": pupil["id"],
                "schedule_lesson_id": lesson["id"],
                "group_id": lesson["group_id"],
                "date": lesson["date"],
                "absence_reason_id": reason_id,
                "nonattendance_reason_id": None,
                "created_at": typed_at,
                "updated_at": typed_at,
                "deleted_at": None,
            },
        )
