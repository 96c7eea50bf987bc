"""A yes of the city, read as far as its rows: nothing cut, nothing missing.

Between the client and whoever knows what the rows mean.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from gateway.connectors.http import Answer
from gateway.connectors.mesh import SYSTEM
from gateway.connectors.mesh.errors import Asked, raise_no_answer, raise_unreadable
from gateway.connectors.mesh.wire import read_rows
from gateway.connectors.strict_json import parse_json
from gateway.domain.errors import ContractError, RecordError

Model = TypeVar("Model", bound=BaseModel)


def read_tree(answer: Answer, asked: Asked) -> object:
    """Read the JSON of a yes. «Nothing yet» (204) is no empty list.

    Raises:
        IncompleteReadError: A read's body is cut, empty or no JSON.
        OutcomeUnknownError: The same of a write.
    """
    if not 200 <= answer.status < 300:
        raise_no_answer(f"Журнал ответил кодом {answer.status}", asked, answer.status)
    try:
        tree = parse_json(answer.body)
    except ValueError:
        raise_unreadable("Ответ журнала пуст, оборван или не JSON", asked, answer.status)
    return tree


def read_whole(model: type[Model], rows: list[object], what: str) -> list[Model]:
    """Read rows of which none may be missing.

    Raises:
        ContractError: One does not fit.
    """
    fitting, faults = read_rows(model, rows, what)
    refuse_faults(faults, what)
    return fitting


def refuse_faults(faults: list[RecordError], what: str) -> None:
    """Raise when a row was lost from a list that has no place for faults.

    Raises:
        ContractError: There is a fault.
    """
    if faults:
        raise ContractError(f"Ответ журнала не того вида ({what}): {faults[0].sentence}", system=SYSTEM)


__all__ = ["read_tree", "read_whole", "refuse_faults"]
