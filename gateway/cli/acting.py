"""`--as`: the command line acts as an account of the gateway, after its password; without it, as the machine's user.

One log-in for one command: the limits on tries, the audit's entries and the table of rights are those of the HTTP door,
and the session ends before the command does anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from gateway.access.looks import note_refusal
from gateway.access.policy import Action, find_reach
from gateway.access.roles import Reach, Role
from gateway.access.scope import Principal, Scope, permit
from gateway.access.sessions import choose_role, get_session_principal, log_in, log_out
from gateway.bootstrap import build_gate
from gateway.domain.errors import NotVisibleError
from gateway.flows.gateway import Gateway

ADDRESS = "cli"
"""Where a log-in of the command line comes from, as limits and the audit know it."""
AsOption = Annotated[
    str | None,
    typer.Option("--as", help="От имени учётной записи: пароль спросят. Где нужны двое, считается только такое слово."),
]
LoginOption = Annotated[str, typer.Option("--as", help="От имени учётной записи: пароль спросят.")]
PasswordOption = Annotated[bool, typer.Option("--password-stdin", help="Пароль для --as первой строкой stdin.")]


@dataclass(frozen=True, kw_only=True)
class Acting:
    """The gateway in the hands of who types.

    Attributes:
        scope: How far the account reaches in what it asked to do; None for the user of the machine, who has the database.
    """

    gateway: Gateway
    scope: Scope | None

    @property
    def principal(self) -> Principal | None:
        """The account; None for the user of the machine."""
        return None if self.scope is None else self.scope.principal

    @property
    def who(self) -> str:
        """How the answer names him."""
        if self.principal is None:
            return f"{self.gateway.actor.name}, без проверки личности"
        return self.principal.login


@contextmanager
def acting_as(gateway: Gateway, login: str | None, action: Action, *, from_stdin: bool) -> Iterator[Acting]:
    """Ask for the account's password and give the gateway into its hands, in that of its roles which reaches furthest.

    By the HTTP door a person chooses in which of his roles he acts; here the right is what any of them gives. What lies
    beyond it, found now or by what is done inside, is written down as a refusal, as by that door.

    Args:
        login: None = the machine's user acts.

    Raises:
        LogInRefusedError: Wrong login or password, or too many tries.
        NotVisibleError: None of its roles may.
    """
    if login is None:
        yield Acting(gateway=gateway, scope=None)
        return
    scope = _log_in_for(gateway, login, action, from_stdin=from_stdin)
    try:
        acting = replace(gateway, actor=scope.principal.actor, originator=scope.principal.originator)
        yield Acting(gateway=acting, scope=scope)
    except NotVisibleError:
        _note_refusal(gateway, scope.principal, action)
        raise


@contextmanager
def acting_as_account(
    gateway: Gateway, login: str, action: Action, *, from_stdin: bool
) -> Iterator[tuple[Gateway, Principal]]:
    """As `acting_as`, where nobody but an account may act: the gateway in its hands, and who it is."""
    with acting_as(gateway, login, action, from_stdin=from_stdin) as acting:
        if acting.principal is None:
            raise NotVisibleError("Такой записи нет")
        yield acting.gateway, acting.principal


def _log_in_for(gateway: Gateway, login: str, action: Action, *, from_stdin: bool) -> Scope:
    password = (
        sys.stdin.readline().rstrip("\r\n") if from_stdin else str(typer.prompt("Пароль", hide_input=True, err=True))
    )
    gate = build_gate(gateway)
    opened = log_in(gate, login, password, role=None, address=ADDRESS)
    try:
        # the first of them in the account's own order where several reach as far
        role = min((one for one in opened.roles if find_reach(one, action)), key=_nearness(action), default=None)
        if role is None:
            _note_refusal(gateway, opened.principal, action)
            raise NotVisibleError("Ни одной из ролей этой учётной записи такое не дано: gateway users role")
        if role is not opened.principal.role:
            choose_role(gate, opened.secret, opened.principal, role)
        with gateway.store.read() as conn:
            principal, _ = get_session_principal(conn, gate, opened.secret, address=ADDRESS)
            return permit(conn, principal, action, now=gateway.store.now(conn))
    finally:
        log_out(gate, opened.secret, opened.principal)


def _nearness(action: Action) -> Callable[[Role], bool]:
    return lambda role: find_reach(role, action) is not Reach.SCHOOL


def _note_refusal(gateway: Gateway, principal: Principal, action: Action) -> None:
    with gateway.store.write() as conn:
        note_refusal(conn, gateway.audit, principal, action.value, request_id=None)
