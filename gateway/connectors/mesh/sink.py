"""Writing into the city's journal: one object a call, never twice what was sent.

The last step before the door. The city does not de-duplicate marks and homework (V10), so nothing here repeats a
request that may have arrived: an unclear answer goes up as an unknown outcome and is read back from there.

Source: city-journal.md §1.5, §7.3, §7.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from gateway.connectors.http import Answer
from gateway.connectors.mesh import SYSTEM, bodies
from gateway.connectors.mesh.auth import Profile
from gateway.connectors.mesh.client import CORE, LEGACY_CORE, MeshClient, Query, read_tree
from gateway.connectors.mesh.errors import (
    OP_NOT_ALLOWED,
    Asked,
    Refusal,
    is_absence_there,
    is_object_gone,
    raise_unreadable,
)
from gateway.connectors.mesh.source import ANY_LEVEL, fetch_mark_rows
from gateway.connectors.mesh.wire import row_id
from gateway.connectors.port import Accepted, CityScope
from gateway.domain.city import AbsenceIntent, HomeworkIntent, Intent, MarkIntent
from gateway.domain.errors import ConfigurationError, RejectedError, StaleError
from gateway.domain.identifiers import Kind

IsConfirmed = Callable[[str, str], bool]


class MeshSink:
    """The write side of one city.

    Args:
        confirmed: The upper floor's stored word that a person confirmed writing to this host as this profile
            (host, profile name); asked before every write to a host that is not loopback.
    """

    def __init__(self, client: MeshClient, *, confirmed: IsConfirmed) -> None:
        self._client = client
        self._settings = client.settings
        self._is_confirmed = confirmed

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        """Create the object; see `CitySink`."""
        if isinstance(intent, MarkIntent):
            return self._send("POST", "marks", intent, request_id, body=bodies.to_new_mark(intent))
        if isinstance(intent, HomeworkIntent):
            return self._send("POST", "homeworks", intent, request_id, body=bodies.to_new_homework(intent))
        return self._send(
            "POST", "attendances", intent, request_id, body=bodies.to_new_absence(intent), is_fine=is_absence_there
        )

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Replace the object's attributes; the stored object is read first and what we do not own is kept of it.

        See `CitySink`. An absence has no attested change: `OP_NOT_ALLOWED`.
        """
        if isinstance(intent, MarkIntent):
            return self._send("PUT", "marks", intent, request_id, city_id=city_id)
        if isinstance(intent, HomeworkIntent):
            return self._send("PUT", "homeworks", intent, request_id, city_id=city_id)
        raise RejectedError(
            "Журнал не умеет менять пропуск: только удалить и создать",
            reason=OP_NOT_ALLOWED,
            system=SYSTEM,
            method="PUT",
            request_id=request_id,
        )

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Delete the object; see `CitySink`."""
        resource = {MarkIntent: "marks", AbsenceIntent: "attendances", HomeworkIntent: "homeworks"}[type(intent)]
        return self._send("DELETE", resource, intent, request_id, city_id=city_id, is_fine=is_object_gone)

    def find_obstacle(self, profile: Profile) -> str | None:
        """Say why nothing may be written as this profile; None when it may.

        A real host needs two settings and a person's confirmation; a sandbox on this machine needs nothing.
        """
        door = self._client.door
        if door.is_loopback:
            return None
        if not self._settings.real_host:
            return f"запись в настоящий журнал ({door.host}) не включена: mesh.real_host"
        if self._settings.real_host_name != door.host:
            return f"имя узла не подтверждено настройкой: mesh.real_host_name не равно {door.host}"
        if not self._is_confirmed(door.host, profile.name):
            return f"запись в {door.host} от профиля {profile.title} не подтверждена человеком"
        return None

    def _send(
        self,
        method: str,
        resource: str,
        intent: Intent,
        request_id: str,
        *,
        city_id: int | None = None,
        body: object | None = None,
        is_fine: Callable[[Refusal], bool] = lambda _refusal: False,
    ) -> Accepted:
        read_until, until = self._client.begin_write()
        profile = self._client.profiles.choose_writer(intent.teacher_id)
        obstacle = self.find_obstacle(profile)
        if obstacle is not None:
            raise ConfigurationError(f"Журнал: {obstacle}")
        year_id = self._client.get_year(_day_of(intent)).id
        if method == "PUT" and city_id is not None:
            body = self._whole(city_id, intent, profile, year_id, request_id, read_until)
        is_legacy = resource == "attendances" and self._settings.absence_path == "legacy"
        query: Query | None = {"pid": profile.profile_id} if is_legacy else None
        answer, refusal = self._client.write(
            method,
            f"{LEGACY_CORE if is_legacy else CORE}/{resource}" + ("" if city_id is None else f"/{city_id}"),
            profile=profile,
            year_id=year_id,
            request_id=request_id,
            until=until,
            body=body,
            query=query,
            is_legacy=is_legacy,
            is_fine=is_fine,
        )
        asked = Asked(method=method, is_write=True, request_id=request_id, profile=profile.name)
        return Accepted(
            city_id=None if refusal is not None or method == "DELETE" else _accepted_id(answer, asked, city_id),
            request_id=request_id,
            status=answer.status if refusal is None else refusal.code,
            profile=profile.name,
            already_there=refusal is not None,
        )

    def _whole(
        self, city_id: int, intent: Intent, profile: Profile, year_id: int, request_id: str, until: float
    ) -> dict[str, object]:
        """Build the whole object of a PUT out of what stands in the city.

        Raises:
            StaleError: What stands there is not what the intent is about.
            ConnectorError: It can't be read; nothing was written.
        """
        asked = Asked(method="PUT", is_write=True, is_change=True, request_id=request_id, profile=profile.name)
        if isinstance(intent, HomeworkIntent):
            stored = self._client.fetch_object(
                f"{CORE}/homeworks/{city_id}", {"with_entries": True}, profile=profile, year_id=year_id, until=until
            )
            entry = _only_entry(stored) if stored is not None and _is_homework_of(stored, intent) else None
            if stored is None or entry is None:
                raise StaleError("Журнал: домашнее задание там удалено или изменено", **asked.where(None))
            return bodies.to_whole_homework(intent, stored, entry)
        if not isinstance(intent, MarkIntent):
            raise TypeError("an absence has no whole object")
        mark = self._find_mark(city_id, intent, until)
        cell = (intent.pupil_id, intent.lesson_id)
        if mark is not None and (
            mark.get("deleted_at") or (mark.get("student_profile_id"), mark.get("schedule_lesson_id")) != cell
        ):
            raise StaleError("Журнал: отметка там удалена или стоит в другой клетке", **asked.where(None))
        return bodies.to_whole_mark(city_id, intent, mark)

    def _find_mark(self, city_id: int, intent: MarkIntent, until: float) -> Mapping[str, object] | None:
        """Find the stored mark in its group's list (there is no call for one mark).

        None when it is not listed: just written and not yet visible, or gone; then the PUT itself tells.
        """
        scope = CityScope(
            kind=Kind.MARK,
            group_id=intent.group_id,
            subject_id=intent.subject_id,
            level=ANY_LEVEL,
            from_on=intent.on,
            to_on=intent.on,
        )
        for row in fetch_mark_rows(self._client, scope, until=until):
            if isinstance(row, dict) and row_id(row) == city_id:
                return row
        return None


def _day_of(intent: Intent) -> date:
    return intent.assigned_on if isinstance(intent, HomeworkIntent) else intent.on


def _accepted_id(answer: Answer, asked: Asked, city_id: int | None) -> int:
    """Read the object's id out of the answer; object and one-element list are both seen.

    Raises:
        OutcomeUnknownError: A new object without an id, or a change that answers with another object's.
    """
    if city_id is not None and not answer.body.strip():
        return city_id
    tree = read_tree(answer, asked)
    if isinstance(tree, list) and len(tree) == 1:
        tree = tree[0]
    found = row_id(tree)
    if found is None and city_id is not None:
        return city_id
    if found is None or city_id not in (None, found):
        raise_unreadable("Журнал принял запись, но не назвал её номера или назвал другой", asked, answer.status)
    return found


def _is_homework_of(stored: Mapping[str, object], intent: HomeworkIntent) -> bool:
    return not stored.get("deleted_at") and stored.get("group_id") == intent.group_id


def _only_entry(stored: Mapping[str, object]) -> Mapping[str, object] | None:
    """The one entry of a homework; None when a person has added others: they would be lost."""
    entries = stored.get("homework_entries")
    if not isinstance(entries, list):
        return None
    standing = [entry for entry in entries if isinstance(entry, dict) and not entry.get("deleted_at")]
    return standing[0] if len(standing) == 1 else None


__all__ = ["IsConfirmed", "MeshSink"]
