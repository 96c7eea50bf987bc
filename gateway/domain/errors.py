"""What can go wrong, told by what to do next.

`recovery` decides and the text only explains: nobody above branches on an HTTP status or parses a message. Messages
carry ids, never names, marks or bodies, because they end in logs and audit entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

from gateway.domain.entry_faults import EntryFault


class Recovery(StrEnum):
    """What the caller does after an error of this type."""

    RETRY = "retry"  # nothing was sent, or only reading was: again after a wait
    VERIFY = "verify"  # sent and not answered: read back before anything is written again
    PAUSE = "pause"  # this (destination, profile) stops; the others go on
    PARK = "park"  # this record waits for a person with its reason; the rest go on
    REPLAN = "replan"  # the ground moved: decide afresh from current facts
    ASK = "ask"  # a person must choose
    STOP = "stop"  # do nothing more


class GatewayError(Exception):
    """A fault of ours unless a subclass says otherwise.

    Args:
        sentence: One sentence for the operator, in Russian, without personal content.
        reason: Code from `domain.reasons` stored on the row that met the error.
    """

    recovery: ClassVar[Recovery] = Recovery.STOP
    reason: ClassVar[str] = "INTERNAL"

    def __init__(self, sentence: str = "", *, reason: str | None = None) -> None:
        super().__init__(sentence or type(self).__name__)
        self.sentence = sentence or type(self).__name__
        self.reason_code = reason or type(self).reason


class ConfigurationError(GatewayError):
    """Refuse to start and say which setting."""

    recovery = Recovery.STOP
    reason = "CONFIGURATION"


class BrokerAwayError(ConfigurationError):
    """The broker does not answer: a worker does not start; what is queued waits on its rows for one that reaches it."""


class EntryRefusedError(ConfigurationError):
    """What somebody typed can't be stored; nothing of it was.

    Args:
        faults: Everything that is wrong with it.
    """

    reason = "REQUEST_INVALID"

    def __init__(self, faults: Sequence[EntryFault]) -> None:
        super().__init__("; ".join(one.ru for one in faults))
        self.faults = tuple(faults)


class ConnectorError(GatewayError):
    """Something foreign answered badly or not at all.

    Carries system, method and the request id; never a body, a query or a header.
    """

    def __init__(
        self,
        sentence: str = "",
        *,
        system: str = "",
        method: str = "",
        request_id: str = "",
        status: int | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(sentence, reason=reason)
        self.system = system
        self.method = method
        self.request_id = request_id
        self.status = status


class UnreachableError(ConnectorError):
    """No connection was made: nothing was sent."""

    recovery = Recovery.RETRY
    reason = "TRANSPORT"


class ThrottledError(ConnectorError):
    """The other side asks us to wait.

    Args:
        retry_after_s: Seconds to wait, already clamped to [1, 3600].
    """

    recovery = Recovery.RETRY
    reason = "QUOTA"

    def __init__(self, sentence: str = "", *, retry_after_s: float = 1.0, **where: str | int | None) -> None:
        super().__init__(sentence, **where)  # type: ignore[arg-type]  # the keyword set is ConnectorError's own
        self.retry_after_s = retry_after_s


class UnavailableError(ConnectorError):
    """The other side is out of order; only reading was tried."""

    recovery = Recovery.RETRY
    reason = "TRANSPORT"


class IncompleteReadError(ConnectorError):
    """This scope's read is discarded whole; other scopes go on."""

    recovery = Recovery.RETRY
    reason = "INCOMPLETE_READ"


class OutcomeUnknownError(ConnectorError):
    """Sent and not answered: it may or may not have happened."""

    recovery = Recovery.VERIFY
    reason = "UNKNOWN_OUTCOME"


