"""The sandbox's own small school with a trap of every kind (reference §7.6). Everybody in it is made up.

The same for the same seed: the seed chooses names, birth dates and grades, never how many there are of what.
"""

from __future__ import annotations

import random
import uuid
from datetime import date, timedelta

from gateway.sandbox.city.school import AID, CREATED_AT, School
from gateway.sandbox.city.state import Row

# First three weeks stand in the closed 1st quarter, the last two in the future of the recorded portal's moment.
WEEKS = ("2026-10-12", "2026-10-19", "2026-11-09", "2026-11-16", "2026-11-23", "2026-11-30", "2026-12-07")
TIMES = ("08:30", "09:25", "10:30", "11:30", "12:30", "13:30")
FORMS = [
    ("Работа на уроке", "РУ", 1, "five", False),
    ("Домашнее задание", "ДЗ", 1, "five", False),
    ("Ответ на уроке", "ОУ", 1, "five", False),
    ("Контрольная работа", "КР", 2, "five", False),
    ("Проект", "ПР", 2, "ten", False),
    ("Тест", "Т", 1, "hundred", False),
    ("Зачёт", "З", 1, "approve", False),
    ("Срез знаний", "СР", 1, "five", True),
]
BOYS = ("Андрей", "Борис", "Виктор", "Глеб", "Денис", "Илья", "Кирилл", "Лев", "Максим", "Никита")
GIRLS = ("Анна", "Вера", "Галина", "Елена", "Зоя", "Ирина", "Ксения", "Лидия", "Нина", "Ольга")
SURNAMES = (
    "Абрамов",
    "Белов",
    "Воронцов",
    "Голубев",
    "Дроздов",
    "Ершов",
    "Жуков",
    "Зимин",
    "Ильин",
    "Комаров",
    "Ласточкин",
)
PATRONYMICS = (("Андреевич", "Андреевна"), ("Борисович", "Борисовна"), ("Ильич", "Ильинична"), ("Львович", "Львовна"))
TEACHERS = (
    ("Ромашкина", "Тамара", "Игоревна"),
    ("Соколовская", "Юлия", "Петровна"),
    ("Тополев", "Семён", "Ильич"),
    ("Уткина", "Раиса", "Львовна"),
    ("Филинов", "Пётр", "Борисович"),
    ("Хвостова", "Элла", "Андреевна"),
    ("Цветков", "Роман", "Львович"),
    ("Чайкина", "Ада", "Ильинична"),
    ("Шмелёв", "Юрий", "Андреевич"),
    ("Щеглова", "Инна", "Борисовна"),
    ("Яблоков", "Фёдор", "Ильич"),
)
PUPILS_PER_CLASS = 8


def build_seed(seed: int) -> School:
    """Build the school of a seed."""
    school = School()
    draw = random.Random(seed)  # noqa: S311 - made-up names and grades, nothing secret
    classes = {name: school.add_class(name, level) for name, level in (("7А", 7), ("7Б", 7), ("10А", 10))}
    school.add_teacher("Администратор", "Школы", None, kind="school_admin")
    groups = _add_groups(school, classes)
    pupils = {name: _add_pupils(school, row, draw) for name, row in classes.items()}
    _enrol(school, groups, pupils)
    _add_traps_among_pupils(school, classes, groups)
    for group in groups.values():
        school.add_forms(group, FORMS)
    lessons = _add_timetable(school, groups)
    _add_traps_among_lessons(school, groups, lessons)
    _add_calendar_plan(school, groups["7А — Алгебра"], lessons["7А — Алгебра"])
    _add_marks(school, groups, lessons, pupils, draw)
    return school


def _add_groups(school: School, classes: dict[str, Row]) -> dict[str, Row]:
    plan = (
        ("7А — Алгебра", "Алгебра", ["7А"], school.quarters, False),
        ("7А — Русский язык", "Русский язык", ["7А"], school.quarters, False),
        ("7А — Английский язык (1)", "Английский язык", ["7А"], school.quarters, True),
        ("7А — Английский язык (2)", "Английский язык", ["7А"], school.quarters, True),
        ("7А — Физкультура", "Физкультура", ["7А"], school.quarters, False),
        ("7Б — Алгебра", "Алгебра", ["7Б"], school.trimesters, False),
        ("7Б — Русский язык", "Русский язык", ["7Б"], school.trimesters, False),
        ("10А — Алгебра", "Алгебра", ["10А"], school.half_years, False),
        ("10А — Физика", "Физика", ["10А"], school.half_years, False),
        ("7 параллель — Робототехника", "Робототехника", ["7А", "7Б"], school.quarters, False),
    )
    groups: dict[str, Row] = {}
    for (name, subject, names, schedule, is_subgroup), person in zip(plan, TEACHERS, strict=False):
        teacher = school.add_teacher(*person)
        members = [classes[one] for one in names]
        groups[name] = school.add_group(name, subject, members, [teacher], schedule, is_subgroup=is_subgroup)
    for name in ("7А — Алгебра", "7Б — Алгебра"):
        groups[name]["meta_group_ids"] = [groups["7 параллель — Робототехника"]["id"]]
    return groups


