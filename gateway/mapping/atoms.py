"""The part of an object that is compared three ways, in one canonical spelling for what we mean and what the city shows.

Pure. Two atoms are equal exactly when a person reading the journal would call the entries the same; keys name the place
where the entry stands and never hold its content.

Source: design, "What identifies a mark"; city-journal.md R2, R18.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import assert_never

import msgspec

from gateway.domain.city import (
    AbsenceAtom,
    AbsenceIntent,
    Atom,
    CityAbsence,
    CityComment,
    CityFinal,
    CityHomework,
    CityMark,
    CityObject,
    CityTopics,
    CommentAtom,
    CommentIntent,
    FinalAtom,
    FinalIntent,
    HomeworkAtom,
    HomeworkIntent,
    Intent,
    MarkAtom,
    MarkIntent,
    TopicsAtom,
    TopicsIntent,
)
from gateway.domain.records import PlannedLesson, digest_of, to_body

_NOTE = re.compile(r"\s*\([^()]*\)$")
_WHOLE = re.compile(r"(\d+)[.,]0+")
_POINT = "точка:"


@lru_cache(maxsize=512)
def canonical_value(value: str) -> str:
    """Return a shown mark in one spelling: «5 (2К)», «5.0» and « 5» are «5»; «4 +» is «4+», «СМ» is «см»."""
    text = unicodedata.normalize("NFC", value).strip()
    text = _NOTE.sub("", text)
    text = "".join(text.split()).replace("−", "-").replace("–", "-").casefold()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def canonical_text(text: str) -> str:
    """Return a text without what an editor changes by itself: line ends, trailing blanks, decomposed letters."""
    composed = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    return "\n".join(line.rstrip() for line in composed.split("\n")).strip()


def atom_of_intent(intent: Intent) -> Atom:
    """Return what of an intent is compared."""
    match intent:
        case MarkIntent():
            return MarkAtom(canonical_value(intent.value), intent.weight, intent.form_id)
        case AbsenceIntent():
            return AbsenceAtom(intent.reason_id)
        case HomeworkIntent():
            return HomeworkAtom(canonical_text(intent.text), intent.prepared_for, tuple(sorted(set(intent.pupil_ids))))
        case CommentIntent():
            return CommentAtom(canonical_text(intent.text))
        case FinalIntent():
            return FinalAtom(canonical_value(intent.value))
        case TopicsIntent():
            return _plan_atom(intent.lessons)
        case _:
            assert_never(intent)


def with_atom(intent: Intent, atom: Atom) -> Intent:
    """Return the intent with another content in the same place; its atom is then the given one.

    Raises:
        TypeError: An atom of another kind.
    """
    match intent, atom:
        case MarkIntent(), MarkAtom():
            return msgspec.structs.replace(intent, value=atom.value, weight=atom.weight, form_id=atom.form_id)
        case AbsenceIntent(), AbsenceAtom():
            return msgspec.structs.replace(intent, reason_id=atom.reason_id)
        case HomeworkIntent(), HomeworkAtom():
            return msgspec.structs.replace(
                intent, text=atom.text, prepared_for=atom.prepared_for, pupil_ids=atom.pupil_ids
            )
        case CommentIntent(), CommentAtom():
            return msgspec.structs.replace(intent, text=atom.text)
        case FinalIntent(), FinalAtom():
            return msgspec.structs.replace(intent, value=atom.value)
        case TopicsIntent(), TopicsAtom():
            lessons = tuple(PlannedLesson(module=module, topic=topic) for module, topic in atom.lessons)
            return msgspec.structs.replace(intent, lessons=lessons)
    raise TypeError("an atom of another kind")


def atom_of_city(obj: CityObject) -> Atom:
    """Return what of a city object is compared.

    A «точка» is a debt and not yet a mark (R18): it equals no mark of any value. An absence without a reason has reason
    0, which the city gives to none.
    """
    match obj:
        case CityMark():
            value = canonical_value(obj.value)
            return MarkAtom(_POINT + value if obj.is_point else value, obj.weight, obj.form_id)
        case CityAbsence():
            return AbsenceAtom(obj.reason_id or 0)
        case CityHomework():
            return HomeworkAtom(canonical_text(obj.text), obj.prepared_for, tuple(sorted(set(obj.pupil_ids))))
        case CityComment():
            return CommentAtom(canonical_text(obj.text))
        case CityFinal():
            return FinalAtom(canonical_value(obj.value))
        case CityTopics():
            return _plan_atom(obj.lessons)
        case _:
            assert_never(obj)


def object_key_of(obj: CityObject) -> str:
    """Return the key of the place an object stands in; the same as the `object_key` of an intent for that place.

    A homework without a teacher has 0 there, which is nobody's id, so that it never meets an intent.
    """
    match obj:
        case CityMark():
            return f"mark/{obj.pupil_id}/{obj.lesson_id}"
        case CityAbsence():
            return f"absence/{obj.pupil_id}/{obj.lesson_id}"
        case CityHomework():
            days = f"{obj.assigned_on:%Y%m%d}/{obj.prepared_for:%Y%m%d}"
            return f"homework/{obj.group_id}/{obj.subject_id}/{days}/{obj.teacher_id or 0}"
        case CityComment():
            return f"comment/{obj.pupil_id}/{obj.lesson_id}/{obj.form}"
        case CityFinal():
            return f"final/{obj.pupil_id}/{obj.subject_id}/{obj.form}/{obj.period_id}"
        case CityTopics():
            return f"topics/{obj.group_id}"
        case _:
            assert_never(obj)


def _plan_atom(lessons: Sequence[PlannedLesson]) -> TopicsAtom:
    """A section named once stands for all lessons up to the next one, however often either side repeats it."""
    module = ""
    rows: list[tuple[str, str]] = []
    for lesson in lessons:
        module = canonical_text(lesson.module) or module
        rows.append((module, canonical_text(lesson.topic)))
    return TopicsAtom(tuple(rows))


def atom_digest(atom: Atom) -> bytes:
    """Return 16 bytes that stand for an atom when three legs are compared; kinds are apart in every key."""
    return digest_of(to_body(atom))
