"""The sandbox city on a stage: its own rules and ledger, called without HTTP, and watched at every accepted write."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, Protocol

from gateway.sandbox.city.city import Actor as Writer
from gateway.sandbox.city.city import City, Order, RefusedError
from gateway.sandbox.city.human import edit_by_hand
from gateway.sandbox.city.state import Row
from gateway.simulation.school import NaturalKey, SmallSchool, key_of_row, value_of_row
from gateway.simulation.stage import Actor, Stage

WRITTEN_KINDS = ("marks", "attendances", "homeworks", "lesson_comments", "final_marks")


class Effect:
    """One accepted write as the city itself tells it.

    Attributes:
        before: The object as it stood; None for a create.
        after: As it stands now (deleted ones have their moment).
        request_id: Of the call; of a person's edit, `human`.
    """

    __slots__ = ("after", "at_s", "before", "is_human", "key", "kind", "op", "request_id", "value")

    def __init__(
        self, op: str, kind: str, before: Row | None, after: Row, *, at_s: float, is_human: bool, request_id: str
    ) -> None:
        self.op = _op_of_plan(before, after) if kind == "lesson_plans" else op
        self.kind = kind
        self.before = before
        self.after = after
        self.at_s = at_s
        self.is_human = is_human
        self.request_id = request_id
        self.key: NaturalKey = key_of_row(kind, after)
        self.value = None if self.op == "delete" else value_of_row(kind, after)

    @property
    def object_id(self) -> int:
        return int(self.after["id"])


def _op_of_plan(before: Row | None, after: Row) -> str:
    """A lesson plan always stands there: filling an empty one makes it, and emptying it takes it away."""
    if not value_of_row("lesson_plans", after):
        return "delete"
    return "change" if before is not None and value_of_row("lesson_plans", before) else "create"


class Watcher(Protocol):
    """Told of every accepted write, before the city takes it."""

    def __call__(self, effect: Effect) -> None:
        """Judge it.

        Raises:
            Violation: It should not have come to this.
        """
        ...


class SimCity(City):
    """The sandbox city with a watcher, and with the memory of who wrote what last.

    Args:
        is_lenient: The city takes writes into closed periods, as real ones may: then only our own lock stands.
        lag_s: How long readers go on seeing the old state.
    """

    def __init__(self, stage: Stage, school: SmallSchool, *, is_lenient: bool, lag_s: float) -> None:
        self._stage = stage
        self.effects: list[Effect] = []
        self.last_writer: dict[tuple[str, int], Effect] = {}
        self.watcher: Watcher = lambda _effect: None
        super().__init__(seed=stage.seed, state_file=None, now=stage.now, rate_per_s=None, like=school.like)
        self.switch({"closed_period": "accept" if is_lenient else 403, "read_lag_s": lag_s})
        self.school = school

    def accept(self, actor: Writer, op: str, kind: str, row: Row, **facts: Any) -> Row:
        """Take a write as the sandbox does, after the watcher has seen it."""
        before = self.state.find(kind, row["id"])
        effect = Effect(
            op,
            kind,
            before,
            row,
            at_s=self._stage.elapsed_s,
            is_human=actor.is_human,
            request_id=actor.request_id,
        )
        self._stage.note(f"effect {'human ' if actor.is_human else ''}{op} {kind} {row['id']}")
        self.watcher(effect)
        self.effects.append(effect)
        self.last_writer[kind, effect.object_id] = effect
        return super().accept(actor, op, kind, row, **facts)

    def standing(self, kind: str) -> list[Row]:
        """What stands there now, whoever wrote it."""
        return [row for row in self.state.iter_rows(kind) if row.get("deleted_at") is None]

    def type_by_hand(self, request: Row) -> bool:
        """A person edits in the city's own pages; False where the city refuses him."""
        try:
            edit_by_hand(self, request, "human")
        except RefusedError:
            return False
        return True

    def go_on_from(self, before: SimCity) -> None:
        """Give what is written from now on ids that nothing had before."""
        self.state.skip_ids(before.state, WRITTEN_KINDS)

    def close_period(self, day: str) -> None:
        """The period of a day takes no writes any more."""
        for schedule in list(self.state.iter_rows("attestation_periods_schedules")):
            periods = [
                {**period, "x_closed": period["x_closed"] or period["begin_date"] <= day <= period["end_date"]}
                for period in schedule["periods"]
            ]
            self.state.put("attestation_periods_schedules", {**schedule, "periods": periods}, now=self.now())

    def set_edit_until(self, day: str, until: str) -> None:
        """Until which day the period of a day takes writes."""
        for schedule in list(self.state.iter_rows("attestation_periods_schedules")):
            periods = [
                {**period, "x_edit_until": until} if period["begin_date"] <= day <= period["end_date"] else period
                for period in schedule["periods"]
            ]
            self.state.put("attestation_periods_schedules", {**schedule, "periods": periods}, now=self.now())

    def order(self, command: Callable[[Order], Row], object_id: int | None, body: Row, request_id: str) -> Row:
        """Carry out a call of the interface.

        Raises:
            RefusedError: By the city's rules.
        """
        return command(Order(self, Writer(self.school.admin, request_id), object_id, body))


class Mail:
    """Calls that arrive later than their sender waited for."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.actor = Actor("mail")
        self._bag: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def post(self, delay_s: float, arrive: Callable[[], None]) -> None:
        """Let something arrive that much later."""
        heapq.heappush(self._bag, (self._stage.elapsed_s + delay_s, next(self._order), arrive))
        self._stage.wake(self.actor)

    def play(self) -> None:
        """Deliver for ever."""
        while True:
            while self._bag and self._bag[0][0] <= self._stage.elapsed_s:
                _, _, arrive = heapq.heappop(self._bag)
                arrive()
            due_s = self._bag[0][0] - self._stage.elapsed_s if self._bag else 7 * 86400.0
            self._stage.sleep(due_s, is_idle=True)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self._bag
