"""Who speaks to the city: profiles, their tokens, and which of them may do what.

A profile is a person's session. Its token may be superseded at any moment by a login elsewhere; then the token file is
read again once, and if that changes nothing the profile stops and its owner is told. No login is ever attempted here:
two logins would throw each other out for ever.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from pydantic import SecretStr

from gateway.connectors.mesh import SYSTEM
from gateway.domain.errors import AccessDeniedError, ConfigurationError
from gateway.settings import MeshProfile, MeshSettings

SINGLE_PROFILE = "main"  # name of the profile that is set without [mesh.profiles.NAME]
ADMIN, TEACHER = "school_admin", "teacher"

# What may stand in a header: anything else is a wrong file, and must be said before it is sent.
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}", re.ASCII)

IsPaused = Callable[[str], bool]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One profile of the settings, without its secret.

    Attributes:
        name: The settings' name; what pauses, receipts and messages carry.
        owner: Who is told when it is refused (a post, not a name).
    """

    name: str
    profile_id: int
    role: str
    owner: str = ""

    @property
    def title(self) -> str:
        """How the operator is told of it."""
        return f"«{self.name}»" + (f" (ответственный: {self.owner})" if self.owner else "")


class _TokenSource:
    """Where one profile's token comes from; a file wins over the setting and can be read again."""

    def __init__(self, name: str, secret: SecretStr | None, file: Path | None) -> None:
        self._name = name
        self._file = file
        self._lock = threading.Lock()
        self._token: str | None = None if file or secret is None else self._checked(secret.get_secret_value())

    def token(self) -> str:
        with self._lock:
            if self._token is None:
                self._token = self._read_file()
            return self._token

    def renew(self, refused: str) -> bool:
        """Read the file again unless another thread has done so; tells whether the token is another one now."""
        with self._lock:
            if self._token == refused and self._file is not None:
                try:
                    self._token = self._read_file()
                except ConfigurationError:
                    return False  # a file just being written; the refused session is what is told of
            return self._token != refused

    def _read_file(self) -> str:
        if self._file is None:
            raise ConfigurationError(f"Профиль журнала «{self._name}»: не задан token или token_file")
        try:
            text = self._file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            # `from None`: a decoding error repeats the file's bytes.
            raise ConfigurationError(f"Профиль журнала «{self._name}»: файл с токеном не читается") from None
        return self._checked(text)

    def _checked(self, text: str) -> str:
        token = text.strip()
        if not _TOKEN.fullmatch(token):
            raise ConfigurationError(f"Профиль журнала «{self._name}»: токен пуст или содержит недопустимые символы")
        return token


class Profiles:
    """All profiles of the settings.

    Args:
        settings: The group `mesh`: several `[mesh.profiles.NAME]` or a single profile.
        paused: The upper floor's word on a profile: a paused one is not used.
    """

    def __init__(self, settings: MeshSettings, *, paused: IsPaused = lambda _name: False) -> None:
        self._is_paused = paused
        self._profiles: dict[str, Profile] = {}
        self._sources: dict[str, _TokenSource] = {}
        for name, one in _configured(settings).items():
            self._profiles[name] = Profile(name=name, profile_id=one.profile_id, role=one.role, owner=one.owner)
            self._sources[name] = _TokenSource(name, one.token, one.token_file)

    def all(self) -> tuple[Profile, ...]:
        """Return every configured profile, paused ones too."""
        return tuple(self._profiles.values())

    def is_paused(self, profile: Profile) -> bool:
        """Tell whether the upper floor has stopped this profile."""
        return self._is_paused(profile.name)

    def token(self, profile: Profile) -> str:
        """Return the profile's token.

        Raises:
            ConfigurationError: There is none, or its file can't be read.
        """
        return self._sources[profile.name].token()

    def renew(self, profile: Profile, refused: str) -> bool:
        """Read the token file again after `refused` was refused; one thread reads, the others see its result.

        Returns:
            Whether the token is another one now, so that one more try is worth it.
        """
        return self._sources[profile.name].renew(refused)

    def choose_writer(self, teacher_id: int) -> Profile:
        """Choose who writes on a lesson of that teacher (or of the one who stands in).

        The teacher's own profile, else a school admin.

        Raises:
            AccessDeniedError: Nobody may (NO_PROFILE), or those who may are paused.
        """
        own = [one for one in self._profiles.values() if one.role == TEACHER and one.profile_id == teacher_id]
        return self._first_free([*own, *self._of_role(ADMIN)], "запись на этот урок")

    def choose_reader(self) -> Profile:
        """Choose who reads: a school admin, who sees all groups, else any teacher.

        Raises:
            AccessDeniedError: No profile, or all are paused.
        """
        return self._first_free([*self._of_role(ADMIN), *self._of_role(TEACHER)], "чтение")

    def free_teachers(self) -> tuple[Profile, ...]:
        """Return the teachers' profiles that are not paused."""
        return tuple(one for one in self._of_role(TEACHER) if not self._is_paused(one.name))

    def _of_role(self, role: str) -> list[Profile]:
        return [one for one in self._profiles.values() if one.role == role]

    def _first_free(self, candidates: Iterable[Profile], deed: str) -> Profile:
        able = list(candidates)
        for profile in able:
            if not self._is_paused(profile.name):
                return profile
        if able:
            names = ", ".join(one.title for one in able)
            raise AccessDeniedError(
                f"Журнал, {deed}: профиль остановлен до решения: {names}", profile=able[0].name, system=SYSTEM
            )
        raise AccessDeniedError(
            f"Журнал, {deed}: нет профиля, которому это разрешено", reason="NO_PROFILE", system=SYSTEM
        )


def _configured(settings: MeshSettings) -> Mapping[str, MeshProfile]:
    if settings.profiles or settings.profile_id is None:
        return settings.profiles
    single = MeshProfile(
        profile_id=settings.profile_id, token=settings.token, token_file=settings.token_file, role=settings.role
    )
    return {SINGLE_PROFILE: single}


def build_headers(
    settings: MeshSettings,
    profile: Profile,
    token: str,
    *,
    year_id: int | None,
    request_id: str,
    is_legacy: bool = False,
    is_plan: bool = False,
) -> dict[str, str]:
    """Build the headers of a call.

    Args:
        is_plan: It is about lesson plans, which the city keeps in another subsystem than the journal.
        year_id: The school year's id (`aid`); None only while the years themselves are asked for.
        is_legacy: The older hosts' paths want the bare token as well.

    Source: city-journal.md §1.2 (S1 S2 S3); `X-Request-Id` is our own.
    """
    headers = {
        "Authorization": f"Bearer {token}",
        "Profile-Id": str(profile.profile_id),
        "X-Mes-Subsystem": settings.plan_subsystem if is_plan else settings.subsystem,
        "X-Mes-RoleId": str(settings.role_id),
        "X-Mes-HostId": str(settings.host_id),
        "X-Request-Id": request_id,
    }
    if year_id is not None:
        headers["aid"] = str(year_id)
    if is_legacy:
        headers["Auth-Token"] = token
    return headers


__all__ = ["IsPaused", "Profile", "Profiles", "build_headers"]
