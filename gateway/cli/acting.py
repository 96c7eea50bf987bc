"""`--as`: the command line acts as an account of the gateway, after its password; without it, as the machine's user.

One log-in for one command: the limits on tries, the audit's entries and the table of rights are those of the HTTP door,
and the session ends before the command does anything.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from gateway.access.policy import Action, find_reach
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


def act_as(gateway: Gateway, login: str | None, action: Action, *, from_stdin: bool) -> Acting:
    """Ask for the account's password and give the gateway into its hands, in the first of its roles that may do this.

    Args:
        login: None = the machine's user acts.

    Raises:
        LogInRefusedError: Wrong login or password, or too many tries.
        NotVisibleError: None of its roles may.
    """
    if login is None:
        return Acting(gateway=gateway, scope=None)
    scope = _log_in_for(gateway, login, action, from_stdin=from_stdin)
    return Acting(gateway=replace(gateway, actor=scope.principal.actor), scope=scope)


def act_as_account(gateway: Gateway, login: str, action: Action, *, from_stdin: bool) -> tuple[Gateway, Principal]:
    """As `act_as`, where nobody but an account may act: the gateway in its hands, and who it is."""
    principal = _log_in_for(gateway, login, action, from_stdin=from_stdin).principal
    return replace(gateway, actor=principal.actor), principal


def _log_in_for(gateway: Gateway, login: str, action: Action, *, from_stdin: bool) -> Scope:
    password = (
        sys.stdin.readline().rstrip("\r\n") if from_stdin else str(typer.prompt("Пароль", hide_input=True, err=True))
    )
    gate = build_gate(gateway)
    opened = log_in(gate, login, password, role=None, address=ADDRESS)
    try:
        role = next((one for one in opened.roles if find_reach(one, action) is not None), None)
        if role is None:
            raise NotVisibleError("Ни одной из ролей этой учётной записи такое не дано: gateway users role")
        if role is not opened.principal.role:
            choose_role(gate, opened.secret, opened.principal, role)
        with gateway.store.read() as conn:
            principal, _ = get_session_principal(conn, gate, opened.secret, address=ADDRESS)
            return permit(conn, principal, action, now=gateway.store.now(conn))
    finally:
        log_out(gate, opened.secret, opened.principal)
