"""A pattern of discrepancies in words, whatever of it is known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.bootstrap import open_gateway
from gateway.domain.discrepancies import TYPE_WORDS, DiscrepancyType
from gateway.domain.identifiers import SENT_KINDS, Kind
from gateway.mapping.doubts import Code
from gateway.reconcile.discrepancies import pattern_of
from gateway.report.patterns import load_pattern_words
from tests.door.api.conftest import make_settings


@pytest.mark.parametrize("type_", DiscrepancyType)
def test_every_type_and_kind_has_words_and_none_is_a_code(tmp_path: Path, type_: DiscrepancyType) -> None:
    fields = ("value", "weight", "form_id", "reason_id", "text", "prepared_for", "pupil_ids", "lessons", *Code)
    patterns = [
        pattern_of(type_, kind=kind.value, reason="DRIFT", scope=f"{kind.value}|city-group:7", fields=(field,))
        for kind in (Kind.PERSON, *SENT_KINDS)
        for field in fields
    ]
    with open_gateway(make_settings(tmp_path)) as gateway:
        with gateway.store.write() as conn:
            place_id = gateway.place_id(conn)
        with gateway.store.read() as conn:
            words = load_pattern_words(conn, place_id, [*patterns, "", "как раньше", type_.value])

    assert all(words[one].startswith(f"{TYPE_WORDS[type_]}: ") for one in patterns)
    assert not [one for one in patterns if re.search("[a-z_]{2}", words[one])]