class AccessDeniedError(ConnectorError):
    """This profile may not do this here; its owner is told.

    Args:
        is_session_dead: The token itself is refused, so that reading the token file again may help.
        profile: Name of the profile to pause; empty where the system has only one.
    """

    recovery = Recovery.PAUSE
    reason = "AUTH"

    def __init__(
        self, sentence: str = "", *, is_session_dead: bool = False, profile: str = "", **where: str | int | None
    ) -> None:
        super().__init__(sentence, **where)  # type: ignore[arg-type]  # the keyword set is ConnectorError's own
        self.is_session_dead = is_session_dead
        self.profile = profile


class SendingStoppedError(ConnectorError):
    """A person stopped sending while this call waited for its turn: nothing was sent."""

    recovery = Recovery.PAUSE
    reason = "SENDING_STOPPED"


class RejectedError(ConnectorError):
    """Understood and refused, with the other side's reason."""

    recovery = Recovery.PARK
    reason = "REJECTED_TARGET"


class LockedPeriodError(ConnectorError):
    """The period is closed: for the deputy head, no retry."""

    recovery = Recovery.PARK
    reason = "WINDOW_CLOSED"


class StaleError(ConnectorError):
    """The object is no longer what the operation was planned on."""

    recovery = Recovery.REPLAN
    reason = "BASE_MOVED"


class ContractError(ConnectorError):
    """The payload no longer fits the wire model."""

    recovery = Recovery.PAUSE
    reason = "CONTRACT"


class RecordError(GatewayError):
    """One record can't be normalised or mapped; the rest go on.

    Args:
        where: Record ref and field, for the person who mends it.
    """

    recovery = Recovery.PARK
    reason = "VALIDATION_LOCAL"

    def __init__(self, sentence: str = "", *, where: str = "", reason: str | None = None) -> None:
        super().__init__(sentence, reason=reason)
        self.where = where


class AmbiguousMatchError(GatewayError):
    """Several candidates: a person chooses, nobody guesses."""

    recovery = Recovery.ASK
    reason = "AMBIGUOUS_LINK"


class PlanRefusedError(GatewayError):
    """An act of a person is refused and nothing of it is done; a person must choose.

    Args:
        reason: Why, as a code of its own (`domain.reason_texts_refusals` and others): stale, expired, used, nothing named.
    """

    recovery = Recovery.ASK

    def __init__(self, sentence: str, *, reason: str) -> None:
        super().__init__(sentence, reason=reason)


class SecondPersonError(PlanRefusedError):
    """One person is not enough: another one confirms, or the same one later where the school says so."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, reason="SECOND_PERSON")


class AlreadyRunningError(GatewayError):
    """A run of the whole school goes on: a second one would do the same work beside it.

    Args:
        run_id: The one that runs.
    """

    recovery = Recovery.RETRY
    reason = "ALREADY_RUNNING"

    def __init__(self, run_id: int) -> None:
        super().__init__(f"Уже выполняется запуск {run_id}: gateway runs show {run_id}")
        self.run_id = run_id


class LogBegunAnewError(GatewayError):
    """The portal's log of events is not the one that was read before: to go on silently would leave out what it lost."""

    recovery = Recovery.ASK
    reason = "LOG_BEGUN_ANEW"


class NotVisibleError(GatewayError):
    """There is no such thing for this account: the same words whether it does not exist or belongs to others."""

    recovery = Recovery.ASK
    reason = "NOT_VISIBLE"


class LogInRefusedError(GatewayError):
    """Who asks is not known here: wrong login or password, an ended session, a revoked token.

    Args:
        retry_after_s: Seconds to wait where there were too many tries; None where the next try may come at once.
    """

    recovery = Recovery.ASK
    reason = "LOGIN_REFUSED"

    def __init__(self, sentence: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__(sentence, reason=None if retry_after_s is None else "LOGIN_THROTTLED")
        self.retry_after_s = retry_after_s


class AuditError(GatewayError):
    """Never act without being able to write it down."""

    recovery = Recovery.STOP
    reason = "AUDIT"
