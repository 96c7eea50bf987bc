"""Asking a running sandbox through its control interface, from another process: the demo does what people there would do."""

from __future__ import annotations

from typing import Any

import httpx

from gateway.sandbox.faults import CONTROL_PREFIX

ASK_S = 60.0
"""Total time of one question; the whole state of a large school is some megabytes."""


def fetch_control(base_url: str, name: str) -> Any:
    """Read `/__sandbox/<name>` of a sandbox.

    Raises:
        httpx.HTTPError: It does not answer, or refuses.
    """
    answer = httpx.get(f"{base_url}{CONTROL_PREFIX}/{name}", timeout=ASK_S, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def post_control(base_url: str, name: str, body: dict[str, Any]) -> Any:
    """Send `/__sandbox/<name>` of a sandbox an order.

    Raises:
        httpx.HTTPError: It does not answer, or refuses.
    """
    answer = httpx.post(f"{base_url}{CONTROL_PREFIX}/{name}", json=body, timeout=ASK_S, trust_env=False)
    answer.raise_for_status()
    return answer.json()
