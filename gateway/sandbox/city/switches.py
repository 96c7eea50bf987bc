"""Switches of the sandbox: where the reference does not know what the real city does, each possibility can be chosen.

Names, values and order are those of the reference, §7.5a, and `teacher_reads` of our own; the default stands first. `rate_status` spells the
"(429 or 433)" of the row `rate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

OnOff = Literal["off", "on"]


class SwitchError(ValueError):
    """An unknown switch or a value it does not have."""


class Switches(BaseModel):
    """One setting of all switches."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    marks_filter: Literal["lesson", "entry"] = "lesson"
    paging_headers: Literal["students", "all", "none"] = "students"
    per_page: Literal["clamp", "refuse"] = "clamp"
    error_status: Literal["code", 200] = "code"
    post_answer: Literal["object", "list"] = "object"
    put_mark: Literal["on", 405] = "on"
    delete_absence: Literal["on", 405, 404] = "on"
    absence_path: Literal["new", "legacy"] = "new"
    soft_deleted: Literal["hidden", "listed"] = "hidden"
    wrong_subsystem: Literal["empty", 403] = "empty"
    strict_put: Literal["null", 400] = "null"
    closed_period: Literal[403, "accept"] = 403
    read_lag_s: float = Field(default=0.0, ge=0)
    late_s: float = Field(default=0.0, ge=0)
    republish_lesson_ids: OnOff = "off"
    teacher_reads: Literal["all", "own"] = "all"
    idempotency_key: OnOff = "off"
    conflict_409: OnOff = "off"
    rate: Literal["off"] | PositiveFloat = 5.0
    rate_status: Literal[429, 433] = 429


def build_switches(rate_per_s: float | None) -> Switches:
    """Build the defaults; None means no limit of pace."""
    return Switches(rate="off" if rate_per_s is None else float(rate_per_s))


def to_switched(current: Switches, changes: Mapping[str, Any]) -> Switches:
    """Build the setting after `changes`; all of them or none.

    JSON's `true`, `false` and `null` may stand for `on`, `off` and `null`, digits in a text for the number.

    Raises:
        SwitchError: An unknown name or value.
    """
    cleaned = {name: _to_clean(name, value) for name, value in changes.items()}
    try:
        return Switches.model_validate({**current.model_dump(), **cleaned})
    except ValidationError as exc:
        names = sorted({str(error["loc"][0]) for error in exc.errors()})
        msg = f"unknown switch or value: {', '.join(names)}"
        raise SwitchError(msg) from exc


def _to_clean(name: str, value: Any) -> Any:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "null"
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if name in ("rate", "read_lag_s", "late_s") and isinstance(value, int):
        return float(value)
    return value
