"""Arguments survive PHP's flattened form: the connector writes it, the sandbox's own decoder reads it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.portal.moodle.form import iter_form
from gateway.sandbox.portal.phpform import parse_form

NAMES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)
LEAVES = st.integers(-(10**9), 10**12) | st.booleans() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=4) | st.dictionaries(NAMES, inner, min_size=1, max_size=4),
    max_leaves=12,
)


def as_sent(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_sent(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_sent(inner) for inner in value]
    return str(int(value)) if isinstance(value, bool) else str(value)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_nested_arguments_come_back_as_they_were(arguments: dict[str, Any]) -> None:
    body = urlencode(list(iter_form(arguments))).encode()

    assert parse_form(body) == as_sent(arguments)


def test_an_empty_list_sends_nothing() -> None:
    assert list(iter_form({"courseids": [], "courseid": 2})) == [("courseid", "2")]
