"""Health: before a run of the whole school the database is looked through, and a damaged one sends nothing more.

Once a night in practice: narrow and partial runs don't look.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from sqlalchemy.exc import DatabaseError

from gateway.audit.deed import Actor
from gateway.connectors.port import Want
from gateway.domain.errors import GatewayError
from gateway.domain.identifiers import SENT_KINDS
from gateway.flows.gateway import Gateway
from gateway.flows.stop import stop_sending
from gateway.store.health import find_damage
from gateway.telemetry import get_logger

LOG = get_logger(__name__)


def refuse_damaged(gateway: Gateway, want: Want) -> None:
    """Stop sending where the database is damaged, for every process, until a person allows it again.

    Args:
        gateway: The composed gateway.
        want: What the run looks at; only one of everything looks through the database.

    Raises:
        GatewayError: It is damaged.
    """
    if want.is_narrow or not set(SENT_KINDS) <= want.kinds:
        return
    try:
        damage = find_damage(gateway.store.engine)
    except DatabaseError:
        damage = "unreadable"
    if damage is None:
        return
    LOG.error("database.damaged", reason=damage)
    with suppress(
        GatewayError, DatabaseError
    ):  # it may be too damaged to write even that, and the error is what counts
        stop_sending(replace(gateway, actor=Actor("service", "health")), reason=f"database damaged: {damage}")
    raise GatewayError(
        "База данных повреждена: отправка остановлена. Восстановите копию (gateway restore) и разрешите отправку снова"
    )


__all__ = ["refuse_damaged"]
