"""Turns the school's points or words into the value that the city's journal takes.

Pure. Points with maximum 5 and words of a scale are marks already; other maxima go by percent through the dated table.
A control form with a ten- or hundred-point system gets that axis. Arithmetic is exact: an edge of 85 is met by 17 of 20.

Source: city-journal.md R1, R9, R21, V3; Moodle counts percent between an item's minimum and maximum.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction

from gateway.domain.city import CityForm
from gateway.domain.errors import RecordError
from gateway.domain.reasons import VALUE_OUT_OF_RANGE
from gateway.domain.records import Final, Mark
from gateway.mapping.normalise import normal_text
from gateway.mapping.rules import PercentStep, Rules

FIVE = 5


def city_value(mark: Mark, form: CityForm, rules: Rules, on: date) -> str:
    """Return the value to send, a whole number on the axis of the form's grade system.

    Args:
        on: Moscow day of the lesson; chooses the row of the percent table.

    Raises:
        RecordError: reason VALUE_OUT_OF_RANGE; the value can't be expressed on that axis. Carries no value.
    """
    match normal_text(form.grade_system):
        case "five":
            return str(_to_five(mark, rules, on))
        case "ten":
            return str(_checked(_rounded(_ratio(mark, rules) * 10, rules), 1, 10, mark))
        case "hundred":
            return str(_checked(_rounded(_ratio(mark, rules) * 100, rules), 0, 100, mark))
        case _:
            raise _refused(mark, "grade_system")


def allowed_values(grade_system: str, rules: Rules) -> range:
    """Return the whole numbers that a mark of a grade system may be; empty where it is no number.

    Args:
        grade_system: As a form of the city's dictionary names it.
        rules: Whose `allow_one` says whether the school gives a 1.
    """
    match normal_text(grade_system):
        case "five":
            return range(1 if rules.allow_one else 2, FIVE + 1)
        case "ten":
            return range(1, 11)
        case "hundred":
            return range(101)
        case _:
            return range(0)


def final_value(final: Final, rules: Rules, on: date) -> str:
    """Return the value of a final mark: 2…5, or 1 and 0 for an intermediate attestation that was passed or not.

    Args:
        on: Last day of its period; chooses the row of the percent table.

    Raises:
        RecordError: reason VALUE_OUT_OF_RANGE.

    Source: city-journal.md §1.5 «Final marks» (S4): intermediate is `approve`, the others five-point.
    """
    if final.form != "intermediate":
        return str(_to_five(final, rules, on))
    if final.word is not None and final.word.strip():
        known = {normal_text(local): value for local, value in rules.passes.items()}
        passed = known.get(normal_text(final.word))
    else:
        passed = {0.0: "0", 1.0: "1"}.get(final.raw_points) if final.scale.maximum == 1 else None
    if passed is None:
        raise _refused(final, "word")
    return passed


def five_value(mark: Mark, rules: Rules, on: date) -> int | None:
    """Return what the school's own points are worth as a five-point mark, or None where they can't be expressed so.

    How two sources of one mark are compared: 4.5 points in the gradebook and «5» on the page are the same word.
    """
    try:
        return _to_five(mark, rules, on)
    except RecordError:
        return None


def five_by_percent(percent: Fraction, rules: Rules, on: date) -> int | None:
    """Return the mark of a percent by the row that counts on that day, edges included; None before the first row."""
    steps = [step for step in rules.percent if step.from_on <= on]
    if not steps:
        return None
    step: PercentStep = max(steps, key=lambda one: one.from_on)
    return max((mark for mark, edge in step.edges.items() if percent >= exact(edge)), default=step.below)


def exact(number: float) -> Fraction:
    """Return the number as it is written: 4.35 is 87/20, not the nearest binary fraction."""
    return Fraction(str(number))


def _to_five(mark: Mark | Final, rules: Rules, on: date) -> int:
    if mark.scale.form == "words":
        value: int | None = _word_mark(mark, rules)
    elif mark.scale.maximum == FIVE:
        value = _rounded(exact(mark.raw_points), rules)
    else:
        value = five_by_percent(_ratio(mark, rules) * 100, rules, on)
    if value is None:
        raise _refused(mark, "percent")
    return _checked(value, 1 if rules.allow_one else 2, FIVE, mark)


def _word_mark(mark: Mark | Final, rules: Rules) -> int:
    """Return the mark a word stands for: a number by itself, others by the dictionary.

    The index alone says nothing (the third word of four may be a 4 or a 5), so without a word only the scale 1…5 counts.
    """
    if mark.word is None or not mark.word.strip():
        if (mark.scale.minimum, mark.scale.maximum) == (1, FIVE) and exact(mark.raw_points).denominator == 1:
            return int(mark.raw_points)
        raise _refused(mark, "word")
    word = normal_text(mark.word)
    if word.isdecimal():
        return int(word)
    known = {normal_text(local): int(value) for local, value in rules.words.items()}
    if word not in known:
        raise _refused(mark, "word")
    return known[word]


def _ratio(mark: Mark | Final, rules: Rules) -> Fraction:
    """Return the share of the possible, 0…1. Of a mark it is value/5, as the city itself converts (5 of 5 = 100)."""
    if mark.scale.form == "words":
        share = Fraction(_word_mark(mark, rules), FIVE)
    elif mark.scale.maximum == FIVE:
        share = exact(mark.raw_points) / FIVE
    else:
        low, high = exact(mark.scale.minimum), exact(mark.scale.maximum)
        if high <= low:
            raise _refused(mark, "scale")
        share = (exact(mark.raw_points) - low) / (high - low)
    if not 0 <= share <= 1:
        raise _refused(mark, "points")
    return share


def _rounded(number: Fraction, rules: Rules) -> int:
    match rules.rounding:
        case "half_up":
            return (number + Fraction(1, 2)).__floor__()
        case "half_even":
            return round(number)
        case "down":
            return number.__floor__()


def _checked(value: int, lowest: int, highest: int, mark: Mark | Final) -> int:
    if not lowest <= value <= highest:
        raise _refused(mark, "points")
    return value


def _refused(mark: Mark | Final, field: str) -> RecordError:
    return RecordError(
        "Значение нельзя выразить отметкой городского журнала.", where=f"{mark.ref}/{field}", reason=VALUE_OUT_OF_RANGE
    )
