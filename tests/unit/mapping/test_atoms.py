"""One spelling for what we mean and what the city shows."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Any

import pytest
import xxhash

from gateway.domain.city import (
    AbsenceIntent,
    CityAbsence,
    CityHomework,
    CityMark,
    CityObject,
    HomeworkIntent,
    Intent,
    MarkAtom,
    MarkIntent,
)
from gateway.mapping.atoms import (
    atom_digest,
    atom_of_city,
    atom_of_intent,
    canonical_text,
    canonical_value,
    object_key_of,
)
from gateway.mapping.mesh import map_record


@pytest.mark.row("A29")
@pytest.mark.parametrize("shown", ["5", " 5 ", "5.0", "5,00", "5 (2К)", "5(1)", "5\u00a0"])
def test_spellings_of_one_mark_are_equal(shown: str) -> None:
    assert canonical_value(shown) == "5"


@pytest.mark.parametrize(
    ("shown", "canonical"), [("4 +", "4+"), ("4−", "4-"), ("СМ", "см"), ("50", "50"), ("4.5", "4.5")]
)
def test_other_entries_stay_what_they_are(shown: str, canonical: str) -> None:
    assert canonical_value(shown) == canonical


def test_a_text_is_equal_whatever_its_line_ends_and_letters_are_made_of() -> None:
    text = "Ёлка, упр. 1\nстр. 2"

    assert canonical_text(unicodedata.normalize("NFD", text).replace("\n", "  \r\n") + "\n") == text


def city_mark(intent: Any, **changes: Any) -> CityMark:
    usual: dict[str, Any] = {
        "id": 1,
        "pupil_id": intent.pupil_id,
        "lesson_id": intent.lesson_id,
        "group_id": intent.group_id,
        "subject_id": intent.subject_id,
        "value": intent.value,
        "weight": intent.weight,
        "form_id": intent.form_id,
        "on": intent.on,
        "teacher_id": 1,
        "created_at": None,
        "updated_at": None,
    }
    return CityMark(**(usual | changes))


@pytest.mark.row("A29")
def test_what_was_meant_and_what_came_back_have_one_atom_digest_and_key(make: Any) -> None:
    mark = map_record(make.mark(), make.context()).intent
    absence = map_record(make.absence(), make.context()).intent
    homework = map_record(make.homework(), make.context()).intent
    assert isinstance(mark, MarkIntent)
    assert isinstance(absence, AbsenceIntent)
    assert isinstance(homework, HomeworkIntent)
    pairs: list[tuple[Intent, CityObject]] = [
        (mark, city_mark(mark, value="4.0 (1)")),
        (
            absence,
            CityAbsence(
                id=1, pupil_id=absence.pupil_id, lesson_id=absence.lesson_id, on=None, reason_id=absence.reason_id
            ),
        ),
        (
            homework,
            CityHomework(
                id=1,
                group_id=homework.group_id,
                subject_id=homework.subject_id,
                teacher_id=homework.teacher_id,
                assigned_on=homework.assigned_on,
                prepared_for=homework.prepared_for,
                text=homework.text.replace("\n", "\r\n") + " ",
                pupil_ids=tuple(reversed(homework.pupil_ids)) * 2,
            ),
        ),
    ]

    for intent, obj in pairs:
        assert atom_of_intent(intent) == atom_of_city(obj)
        assert atom_digest(atom_of_intent(intent)) == atom_digest(atom_of_city(obj))
        assert intent.object_key == object_key_of(obj)
        assert len(atom_digest(atom_of_city(obj))) == 16


@pytest.mark.parametrize("change", [{"value": "3"}, {"weight": 2}, {"form_id": 99}, {"is_point": True}])
def test_any_difference_in_value_weight_form_or_being_a_debt_is_seen(make: Any, change: dict[str, Any]) -> None:
    intent = map_record(make.mark(), make.context()).intent
    assert intent is not None

    assert atom_digest(atom_of_intent(intent)) != atom_digest(atom_of_city(city_mark(intent, **change)))


def test_an_absence_without_a_reason_equals_none_of_ours() -> None:
    nothing = CityAbsence(id=1, pupil_id=1, lesson_id=1, on=None, reason_id=None)

    assert atom_of_city(nothing) != atom_of_city(CityAbsence(id=1, pupil_id=1, lesson_id=1, on=None, reason_id=1))


def test_a_homework_of_nobody_meets_no_intents_key() -> None:
    homework = CityHomework(
        id=1,
        group_id=2,
        subject_id=3,
        teacher_id=None,
        assigned_on=date(2026, 11, 10),
        prepared_for=date(2026, 11, 12),
        text="x",
        pupil_ids=(),
    )

    assert object_key_of(homework) == "homework/2/3/20261110/20261112/0"


@pytest.mark.row("G4")
def test_a_digest_is_stable_over_releases() -> None:
    body = b'{"value":"5","weight":1,"form_id":21}'

    assert atom_digest(MarkAtom("5", 1, 21)) == xxhash.xxh3_128_digest(body)
