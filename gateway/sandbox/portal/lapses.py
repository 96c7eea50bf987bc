"""Faults only a portal has: answers that look well and aren't.

Beside the transport faults of `gateway.sandbox.faults`: `warnings` (the function answers with a warning and without the
rows), `empty` (a capability was taken away and the function silently answers nothing), `maintenance` (503 and a page),
`typeerror` (a PHP fault without an errorcode), `xml` (an error that ignores the asked format), `errorcode:X`.

A rule's `match.path` is held against `target_of(...)`: the path, the function and its arguments, e.g.
`gradereport_user_get_grade_items .*groupid=2`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.types import Scope

from gateway.sandbox.portal.book import Row

OWN_FAULTS = frozenset({"warnings", "empty", "maintenance", "typeerror", "xml", "errorcode"})

_UNSAID = frozenset({"wstoken", "moodlewsrestformat", "wsfunction"})


def target_of(scope: Scope, body: bytes) -> str:
    """Name a call so that fault rules can meet it: path, function, `key=value` of its arguments in sorted order."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    function = next((value for key, value in pairs if key == "wsfunction"), "")
    given = sorted(f"{key}={value}" for key, value in pairs if key not in _UNSAID)
    # The blank at the end lets a rule say `groupid=2 ` and not meet 21.
    return " ".join([str(scope["path"]), function, *given, ""])


def spoil(fault: str, answered: Any) -> Any:
    """Turn a sound answer into what `warnings` or `empty` leave of it; other faults leave it alone."""
    if fault == "empty":
        return _emptied(answered)
    if fault != "warnings":
        return answered
    warned: Row = {
        **(_emptied(answered) if isinstance(answered, dict) else {}),
        "warnings": [{"item": "course", "itemid": 0, "warningcode": "1", "message": "No access rights in context"}],
    }
    return warned


def _emptied(answered: Any) -> Any:
    if isinstance(answered, dict):
        return {key: [] if isinstance(value, list) else value for key, value in answered.items()}
    return []
