"""How alike a pupil of the portal and one of the city's journal are: evidence in codes and in words, and a score.

Pure. Between normalisation and correlation. The score only orders what a person is shown: however high it is, it links
nobody. Evidence holds codes and never a name or a date, so that it may be stored and shown to whoever may not see them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
from rapidfuzz import fuzz, process

from gateway.domain.city import CityPupil
from gateway.domain.records import Person, digest_of
from gateway.mapping.normalise import class_key, name_part_key, person_id_key

Evidence = dict[str, str]
"""What speaks for a match, field → `equal`, `near`, `differs`, `unknown` and the like; codes only, never the values."""

NEAR_PART_PERCENT = 80.0
"""Likeness from which two spellings of one part of a name are near: one letter of five, «Наталия» and «Наталья»."""
NEAR_NAME_PERCENT = 85.0
"""Likeness of whole names from which somebody is worth a look. Lower ones fill the list with families of one surname."""
MOST_NEAR_COUNT = 5
"""A person compares five; who is not among them is found by the office's list."""

_WEIGHTS: Mapping[str, float] = {
    "person_id": 4.0,
    "birth": 3.0,
    "last_name": 2.0,
    "first_name": 2.0,
    "class": 1.0,
    "groups": 1.0,
    "profile": 0.5,
}
_OWN_FACTS = ("last_name", "first_name", "birth", "class")
_WORTH: Mapping[str, float] = {"equal": 1.0, "near": 0.6, "unknown": 0.3, "inactive": 0.3, "differs": 0.0}

_WORDS: Mapping[tuple[str, str], str] = {
    ("person_id", "equal"): "идентификатор контингента совпадает",
    ("person_id", "differs"): "идентификатор контингента другой",
    ("person_id", "unknown"): "идентификатора контингента на портале нет",
    ("person_id", "roster"): "идентификатор взят из списка канцелярии",
    ("name", "equal"): "имя совпадает с обеими сторонами",
    ("name", "unknown"): "имя известно не всем сторонам",
    ("last_name", "equal"): "фамилия совпадает",
    ("last_name", "near"): "фамилия похожа, но написана иначе",
    ("last_name", "differs"): "фамилия другая",
    ("last_name", "unknown"): "фамилия неизвестна одной из сторон",
    ("first_name", "equal"): "имя совпадает",
    ("first_name", "near"): "имя похоже, но написано иначе",
    ("first_name", "differs"): "имя другое",
    ("first_name", "unknown"): "имя неизвестно одной из сторон",
    ("class", "equal"): "класс совпадает",
    ("class", "differs"): "класс другой",
    ("class", "unknown"): "класс неизвестен одной из сторон",
    ("birth", "equal"): "дата рождения совпадает",
    ("birth", "differs"): "дата рождения другая",
    ("birth", "unknown"): "дата рождения неизвестна одной из сторон",
    ("profile", "equal"): "профиль в городе действует",
    ("profile", "inactive"): "профиль в городе закрыт",
}


def compare(person: Person, pupil: CityPupil, *, groups: tuple[int, int] | None = None) -> Evidence:
    """Compare all that both sides say of themselves.

    Args:
        groups: How many of the person's linked groups the city has the pupil in, and of how many; None = not known.
    """
    found = {
        "person_id": same(person_id_key(person.person_id), person_id_key(pupil.person_id)),
        "last_name": _part(person.last_name, pupil.last_name),
        "first_name": _part(person.first_name, pupil.first_name),
        "class": same(class_key(person.class_name), class_key(pupil.class_name)),
        "birth": same(person.birth_on, pupil.birth_on),
        "profile": "equal" if pupil.is_active else "inactive",
    }
    if groups is not None and groups[1]:
        found["groups"] = f"{groups[0]}/{groups[1]}"
    return found


def names_differ(person: Person, pupil: CityPupil) -> bool:
    """Whether a part of the name is another one; a near spelling is another one as long as nobody has looked."""
    return any(
        same(name_part_key(ours), name_part_key(theirs)) == "differs"
        for ours, theirs in ((person.last_name, pupil.last_name), (person.first_name, pupil.first_name))
    )


def contradictions(evidence: Mapping[str, str]) -> Evidence:
    """What of the evidence says that it is another child; a near spelling and what a side does not know say no such thing."""
    return {field: code for field, code in evidence.items() if field in _OWN_FACTS and code == "differs"}


def score_of(evidence: Evidence) -> float:
    """Weigh evidence from 0 to 1, to order a list by; it decides nothing.

    What both systems own weighs most, then the birth date, then names; the unknown counts for little and against nothing.
    """
    total = reached = 0.0
    for field, weight in _WEIGHTS.items():
        if field in evidence:
            total += weight
            reached += weight * _worth(evidence[field])
    return round(reached / total, 2) if total else 0.0


def tell(evidence: Mapping[str, str]) -> list[str]:
    """Say each line of evidence in Russian words; what is no evidence (marks of the machine's own) is left out."""
    lines = []
    for field, code in evidence.items():
        if field == "groups":
            shared, of = code.split("/")
            lines.append(f"вместе в группах: {shared} из {of}")
        elif (field, code) in _WORDS:
            lines.append(_WORDS[field, code])
    return lines


def fingerprint(person: Person, pupil: CityPupil) -> bytes:
    """Sixteen bytes for what both sides say of themselves: equal as long as there is nothing new to judge a pair by."""
    said = (
        _facts(person.last_name, person.first_name, person.class_name, person.birth_on, person.person_id),
        _facts(pupil.last_name, pupil.first_name, pupil.class_name, pupil.birth_on, pupil.person_id),
        pupil.is_active,
    )
    return digest_of(msgspec.json.encode(said))


def find_near(name: tuple[str, str], others: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Find names written nearly like one, the nearest first; surname and first name may have changed places.

    Args:
        name: As `normalise.name_key` gives it.
        others: Such names, each once.
    """
    found = process.extract(
        " ".join(name),
        [" ".join(other) for other in others],
        scorer=fuzz.token_sort_ratio,
        score_cutoff=NEAR_NAME_PERCENT,
        limit=None,
    )
    return [others[place] for _, _, place in sorted(found, key=lambda one: (-one[1], others[one[2]]))]


def overlap(mine: Collection[int], theirs: Collection[int]) -> tuple[int, int]:
    """How many of one's groups another is in, and of how many."""
    return len(set(mine) & set(theirs)), len(set(mine))


def same(ours: object, theirs: object) -> str:
    """`equal`, `differs`, or `unknown` where a side has nothing to say."""
    if ours is None or theirs is None:
        return "unknown"
    return "equal" if ours == theirs else "differs"


def _part(ours: str | None, theirs: str | None) -> str:
    mine, other = name_part_key(ours), name_part_key(theirs)
    if mine is None or other is None:
        return "unknown"
    if mine == other:
        return "equal"
    return "near" if fuzz.ratio(mine, other) >= NEAR_PART_PERCENT else "differs"


def _worth(code: str) -> float:
    if "/" in code:
        shared, of = (int(part) for part in code.split("/"))
        return shared / of
    return _WORTH.get(code, 0.0)


def _facts(last: str | None, first: str | None, room: str | None, birth: object, own_id: str | None) -> object:
    return (name_part_key(last), name_part_key(first), class_key(room), str(birth), person_id_key(own_id))


__all__ = [
    "Evidence",
    "compare",
    "contradictions",
    "find_near",
    "fingerprint",
    "names_differ",
    "overlap",
    "same",
    "score_of",
    "tell",
]
