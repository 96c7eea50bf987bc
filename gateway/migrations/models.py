"""Gathers every module that declares tables, so that `metadata` is complete; for the generator and its test only.

A floor keeps its tables in `tables.py` (the audit, which has one, in `table.py`) and needs no entry here.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

from sqlalchemy import MetaData

import gateway
from gateway.store.metadata import metadata


def load_metadata() -> MetaData:
    """Import all tables of the package and return the metadata that holds them."""
    for floor in pkgutil.iter_modules(gateway.__path__, "gateway."):
        for leaf in ("table", "tables"):
            name = f"{floor.name}.{leaf}"
            if floor.ispkg and importlib.util.find_spec(name) is not None:
                importlib.import_module(name)
    return metadata
