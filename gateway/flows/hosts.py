"""The confirmation without which nothing is written to a real city: given once, stored, audited, bound to host and profile."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.audit.deed import Deed
from gateway.domain.errors import ConfigurationError
from gateway.flows.gateway import Gateway
from gateway.queue.tables import host_confirmation
from gateway.store.transaction import upsert


def confirm_host(gateway: Gateway, *, typed_host: str, profile: str) -> None:
    """Store that a person wants writing to this host by this profile.

    Args:
        gateway: The composed gateway.
        typed_host: The host's name as the person typed it.
        profile: Name of the profile in the settings.

    Raises:
        ConfigurationError: The typed name is not the host of `mesh.base_url`, or one of the two settings is missing.
    """
    mesh = gateway.settings.mesh
    host = urlsplit(mesh.base_url).hostname or ""
    if not mesh.real_host or mesh.real_host_name != host:
        raise ConfigurationError("Сначала задайте mesh.real_host = true и mesh.real_host_name с именем узла")
    if typed_host != host:
        raise ConfigurationError("Набранное имя не совпадает с узлом из mesh.base_url: подтверждение не записано")
    with gateway.store.write() as conn:
        now = gateway.store.now(conn)
        upsert(
            conn,
            host_confirmation,
            [{"host": host, "profile": profile, "actor": gateway.actor.name, "confirmed_at": now}],
            keys=("host", "profile"),
            update=("actor", "confirmed_at"),
        )
        gateway.audit.append(
            conn,
            Deed(
                action="host.confirmed",
                actor=gateway.actor,
                place=gateway.place,
                object_type="host",
                object_id=f"{host}/{profile}",
                outcome="decided",
            ),
        )
