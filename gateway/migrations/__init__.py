"""The schema's history. `gateway.store.schema` drives it; this package holds the scripts and the development tools."""

from gateway.store.schema import current_revision, head_revision, is_newer, upgrade

__all__ = ["current_revision", "head_revision", "is_newer", "upgrade"]
