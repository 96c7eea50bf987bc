"""Settings: one frozen model, grouped; unit, default and reason under each field.

Made once in bootstrap from `gateway.toml`, the environment (`GATEWAY_<GROUP>__<FIELD>`) and secret files, and passed
down. Nothing below reads the environment. Secrets are `SecretStr`; `gateway check` never prints them.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from gateway.domain.errors import ConfigurationError
from gateway.domain.faults_ru import say_fault
from gateway.settings.schedule import DEFAULT_SCHEDULES, RESERVED_SCHEDULES, NamedSchedule, ScheduleSettings
from gateway.settings.school import DaySpan, SchoolSettings
from gateway.settings.service import AccessSettings, AuditSettings, DatabaseSettings, QueueSettings, WebSettings
from gateway.settings.systems import (
    ActivitySettings,
    AttendanceStatuses,
    FinalItem,
    MeshProfile,
    MeshSettings,
    PlannerSettings,
    PortalSettings,
)

SECRETS_DIR = "GATEWAY_SECRETS_DIR"
"""Folder of secret files named `portal__token`, `mesh__token`… (systemd credentials, container secrets)."""


class GatewaySettings(BaseSettings):
    """All settings. Order: environment, secret files, TOML, defaults."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_",
        env_nested_delimiter="__",
        secrets_nested_delimiter="__",
        secrets_prefix="",
        secrets_dir_missing="error",
        extra="forbid",
        frozen=True,
    )

    database: DatabaseSettings = DatabaseSettings()
    portal: PortalSettings = PortalSettings()
    activity: ActivitySettings = ActivitySettings()
    planner: PlannerSettings = PlannerSettings()
    mesh: MeshSettings = MeshSettings()
    school: SchoolSettings = SchoolSettings()
    queue: QueueSettings = QueueSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    web: WebSettings = WebSettings()
    access: AccessSettings = AccessSettings()
    audit: AuditSettings = AuditSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment first, then secret files, then what the TOML said (it comes in as init arguments)."""
        del settings_cls, dotenv_settings
        return env_settings, NestedSecretsSettingsSource(file_secret_settings), init_settings

    @model_validator(mode="after")
    def _single_profile(self) -> GatewaySettings:
        if self.mesh.profiles and (self.mesh.token or self.mesh.profile_id):
            raise ValueError("mesh: либо один профиль (token, profile_id), либо [mesh.profiles.ИМЯ], не оба")
        return self


def load_settings(config: Path | None = None, **overrides: Any) -> GatewaySettings:
    """Read the settings from a TOML file and the environment.

    Args:
        config: The file; None = `./gateway.toml` where it exists, else the environment alone.
        overrides: Groups that win over the file (not over the environment); for the demo and tests.

    Raises:
        ConfigurationError: Unreadable file or a wrong value; names the setting, never the value.
    """
    path = config or Path("gateway.toml")
    tree: dict[str, Any] = {}
    if config is not None or path.exists():
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except OSError as exc:
            raise ConfigurationError(f"Файл настроек не читается: {path}") from exc
        except UnicodeDecodeError as exc:  # an editor that saves in cp1251
            raise ConfigurationError(f"Файл настроек {path} не в UTF-8: сохраните в UTF-8") from exc
        except tomllib.TOMLDecodeError as exc:
            raise ConfigurationError(f"Файл настроек {path} не разобран: {exc}") from exc
    tree.update(overrides)
    secrets = os.environ.get(SECRETS_DIR)
    try:
        return GatewaySettings(_secrets_dir=secrets, **tree) if secrets else GatewaySettings(**tree)
    except SettingsError as exc:
        raise ConfigurationError(f"{SECRETS_DIR}: папка с секретами не читается") from exc
    except ValidationError as exc:
        places = "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {say_fault(e)}" for e in exc.errors())
        raise ConfigurationError(f"Настройки не приняты: {places}") from exc


__all__ = [
    "DEFAULT_SCHEDULES",
    "RESERVED_SCHEDULES",
    "SECRETS_DIR",
    "AccessSettings",
    "ActivitySettings",
    "AttendanceStatuses",
    "AuditSettings",
    "DatabaseSettings",
    "DaySpan",
    "FinalItem",
    "GatewaySettings",
    "MeshProfile",
    "MeshSettings",
    "NamedSchedule",
    "PlannerSettings",
    "PortalSettings",
    "QueueSettings",
    "ScheduleSettings",
    "SchoolSettings",
    "WebSettings",
    "load_settings",
]
