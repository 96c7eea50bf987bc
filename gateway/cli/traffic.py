"""How delivery stands, in words: lanes against their due days, breaker, a wait the city asked for, living workers."""

from __future__ import annotations

from datetime import datetime

from rich.table import Table

from gateway.cli.words import dense_table
from gateway.flows.gateway import Gateway
from gateway.flows.traffic import Traffic
from gateway.queue.breaker import BreakerState

_LANE_WORDS = {"demand": "по запросу", "nightly": "ночная"}


def lane_table(traffic: Traffic) -> Table:
    """Open operations by lane: in time, due today, overdue."""
    table = dense_table(title="Полосы")
    table.add_column("полоса")
    for head in ("в срок", "срок сегодня", "просрочено"):
        table.add_column(head, justify="right")
    for name, lane in traffic.lanes.items():
        table.add_row(_LANE_WORDS.get(name, name), str(lane.in_time), str(lane.at_risk), str(lane.overdue))
    return table


def _moment(gateway: Gateway, moment: datetime) -> str:
    return f"{gateway.local(moment):%d.%m.%Y %H:%M:%S}"


def breaker_sentence(gateway: Gateway, traffic: Traffic) -> str:
    """Whether the city is called now."""
    breaker = traffic.breaker
    at = _moment(gateway, breaker.retry_at) if breaker.retry_at else "—"
    if traffic.held_until is not None:
        return f"город просил подождать до {_moment(gateway, traffic.held_until)}"
    if breaker.state is BreakerState.OPEN:
        return f"журнал не ответил {breaker.failures} раз подряд: следующая попытка {at}"
    if breaker.state is BreakerState.HALF_OPEN:
        return f"журнал не отвечал: одна попытка идёт, следующая не раньше {at}"
    return "журнал отвечает, вызовы идут"


def traffic_sentence(gateway: Gateway, traffic: Traffic) -> str:
    """One line on the city and the workers."""
    return f"{breaker_sentence(gateway, traffic)}; темп {traffic.rate_per_s:g} в секунду на всех; работников: {traffic.workers}"