def _add_pupils(school: School, class_unit: Row, draw: random.Random) -> list[Row]:
    pupils = []
    for number in range(PUPILS_PER_CLASS):
        is_girl = number % 2 == 1
        last = draw.choice(SURNAMES) + ("а" if is_girl else "")
        first = draw.choice(GIRLS if is_girl else BOYS)
        middle = draw.choice(PATRONYMICS)[1 if is_girl else 0]
        person_id = str(uuid.UUID(int=draw.getrandbits(128), version=4))
        born_on = date(2026 - class_unit["class_level_id"] - 6, 1, 1) + timedelta(days=draw.randrange(365))
        more = {"birth_date": born_on.isoformat(), "sex": "female" if is_girl else "male"}
        pupils.append(school.add_pupil(person_id, class_unit, (last, first, middle), **more))
    return pupils


def _enrol(school: School, groups: dict[str, Row], pupils: dict[str, list[Row]]) -> None:
    for name, group in groups.items():
        if group["is_metagroup"]:
            members = pupils["7А"][:3] + pupils["7Б"][:3]
        elif group["is_subgroup"]:
            half = PUPILS_PER_CLASS // 2
            members = pupils["7А"][:half] if name.endswith("(1)") else pupils["7А"][half:]
        else:
            members = pupils[group["class_unit_name"]]
        for pupil in members:
            school.enrol(pupil, group)


def _add_traps_among_pupils(school: School, classes: dict[str, Row], groups: dict[str, Row]) -> None:
    """Namesakes (also ё against е), a pupil of null names, one who left, one taught at home, one excused from PE."""

    def add(number: int, class_name: str, names: tuple[str | None, ...], born_on: str, **more: object) -> Row:
        person_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"sandbox-trap-{number}"))
        return school.add_pupil(person_id, classes[class_name], names, birth_date=born_on, **more)

    def enrol(pupil: Row, class_name: str, end_on: str = "2027-08-31") -> None:
        for name, group in groups.items():
            if name.startswith(f"{class_name} —") and not group["is_subgroup"]:
                school.enrol(pupil, group, end_on=end_on)

    for number, (class_name, names, born_on) in enumerate(
        (
            ("7А", ("Семёнова", "Алёна", "Львовна"), "2013-03-14"),
            ("7А", ("Семенова", "Алена", "Львовна"), "2013-08-02"),
            ("7Б", ("Семёнова", "Алёна", "Львовна"), "2013-03-14"),
        )
    ):
        enrol(add(number, class_name, names, born_on), class_name)
    nameless = add(10, "7А", (None, None, None), "2013-05-20", user_name="Новенькая Дина", sex="female")
    enrol(nameless, "7А")
    left_on = {"transferred": True, "left_on": "2026-10-16"}
    enrol(add(11, "7А", ("Уехавший", "Олег", "Ильич"), "2013-06-01", **left_on), "7А", end_on="2026-10-16")
    at_home = [{"begin_date": "2026-11-09", "end_date": "2026-12-27"}]
    enrol(add(12, "7Б", ("Домашний", "Игорь", "Львович"), "2013-07-07", home_based_periods=at_home), "7Б")
    excused = next(one for one in school.rows["student_profiles"] if one["class_unit_id"] == classes["7А"]["id"])
    school.add(
        "emias_medical_recommendations",
        {"student_profile_id": excused["id"], "type": "EXEMPT", "begin_date": "2026-11-09", "end_date": "2026-11-22"},
    )


def _add_timetable(school: School, groups: dict[str, Row]) -> dict[str, list[Row]]:
    """Each group has two lessons a week; algebra of 7А two in a row on Tuesdays."""
    lessons: dict[str, list[Row]] = {}
    slots = {
        "7А — Алгебра": ((1, 2), (1, 3), (3, 1)),
        "7А — Русский язык": ((0, 1), (2, 1)),
        "7А — Английский язык (1)": ((0, 2), (4, 2)),
        "7А — Английский язык (2)": ((0, 2), (4, 2)),
        "7А — Физкультура": ((2, 3), (4, 4)),
        "7Б — Алгебра": ((0, 1), (2, 2)),
        "7Б — Русский язык": ((1, 1), (3, 2)),
        "10А — Алгебра": ((0, 3), (3, 3)),
        "10А — Физика": ((1, 4), (4, 1)),
        "7 параллель — Робототехника": ((2, 6),),
    }
    for name, group in groups.items():
        lessons[name] = [
            school.add_lesson(group, day.isoformat(), TIMES[number - 1], number)
            for monday in WEEKS
            for weekday, number in slots[name]
            for day in [date.fromisoformat(monday) + timedelta(days=weekday)]
        ]
    return lessons


