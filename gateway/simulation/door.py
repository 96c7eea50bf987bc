"""One process's connection to the city: a `CityPort` that meets the weather of calls.

Stands where the city connector stands in production. What it raises is what the connector raises for the same thing
(city-journal.md §7.4); everything that can happen to a call on its way happens here, by the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Never

from gateway.connectors.port import Accepted, CheckLine, CityDirectory, CityRead, CityScope
from gateway.domain.city import (
    AbsenceIntent,
    CityLesson,
    CommentIntent,
    FinalIntent,
    HomeworkIntent,
    Intent,
    MarkIntent,
    TopicsIntent,
)
from gateway.domain.errors import (
    AccessDeniedError,
    IncompleteReadError,
    LockedPeriodError,
    OutcomeUnknownError,
    RejectedError,
    StaleError,
    ThrottledError,
    UnavailableError,
    UnreachableError,
)
from gateway.domain.reasons import DATES_NOT_BUILT
from gateway.sandbox.city.city import Order, RefusedError
from gateway.sandbox.city.homeworks import change_homework, create_homework
from gateway.sandbox.city.plans import change_lesson_plan, list_topics
from gateway.sandbox.city.rules import Refusal
from gateway.sandbox.city.state import Row
from gateway.sandbox.city.writes import (
    change_mark,
    create_absence,
    create_final,
    create_mark,
    create_remark,
    delete_absence,
    delete_final,
    delete_mark,
)
from gateway.simulation.bodies import (
    absence_body,
    comment_body,
    final_body,
    homework_body,
    mark_body,
    plan_body,
    to_lesson,
    to_object,
)
from gateway.simulation.city import Mail, SimCity
from gateway.simulation.directory import build_directory
from gateway.simulation.school import STATE_KINDS
from gateway.simulation.stage import Killed, Stage

PROFILE = "main"


@dataclass(frozen=True)
class CityWeather:
    """Probabilities of what happens to one call while faults are on, and the bound of late arrivals.

    Attributes:
        late_limit_s: A call without an answer is applied at most that long after it was recorded as sent.
    """

    p_unreachable: float
    p_lost: float
    p_unanswered: float
    p_late: float
    p_broken: float
    p_throttled: float
    p_partial: float
    p_swallowed: float
    deadline_s: float
    late_limit_s: float


class Sky:
    """What all processes meet alike: whether the city is closed for repair, and whether the session is alive."""

    def __init__(self) -> None:
        self.is_closed = False
        self.is_token_dead = False


class SimDoor:
    """A `CityPort` of one process.

    Args:
        paused: Names of profiles that the store says are paused.
        refused: Told of every request that was understood and refused.
        leaving: Told, when a call is about to be made, since when its row is recorded as sent.
        landed: Told when the sender's own slowness can delay a call no more.
        poisoned: Cells of which a call kills its sender, while faults are on.
        recorded_s: Request id → when its sender began to record it as sent, in seconds of the stage.
    """

    def __init__(
        self,
        stage: Stage,
        city: SimCity,
        mail: Mail,
        sky: Sky,
        weather: CityWeather,
        *,
        paused: Callable[[], Collection[str]],
        recorded_s: dict[str, float],
        refused: Callable[[str], None],
        poisoned: Collection[tuple[str, int, int]],
        leaving: Callable[[float], None],
        landed: Callable[[], None],
    ) -> None:
        self._stage = stage
        self._city = city
        self._mail = mail
        self._sky = sky
        self._weather = weather
        self._paused = paused
        self._recorded_s = recorded_s
        self._refused_of = refused
        self._poisoned = poisoned
        self._leaving = leaving
        self._landed = landed
        self.call_count = 0

    # --- reading

    def check(self) -> Iterator[CheckLine]:
        """Nothing to check."""
        return iter(())

    def fetch_directory(self, day: date) -> CityDirectory:
        """Read the directories; see `CitySource`."""
        del day
        self._ask("directory")
        return build_directory(self._city)

    def fetch_lessons(self, group_ids: Sequence[int], from_on: date, to_on: date) -> Sequence[CityLesson]:
        """Read the timetable; see `CitySource`."""
        self._ask("lessons")
        rows = self._city.visible("schedule_items", set(group_ids))
        return [to_lesson(row) for row in rows if from_on.isoformat() <= row["date"] <= to_on.isoformat()]

    def fetch_scope(self, scope: CityScope) -> CityRead:
        """Read one scope; a failed read comes back with its problem and with what had come before it failed."""
        try:
            self._ask(scope.kind.value)
        except (AccessDeniedError, ThrottledError, UnavailableError, UnreachableError) as exc:
            return CityRead(scope=scope, read_at=self._stage.now(), problem=exc)
        rows = self._city.visible(STATE_KINDS[scope.kind], {scope.group_id})
        objects = [
            to_object(scope.kind, row, scope.group_id)
            for row in rows
            if row.get("deleted_at") is None and self._is_of_group(row, scope.group_id)
        ]
        if self._is_struck(self._weather.p_partial):
            part = [one for one in objects if self._stage.rng.random() < 0.5]
            problem = IncompleteReadError("список отдан не весь", system="city", method="GET")
            return CityRead(scope=scope, read_at=self._stage.now(), objects=part, problem=problem)
        self._stage.point("city answers")
        self._stage.note(f"seen {scope.kind.value} {scope.group_id} {len(objects)}")
        return CityRead(scope=scope, read_at=self._stage.now(), objects=objects)

    def _is_of_group(self, row: Row, group_id: int) -> bool:
        """A final mark names no group: it is told with the pupils of the group that was asked for."""
        if "group_id" in row:
            return bool(row["group_id"] == group_id)
        if "group_ids" in row:
            return group_id in row["group_ids"]
        pupil = self._city.state.find("student_profiles", row["student_profile_id"])
        return pupil is not None and any(one["id"] == group_id for one in pupil["groups"])

    def _ask(self, what: str) -> None:
        self.call_count += 1
        self._refuse_paused("чтение")
        self._stage.point(f"ask {what}")
        if self._sky.is_token_dead:
            self._deny()
        if self._sky.is_closed or self._is_struck(self._weather.p_broken / 2):
            raise UnavailableError("журнал не работает", system="city", method="GET", status=503)
        if self._is_struck(self._weather.p_unreachable / 2):
            raise UnreachableError("нет соединения", system="city", method="GET")
        if self._is_struck(self._weather.p_throttled / 4):
            raise ThrottledError(
                "журнал просит подождать", retry_after_s=self._retry_after_s(), system="city", status=429
            )

    # --- writing

    def create(self, intent: Intent, *, request_id: str) -> Accepted:
        """Create the object; see `CitySink`."""
        if isinstance(intent, MarkIntent):
            return self._send(create_mark, None, mark_body(intent), request_id)
        if isinstance(intent, AbsenceIntent):
            return self._send(create_absence, None, absence_body(intent), request_id)
        if isinstance(intent, HomeworkIntent):
            return self._send(create_homework, None, homework_body(intent, None), request_id)
        if isinstance(intent, CommentIntent):
            return self._send(create_remark, None, comment_body(intent), request_id)
        if isinstance(intent, FinalIntent):
            return self._send(create_final, None, final_body(intent), request_id)
        return self._put_plan(intent, request_id, is_new=True)

    def change(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Replace the object's attributes; see `CitySink`."""
        if isinstance(intent, MarkIntent):
            return self._send(change_mark, city_id, {**mark_body(intent), "name": intent.value}, request_id)
        if isinstance(intent, HomeworkIntent):
            stored = self._city.state.find("homeworks", city_id)
            return self._send(change_homework, city_id, homework_body(intent, stored), request_id)
        if isinstance(intent, TopicsIntent):
            return self._put_plan(intent, request_id)
        raise RejectedError("пропуск не меняют", reason="NO_CITY_CALL", system="city", method="PUT")

    def _put_plan(self, intent: TopicsIntent, request_id: str, *, is_new: bool = False) -> Accepted:
        """The plan whole, as it stands there but for its content; then its dates, which may fail on their own.

        Raises:
            RejectedError: The plan is written, its dates are not built.
        """
        stored = self._city.state.find("lesson_plans", intent.plan_id)
        if is_new and stored is not None and list_topics(stored):
            raise StaleError("КТП за это время заполнено", system="city", request_id=request_id)
        accepted = self._send(change_lesson_plan, intent.plan_id, plan_body(intent, stored or {}), request_id)
        if self._is_struck(self._weather.p_broken / 2):
            raise RejectedError(
                "даты не достроены", reason=DATES_NOT_BUILT, system="city", method="POST", request_id=request_id
            )
        return accepted

    def delete(self, city_id: int, intent: Intent, *, request_id: str) -> Accepted:
        """Delete the object; see `CitySink`."""
        if isinstance(intent, HomeworkIntent):
            raise RejectedError("задание не удаляют", reason="NO_CITY_CALL", system="city", method="DELETE")
        command = _DELETES.get(type(intent))
        if command is None:
            raise RejectedError("такую запись не удаляют", reason="NO_CITY_CALL", system="city", method="DELETE")
        return self._send(command, city_id, {}, request_id)

    def _send(self, command: Callable[[Order], Row], object_id: int | None, body: Row, request_id: str) -> Accepted:
        stage, weather = self._stage, self._weather
        self.call_count += 1
        self._leaving(self._recorded_s[request_id])
        self._refuse_paused("запись")
        stage.point("send")
        self._landed()
        if self._is_struck(weather.p_unreachable):
            raise UnreachableError("нет соединения", system="city", method="POST", request_id=request_id)
        if self._is_struck(weather.p_throttled):
            raise ThrottledError(
                "журнал просит подождать", retry_after_s=self._retry_after_s(), system="city", status=429
            )
        if self._sky.is_token_dead:
            self._deny()
        if self._sky.is_closed:
            raise OutcomeUnknownError(
                "журнал не работает", system="city", method="POST", request_id=request_id, status=503
            )
        if self._is_struck(weather.p_lost):
            self._time_out(request_id)
        if self._is_struck(weather.p_late):
            self._post_late(command, object_id, body, request_id)
            self._time_out(request_id)
        if stage.is_stormy and self._poisoned and _cell_of(body) in self._poisoned:
            stage.note("killed by the call")
            raise Killed
        if object_id is None and self._is_struck(weather.p_swallowed):
            stage.note("said yes and did nothing")
            return Accepted(city_id=stage.rng.randrange(1, 1000), request_id=request_id, status=200, profile=PROFILE)
        is_broken = self._is_struck(weather.p_broken)
        if is_broken and stage.rng.random() < 0.5:
            raise OutcomeUnknownError(
                "журнал ответил 500", system="city", method="POST", request_id=request_id, status=500
            )
        try:
            answer = self._city.order(command, object_id, body, request_id)
        except RefusedError as exc:
            stage.note(f"refused {exc.refusal.rule or exc.refusal.code}")
            return self._refused(exc.refusal, is_known=object_id is not None, is_delete=not body, request_id=request_id)
        stage.point("applied")
        if is_broken:
            raise OutcomeUnknownError(
                "журнал ответил 500", system="city", method="POST", request_id=request_id, status=500
            )
        if self._is_struck(weather.p_unanswered):
            self._time_out(request_id)
        told = answer.get("lesson_plan", answer)
        return Accepted(city_id=told.get("id"), request_id=request_id, status=200, profile=PROFILE)

    def _post_late(self, command: Callable[[Order], Row], object_id: int | None, body: Row, request_id: str) -> None:
        waited_s = self._stage.elapsed_s - self._recorded_s[request_id]
        limit_s = self._weather.late_limit_s - waited_s
        if limit_s <= 0:
            return  # so old that nobody would take it any more
        self._mail.post(
            self._stage.rng.uniform(0.0, limit_s), lambda: self._arrive(command, object_id, body, request_id)
        )

    def _arrive(self, command: Callable[[Order], Row], object_id: int | None, body: Row, request_id: str) -> None:
        try:
            self._city.order(command, object_id, body, request_id)
        except RefusedError as exc:
            self._stage.note(f"late, refused {exc.refusal.rule or exc.refusal.code}")

    def _time_out(self, request_id: str) -> Never:
        self._stage.sleep(self._weather.deadline_s)
        raise OutcomeUnknownError("журнал не ответил", system="city", method="POST", request_id=request_id)

    def _is_struck(self, probability: float) -> bool:
        return self._stage.is_stormy and self._stage.rng.random() < probability

    def _retry_after_s(self) -> float:
        return self._stage.rng.choice((1.0, 30.0, 600.0))

    def _refuse_paused(self, deed: str) -> None:
        if PROFILE in self._paused():
            raise AccessDeniedError(f"{deed}: профиль остановлен до решения", profile=PROFILE, system="city")

    def _deny(self) -> Never:
        raise AccessDeniedError("сессия завершена", is_session_dead=True, profile=PROFILE, system="city", status=401)

    def _refused(self, refusal: Refusal, *, is_known: bool, is_delete: bool, request_id: str) -> Accepted:
        self._refused_of(request_id)
        there = Accepted(city_id=None, request_id=request_id, status=refusal.code, profile=PROFILE, already_there=True)
        if refusal.rule in ("V8", "V9") or (refusal.rule == "V13" and is_delete):
            return there
        if refusal.rule == "V7":
            raise LockedPeriodError("период закрыт", system="city", request_id=request_id, status=refusal.code)
        if refusal.code == 409 or (refusal.code == 404 and is_known):
            raise StaleError("записи больше нет", system="city", request_id=request_id, status=refusal.code)
        raise RejectedError("журнал отказал", system="city", request_id=request_id, status=refusal.code)


def _cell_of(body: Row) -> tuple[str, int, int] | None:
    if "schedule_lesson_id" not in body:
        return None
    if "student_id" in body:
        return ("comment", body["student_id"], body["schedule_lesson_id"])
    kind = "mark" if "grade_origins" in body else "absence"
    return (kind, body["student_profile_id"], body["schedule_lesson_id"])


_DELETES: dict[type[Intent], Callable[[Order], Row]] = {
    MarkIntent: delete_mark,
    AbsenceIntent: delete_absence,
    FinalIntent: delete_final,
}
