"""The sandbox's own date forms, and that the sandbox is nobody's relative."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.city import codecs

DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1)).map(date.isoformat)


@given(DAYS)
def test_a_day_survives_every_form_it_is_read_from(day: str) -> None:
    year, month, number = day.split("-")

    assert codecs.parse_dotted(codecs.to_dotted(day)) == day
    assert codecs.parse_dashed(day) == day
    assert codecs.parse_slashed(f"{year}/{month}/{number}") == day
    assert codecs.to_triple(day) == [int(year), int(month), int(number)]


@given(st.integers(1_420_000_000, 4_100_000_000))
def test_a_moment_survives_to_the_minute(unix_s: int) -> None:
    moment = datetime.fromtimestamp(unix_s, UTC)
    written = codecs.to_dotted_minute(moment.isoformat())

    assert codecs.parse_dotted_minute(written) == moment.replace(second=0, microsecond=0)


@pytest.mark.parametrize("text", ["2026-11-10", "1.11.2026", "31.02.2026", "10.11.26", " 10.11.2026", "", None, 5])
def test_only_the_dotted_form_is_a_dotted_day(text: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        codecs.parse_dotted(text)


def test_late_evening_in_utc_is_the_next_day_in_moscow() -> None:
    assert codecs.to_moscow_day(datetime(2026, 11, 23, 22, 30, tzinfo=UTC)) == "2026-11-24"
    assert codecs.to_dotted_minute("2026-11-23T22:30:59+00:00") == "24.11.2026 01:30"


def test_the_sandbox_city_brings_in_nothing_of_the_gateway_it_judges() -> None:
    code = (
        "import sys, gateway.sandbox.city, gateway.sandbox.serve;"
        "print(sorted(name for name in sys.modules if name.startswith('gateway.') and 'sandbox' not in name))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
