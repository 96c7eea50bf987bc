"""Argument checking as strict as the portal's: an unknown, missing or mistyped argument fails the whole call.

Source: portal-and-planner.md §a.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.sandbox.portal.book import Row


class PortalRefusalError(Exception):
    """A refusal of Moodle's exception shape, HTTP 200.

    Args:
        errorcode: What a client decides on.
        exception: PHP class, for show.
        message: English text of the portal.
    """

    def __init__(self, errorcode: str, exception: str, message: str) -> None:
        super().__init__(errorcode)
        self.body: Row = {"exception": exception, "errorcode": errorcode, "message": message}


def invalid_parameter() -> PortalRefusalError:
    return PortalRefusalError(
        "invalidparameter", "core\\exception\\invalid_parameter_exception", "Invalid parameter value detected"
    )


def missing_record(table: str) -> PortalRefusalError:
    return PortalRefusalError(
        "invalidrecord", "dml_missing_record_exception", f"Can't find data record in database table {table}."
    )


Spec = Mapping[str, Any]
"""Argument → kind (`int`, `bool`, `text`), `[kind]` for a list, a dict for a structure; a trailing `?` means optional."""


def checked(arguments: Mapping[str, Any], spec: Spec) -> Row:
    """Convert form strings by the spec.

    Raises:
        PortalRefusalError: `invalidparameter`, without a word on which argument it was.
    """
    known = {name.rstrip("?"): (kind, name.endswith("?")) for name, kind in spec.items()}
    if set(arguments) - set(known):
        raise invalid_parameter()
    result: Row = {}
    for name, (kind, is_optional) in known.items():
        if name not in arguments:
            if not is_optional:
                raise invalid_parameter()
            continue
        result[name] = _converted(arguments[name], kind)
    return result


def _converted(value: Any, kind: Any) -> Any:
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise invalid_parameter()
        return [_converted(each, kind[0]) for each in value]
    if isinstance(kind, dict):
        # An empty PHP array can't tell a list from a structure.
        return checked({} if value == [] else _as_mapping(value), kind)
    if not isinstance(value, str):
        raise invalid_parameter()
    if kind == "text":
        return value
    if kind == "bool":
        if value not in {"0", "1"}:
            raise invalid_parameter()
        return value == "1"
    try:
        return int(value)
    except ValueError:
        raise invalid_parameter() from None


def _as_mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise invalid_parameter()
    return value


def options_of(rows: list[Row]) -> dict[str, str]:
    """Moodle's `[{name, value}]` as a mapping."""
    return {row["name"]: row["value"] for row in rows}
