"""What the changing of rights needs: the store, the log that every change is written to, where we are, and who changes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.access.passwords import Passwords
from gateway.audit.deed import Actor
from gateway.audit.log import AuditLog
from gateway.domain.identifiers import Place
from gateway.store.transaction import Store


@dataclass(frozen=True, kw_only=True)
class Office:
    """Where accounts, roles, relations and tokens are given and taken back.

    Attributes:
        actor: Who changes rights: an OS user by the command line, or an account.
        alerts_about: Number of the account that acts by the door: who leads is told of every right that it hands out, because
            it could hand them to itself under another login. None = the command line, whose user has the database anyway.
    """

    store: Store
    audit: AuditLog
    place: Place
    actor: Actor
    passwords: Passwords
    alerts_about: int | None = None
