"""What is wrong with an entry typed into the gateway: each fault's sentence in Russian and in English, one table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class EntryFault(NamedTuple):
    """One thing that is wrong: with which field, and what to do, in both languages; nobody's name is in it."""

    field: str
    ru: str
    en: str


TEXTS: Mapping[str, tuple[str, str]] = {
    "one_of_two": (
        "Нужна либо отметка, либо пропуск",
        "Either a mark or an absence is needed",
    ),
    "value": (
        "Отметка от 1 до 5",
        "A mark is from 1 to 5",
    ),
    "pupil": (
        "Ученика с таким кодом нет: gateway links list --waiting, коды вида user:3",
        "No pupil has this code: gateway links list --waiting, codes like user:3",
    ),
    "person": (
        "Человека, за которого вносится запись, среди людей школы нет",
        "The person for whom it is entered is not among the school's people",
    ),
    "zone": (
        "У начала урока нужен часовой пояс, например 2026-11-10T09:00+03:00",
        "The lesson's start needs a zone, like 2026-11-10T09:00+03:00",
    ),
    "group": (
        "Группы с таким кодом нет, коды вида group:1",
        "No group has this code, codes like group:1",
    ),
    "lesson": (
        "Урока этой группы, который начинается в это время, нет",
        "This group has no lesson that starts then",
    ),
    "work": (
        "Такой работы правила школы не знают. Известны: {known}",
        "The school's rules know no such work. They know: {known}",
    ),
    "no_work": (
        "Такой работы правила школы не знают. Известны: ни одной",
        "The school's rules know no such work. They know: none",
    ),
    "same_absence": (
        "Этот пропуск уже внесён: запись {number}. Отозвать: gateway journal withdraw {number}",
        "This absence was entered already: entry {number}. To take it back: gateway journal withdraw {number}",
    ),
    "other_absence": (
        "На этом уроке у ученика уже стоит другой пропуск: запись {number}. "
        "Исправить: gateway journal withdraw {number}, потом внести заново",
        "The pupil has another absence at this lesson: entry {number}. "
        "To mend it: gateway journal withdraw {number}, then enter it anew",
    ),
    "same_mark": (
        "Эта отметка уже внесена: запись {number}. Исправить: gateway journal withdraw {number}, потом внести заново; "
        "если это вторая отметка за ту же работу — повторить с --again",
        "This mark was entered already: entry {number}. To mend it: gateway journal withdraw {number}, then enter it "
        "anew; where it is a second mark of the same work, repeat with --again",
    ),
    "other_mark": (
        "За эту работу на этом уроке отметка уже внесена: запись {number}. Исправить: gateway journal withdraw {number}, "
        "потом внести заново; если это вторая отметка за ту же работу — повторить с --again",
        "A mark of this work at this lesson was entered already: entry {number}. To mend it: gateway journal withdraw "
        "{number}, then enter it anew; where it is a second mark of the same work, repeat with --again",
    ),
}


def entry_fault(field: str, name: str, **values: object) -> EntryFault:
    """Say one fault of an entry.

    Args:
        field: Of the entry.
        name: Of the table.
        values: What its sentences name.
    """
    ru, en = TEXTS[name]
    return EntryFault(field, ru.format_map(values), en.format_map(values))


__all__ = ["TEXTS", "EntryFault", "entry_fault"]
