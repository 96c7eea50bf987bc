"""What is wrong with a request or a setting is told in Russian, whatever is wrong with it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import gateway.api.bodies as bodies
from gateway.domain.errors import ConfigurationError
from gateway.domain.faults_ru import say_fault
from gateway.mapping.rules import build_rules
from gateway.settings import GatewaySettings, load_settings

ROOT = Path(__file__).parents[3]
WRONG: tuple[Any, ...] = (
    None, 5, -1, 1.5, 1e400, "x", "x" * 5000, "\x00", True, [], ["x"] * 6000, {}, {"a": 1}, "2026-13-40",
    "2026-11-10T09:00:00", 10**30, "", object(),
)  # fmt: skip
ENGLISH = re.compile(r"\b(input|should|valid|value error|field required|string|extra|must|greater|characters?)\b", re.I)


def models(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield cls
    for field in cls.model_fields.values():
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield from models(field.annotation)


def faults_of(model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    for name in (*model.model_fields, "никакое"):
        for value in WRONG:
            try:
                model.model_validate({name: value})
            except ValidationError as exc:
                yield from exc.errors()  # type: ignore[misc]  # a TypedDict is told as a dict


BODIES = [one for _, one in inspect.getmembers(bodies, inspect.isclass) if issubclass(one, bodies.Body)]


def test_there_are_bodies_and_settings_to_look_at() -> None:
    assert len(BODIES) > 20
    assert len(list(models(GatewaySettings))) > 5


@pytest.mark.parametrize("model", [*BODIES, *models(GatewaySettings)], ids=lambda one: one.__name__)
def test_every_fault_of_a_model_is_told_in_russian_and_without_the_value(model: type[BaseModel]) -> None:
    for fault in faults_of(model):
        told = say_fault(fault)
        assert told
        assert not ENGLISH.search(told), (fault["type"], told)
        assert f"({fault['type']})" not in told, f"no words for {fault['type']}: {fault['msg']}"
        assert "xxxxx" not in told


def test_a_sentence_of_our_own_is_kept_and_an_unknown_fault_is_told_by_its_name() -> None:
    with pytest.raises(ValidationError) as caught:
        bodies.StartSync.model_validate({"from_on": "2026-11-10", "to_on": "2026-11-09"})

    assert [say_fault(dict(one)) for one in caught.value.errors()] == ["to_on раньше from_on"]
    assert (
        say_fault({"type": "of_tomorrow", "msg": "Input should be of tomorrow"}) == "значение не годится (of_tomorrow)"
    )
    assert say_fault({"type": "too_long", "msg": ""}) == "строк больше"


def test_settings_and_rules_are_refused_in_russian() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None, mesh={"school_id": "школа"}, surprise=1)
    assert "нужно целое число" in caught.value.sentence
    assert not ENGLISH.search(caught.value.sentence)

    with pytest.raises(ConfigurationError) as caught:
        build_rules({"surprise": 1, "items": [{"send": "может быть"}]})
    assert "такого поля нет" in caught.value.sentence
    assert not ENGLISH.search(caught.value.sentence)


@pytest.mark.parametrize("file", ["settings", "mapping", "api"])
def test_sentences_of_our_own_models_are_russian(file: str) -> None:
    """What a validator raises is read by the person who wrote the file or the request."""
    for path in (ROOT / "gateway" / file).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(
                "validator" in ast.unparse(one) for one in node.decorator_list
            ):
                for raised in (one for one in ast.walk(node) if isinstance(one, ast.Raise)):
                    told = ast.unparse(raised)
                    if (named := re.search(r"PydanticCustomError\('(\w+)'", told)) is not None:
                        told = say_fault({"type": named[1]})  # English where it is raised, and Russian by the table
                        assert named[1] not in told, "the table does not know it"
                    assert re.search("[а-я]{3}", told), (path.name, told)
