"""The journal exported by hand: a workbook a group, and the list of pupils, as the city's own pages would give them.

What a person gets by «Выгрузить в Excel». Nobody outside knows the real layout (grade D): these are the sandbox's words,
written apart from those the connector looks for. There are no ids in it but the contingent's, as in any such export.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import xlsxwriter

from gateway.sandbox.city.city import City
from gateway.sandbox.city.codecs import to_dotted, to_dotted_minute
from gateway.sandbox.city.plans import list_topics
from gateway.sandbox.city.state import Row

Line = Sequence[Any]
ABSENCES = {1: "н", 2: "б"}  # C S7
SYSTEMS = {"five": "5-балльная", "ten": "10-балльная", "hundred": "100-балльная", "approve": "зачёт"}
FINALS = {None: "период", "intermediate_attestation": "промежуточная аттестация", "attestation": "итоговая"}


def build_export(city: City) -> dict[str, bytes]:
    """Build every workbook of the school: file name → its bytes."""
    files = {"Ученики.xlsx": _build_book({"Ученики": _list_pupils(city)})}
    for group in city.state.iter_rows("groups"):
        files[f"Журнал {group['id']}.xlsx"] = _build_book(_Page(city, group).build())
    return files


def _build_book(sheets: dict[str, list[Line]]) -> bytes:
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    for name, lines in sheets.items():
        sheet = book.add_worksheet(name)
        for number, line in enumerate(lines):
            sheet.write_row(number, 0, ["" if cell is None else cell for cell in line])
    book.close()
    return stream.getvalue()


def _list_pupils(city: City) -> list[Line]:
    lines: list[Line] = [
        ("Список учеников", ""),
        ("Фамилия", "Имя", "Отчество", "Дата рождения", "Класс", "Идентификатор", "Выбыл"),
    ]
    for row in city.state.iter_rows("student_profiles"):
        class_unit = city.state.find("class_units", row["class_unit_id"]) or {}
        names = (row["last_name"], row["first_name"], row["middle_name"])
        days = (to_dotted(row["birth_date"]), class_unit.get("name"), row["person_id"], to_dotted(row["left_on"]))
        lines.append((*(names if any(names) else (row["user_name"], "", "")), *days))
    return lines


def _name(row: Row) -> str:
    parts = [row["last_name"], row["first_name"], row["middle_name"]]
    return " ".join(part for part in parts if part) or str(row["user_name"])


class _Page:
    """The workbook of one group."""

    def __init__(self, city: City, group: Row) -> None:
        self._city = city
        self._group = group
        self._teachers = {row["id"]: row["name"] for row in city.state.iter_rows("teacher_profiles")}
        held = list(city.state.iter_of_group("schedule_items", group["id"]))
        self._lessons = sorted(held, key=lambda one: (one["date"], one["time"], one["id"]))
        self._pupils = {row["id"]: row for row in city.state.iter_rows("student_profiles") if _is_in(row, group["id"])}

    def build(self) -> dict[str, list[Line]]:
        topics = self._topics()
        return {
            "Журнал": self._journal(),
            "Уроки": self._timetable(),
            "Домашние задания": self._homework(),
            "Итоги": self._finals(),
            "Замечания": self._remarks(),
            **({} if topics is None else {"КТП": topics}),
            "Периоды": self._periods(),
            "Формы контроля": self._forms(),
        }

    def _standing(self, kind: str) -> Iterable[Row]:
        return (row for row in self._city.state.iter_rows(kind) if row.get("deleted_at") is None)

    def _own(self, kind: str) -> Iterable[Row]:
        return (row for row in self._standing(kind) if row.get("group_id") == self._group["id"])

    def _journal(self) -> list[Line]:
        group = self._group
        lines: list[Line] = [
            ("Журнал успеваемости",),
            ("Группа:", group["name"]),
            *([("Класс:", group["class_unit_name"])] if group["class_unit_name"] else []),
            ("Параллель:", group["class_level_id"]),
            ("Предмет:", group["subject_name"]),
            ("Выгружено:", to_dotted_minute(self._city.stamp())),
            (),
            (
                "№",
                "Ученик",
                "Дата рождения",
                *(f"{to_dotted(one['date'])} №{one['lesson_number']}" for one in self._lessons),
            ),
        ]
        cells = self._cells()
        for number, (pupil_id, pupil) in enumerate(self._pupils.items(), start=1):
            entries = [", ".join(cells.get((pupil_id, lesson["id"]), ())) for lesson in self._lessons]
            lines.append((number, _name(pupil), to_dotted(pupil["birth_date"]), *entries))
        return lines

    def _cells(self) -> dict[tuple[int, int], list[str]]:
        cells: dict[tuple[int, int], list[str]] = {}
        for row in self._own("attendances"):
            place = (row["student_profile_id"], row["schedule_lesson_id"])
            cells.setdefault(place, []).append(ABSENCES[row["absence_reason_id"]])
        for row in self._own("marks"):
            form = self._city.state.find("control_forms", row["control_form_id"]) or {}
            point = "•" if row["is_point"] else ""
            text = f"{point}{row['name']} ({row['weight']}{form.get('short_name', '')})"
            cells.setdefault((row["student_profile_id"], row["schedule_lesson_id"]), []).append(text)
        return cells

    def _timetable(self) -> list[Line]:
        return [
            ("Дата", "Урок", "Начало", "Минут", "Учитель", "Замена", "Отменён", "Тема"),
            *(
                (
                    to_dotted(one["date"]),
                    one["lesson_number"],
                    one["time"],
                    one["duration"],
                    self._teachers.get(one["teacher_id"], ""),
                    self._teachers.get(one["replaced_teacher_id"], "") if one["replaced"] else "",
                    "да" if one["cancelled"] else "",
                    one["topic_name"],
                )
                for one in self._lessons
            ),
        ]

    def _homework(self) -> list[Line]:
        lines: list[Line] = [("Задано", "На дату", "Учитель", "Задание", "Кому")]
        for row in self._own("homeworks"):
            entries = row["homework_entries"]
            ids = {pupil for entry in entries for pupil in entry["student_ids"]}
            names = sorted(_name(self._pupils[one]) for one in ids if one in self._pupils)
            whom = "все" if ids == set(self._pupils) else "; ".join(names)
            days = (to_dotted(row["date_assigned_on"]), to_dotted(row["date_prepared_for"]))
            text = "\n".join(str(entry["description"] or "") for entry in entries)
            lines.append((*days, self._teachers.get(row["teacher_id"], ""), text, whom))
        return lines

    def _finals(self) -> list[Line]:
        names = {one["id"]: one["name"] for one in self._city.list_periods(self._group)}
        lines: list[Line] = [("Ученик", "Дата рождения", "Вид", "Период", "Отметка")]
        for row in self._standing("final_marks"):
            pupil = self._pupils.get(row["student_profile_id"])
            if pupil is None or row["subject_id"] != self._group["subject_id"]:
                continue
            form = "годовая" if row["is_year_mark"] else FINALS[row["mark_type"]]
            period = names.get(row["attestation_period_id"], "")
            value = "А/З" if row["academic_debt"] else row["value"]
            lines.append((_name(pupil), to_dotted(pupil["birth_date"]), form, period, value))
        return lines

    def _remarks(self) -> list[Line]:
        lessons = {one["id"]: one for one in self._lessons}
        lines: list[Line] = [("Дата", "Урок", "Ученик", "Дата рождения", "Замечание")]
        for row in self._own("lesson_comments"):
            lesson, pupil = lessons[row["schedule_lesson_id"]], self._pupils.get(row["student_profile_id"])
            if pupil is not None:
                day = (to_dotted(lesson["date"]), lesson["lesson_number"])
                lines.append((*day, _name(pupil), to_dotted(pupil["birth_date"]), row["comment"]))
        return lines

    def _topics(self) -> list[Line] | None:
        """The КТП; a group without one has no such sheet, an empty one has its heads alone."""
        for plan in self._city.state.iter_rows("lesson_plans"):
            if self._group["id"] in plan["group_ids"]:
                topics = enumerate(list_topics(plan), start=1)
                rows = [(number, topic["module_name"], topic["name"]) for number, topic in topics]
                return [("№", "Раздел", "Тема"), *rows]
        return None

    def _periods(self) -> list[Line]:
        return [
            ("Период", "Начало", "Окончание", "Закрыт", "Правка до"),
            *(
                (
                    one["name"],
                    to_dotted(one["begin_date"]),
                    to_dotted(one["end_date"]),
                    "да" if one["x_closed"] else "",
                    to_dotted(one["x_edit_until"]),
                )
                for one in self._city.list_periods(self._group)
            ),
        ]

    def _forms(self) -> list[Line]:
        lines: list[Line] = [("Форма контроля", "Сокращение", "Вес", "Шкала")]
        for row in self._standing("control_forms"):
            if row["subject_id"] == self._group["subject_id"]:
                system = self._city.state.find("grade_systems", row["grade_system_id"]) or {}
                lines.append((row["name"], row["short_name"], row["weight"], SYSTEMS.get(system.get("type", ""), "")))
        return lines


def _is_in(pupil: Row, group_id: int) -> bool:
    return any(one["id"] == group_id for one in pupil["groups"])
