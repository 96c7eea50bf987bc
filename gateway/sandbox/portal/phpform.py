"""PHP's flattened form arguments: `options[0][name]=limitfrom` becomes a nested value and back to none.

Independent of the connector's encoder on purpose: both can't be wrong together.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")


def parse_form(body: bytes) -> dict[str, Any]:
    """Decode a form body; containers whose keys are 0…n-1 become lists, leaves stay strings.

    Raises:
        ValueError: The body isn't UTF-8 or a key isn't well formed.
    """
    root: dict[str, Any] = {}
    for key, value in parse_qsl(body.decode("utf-8"), keep_blank_values=True):
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError("malformed form key")
        path = [match[1], *_PART.findall(match[2])]
        node = root
        for part in path[:-1]:
            inner = node.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ValueError("a form key is both a value and a container")
            node = inner
        # `name[]=` appends, as PHP does.
        node[path[-1] or str(len(node))] = value
    return {key: _to_lists(value) for key, value in root.items()}


def _to_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if all(key.isdigit() for key in value):
        return [_to_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _to_lists(inner) for key, inner in value.items()}
