"""The page of all settings, from their models."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from docs.pages.words import MADE_BY, to_cell
from gateway.settings import GatewaySettings

# the longest ending first
UNITS = (
    ("_per_s", "a second"),
    ("_s", "seconds"),
    ("_hours", "hours"),
    ("_bytes", "bytes"),
    ("_ratio", "share, 0–1"),
    ("_count", "count"),
    ("_id", "id"),
    ("days_back", "days"),
    ("_days", "days"),
    ("parallel", "calls"),
    ("threads", "threads"),
    ("from_day", "days from the run's day"),
    ("to_day", "days from the run's day"),
    ("_hour", "hour of the day"),
    ("_minutes", "minutes"),
    ("bells", "list of times"),
    ("max_claims", "claims"),
    ("max_attempts", "attempts"),
)


def build_settings_page() -> str:
    """Build the table of all settings, a section a group."""
    lines = [
        MADE_BY,
        "# Settings",
        "",
        "One file, `gateway.toml` (or `--config FILE`), and the environment. A variable `GATEWAY_<GROUP>__<FIELD>` wins over the",
        "file; the environment alone suffices, and a list there is JSON. An unknown name refuses to start, and so does a wrong value: the message names the",
        "setting and never the value. Secrets stand better in a file of their own (`…_file`) than in the TOML; no command prints",
        "them. `gateway init` writes a commented file, readable by its owner only, and `gateway check` says what is still missing.",
        "Relative paths count from the working folder of the command, wherever the file lies; a service sets its own.",
        "",
        "What is sent at all, the dictionaries and the rules stand in a second file that the school edits: see",
        "`school.mapping_file` below.",
    ]
    for name, field in GatewaySettings.model_fields.items():
        group = nested_model(field.annotation)
        if group is None:
            raise TypeError(f"setting {name} stands in no group")
        lines += [
            "",
            f"## [{name}]",
            "",
            "| setting | environment | unit or kind | default | meaning and reason |",
            "|---|---|---|---|---|",
        ]
        lines += [_setting_row(path, model_field) for path, model_field in iter_settings(group, name)]
    return "\n".join(lines) + "\n"


def iter_settings(group: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, field) of a group's settings, the nested ones too; a table by name reads `NAME`."""
    for name, field in group.model_fields.items():
        nested = nested_model(field.annotation)
        if nested is None:
            yield f"{prefix}.{name}", field
        elif typing.get_origin(field.annotation) is dict:
            yield from iter_settings(nested, f"{prefix}.{name}.NAME")
        else:
            yield from iter_settings(nested, f"{prefix}.{name}")
    if group.model_config.get("extra") == "allow":
        # tables by a name of the school's own stand beside the group's fields
        named = typing.get_args(typing.get_type_hints(group)["__pydantic_extra__"])[1]
        yield from iter_settings(named, f"{prefix}.NAME")


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The group of settings that an annotation names; None where it is one setting."""
    candidates = (annotation, *typing.get_args(annotation))
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _setting_row(path: str, field: Any) -> str:
    variable = f"GATEWAY_{path.replace('.', '__').upper()}"
    unit = next((unit for ending, unit in UNITS if path.endswith(ending)), _kind(field.annotation))
    return f"| `{path}` | `{variable}` | {unit} | {_default(field)} | {to_cell(field.description or '')} |"


def _kind(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return ""
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(kind for kind in map(_kind, typing.get_args(annotation)) if kind)
    if typing.get_origin(annotation) is tuple:
        return "list of texts" if typing.get_args(annotation)[0] is str else "list"
    names = {
        date: "day",
        str: "text",
        int: "number",
        float: "number",
        bool: "true or false",
        Path: "path",
        SecretStr: "secret",
    }
    return names.get(annotation, str(annotation))


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", ()):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`" + ", ".join(map(str, value)) + "`"
    return f"`{value}`"
