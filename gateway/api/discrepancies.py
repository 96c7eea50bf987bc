"""Routes of discrepancies: what differs and whose move it is, and settling it, one by one or many of one pattern."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.background import BackgroundTask

from gateway.access.policy import Action
from gateway.api.bodies import AfterNumber, Assign, IdempotencyKey, Limit, Moved, Number, Reason, Settle, WaitOutside
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.discrepancies import LIVE, DiscrepancyState, DiscrepancyType
from gateway.domain.errors import NotVisibleError
from gateway.flows.acts import Progress, carry_on, load_progress
from gateway.flows.discrepancies import Settlement, choose, dispute
from gateway.flows.outside import assign_to, wait_outside
from gateway.reconcile.choose import Excluded, Shown
from gateway.report.card import Card
from gateway.report.discrepancies import Group, Line, Sieve
from gateway.report.seen_discrepancies import get_seen_card, load_seen_groups, load_seen_ids, load_seen_lines

routes = APIRouter(tags=["расхождения"])

States = Annotated[list[DiscrepancyState] | None, Query(description="Состояния; без них то, где чей-то ход.")]
Type = Annotated[DiscrepancyType | None, Query(description="Только этот вид.")]
Code = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


def _sieve(
    state: States = None,
    type: Type = None,  # the name in the query
    owner: Code = None,
    assignee: Code = None,
    pattern: Code = None,
    overdue: bool = False,
) -> Sieve:
    return Sieve(
        states=[one.value for one in (LIVE if state is None else state)],
        type=None if type is None else type.value,
        owner=owner,
        assignee=assignee,
        pattern=pattern,
        is_overdue=overdue,
    )


Sifted = Annotated[Sieve, Depends(_sieve)]
Read = Annotated[Asked, Depends(Ask(Action.DISCREPANCIES_READ))]
Choose = Annotated[Asked, Depends(Ask(Action.DISCREPANCIES_CHOOSE))]
Give = Annotated[Asked, Depends(Ask(Action.DISCREPANCIES_ASSIGN))]


@routes.get("/discrepancies", response_model=page_of(Line))
def list_discrepancies(asked: Read, sieve: Sifted, after: AfterNumber = 0, limit: Limit = 50) -> Response:
    """Где расходится, что у кого стоит, чей ход и до какого дня."""
    with asked.gateway.store.write() as conn:
        now = asked.gateway.store.now(conn)
        lines, pupils = load_seen_lines(conn, asked.scope, asked.place_id, sieve, now=now, after=after, limit=limit)
        asked.note_looks(conn, pupils, "discrepancy")
    return send_page(lines, lines[-1].id if len(lines) == limit else None)


@routes.get("/discrepancies/groups", response_model=page_of(Group))
def list_discrepancy_groups(asked: Read, sieve: Sifted, limit: Limit = 50) -> Response:
    """Одинаковые вместе: сколько их, чей ход и как такие решали раньше."""
    with asked.gateway.store.read() as conn:
        now = asked.gateway.store.now(conn)
        return send_page(load_seen_groups(conn, asked.scope, asked.place_id, sieve, now=now, limit=limit), None)


@routes.get("/discrepancies/{number}", response_model=shape_of(Card))
def show_discrepancy(number: Number, asked: Read) -> Response:
    """Одно расхождение: три столбца, предложение и всё, что с ним было."""
    with asked.gateway.store.write() as conn:
        now = asked.gateway.store.now(conn)
        card, pupils = get_seen_card(conn, asked.scope, asked.place_id, number, now=now)
        asked.note_looks(conn, pupils, "discrepancy")
    return send(card)


@routes.post("/discrepancies/choices", response_model=shape_of(Settlement))
def settle(body: Settle, request: Request, key: IdempotencyKey, asked: Choose) -> Response:
    """Решить: наше, их, своё значение, отложить. Ничего не отправляет: остальное предложит следующий план.

    Больше 500 сразу принимаются целиком и решаются после ответа; номер действия — в `act`. С `shown` или `shown_at` решается то,
    что было на экране: изменившееся с тех пор выпадает (`moved`).
    """

    def work() -> Response:
        mine = _require_own(asked, body.ids)
        done = choose(
            asked.gateway,
            mine,
            body.choice,
            reason=body.reason,
            own_value=body.own_value,
            until=body.until,
            is_preview=body.preview,
            with_removals=body.with_removals,
            shown=Shown(changes=body.shown, at=body.shown_at),
        )
        # somebody else's number and one that there is none of are left out in the same words
        others = [Excluded(number, "unknown") for number in sorted(set(body.ids) - set(mine))]
        answer = send(
            Settlement(
                choice=done.choice,
                taken=done.taken,
                excluded=[*done.excluded, *others],
                is_preview=done.is_preview,
                is_removing=done.is_removing,
                act=done.act,
            )
        )
        if done.act is not None:
            answer.background = BackgroundTask(carry_on, asked.gateway)
        return answer

    return do_once(asked, request, key, body, work)


@routes.get("/discrepancies/choices/{number}", response_model=shape_of(Progress))
def show_choice(number: Number, asked: Choose) -> Response:
    """Своё решение сразу о многих: сколько уже решено и что осталось, потому что изменилось до своей очереди."""
    with asked.gateway.store.read() as conn:
        actor = None if asked.scope.is_whole else asked.gateway.actor.name
        found = load_progress(conn, asked.place_id, number, actor=actor)
    if found is None:
        raise NotVisibleError("Такой записи нет")
    return send(found)


@routes.post("/discrepancies/assignments", response_model=Moved)
def give(body: Assign, request: Request, key: IdempotencyKey, asked: Give) -> Response:
    """Поручить человеку по логину или коду учётной записи; решённое не поручают."""

    def work() -> Response:
        mine = _require_own(asked, body.ids)
        return _moved(body.ids, assign_to(asked.gateway, mine, body.assignee, reason=body.reason))

    return do_once(asked, request, key, body, work)


@routes.post("/discrepancies/waiting", response_model=Moved)
def wait(body: WaitOutside, request: Request, key: IdempotencyKey, asked: Give) -> Response:
    """Ждать человека вне школы до названного дня; в этот день открывается само."""

    def work() -> Response:
        mine = _require_own(asked, body.ids)
        return _moved(body.ids, wait_outside(asked.gateway, mine, body.whom, until=body.until, reason=body.reason))

    return do_once(asked, request, key, body, work)


@routes.post("/discrepancies/{number}/dispute", status_code=204)
def dispute_choice(number: Number, body: Reason, request: Request, key: IdempotencyKey, asked: Choose) -> Response:
    """Возразить против решения, принятого за вас: расхождение открывается снова."""

    def work() -> Response:
        with asked.gateway.store.read() as conn:
            mine = load_seen_ids(conn, asked.scope, asked.place_id, [number])
        if not mine or not dispute(asked.gateway, number, reason=body.reason):
            raise NotVisibleError("Такой записи нет")
        return Response(status_code=204)

    return do_once(asked, request, key, body, work)


def _require_own(asked: Asked, ids: Sequence[int]) -> list[int]:
    """Those of these numbers that the scope sees; none is nobody's business to know of."""
    with asked.gateway.store.read() as conn:
        mine = load_seen_ids(conn, asked.scope, asked.place_id, sorted(set(ids)))
    if not mine:
        raise NotVisibleError("Такой записи нет")
    return mine


def _moved(ids: Sequence[int], taken: list[int]) -> Response:
    return send({"taken": taken, "left_out": sorted(set(ids) - set(taken))})
