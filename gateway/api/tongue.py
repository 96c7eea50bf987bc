"""In which language an error is told: Russian, or English where the request asks for it first (`Accept-Language`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import HTTPConnection

from gateway.domain.faults_ru import say_fault

Tongue = Literal["ru", "en"]


def tongue_of(request: HTTPConnection) -> Tongue:
    """English where it is asked for before Russian; else Russian."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(request.headers.get("Accept-Language", "").split(",")):
        name, _, weight = part.strip().partition(";")
        wanted.append((-_weight(weight), place, name.split("-")[0].lower()))
    known = [name for weight, _, name in sorted(wanted) if weight < 0 and name in ("ru", "en")]
    return "en" if known[:1] == ["en"] else "ru"


def tell_fault(fault: Mapping[str, Any], tongue: Tongue) -> str:
    """Say what is wrong with one value, never the value itself.

    Args:
        fault: As the validator gives it: `type`, `msg`, `ctx`.
    """
    if tongue == "en":
        return str(fault["msg"])
    return say_fault(fault)


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
