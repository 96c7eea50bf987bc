"""Secrets that a machine keeps: made of 256 random bits, kept here as a digest only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

SECRET_BYTES = 32


def new_secret(random: Callable[[int], bytes]) -> str:
    """A new secret as hex digits."""
    return random(SECRET_BYTES).hex()


def digest_secret(secret: str) -> bytes:
    """What is kept of a secret. No password hash: 256 random bits can't be guessed, and every request asks."""
    return hashlib.sha256(secret.encode()).digest()
