"""Passwords: argon2id, and the same work for a login that does not exist.

Whoever asks can't tell by the answer's time whether an account exists: an unknown, disabled or password-less account is
checked against a hash of nobody's, made once a process with the same cost.

Source: RFC 9106 §4 (argon2id, second recommended option: 3 passes, 64 MiB, 4 lanes); ASVS 5.0 6.3.8, 11.4.2.
"""

from __future__ import annotations

import secrets
import threading

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.domain.errors import ConfigurationError

LONGEST_PASSWORD = 256
"""Characters: longer ones are work for us and strength for nobody."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one hash costs.

    Attributes:
        passes: Times the memory is gone over.
        memory_mib: Memory of one hash, MiB.
        lanes: Parts of it that are worked on at once.
        shortest: Fewest characters of a new password.
    """

    passes: int
    memory_mib: int
    lanes: int
    shortest: int


class Passwords:
    """Makes and checks password hashes; safe to share among threads."""

    def __init__(self, cost: Cost) -> None:
        self._cost = cost
        self._hasher = PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory_mib * 1024, parallelism=cost.lanes)
        self._dummy: str | None = None
        self._lock = threading.Lock()

    def make_hash(self, password: str, *, login: str) -> str:
        """Hash a new password.

        Raises:
            ConfigurationError: Too short, too long, or the login itself; the password is never named.
        """
        if len(password) < self._cost.shortest:
            raise ConfigurationError(f"Пароль короче {self._cost.shortest} знаков (access.password_length)")
        if len(password) > LONGEST_PASSWORD:
            raise ConfigurationError(f"Пароль длиннее {LONGEST_PASSWORD} знаков")
        if password.casefold() == login.casefold() or len(set(password)) < 4:
            raise ConfigurationError("Пароль слишком прост: повторяет логин или состоит из одних и тех же знаков")
        return self._hasher.hash(password)

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the stored one; None is checked against nobody's hash and is never right."""
        nobodys = self._nobodys()
        try:
            self._hasher.verify(stored or nobodys, password[: LONGEST_PASSWORD + 1])
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made at another cost than is set today."""
        return self._hasher.check_needs_rehash(stored)

    def rehash(self, password: str) -> str:
        """Hash a password that has just been found right at today's cost."""
        return self._hasher.hash(password)

    def _nobodys(self) -> str:
        with self._lock:
            if self._dummy is None:
                self._dummy = self._hasher.hash(secrets.token_urlsafe(16))
            return self._dummy
