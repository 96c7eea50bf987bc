"""Which sheet is which and which column is what in a workbook exported from the city's journal.

The real export's layout is known to nobody outside (grade D), so sheets and heads are found by their words, in any order,
below any title; a school whose export says otherwise names its words in a TOML file.

Source: city-journal.md §1.3 (journals/export), R2, grade D.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.domain.errors import ConfigurationError
from gateway.domain.faults_ru import say_fault

HEAD_ROWS_COUNT = 25
"""Rows of a sheet among which its heads are looked for: titles above a journal's page take five or six."""

Words = dict[str, tuple[str, ...]]

_SHEETS: Words = {
    "pupils": ("ученики", "контингент", "список учеников"),
    "journal": ("журнал", "отметки", "журнал успеваемости"),
    "lessons": ("уроки", "расписание"),
    "homework": ("домашние задания", "домашнее задание", "дз"),
    "finals": ("итоги", "итоговые отметки"),
    "comments": ("замечания", "замечания и опоздания"),
    "topics": ("ктп", "темы", "поурочное планирование"),
    "periods": ("периоды", "учебные периоды"),
    "forms": ("формы контроля", "виды работ"),
}
_TITLES: Words = {
    "group": ("группа", "учебная группа"),
    "class": ("класс",),
    "level": ("параллель",),
    "subject": ("предмет",),
    "teacher": ("учитель", "преподаватель"),
    "exported": ("выгружено", "дата выгрузки", "сформировано"),
}
_HEADS: dict[str, Words] = {
    "pupils": {
        "last": ("фамилия",),
        "first": ("имя",),
        "middle": ("отчество",),
        "birth": ("дата рождения",),
        "class": ("класс",),
        "person": ("идентификатор", "person_id", "guid"),
        "left": ("выбыл", "дата выбытия"),
    },
    "journal": {"pupil": ("ученик", "фио", "фамилия имя отчество"), "birth": ("дата рождения",)},
    "lessons": {
        "date": ("дата",),
        "number": ("урок", "номер урока", "№ урока"),
        "begins": ("начало",),
        "minutes": ("минут", "длительность"),
        "teacher": ("учитель", "преподаватель"),
        "replacement": ("замена", "заменяет"),
        "cancelled": ("отменён", "отмена"),
        "topic": ("тема", "тема урока"),
    },
    "homework": {
        "assigned": ("задано", "дата выдачи"),
        "prepared": ("на дату", "выполнить к", "срок"),
        "teacher": ("учитель", "преподаватель"),
        "text": ("задание", "текст"),
        "pupils": ("кому", "ученики"),
    },
    "finals": {
        "pupil": ("ученик", "фио"),
        "birth": ("дата рождения",),
        "form": ("вид", "вид отметки"),
        "period": ("период",),
        "value": ("отметка", "оценка"),
    },
    "comments": {
        "date": ("дата",),
        "number": ("урок", "номер урока", "№ урока"),
        "pupil": ("ученик", "фио"),
        "birth": ("дата рождения",),
        "text": ("замечание", "текст"),
    },
    "topics": {"number": ("№", "номер"), "module": ("раздел", "модуль"), "topic": ("тема", "тема урока")},
    "periods": {
        "name": ("период", "название"),
        "begins": ("начало",),
        "ends": ("окончание", "конец"),
        "closed": ("закрыт",),
        "until": ("правка до", "редактирование до"),
    },
    "forms": {
        "name": ("форма контроля", "вид работы"),
        "short": ("сокращение", "кратко"),
        "weight": ("вес",),
        "system": ("шкала", "система оценивания"),
    },
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "pupils": ("last", "first", "class"),
    "journal": ("pupil",),
    "lessons": ("date", "number", "begins"),
    "homework": ("assigned", "prepared", "text"),
    "finals": ("pupil", "form", "value"),
    "comments": ("date", "number", "pupil", "text"),
    "topics": ("topic",),
    "periods": ("name", "begins", "ends"),
    "forms": ("name", "short", "weight"),
}


class _File(BaseModel):
    """What a school's own layout file may name; what it does not name stays as built in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sheets: dict[str, tuple[str, ...]] = {}
    titles: dict[str, tuple[str, ...]] = {}
    heads: dict[str, dict[str, tuple[str, ...]]] = {}


class Layout:
    """The words of one school's export.

    Args:
        own: What the school's file says.

    Raises:
        ConfigurationError: It names a sheet, title or head that there is not.
    """

    def __init__(self, own: _File | None = None) -> None:
        own = own or _File()
        self._sheets = _merged(_SHEETS, own.sheets, "sheets")
        self._titles = _merged(_TITLES, own.titles, "titles")
        unknown = sorted(set(own.heads) - set(_HEADS))
        if unknown:
            raise ConfigurationError(f"mesh.layout_file: heads.{unknown[0]} — такого листа нет")
        self._heads = {kind: _merged(words, own.heads.get(kind, {}), f"heads.{kind}") for kind, words in _HEADS.items()}

    def kind_of(self, sheet: str) -> str | None:
        """Say which sheet this is by its name; None = none that is read."""
        return _find(self._sheets, sheet)

    def title_of(self, text: str) -> str | None:
        """Say which title a cell is («Группа», «Предмет:»); None = none."""
        return _find(self._titles, text)

    def find_heads(self, kind: str, rows: Sequence[Sequence[object]]) -> tuple[int, Mapping[str, int]] | None:
        """Find the row of heads of a sheet.

        Returns:
            Its number from 0, and name → column from 0; None where no row has all the heads that are needed.
        """
        for number, row in enumerate(rows[:HEAD_ROWS_COUNT]):
            found: dict[str, int] = {}
            for column, cell in enumerate(row):
                name = _find(self._heads[kind], cell) if isinstance(cell, str) else None
                if name is not None:
                    found.setdefault(name, column)
            if all(name in found for name in _NEEDED[kind]):
                return number, found
        return None


def load_layout(path: Path | None) -> Layout:
    """Read a school's layout file; None gives the built-in words.

    Raises:
        ConfigurationError: It can't be read or names what there is not.
    """
    if path is None:
        return Layout()
    try:
        tree: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        return Layout(_File.model_validate(tree))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigurationError(f"mesh.layout_file не читается: {path.name}") from exc
    except ValidationError as exc:
        places = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {say_fault(one)}" for one in exc.errors())
        raise ConfigurationError(f"mesh.layout_file: {places}") from exc


def plain(text: str) -> str:
    """One spelling of a word or a name: letter case, ё, blanks and a closing colon do not count."""
    composed = unicodedata.normalize("NFC", text).replace("\u00a0", " ").casefold().replace("ё", "е")
    return re.sub(r"\s+", " ", composed).strip().rstrip(":").strip()


def _find(words: Mapping[str, Sequence[str]], text: object) -> str | None:
    wanted = plain(str(text))
    return next((name for name, own in words.items() if any(plain(word) == wanted for word in own)), None)


def _merged(built_in: Words, own: Mapping[str, tuple[str, ...]], where: str) -> Words:
    unknown = sorted(set(own) - set(built_in))
    if unknown:
        raise ConfigurationError(f"mesh.layout_file: {where}.{unknown[0]} — такого имени нет")
    return {name: (*own.get(name, ()), *words) for name, words in built_in.items()}


__all__ = ["Layout", "load_layout", "plain"]
