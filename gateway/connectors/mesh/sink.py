"""Writing into the city's journal: one object a call, never twice what was sent.

The last step before the door. The city does not de-duplicate marks and homework (V10), so nothing here repeats a
request that may have arrived: an unclear answer goes up as an unknown outcome and is read back from there.

Source: city-journal.md §1.5, §7.3, §7.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

from gateway.connectors.http import Answer
from gateway.connectors.mesh import SYSTEM, bodies
from gateway.connectors.mesh.answers import read_tree
from gateway.connectors.mesh.auth import Profile
from gateway.connectors.mesh.client import CORE, LEGACY_CORE, PLAN, MeshClient, Query
from gateway.connectors.mesh.errors import (
    Asked,
    Refusal,
    is_absence_there,
    is_final_there,
    is_object_gone,
    raise_unreadable,
)
from gateway.connectors.mesh.source import ANY_LEVEL, fetch_mark_rows
from gateway.connectors.mesh.wire import row_id
from gateway.connectors.port import Accepted, CityScope
from gateway.domain.city import (
    AbsenceIntent,
    CommentIntent,
    FinalIntent,
    HomeworkIntent,
    Intent,
    MarkIntent,
    TopicsIntent,
    day_of_intent,
)
from gateway.domain.errors import ConfigurationError, ConnectorError, RejectedError, StaleError
from gateway.domain.identifiers import Kind
from gateway.domain.reasons import DATES_NOT_BUILT, NO_CITY_CALL

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
        """Create the object; see `CitySink`. A lesson plan is put into the empty one that stands there."""
        match intent:
            case MarkIntent():
                return self._send("POST", "marks", intent, request_id, body=bodies.to_new_mark(intent))
            case HomeworkIntent():
                return self._send("POST", "homeworks", intent, request_id, body=bodies.to_new_homework(intent))
            case AbsenceIntent():
                body = bodies.to_new_absence(intent)
                return self._send("POST", "attendances", intent, request_id, body=body, is_fine=is_absence_there)
            case CommentIntent():
                return self._send("POST", "lesson_comments", intent, request_id, body=bodies.to_new_comment(intent))
            case FinalIntent():
                body = bodies.to_new_final(intent, self._client.get_year(intent.on).id)
                return self._send("POST", "final_marks", intent, request_id, body=body, is_fine=is_final_there)
            case TopicsIntent():
                return self._put_plan(intent, request_id, is_new=True)
            case _:
                assert_never(intent)

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Replace the object's attributes; the stored object is read first and what we do not own is kept of it.

        See `CitySink`. Absences, remarks and final marks have no attested change: `NO_CITY_CALL`.
        """
        if isinstance(intent, MarkIntent):
            return self._send("PUT", "marks", intent, request_id, city_id=city_id)
        if isinstance(intent, HomeworkIntent):
            return self._send("PUT", "homeworks", intent, request_id, city_id=city_id)
        if isinstance(intent, TopicsIntent):
            return self._put_plan(intent, request_id)
        raise self._no_call("PUT", request_id)

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Delete the object; see `CitySink`. Remarks and lesson plans have no attested delete: `NO_CITY_CALL`."""
        resource = _DELETED.get(type(intent))
        if resource is None:
            raise self._no_call("DELETE", request_id)
        return self._send("DELETE", resource, intent, request_id, city_id=city_id, is_fine=is_object_gone)

    def _no_call(self, method: str, request_id: str) -> RejectedError:
        return RejectedError(
            "Журнал не умеет этого с такой записью: исправить может только человек",
            reason=NO_CITY_CALL,
            system=SYSTEM,
            method=method,
            request_id=request_id,
        )

    def _put_plan(self, intent: TopicsIntent, request_id: str, *, is_new: bool = False) -> Accepted:
        """Put the whole plan, then have its topics take the dates of the lessons.

        Args:
            is_new: It was planned for an empty plan: one that somebody has filled meanwhile is left alone.

        Raises:
            StaleError: It is not empty any more; nothing was written.
            RejectedError: `DATES_NOT_BUILT`: the plan is written, and its dates are for a person to build.
            ConnectorError: As its type says.
        """
        accepted = self._send(
            "PUT",
            "lesson_plans",
            intent,
            request_id,
            city_id=intent.plan_id,
            base=PLAN,
            answer_part="lesson_plan",
            is_new=is_new,
        )
        if intent.calendar_id is None:
            return accepted
        try:
            for step in ("finish", "recalc"):
                path = f"calendar_plans/{intent.calendar_id}/{step}"
                self._send("POST", path, intent, request_id, base=PLAN, query={"ignore_IA": True})
        except ConnectorError as exc:
            # Both may be asked again by anybody at any time; the plan itself is safe, so nothing is unknown here.
            raise RejectedError(
                "Журнал принял КТП, но не достроил даты",
                reason=DATES_NOT_BUILT,
                system=SYSTEM,
                method="POST",
                request_id=request_id,
            ) from exc
        return accepted

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
        base: str = CORE,
        query: Query | None = None,
        answer_part: str | None = None,
        is_new: bool = False,
    ) -> Accepted:
        read_until, until = self._client.begin_write()
        profile = self._client.profiles.choose_writer(intent.teacher_id)
        obstacle = self.find_obstacle(profile)
        if obstacle is not None:
            raise ConfigurationError(f"Журнал: {obstacle}")
        year_id = self._client.get_year(day_of_intent(intent)).id
        if method == "PUT" and city_id is not None:
            body = self._whole(city_id, intent, profile, year_id, request_id, read_until, is_new=is_new)
        is_legacy = resource in _MAYBE_LEGACY and self._settings.absence_path == "legacy"
        if is_legacy:
            query = {"pid": profile.profile_id}
        answer, refusal = self._client.write(
            method,
            f"{LEGACY_CORE if is_legacy else base}/{resource}" + ("" if city_id is None else f"/{city_id}"),
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
            city_id=None
            if refusal is not None or method == "DELETE"
            else _accepted_id(answer, asked, city_id, answer_part),
            request_id=request_id,
            status=answer.status if refusal is None else refusal.code,
            profile=profile.name,
            already_there=refusal is not None,
        )

    def _whole(
        self,
        city_id: int,
        intent: Intent,
        profile: Profile,
        year_id: int,
        request_id: str,
        until: float,
        *,
        is_new: bool = False,
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
        if isinstance(intent, TopicsIntent):
            answer = self._client.fetch_object(
                f"{PLAN}/lesson_plans/{city_id}", {}, profile=profile, year_id=year_id, until=until
            )
            plan = answer.get("lesson_plan", answer) if answer is not None else None
            if not isinstance(plan, dict) or plan.get("deleted_at"):
                raise StaleError("Журнал: КТП там удалено", **asked.where(None))
            if is_new and bodies.has_lessons(plan):
                raise StaleError("Журнал: пустое КТП за это время заполнено", **asked.where(None))
            return bodies.to_whole_plan(intent, plan, year_id)
        if not isinstance(intent, MarkIntent):
            raise TypeError("only marks, homework and lesson plans have a whole object")
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


_DELETED: dict[type[Intent], str] = {
    MarkIntent: "marks",
    AbsenceIntent: "attendances",
    HomeworkIntent: "homeworks",
    FinalIntent: "final_marks",
}
_MAYBE_LEGACY = ("attendances", "lesson_comments")
"""POST is attested on the older host's path only (S1)."""


def _accepted_id(answer: Answer, asked: Asked, city_id: int | None, part: str | None) -> int:
    """Read the object's id out of the answer; object and one-element list are both seen.

    Args:
        part: Name under which the object stands in the answer; None = it is the answer.

    Raises:
        OutcomeUnknownError: A new object without an id, or a change that answers with another object's.
    """
    if city_id is not None and not answer.body.strip():
        return city_id
    tree = read_tree(answer, asked)
    if isinstance(tree, list) and len(tree) == 1:
        tree = tree[0]
    if part is not None and isinstance(tree, dict):
        tree = tree.get(part, tree)
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
