"""Every refusal of a person's act has a code of its own, with words in both languages: there is no catch-all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gateway
from gateway.domain.errors import PlanRefusedError, SecondPersonError
from gateway.domain.reason_texts_refusals import REFUSAL_TEXTS
from gateway.domain.reasons import REASONS

SOURCES = Path(gateway.__file__).parent


def raised() -> dict[str, list[str]]:
    """Code → places that refuse with it; a code given as a name is looked up among the table's constants."""
    found: dict[str, list[str]] = {}
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "PlanRefusedError":
                (given,) = [one.value for one in node.keywords if one.arg == "reason"]
                code = given.value if isinstance(given, ast.Constant) else given.id  # type: ignore[attr-defined]  # else a name of `domain.reasons`; any other form fails here
                found.setdefault(str(code), []).append(f"{path.name}:{node.lineno}")
    return found


def test_each_refusal_names_a_code_of_the_one_table_and_never_the_guards() -> None:
    codes = raised()

    assert codes.keys() <= REASONS.keys()
    assert "GUARD_HOLD" not in codes
    assert {row[0] for row in REFUSAL_TEXTS} <= codes.keys(), "a code that nothing is refused with is dead"


def test_what_a_plan_is_refused_for_is_told_apart() -> None:
    """Expired, used, stale, a trial, another one than was shown, built elsewhere: each is another code."""
    codes = raised()
    plans = {"PLAN_EXPIRED", "PLAN_USED", "PLAN_STALE", "PLAN_DRY_RUN", "PLAN_OTHER", "PLAN_ELSEWHERE", "GATE_SHUT"}

    assert plans <= codes.keys()
    assert len({REASONS[code].what_ru for code in codes}) == len(codes)


def test_a_refusal_without_a_code_is_not_made() -> None:
    with pytest.raises(TypeError):
        PlanRefusedError("почему-то нельзя")  # type: ignore[call-arg]  # the missing word is what is tried
    assert SecondPersonError("нужен второй").reason_code == "SECOND_PERSON"
