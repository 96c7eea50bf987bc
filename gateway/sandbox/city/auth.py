"""Accounts, sessions and the headers of a call (reference §1.2, §7.1).

A token belongs to one account with one profile; the tokens of a seed are always the same and live until the end of the
school year, those of a login a day. A login elsewhere ends the older sessions of the account (S1 S11).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway.sandbox.city.rules import Refusal
from gateway.sandbox.city.state import Row, State

SESSION_ENDED = "Предыдущая сессия работы в ЭЖД завершена. Войдите в ЭЖД заново"  # S1 S11, word for word
SUBSYSTEMS = frozenset({"teacherweb", "journalw", "ppktpw", "hteacherweb"})
LOGIN_TTL_S = 24 * 3600.0
SEED_TOKENS_EXPIRE_AT = "2027-08-31T20:59:00+00:00"
ADMIN_ROLE_ID, TEACHER_ROLE_ID = 26, 9  # S5: admin 26; S2: teacher 9


@dataclass(frozen=True)
class Credentials:
    """What a request brought to show who is asking."""

    token: str | None
    profile_id: str | None
    aid: str | None
    subsystem: str | None
    is_legacy: bool


def read_credentials(headers: Mapping[str, str], query: Mapping[str, str], *, is_legacy: bool) -> Credentials:
    """Read credentials; a legacy call has `Auth-Token` and `pid`, a current one `Authorization` and `Profile-Id`."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else None
    if is_legacy:
        token = headers.get("auth-token") or token
    profile_id = headers.get("profile-id") or (query.get("pid") if is_legacy else None)
    return Credentials(token or None, profile_id, headers.get("aid"), headers.get("x-mes-subsystem"), is_legacy)


def build_secret(seed: int, profile_id: int, purpose: str) -> str:
    """The made-up secret of a profile; the same for the same seed."""
    return hashlib.sha256(f"sandbox:{seed}:{profile_id}:{purpose}".encode()).hexdigest()[:32]


class Sessions:
    """Accounts and living tokens, kept among the state's notes so that they outlive the server."""

    def __init__(self, state: State) -> None:
        self._state = state

    def open_all(self, seed: int) -> None:
        """Make an account and a token for every teacher profile."""
        accounts, tokens = {}, {}
        for row in self._state.iter_rows("teacher_profiles"):
            token = f"sandbox-{build_secret(seed, row['id'], 'token')}"
            password = build_secret(seed, row["id"], "password")
            accounts[str(row["id"])] = {"login": f"u{row['id']}", "password": password, "token": token}
            tokens[token] = {"profile_id": row["id"], "expires_at": SEED_TOKENS_EXPIRE_AT}
        self._state.note("accounts", accounts)
        self._state.note("tokens", tokens)

    def find_profile(self, token: str | None, now: datetime) -> Row | None:
        """Find the profile of a living token."""
        entry = self._state.notes["tokens"].get(token)
        if entry is None or datetime.fromisoformat(entry["expires_at"]) <= now:
            return None
        return self._state.find("teacher_profiles", entry["profile_id"])

    def kill(self, token: str | None) -> None:
        """End one session."""
        if token is not None and token in self._state.notes["tokens"]:
            self._keep({key: value for key, value in self._state.notes["tokens"].items() if key != token})

    def kill_all_of(self, profile_id: int) -> None:
        """End all sessions of an account: logging out does it on every device (S1)."""
        tokens = self._state.notes["tokens"].items()
        self._keep({key: value for key, value in tokens if value["profile_id"] != profile_id})

    def log_in(self, login: Any, password: Any, now: datetime) -> tuple[str, Row] | None:
        """Open a session and end the older ones of the account; None for a wrong login or password."""
        for profile_id, account in self._state.notes["accounts"].items():
            if (account["login"], account["password"]) == (login, password):
                self.kill_all_of(int(profile_id))
                count = self._state.notes.get("login_count", 0) + 1
                self._state.note("login_count", count)
                token = f"sandbox-{build_secret(count, int(profile_id), password)}"
                expires_at = (now + timedelta(seconds=LOGIN_TTL_S)).isoformat()
                entry = {"profile_id": int(profile_id), "expires_at": expires_at}
                self._keep({**self._state.notes["tokens"], token: entry})
                profile = self._state.find("teacher_profiles", int(profile_id))
                return None if profile is None else (token, profile)
        return None

    def _keep(self, tokens: dict[str, Any]) -> None:
        self._state.note("tokens", tokens)
        self._state.commit()

    def admit(self, credentials: Credentials, query_aid: str | None, now: datetime) -> Row | Refusal:
        """Decide who is asking.

        Returns:
            The profile, or why it may not: 401 for a dead token, 403 for a missing or foreign profile, 400 when the
            year of the header is not that of the query (S2 rewrites it to agree).
        """
        profile = self.find_profile(credentials.token, now)
        if profile is None:
            return Refusal(401, SESSION_ENDED, "AUTH")
        if credentials.profile_id is None:
            return Refusal(403, "Не указан профиль", "PROFILE")
        if credentials.profile_id != str(profile["id"]):
            return Refusal(403, "Профиль не принадлежит пользователю", "PROFILE")
        if credentials.aid is not None and query_aid and credentials.aid != query_aid:
            return Refusal(400, "Учебный год запроса не совпадает с заголовком aid", "AID")
        return profile

    def described(self) -> list[Row]:
        """Describe the accounts: the school admin first, then the teachers."""
        rows = []
        for profile in sorted(self._state.iter_rows("teacher_profiles"), key=lambda one: int(one["id"])):
            is_admin = profile["type"] == "school_admin"
            rows.append(
                {
                    "profile_id": profile["id"],
                    "role": profile["type"],
                    "role_id": ADMIN_ROLE_ID if is_admin else TEACHER_ROLE_ID,
                    "subsystem": "hteacherweb" if is_admin else "teacherweb",
                    "name": profile["name"],
                    "group_ids": profile["assigned_group_ids"],
                    **self._state.notes["accounts"][str(profile["id"])],
                }
            )
        return sorted(rows, key=lambda one: one["role"] != "school_admin")


def build_session_answer(token: str, profile: Row) -> Row:
    """The answer of `POST …/sessions`: current shape (S3) and legacy shape (S1) in one."""
    return {
        "id": profile["user_id"],
        "authentication_token": token,
        "profiles": [
            {
                "id": profile["id"],
                "type": profile["type"],
                "roles": profile["roles"],
                "user_id": profile["user_id"],
                "school_id": 586,
            }
        ],
    }
