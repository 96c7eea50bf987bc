"""Columns that several kinds of sheets share, and what a column is.

A column is known by one of its words (whole heads, in the form of `words.head_key`), else by a stem that occurs in the head,
where no other column of the sheet has it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.connectors.planner.workbook import cells
from gateway.connectors.planner.workbook.cells import Reader
from gateway.connectors.planner.workbook.sheets import Cell


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column.

    Attributes:
        key: Name of the field it fills.
        head: The template's head.
        words: Other heads it is known by; `stems` are regular expressions looked for inside a head.
        is_carried: A merged cell stands for all its rows; elsewhere a merged cell is nobody's.
        repeats_blank: An empty cell means the one above, as in a timetable by weekdays.
        hint: What the template says about it.
        example: A sample value for the template and the docs.
    """

    key: str
    head: str
    words: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()
    read: Callable[[Cell, Reader], object] = cells.read_short
    is_carried: bool = False
    repeats_blank: bool = False
    hint: str = ""
    example: str = ""


CLASS = Column(
    key="class_name",
    head="Класс",
    words=("класс литера", "класс группа", "класс обучения", "класс с литерой", "параллель и литера"),
    read=cells.read_class,
    is_carried=True,
    hint="7А",
    example="7А",
)
SUBJECT = Column(
    key="subject",
    head="Предмет",
    words=(
        "учебный предмет",
        "предметы",
        "дисциплина",
        "название предмета",
        "учебные предметы",
        "наименование предмета",
    ),
    is_carried=True,
    example="Алгебра",
)
LEVEL = Column(
    key="level",
    head="Класс",
    words=("параллель", "класс параллель", "год обучения"),
    read=cells.read_level,
    is_carried=True,
    hint="7 или 7А",
    example="7А",
)
GROUP = Column(
    key="group",
    head="Группа",
    words=("подгруппа", "учебная группа", "группа класса"),
    hint="Пусто = весь класс",
    example="",
)
FULL_NAME = Column(
    key="full_name",
    head="ФИО",
    words=(
        *("фио ученика", "фио учащегося", "фио обучающегося", "ф и о", "ф и о ученика", "ф и о учащегося"),
        *("ученик", "учащийся", "обучающийся", "фамилия имя отчество", "фамилия имя", "фамилия и имя"),
        *("список учащихся", "список класса", "ребенок", "ученики", "фи", "фамилия имя отчество учащегося"),
    ),
    read=cells.read_full_name,
    example="Иванова Анна Петровна",
)
NAMES = (
    Column(
        key="last_name",
        head="Фамилия",
        words=("фамилия ученика", "фамилия учащегося", "фамилия ребенка"),
        read=cells.read_name_part,
        example="Иванова",
    ),
    Column(
        key="first_name",
        head="Имя",
        words=("имя ученика", "имя учащегося", "имя ребенка"),
        read=cells.read_name_part,
        example="Анна",
    ),
    Column(
        key="middle_name",
        head="Отчество",
        words=("отчество ученика", "отчество учащегося", "отчество при наличии", "отчество ребенка"),
        read=cells.read_name_part,
        example="Петровна",
    ),
)
DAY = Column(
    key="day",
    head="Дата",
    words=("дата урока", "день", "число", "дата занятия", "дата проведения"),
    read=cells.read_lesson_day,
    is_carried=True,
    hint="05.09.2026",
    example="05.09.2026",
)
ORDINAL = Column(
    key="ordinal",
    head="№ урока",
    words=("урок", "номер урока", "№ урока в день", "урок по счету", "пара", "урок №"),
    read=cells.read_ordinal,
    hint="Который по счёту в этот день",
    example="1",
)
STARTS = Column(
    key="starts",
    head="Начало",
    words=("время начала", "начало урока", "время", "время урока", "звонок"),
    read=cells.read_time,
    hint="08:30",
    example="08:30",
)
HOURS = Column(
    key="hours",
    head="Количество часов",
    words=("часы", "час", "кол во часов", "всего часов", "количество часов всего", "часов", "кол во", "всего"),
    stems=(r"\bчас", r"кол во", r"количество"),
    read=cells.read_hours,
    example="1",
)
TOPIC = Column(
    key="topic",
    head="Тема урока",
    words=(
        *("тема", "темы", "темы уроков", "тема занятия", "что пройдено на уроке", "что пройдено", "содержание урока"),
        *("наименование разделов и тем", "наименование разделов и тем учебного предмета", "наименование темы"),
    ),
    stems=(r"\bтем[аы]\b", r"наименован"),
    example="Степень с натуральным показателем",
)
HOMEWORK = Column(
    key="homework",
    head="Домашнее задание",
    words=("дз", "д з", "домашняя работа", "задание на дом", "дом задание", "что задано", "домашнее задание дз"),
    stems=(r"домашн", r"на дом"),
    read=cells.read_long,
    example="§ 4, № 112",
)
SECTION = Column(
    key="section",
    head="Раздел",
    words=("раздел программы", "модуль", "блок", "название раздела", "наименование раздела"),
    stems=(r"^раздел", r"^модул", r"^блок"),
    is_carried=True,
    repeats_blank=True,
    example="Степени",
)
NUMBER = Column(
    key="number",
    head="№ п/п",
    words=("№", "№ пп", "номер", "№ урока", "номер урока", "п п", "порядковый номер", "№ урока п п", "номер п п"),
    read=cells.read_number,
    example="1",
)
RESOURCES = Column(
    key="resources",
    head="Электронные (цифровые) образовательные ресурсы",
    words=("эор", "цор", "ресурсы", "электронные ресурсы", "электронные образовательные ресурсы"),
    stems=(r"ресурс",),
    read=cells.read_long,
)
