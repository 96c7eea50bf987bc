"""The made-up school's timetable as aSc TimeTables exports it: bells, classes, subjects, teachers, lessons and cards."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from gateway.sandbox.school import LESSONS_A_DAY, SUBJECTS, School

FIRST_BELL_MIN, STEP_MIN, LESSON_MIN = 9 * 60, 55, 45
DAYS = ("Понедельник", "Вторник", "Среда", "Четверг", "Пятница")


def build_asc_xml(school: School, *, subjects_count: int = len(SUBJECTS), encoding: str = "windows-1251") -> bytes:
    """Export the timetable; the same lessons as the portal's sessions and the planner's pages."""
    lines = [
        f'<?xml version="1.0" encoding="{encoding}"?>',
        '<timetable ascttversion="2021.6.2" importtype="database" options="idprefix:%CHRID" defaultexport="1">',
        "<periods>",
        *(
            _row("period", period=n + 1, short=n + 1, starttime=_bell(n), endtime=_bell(n, LESSON_MIN))
            for n in _slots()
        ),
        "</periods><daysdefs>",
        *(_row("daysdef", id=f"D{n}", name=day, days=_mask(n)) for n, day in enumerate(DAYS)),
        "</daysdefs><weeksdefs>",
        _row("weeksdef", id="W1", name="Все недели", weeks="1"),
        "</weeksdefs><termsdefs>",
        _row("termsdef", id="T1", name="Весь год", terms="1"),
        "</termsdefs><subjects>",
        *(_row("subject", id=f"S{n}", name=SUBJECTS[n][1], short=SUBJECTS[n][0]) for n in range(subjects_count)),
        "</subjects><teachers>",
        *(
            _row("teacher", id=_teacher(room, n), name=" ".join(school.teacher_name(room, n)), short="")
            for room in range(school.class_count)
            for n in range(subjects_count)
        ),
        "</teachers><classes>",
        *(_row("class", id=f"C{room}", name=school.class_name(room), short="") for room in range(school.class_count)),
        "</classes><groups>",
        *(
            _row("group", id=f"G{room}", classid=f"C{room}", name="Весь класс", entireclass="1")
            for room in range(school.class_count)
        ),
        "</groups><lessons>",
    ]
    cards: list[str] = []
    for room in range(school.class_count):
        for subject in range(subjects_count):
            lesson = f"L{room}-{subject}"
            placed = [
                (day, slot)
                for day in range(len(DAYS))
                for slot in _slots()
                # the rotation of `School.iter_lessons`
                if (room + day * LESSONS_A_DAY + slot) % len(SUBJECTS) == subject
            ]
            lines.append(
                _row(
                    "lesson",
                    id=lesson,
                    subjectid=f"S{subject}",
                    classids=f"C{room}",
                    groupids=f"G{room}",
                    teacherids=_teacher(room, subject),
                    periodspercard=1,
                    periodsperweek=f"{len(placed)}.0",
                )
            )
            cards += [
                _row("card", lessonid=lesson, period=slot + 1, days=_mask(day), weeks="1", terms="1")
                for day, slot in placed
            ]
    lines += ["</lessons><cards>", *cards, "</cards></timetable>"]
    return "\n".join(lines).encode(encoding)


def _slots() -> range:
    return range(LESSONS_A_DAY)


def _teacher(room: int, subject: int) -> str:
    return f"T{room}-{subject}"


def _mask(day: int) -> str:
    return "".join("1" if one == day else "0" for one in range(len(DAYS)))


def _bell(slot: int, later_min: int = 0) -> str:
    minutes = FIRST_BELL_MIN + slot * STEP_MIN + later_min
    return f"{minutes // 60}:{minutes % 60:02d}"


def _row(tag: str, /, **attributes: object) -> str:
    text = " ".join(f"{key}={quoteattr(str(value))}" for key, value in attributes.items())
    return f"<{tag} {text}/>"
