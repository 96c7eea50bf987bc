"""Whose word counts where two persons are needed: that of an account, which proved its password, and nobody else's.

The user of the operating system is known by name and vouched for by nobody: whoever has the machine can be any of them,
and could be the account's owner as well. So where two are needed his word is no word; by the command line a person acts
as his account (`--as`).
"""

from __future__ import annotations

from datetime import datetime

from gateway.access.scope import account_code
from gateway.audit.deed import Actor
from gateway.domain.errors import SecondPersonError

NEEDS_ACCOUNTS = (
    "Здесь нужны двое, и считается слово учётной записи: повторите с --as ЛОГИН (учётные записи: gateway users add)"
)
WORD_IS_NONE = (
    "Кто это предложил, сегодня предложить этого не может: учётная запись закрыта или должность кончилась. "
    "Предложите заново"
)
_ACCOUNT = account_code(0).removesuffix("0")


def is_vouched(name: str) -> bool:
    """Whether a stored word is an account's."""
    return name.startswith(_ACCOUNT)


def require_vouched(actor: Actor) -> None:
    """Refuse the word of who has proved nothing.

    Raises:
        SecondPersonError: He has not.
    """
    if not actor.is_authenticated:
        raise SecondPersonError(NEEDS_ACCOUNTS)


def say_alone_from(moment: datetime) -> str:
    """From when the only approver of a school may confirm his own word, in the school's clock.

    Args:
        moment: By the school's clock (`Gateway.local`).
    """
    return (
        "Единственный утверждающий подтверждает своё предложение позже, введя пароль заново: не раньше "
        f"{moment:%d.%m.%Y %H:%M}"
    )
