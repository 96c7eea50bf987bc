"""The page of the planner's door, from its wire models."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from docs.pages.words import MADE_BY, first_sentence, to_cell
from gateway.connectors.planner.door.wire import ROWS, Batch, EntryRow, Page

_DOOR_HEAD = """
# The planner's door

What a planning platform gives the gateway, whichever way it does: the same rows in the same spelling. The models that read them make this
page and [planner-door.schema.json](planner-door.schema.json); a field that is not listed is refused, a row that does not fit is parked
with its place, and the others are kept.

| way | set | how |
|---|---|---|
| pulled by HTTP | `planner.door_url`, `planner.token` | `GET /v1/BOOK?page=N&size=500` for `people`, `subjects`, `groups`; `GET /v1/groups/ID/BOOK?page=N&size=500` for the others; `Authorization: Bearer TOKEN` |
| read in a database | `planner.sql_url`, `[planner.sql]` | a SELECT a book, columns named as the fields; `members` (`group`, `person`, `role`) instead of the lists in `groups`; books of a group have `:group`; the connection is read only |
| pushed | `planner.accepts_push` | `PUT /api/v1/planner/books` with a token for `planner.push`: a whole book a batch, `people`, `subjects` and `groups` first; an older `revision` is refused, the same one changes nothing |

Try it: `gateway sandbox planner --pupils 50`, which misbehaves on request ([city-sandbox.md](city-sandbox.md)).
A book is whole or it is not used: pages of one `revision`, `total` rows in all, no id twice. Moments carry their offset, days are civil
days in Moscow. Ids are the planner's own, constant for ever, without spaces, `|` and `/`.
"""


def build_door_page() -> str:
    """Build the contract of the planner's door from its wire models."""
    lines = [MADE_BY.rstrip(), *_DOOR_HEAD.splitlines()]
    named: list[tuple[str, type[BaseModel]]] = [
        *ROWS.items(),
        ("entry", EntryRow),
        ("page (answered)", Page),
        ("batch (pushed)", Batch),
    ]
    for name, model in named:
        lines += [
            "",
            f"## {name}",
            "",
            first_sentence(model),
            "",
            "| field | type | default | meaning |",
            "|---|---|---|---|",
        ]
        properties = model.model_json_schema()["properties"]
        for field_name, field in model.model_fields.items():
            default = "required" if field.is_required() else f"`{json.dumps(field.default)}`"
            kind = to_cell(_door_kind(properties[field_name]))
            lines.append(f"| `{field_name}` | {kind} | {default} | {to_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def _door_kind(schema: dict[str, Any]) -> str:
    """Spell a JSON Schema in a word or two; its limits stand in the schema itself."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_door_kind(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "$ref" in schema:
        return "object, see `entry`"
    if schema.get("type") == "array":
        return f"list of {_door_kind(schema.get('items', {'type': 'object'}))}"
    return str(schema.get("format", schema.get("type", "object")))
