"""Answers: read models are structs inside, and their shape in the OpenAPI document is made of the same struct.

The answer is encoded by msgspec and not validated again; the contract test holds every answer against the document.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec
from fastapi import Response
from pydantic import BaseModel, create_model

from gateway.api.bodies import Page


@lru_cache(maxsize=64)
def shape_of(struct: type[msgspec.Struct]) -> type[BaseModel]:
    """The pydantic twin of a struct, for the document only."""
    # mypy knows create_model's fields only where they are written out
    fields: dict[str, Any] = {field.name: (_translated(field.type), ...) for field in msgspec.structs.fields(struct)}
    return create_model(struct.__name__, **fields)


@lru_cache(maxsize=64)
def page_of(struct: type[msgspec.Struct]) -> type[BaseModel]:
    """The shape of a page of these."""
    return cast("type[BaseModel]", Page.__class_getitem__(shape_of(struct)))


def send(value: object, status: int = 200) -> Response:
    """Answer with a struct, or what is made of structs, as JSON."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def send_page(items: list[Any], following: int | str | None) -> Response:
    """Answer with one page."""
    return send({"items": items, "next": following})


def _translated(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return shape_of(annotation)
    arguments = typing.get_args(annotation)
    if not arguments:
        return annotation
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_translated(one) for one in arguments)]  # noqa: UP007  # made at run time
    if origin is Sequence:
        return list[_translated(arguments[0])]  # type: ignore[misc]  # made at run time
    if origin in (list, dict, tuple, frozenset):
        return origin[tuple(_translated(one) for one in arguments)]
    return annotation
