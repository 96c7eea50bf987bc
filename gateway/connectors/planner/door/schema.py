"""The door's contract as JSON Schema, made from the very models that read it. For whoever builds the planner's side."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.connectors.planner.door import wire

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def build_schema() -> dict[str, Any]:
    """Return one document: the rows of each book under `$defs`, the page that is asked for and the batch that is pushed."""
    models: list[type[BaseModel]] = [*wire.ROWS.values(), wire.Page, wire.Batch]
    _, tree = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    books = {book: {"$ref": f"#/$defs/{model.__name__}"} for book, model in wire.ROWS.items()}
    return {
        "$schema": DIALECT,
        "title": "Planner door, version 1",
        "description": "Rows of each book; Page is what the planner answers, Batch what it pushes.",
        "properties": {
            "page": {"$ref": "#/$defs/Page"},
            "batch": {"$ref": "#/$defs/Batch"},
            "rows": {"properties": books},
        },
        **tree,
    }