def _add_traps_among_lessons(school: School, groups: dict[str, Row], lessons: dict[str, list[Row]]) -> None:
    """A lesson led by another teacher, a cancelled one, a moved one."""
    stand_in = school.add_teacher(*TEACHERS[-1])
    group = groups["7А — Русский язык"]
    replaced = next(one for one in lessons["7А — Русский язык"] if one["date"] == "2026-11-16")
    replaced.update(replaced=True, replaced_teacher_id=stand_in["id"])
    stand_in["replacement_groups_ids"].append(group["id"])
    school.add(
        "lesson_replacements",
        {
            "schedule_item_id": replaced["id"],
            "group_id": group["id"],
            "teacher_id": replaced["teacher_id"],
            "replaced_teacher_id": stand_in["id"],
            "date": replaced["date"],
        },
    )
    cancelled = next(one for one in lessons["7А — Физкультура"] if one["date"] == "2026-11-13")
    cancelled.update(cancelled=True, comment="Карантин")
    moved = next(one for one in lessons["7Б — Алгебра"] if one["date"] == "2026-11-18")
    moved.update(is_transferred=True, transferred_from_date="2026-11-18", date="2026-11-20", day_number=5)


def _add_calendar_plan(school: School, group: Row, lessons: list[Row]) -> None:
    """A КТП that is two topics short of the timetable."""
    names = [f"Тема {number}" for number in range(1, len(lessons) - 1)]
    school.add_lesson_plan(group, names, [lesson["date"] for lesson in lessons])


def _add_marks(
    school: School,
    groups: dict[str, Row],
    lessons: dict[str, list[Row]],
    pupils: dict[str, list[Row]],
    draw: random.Random,
) -> None:
    """A quarter typed by hand under a form of the teachers' own, a «точка», a pair of duplicates, a non-numeric entry."""
    for name in ("7А — Алгебра", "7А — Русский язык"):
        form = school.get_form(groups[name], "Ответ на уроке")
        for lesson in (one for one in lessons[name] if one["date"] < "2026-10-25"):
            for pupil in pupils["7А"][:4]:
                school.add_mark(pupil, lesson, form, str(draw.choice((2, 3, 4, 5))))
    name = "7А — Алгебра"
    lesson = next(one for one in lessons[name] if one["date"] == "2026-11-10")
    work = school.get_form(groups[name], "Работа на уроке")
    for _ in range(2):
        school.add_mark(pupils["7А"][0], lesson, work, "4")
    point = {"is_point": True, "mark_type_id": 2, "point_date": "2026-11-24"}
    school.add_mark(pupils["7А"][1], lesson, work, "2", **point)
    school.add_mark(pupils["7А"][2], lesson, work, "нв")
    school.add_absence(pupils["7А"][2], lesson)
    later = next(one for one in lessons["7Б — Русский язык"] if one["date"] == "2026-11-10")
    school.add_mark(pupils["7Б"][0], later, school.get_form(groups["7Б — Русский язык"], "Тест"), "72")
    school.add(
        "final_marks",
        {
            "comment": "",
            "student_profile_id": pupils["7А"][0]["id"],
            "subject_id": groups[name]["subject_id"],
            "academic_year_id": AID,
            "attestation_period_id": school.quarters["periods"][0]["id"],
            "is_year_mark": False,
            "year_mark": False,
            "mark_type": None,
            "grade_system_type": "five",
            "value": "4",
            "no_mark": False,
            "academic_debt": False,
            "attested": True,
            "created_at": CREATED_AT,
            "updated_at": CREATED_AT,
            "deleted_at": None,
        },
    )
    school.add(
        "homeworks",
        {
            "group_id": groups[name]["id"],
            "subject_id": groups[name]["subject_id"],
            "teacher_id": groups[name]["teacher_ids"][0],
            "date_assigned_on": "2026-11-10",
            "date_prepared_for": "2026-11-12",
            "is_required": True,
            "mark_required": False,
            "homework_entries": [
                {
                    "id": 520_000_001,
                    "homework_id": 510_000_001,
                    "description": "Без домашнего задания",
                    "duration": 0,
                    "no_duration": True,
                    "student_ids": [one["id"] for one in pupils["7А"]],
                    "attachment_ids": [],
                    "attachments": [],
                    "scripts": None,
                    "is_digital_homework": False,
                    "is_long_term": False,
                    "books": [],
                    "tests": [],
                    "data": None,
                }
            ],
            "created_at": CREATED_AT,
            "updated_at": CREATED_AT,
            "deleted_at": None,
        },
    )
