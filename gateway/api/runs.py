"""Routes of runs: what was done, starting a sync that reaches no farther than its requester, and taking a run back."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from gateway.access.policy import Action
from gateway.api.bodies import AfterNumber, IdempotencyKey, Limit, Number, RunBegun, StartSync
from gateway.api.desk import Ask, Asked
from gateway.api.once import do_once
from gateway.api.shapes import page_of, send, send_page, shape_of
from gateway.domain.errors import GatewayError
from gateway.flows.asked import SyncAsked, build_limited_want
from gateway.flows.sync import sync
from gateway.flows.turns import begin_run
from gateway.flows.undo import begin_undo, undo_run
from gateway.report.overview import RunView, get_seen_run, load_seen_runs
from gateway.telemetry import get_logger

LOG = get_logger(__name__)
routes = APIRouter(tags=["запуски"])


@routes.get("/runs", response_model=page_of(RunView))
def list_runs(
    asked: Annotated[Asked, Depends(Ask(Action.RUNS_READ))], after: AfterNumber = 0, limit: Limit = 50
) -> Response:
    """Запуски, новые сначала."""
    with asked.gateway.store.read() as conn:
        found = load_seen_runs(conn, asked.scope, asked.place_id, before=after, limit=limit)
    return send_page(found, found[-1].id if len(found) == limit else None)


@routes.get("/runs/{number}", response_model=shape_of(RunView))
def show_run(number: Number, asked: Annotated[Asked, Depends(Ask(Action.RUNS_READ))]) -> Response:
    """Один запуск."""
    with asked.gateway.store.read() as conn:
        return send(get_seen_run(conn, asked.scope, asked.place_id, number))


@routes.post("/runs", status_code=202, response_model=RunBegun)
def start_sync(
    body: StartSync,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.SYNC_START))],
) -> Response:
    """Начать сверку и отправку в пределах своих прав: учитель называет свою группу, классный руководитель класс."""

    def work() -> Response:
        gateway = asked.gateway
        with gateway.store.read() as conn:
            wish = msgspec.convert(body.model_dump(exclude={"dry_run"}), SyncAsked)
            want = build_limited_want(conn, asked.scope, asked.place_id, wish)
        run_id = begin_run(gateway, "sync", want)

        def go() -> None:
            try:
                sync(gateway, want, is_dry_run=body.dry_run, run_id=run_id, is_scheduled=False)
            except GatewayError as error:
                # the run has its sentence already; nobody waits for this thread
                LOG.warning("request.run_failed", run_id=run_id, reason=error.reason_code)

        asked.desk.begin(go)
        return _begun(request, run_id)

    return do_once(asked, request, key, body, work)


@routes.post("/runs/{number}/undo", status_code=202, response_model=RunBegun)
def undo(
    number: Number,
    request: Request,
    key: IdempotencyKey,
    asked: Annotated[Asked, Depends(Ask(Action.RUNS_UNDO))],
) -> Response:
    """Построить план, отменяющий запуск: ничего не отправляется, номер плана стоит в счётчиках начатого запуска."""

    def work() -> Response:
        gateway = asked.gateway
        with gateway.store.read() as conn:
            get_seen_run(conn, asked.scope, asked.place_id, number)
        run_id = begin_undo(gateway, number)

        def go() -> None:
            try:
                undo_run(gateway, number, run_id)
            except GatewayError as error:
                # the run has its sentence already; nobody waits for this thread
                LOG.warning("request.run_failed", run_id=run_id, reason=error.reason_code)

        asked.desk.begin(go)
        return _begun(request, run_id)

    return do_once(asked, request, key, None, work)


def _begun(request: Request, run_id: int) -> Response:
    href = request.url_for("show_run", number=str(run_id)).path
    answer = send({"run": run_id, "href": href}, 202)
    answer.headers["Location"] = href
    return answer
