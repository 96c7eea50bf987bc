"""What kinds of sheets there are and what their columns are called: one table for the reader, the templates and the docs.

Heads are found by meaning, never by position.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.connectors.planner.workbook import cells
from gateway.connectors.planner.workbook.columns import (
    CLASS,
    DAY,
    FULL_NAME,
    GROUP,
    HOMEWORK,
    HOURS,
    LEVEL,
    NAMES,
    NUMBER,
    ORDINAL,
    RESOURCES,
    SECTION,
    STARTS,
    SUBJECT,
    TOPIC,
    Column,
)

LayoutName = Literal["roster", "timetable", "lessons", "entries", "page", "grid", "ktp", "programme", "plan"]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of sheet.

    Attributes:
        needs: Alternatives; the columns of one of them must be there, and filled in each row.
        title: Regular expression that speaks for this kind where it stands above the table or in the sheet's name.
        dynamic: What its further heads are: days of a page, classes of a grid, grades of a curriculum.
        from_title: Columns whose value may stand above the table instead.
    """

    name: LayoutName
    columns: tuple[Column, ...]
    needs: tuple[tuple[str, ...], ...]
    title: str = ""
    dynamic: Literal["", "days", "classes", "levels"] = ""
    from_title: tuple[str, ...] = ()


ROSTER = Layout(
    name="roster",
    title=r"список|контингент|ученик|состав",
    needs=(("last_name", "first_name"), ("full_name",)),
    from_title=("class_name",),
    columns=(
        *NAMES,
        FULL_NAME,
        Column(
            key="birth_on",
            head="Дата рождения",
            words=("др", "д р", "день рождения", "дата рожд", "родился", "дата рождения ученика"),
            read=cells.read_birthday,
            hint="31.12.2012",
            example="31.12.2012",
        ),
        CLASS,
        Column(
            key="school_id",
            head="Личное дело",
            words=("номер личного дела", "№ личного дела", "личное дело №", "id ученика", "id школы"),
        ),
        Column(
            key="person_id",
            head="person_id",
            words=("person id", "personid", "идентификатор мэш", "id мэш", "id контингента"),
            hint="Идентификатор контингента (UUID) из городского журнала",
        ),
        Column(
            key="guardian_name",
            head="ФИО родителя",
            words=("родитель", "родители", "законный представитель", "фио законного представителя", "мать", "мама"),
            stems=(r"фио.*(родител|представител)", r"^(родител|представител)\w*( фио)?$"),
            read=cells.read_short,
            example="Иванова Мария Сергеевна",
        ),
        Column(
            key="guardian_email",
            head="Email родителя",
            words=("email", "e mail", "почта", "электронная почта", "адрес электронной почты", "эл почта"),
            stems=(
                r"(e ?mail|е ?маил|почт|эл адрес).*(родит|предст|мат|мам)",
                r"(родит|предст|мат|мам).*(e ?mail|почт)",
            ),
            read=cells.read_emails,
            hint="Несколько адресов через точку с запятой",
            example="parent@example.org",
        ),
        Column(
            key="guardian_phone",
            head="Телефон родителя",
            words=("телефон", "телефоны", "моб телефон", "мобильный телефон", "контактный телефон"),
            stems=(r"телефон.*(родит|предст|мат|мам)", r"(родит|предст|мат|мам).*телефон"),
            read=cells.read_phones,
            example="+7 900 000-00-00",
        ),
    ),
)
TIMETABLE = Layout(
    name="timetable",
    title=r"расписани",
    needs=(("subject", "weekday"), ("subject", "day", "ordinal"), ("subject", "day", "starts")),
    from_title=("class_name",),
    columns=(
        CLASS,
        SUBJECT,
        GROUP,
        Column(
            key="weekday",
            head="День недели",
            words=("день", "дни недели", "день нед"),
            read=cells.read_weekday,
            is_carried=True,
            repeats_blank=True,
            example="понедельник",
        ),
        Column(
            key="day",
            head="Дата",
            words=DAY.words[:1] + DAY.words[2:],
            read=cells.read_lesson_day,
            is_carried=True,
            hint="Вместо дня недели, если урок один",
        ),
        ORDINAL,
        STARTS,
        Column(
            key="ends",
            head="Конец",
            words=("время окончания", "окончание", "конец урока", "окончание урока"),
            read=cells.read_time,
            hint="09:15",
            example="09:15",
        ),
        Column(
            key="form",
            head="Формат",
            words=("форма", "очно онлайн", "форма проведения", "формат урока"),
            read=cells.read_form,
            hint="очно или онлайн",
            example="очно",
        ),
        Column(
            key="from_on",
            head="Действует с",
            words=("с", "дата начала", "действует с даты"),
            read=cells.read_lesson_day,
            hint="Пусто = с начала учебного года",
        ),
        Column(
            key="to_on",
            head="Действует по",
            words=("по", "дата окончания", "действует до", "действует по дату"),
            read=cells.read_lesson_day,
            hint="Пусто = до конца учебного года",
        ),
    ),
)
GRID = Layout(
    name="grid",
    title=r"расписани",
    needs=(("weekday", "ordinal"), ("weekday",)),
    dynamic="classes",
    columns=(
        Column(
            key="weekday",
            head="День недели",
            words=("день", "дни недели", "дни"),
            read=cells.read_weekday,
            is_carried=True,
            repeats_blank=True,
        ),
        Column(key="ordinal", head="№ урока", words=(*ORDINAL.words, "№"), read=cells.read_ordinal),
        STARTS,
    ),
)
LESSONS = Layout(
    name="lessons",
    title=r"журнал|урок|темы",
    needs=(("day", "topic"), ("day", "homework")),
    from_title=("class_name", "subject"),
    columns=(
        DAY,
        msgspec.structs.replace(ORDINAL, words=(*ORDINAL.words, "№")),
        STARTS,
        CLASS,
        SUBJECT,
        GROUP,
        TOPIC,
        HOMEWORK,
        Column(
            key="due_on",
            head="К какому дню",
            words=("к дате", "на какой день", "срок сдачи", "срок", "выполнить к", "на дату"),
            read=cells.read_lesson_day,
            hint="Пусто = к следующему уроку",
        ),
    ),
)
ENTRIES = Layout(
    name="entries",
    title=r"журнал|отметк|оценк|замечан",
    needs=(
        ("day", "full_name", "marks"),
        ("day", "last_name", "first_name", "marks"),
        ("day", "full_name", "comment"),
        ("day", "last_name", "first_name", "comment"),
    ),
    from_title=("class_name", "subject"),
    columns=(
        DAY,
        msgspec.structs.replace(ORDINAL, words=(*ORDINAL.words, "№")),
        CLASS,
        SUBJECT,
        GROUP,
        FULL_NAME,
        *NAMES,
        Column(key="marks", head="Отметки", words=("отметка", "оценка", "оценки", "балл", "баллы", "отметки за урок")),
        Column(
            key="comment",
            head="Замечание",
            words=(
                *("комментарий", "замечания", "комментарии", "комментарий учителя", "комментарий к уроку"),
                *("замечание учителя", "замечание ученику", "замечание по уроку"),
            ),
            hint="Без сведений о здоровье: справки и причины пропусков не читаются",
        ),
    ),
)
PAGE = Layout(
    name="page",
    title=r"журнал|отметк|оценк|итогов|ведомост",
    needs=(("full_name",), ("last_name", "first_name")),
    dynamic="days",
    from_title=("class_name", "subject"),
    columns=(FULL_NAME, *NAMES),
)
KTP = Layout(
    name="ktp",
    title=r"поурочн|календарн|ктп",
    needs=(("topic", "hours"), ("number", "topic")),
    from_title=("level", "subject"),
    columns=(
        NUMBER,
        SECTION,
        TOPIC,
        HOURS,
        Column(
            key="control",
            head="Контрольные работы",
            words=("контрольные", "кр", "к р", "контрольных работ", "количество часов контрольные работы"),
            stems=(r"контрольн",),
            read=cells.read_hours,
        ),
        Column(
            key="practice",
            head="Практические работы",
            words=("практические", "пр", "лабораторные работы", "количество часов практические работы"),
            stems=(r"практическ", r"лабораторн"),
            read=cells.read_hours,
        ),
        Column(
            key="study",
            head="Дата изучения",
            words=(
                "дата",
                "дата по плану",
                "план",
                "дата проведения",
                "дата урока",
                "сроки",
                "дата план",
                "календарные сроки",
            ),
            stems=(r"дат.*план|план.*дат", r"\bдат[аы]\b", r"\bсрок"),
            read=cells.read_study_day,
            hint="05.09.2026 или «1 неделя»",
            example="05.09.2026",
        ),
        HOMEWORK,
        RESOURCES,
        LEVEL,
        SUBJECT,
    ),
)
PROGRAMME = Layout(
    name="programme",
    title=r"тематическое планирование|рабочая программа",
    needs=(("topic", "content"), ("topic", "activities"), ("topic", "hours", "resources")),
    from_title=("level", "subject"),
    columns=(
        NUMBER,
        SECTION,
        TOPIC,
        HOURS,
        Column(
            key="content",
            head="Программное содержание",
            words=("содержание", "содержание программы", "основное содержание"),
            stems=(r"содержани",),
            read=cells.read_long,
        ),
        Column(
            key="activities",
            head="Основные виды деятельности обучающихся",
            words=("виды деятельности", "деятельность обучающихся", "деятельность"),
            stems=(r"деятельност",),
            read=cells.read_long,
        ),
        RESOURCES,
        LEVEL,
        SUBJECT,
    ),
)
CURRICULUM = Layout(
    name="plan",
    title=r"учебный план",
    needs=(("subject",),),
    dynamic="levels",
    columns=(
        Column(
            key="area",
            head="Предметная область",
            words=("предметные области", "образовательная область"),
            is_carried=True,
        ),
        SUBJECT,
    ),
)
CURRICULUM_LIST = Layout(
    name="plan",
    title=r"учебный план",
    needs=(("subject", "level", "hours"),),
    columns=(SUBJECT, LEVEL, HOURS),
)

LAYOUTS = (ROSTER, TIMETABLE, GRID, PAGE, ENTRIES, LESSONS, PROGRAMME, KTP, CURRICULUM, CURRICULUM_LIST)
"""In the order in which they win where a head fits several equally well."""

KNOWN_BESIDE = (
    *(
        "№",
        "№ п п",
        "№ пп",
        "п п",
        "номер",
        "примечание",
        "примечания",
        "подпись",
        "кабинет",
        "каб",
        "аудитория",
        "учитель",
    ),
    *(
        "преподаватель",
        "педагог",
        "пол",
        "итог",
        "итого",
        "всего",
        "средний балл",
        "ср балл",
        "дата по факту",
        "дата факт",
    ),
    *("факт", "тип урока", "вид контроля", "планируемые результаты", "комментарий", "классный руководитель", "здание"),
)
"""Heads that are known and not read, so that nobody is told about them."""
