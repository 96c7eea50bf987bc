"""What a run keeps at the school beside the marks. It comes last, and what fails here is a remark that holds up no mark."""

from __future__ import annotations

import msgspec

from gateway.connectors.port import Want
from gateway.domain.errors import AuditError, GatewayError
from gateway.flows.activity import Taken, pull_activity
from gateway.flows.gateway import Gateway
from gateway.flows.protocols import Kept, keep_protocols
from gateway.flows.pull import Problem
from gateway.telemetry import get_logger

LOG = get_logger(__name__)


class KeptLocally(msgspec.Struct, frozen=True, kw_only=True):
    """What was done; None where it is not kept, or failed and is among the problems."""

    protocols: Kept | None
    activity: Taken | None
    problems: list[Problem]


def keep_locally(gateway: Gateway, want: Want) -> KeptLocally | None:
    """Keep what the school keeps for itself; only in a run of the whole school, because nobody waits for it.

    Raises:
        AuditError: Never act without being able to write it down.
    """
    if want.is_narrow:
        return None
    problems: list[Problem] = []
    protocols: Kept | None = None
    activity: Taken | None = None
    try:
        protocols = keep_protocols(gateway)
    except AuditError:
        raise
    except GatewayError as error:
        problems.append(_problem("protocols", error))
    try:
        activity = pull_activity(gateway)
    except AuditError:
        raise
    except GatewayError as error:
        problems.append(_problem("activity", error))
    return KeptLocally(protocols=protocols, activity=activity, problems=problems)


def _problem(scope: str, error: GatewayError) -> Problem:
    LOG.warning("scope.discarded", scope=scope, reason=error.reason_code)
    return Problem(scope=scope, reason=error.reason_code, sentence=error.sentence)
