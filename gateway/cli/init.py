"""gateway init: write the two files that the school edits, commented."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.context import OUT, JsonOption, guarded, print_json
from gateway.domain.errors import ConfigurationError
from gateway.mapping.rules_template import DEFAULT_MAPPING_TOML

OWNER_ONLY = 0o600
SETTINGS_TEMPLATE = """\
# Настройки шлюза. Всё можно задать и окружением: GATEWAY_<ГРУППА>__<ПОЛЕ>, например GATEWAY_PORTAL__TOKEN.
# Токены лучше держать не здесь, а в окружении или в файлах (token_file): файл перечитывается, когда токен не принят.
# Полный список с единицами и причинами: docs/reference/settings.md. Проверка: gateway check

[database]
url = "sqlite:///gateway.sqlite"        # или postgresql+psycopg://…; относительные пути — от папки, где запущена команда

[portal]
name = "portal"                         # имя портала во всех ключах; не меняется никогда
kind = "moodle"
base_url = ""                           # https://портал.школа
# token_file = "secrets/portal-token"
person_id_field = "externalid"          # поле профиля с person_id городского журнала

[mesh]
base_url = ""                           # адрес городского журнала; без настоящего адреса: gateway sandbox city
school_id = 0                           # номер школы в городском журнале
rate_per_s = 5.0                        # запросов в секунду на все процессы вместе
# real_host = true                      # первая из двух настроек, без которых в настоящий город ничего не пишется
# real_host_name = ""                   # вторая: имя узла, набранное целиком

# Один вход:
# token_file = "secrets/mesh-token"
# profile_id = 1
# role = "school_admin"

# Или несколько, запись идёт тем, который вправе её сделать:
# [mesh.profiles.orlova]
# profile_id = 2
# token_file = "secrets/mesh-orlova"
# role = "teacher"
# owner = "учитель алгебры"

[school]
timezone = "Europe/Moscow"
mapping_file = "mapping.toml"
# guard_minimum_count = 5               # доли защиты считаются только выше этого числа
# guard_change_ratio = 0.75
# guard_delete_ratio = 0.10
# weekdays = [1, 2, 3, 4, 5]            # рабочие дни школы; с субботними уроками добавьте 6

# Расписания: everything в 02:00, homework в 15:30 и 18:00, marks каждый час с 8 до 20; выполняет их gateway worker.
# [schedule.marks]                      # таблица меняет только то, что в ней написано
# mode = "approve"                      # automatic, approve, observe или off
# [schedule.seventh]                    # или своё расписание
# cron = "0 7 * * 1-5"                  # минута час день месяц день-недели, по часам школы
# classes = ["7А"]
# [[schedule.silent]]                   # дни, в которые ничего не начинается само
# from = "2027-08-25"
# to = "2027-09-05"

[queue]
# redis_url = "redis://127.0.0.1:6379/0"  # без него очередь внутри процесса

[audit]
environment = "default"                 # имя среды в каждой записи аудита
# sink_file = ""                        # второй экземпляр журнала аудита, лучше на другом диске; иначе рядом с базой
# stop_without_sink_hours = 24          # сколько часов можно работать, когда его не удаётся писать; иначе без предела
"""


def write_settings(path: Path, text: str) -> None:
    """Write a settings file that only its owner may read: tokens are typed into it."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "w", encoding="utf-8") as stream:
        path.chmod(OWNER_ONLY)  # a file that was there keeps its mode otherwise
        stream.write(text)


def init_command(
    folder: Annotated[Path, typer.Argument(help="Папка; по умолчанию текущая.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Перезаписать существующие файлы.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Создать gateway.toml и mapping.toml с пояснениями."""
    with guarded():
        files = {folder / "gateway.toml": SETTINGS_TEMPLATE, folder / "mapping.toml": DEFAULT_MAPPING_TOML}
        present = [path.name for path in files if path.exists()]
        if present and not force:
            raise ConfigurationError(f"Уже есть {', '.join(present)}: добавьте --force, чтобы перезаписать")
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            if path.name == "gateway.toml":
                write_settings(path, text)
            else:
                path.write_text(text, encoding="utf-8")
        if as_json:
            print_json({"files": sorted(path.name for path in files)})
            return
        for path in files:
            OUT.print(f"Создан {path.name}")
        OUT.print("Дальше: впишите адреса и токены, затем gateway check")
