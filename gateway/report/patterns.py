"""What discrepancies of one pattern are, in words: a curator chooses for forty of them by what they are, not by a code.

The code (`reconcile.discrepancies.pattern_of`) is what a door is given back; it holds no value and no person, and neither
do the words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import Connection, select

from gateway.connectors.port import CityDirectory
from gateway.domain.city import CityGroup
from gateway.domain.discrepancies import TYPE_WORDS
from gateway.domain.reasons import REASONS
from gateway.mapping.doubts import CODE_WORDS
from gateway.reconcile.tables import city_directory

_OF_GROUP = "city-group:"
KIND_WORDS: Mapping[str, str] = {
    "person": "связь ученика",
    "mark": "отметка",
    "absence": "пропуск",
    "homework": "домашнее задание",
    "comment": "замечание",
    "final": "итоговая отметка",
    "topics": "темы уроков",
}
_FIELD_WORDS: Mapping[str, str] = {
    "value": "значение",
    "weight": "вес",
    "form_id": "форма",
    "reason_id": "причина",
    "text": "текст",
    "prepared_for": "день",
    "pupil_ids": "кому задано",
    "lessons": "уроки",
    **{code.value: words for code, words in CODE_WORDS.items()},
}


def load_pattern_words(
    conn: Connection, place_id: int, patterns: Collection[str], *, with_class: bool = True
) -> dict[str, str]:
    """Put patterns into words.

    Args:
        conn: A read transaction.
        place_id: Where we are.
        patterns: As they are stored.
        with_class: With the class and subject of the city's group; left out for whoever is shown no classes.
    """
    groups = _load_groups(conn, place_id) if with_class and patterns else {}
    return {pattern: _tell(pattern, groups) for pattern in patterns}


def _load_groups(conn: Connection, place_id: int) -> Mapping[int, CityGroup]:
    body = conn.execute(select(city_directory.c.body).where(city_directory.c.place_id == place_id)).scalar_one_or_none()
    directory = None if body is None else msgspec.json.decode(body, type=CityDirectory)
    return {} if directory is None else {one.id: one for one in directory.groups}


def _tell(pattern: str, groups: Mapping[int, CityGroup]) -> str:
    # a long one is cut where it is stored, and then names less
    type_, reason, kind, fields, place = (*pattern.split("/", 4), "", "", "", "", "")[:5]
    named = ", ".join(_FIELD_WORDS.get(one, one) for one in fields.split("+") if one and one != "-")
    what = f"{TYPE_WORDS.get(type_, type_)}: {KIND_WORDS.get(kind, kind)}" + (f" ({named})" if named else "")
    number = place.removeprefix(_OF_GROUP)
    group = groups.get(int(number)) if number != place and number.isdecimal() else None
    where = "" if group is None else f"{group.class_name or group.name}, {group.subject_name}"
    told = REASONS.get(reason)
    return " · ".join(part for part in (where, what, "" if told is None else told.what_ru.rstrip(".")) if part)


__all__ = ["load_pattern_words"]
