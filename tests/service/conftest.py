"""Redis for the tests that need one: a database of its own number is asked for, and left empty."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis

REDIS_URL = "GATEWAY_TEST_REDIS_URL"


@pytest.fixture
def redis_url() -> Iterator[str]:
    """URL of an empty Redis database."""
    url = os.environ.get(REDIS_URL)
    if not url:
        reason = f"{REDIS_URL} is not set"
        if "redis" in os.environ.get("GATEWAY_TEST_REQUIRE", "").split(","):
            pytest.fail(f"{reason}, and GATEWAY_TEST_REQUIRE asks for redis")
        pytest.skip(reason)
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 0, "the test's Redis database is not empty: it may be somebody's"
        yield url
        client.flushdb()


@pytest.fixture(params=["in the process", "on redis"])
def broker_url(request: pytest.FixtureRequest) -> str | None:
    """What `queue.redis_url` says: nothing, and a server."""
    return None if request.param == "in the process" else str(request.getfixturevalue("redis_url"))
