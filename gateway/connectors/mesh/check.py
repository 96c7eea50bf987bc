"""What `gateway check` says of the city: reachable, signed in, permitted, and not silently empty.

Reads only. A lost right at this city is silent (a wrong subsystem answers with empty lists), so directories that can't
be empty are counted.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.connectors.mesh.auth import ADMIN, Profile
from gateway.connectors.mesh.client import CORE, PLAN, MeshClient
from gateway.connectors.mesh.directory import PAGE_SIZE, PUPILS_PAGE_SIZE
from gateway.connectors.mesh.sink import MeshSink
from gateway.connectors.port import CheckLine, CheckState
from gateway.domain.clock import moscow_day
from gateway.domain.errors import AccessDeniedError, GatewayError, UnreachableError

_CANARIES = (
    ("groups", f"{PLAN}/groups", "группы", PAGE_SIZE),
    ("control_forms", f"{CORE}/control_forms", "формы контроля", PAGE_SIZE),
    ("pupils", f"{CORE}/student_profiles", "ученики", PUPILS_PAGE_SIZE),
)


def iter_check_lines(client: MeshClient, sink: MeshSink) -> Iterator[CheckLine]:
    """Tell line by line what works; one failed line does not stop the others, except that nothing answers at all."""
    profiles = client.profiles.all()
    if not profiles:
        yield _line(
            "mesh.profiles", CheckState.MISSING, "не задан ни один профиль: mesh.token или [mesh.profiles.NAME]"
        )
        return
    is_reachable = True
    for profile in profiles:
        line = _session_line(client, profile)
        if line is None:
            is_reachable = False
            break
        yield line
        yield _write_line(sink, profile)
    if not is_reachable:
        yield _line(
            "mesh.reachable", CheckState.FAILED, f"журнал {client.door.host} не отвечает: проверьте адрес и сеть"
        )
        return
    yield _line("mesh.reachable", CheckState.OK, f"журнал {client.door.host} отвечает")
    yield from _iter_canary_lines(client)


def _session_line(client: MeshClient, profile: Profile) -> CheckLine | None:
    """What the city says of the profile's session; None when there is no connection at all."""
    subject = f"mesh.profile.{profile.name}"
    if client.profiles.is_paused(profile):
        return _line(subject, CheckState.WARNING, f"профиль {profile.title} остановлен до решения")
    try:
        session = client.fetch_session(profile)
    except UnreachableError:
        return None
    except AccessDeniedError:
        return _line(subject, CheckState.FAILED, f"токен профиля {profile.title} не принят: войдите и обновите файл")
    except GatewayError as exc:
        return _line(subject, CheckState.FAILED, f"профиль {profile.title}: {exc.sentence}")
    known = {one.id: one.type for one in session.profiles}
    if profile.profile_id not in known:
        return _line(subject, CheckState.FAILED, f"токен профиля {profile.title} от другого profile_id")
    if (known[profile.profile_id] == ADMIN) != (profile.role == ADMIN):
        return _line(
            subject,
            CheckState.WARNING,
            f"профиль {profile.title}: в настройках роль {profile.role}, в журнале {known[profile.profile_id][:40]}",
        )
    return _line(subject, CheckState.OK, f"профиль {profile.title}: сессия действует, роль {profile.role}")


def _write_line(sink: MeshSink, profile: Profile) -> CheckLine:
    subject = f"mesh.write.{profile.name}"
    obstacle = sink.find_obstacle(profile)
    if obstacle is not None:
        return _line(subject, CheckState.MISSING, obstacle)
    return _line(subject, CheckState.OK, f"запись от профиля {profile.title} разрешена")


def _iter_canary_lines(client: MeshClient) -> Iterator[CheckLine]:
    try:
        year = client.get_year(moscow_day(client.clock.now()))
    except GatewayError as exc:
        yield _line("mesh.canary.year", CheckState.FAILED, f"учебный год не прочитан: {exc.sentence}")
        return
    yield _line("mesh.canary.year", CheckState.OK, f"учебный год найден (aid {year.id})")
    for name, path, what, page_size in _CANARIES:
        query = {"academic_year_id": year.id, "school_id": client.settings.school_id}
        try:
            count = len(
                client.fetch_rows(path, query, year_id=year.id, page_size=page_size, may_ignore_paging=name != "pupils")
            )
        except GatewayError as exc:
            yield _line(f"mesh.canary.{name}", CheckState.FAILED, f"{what}: {exc.sentence}")
            continue
        state = CheckState.OK if count else CheckState.FAILED
        advice = "" if count else "; журнал молча отдал пустой список: проверьте mesh.subsystem и роль"
        yield _line(f"mesh.canary.{name}", state, f"{what}: {count}{advice}")


def _line(subject: str, state: CheckState, sentence: str) -> CheckLine:
    return CheckLine(subject=subject, state=state, sentence=sentence)


__all__ = ["iter_check_lines"]
