"""The sandbox city: an e-journal that keeps the contract of the reference (§7), misbehaves on request, and remembers.

It shares nothing with connectors, mapping, reconcile, domain or store: its codecs are its own, so that the connector
and its counterpart can't be wrong together.
"""

from gateway.sandbox.city.app import build_city_app
from gateway.sandbox.city.city import City, LikeSchool
from gateway.sandbox.city.like_portal import build_like

__all__ = ["City", "LikeSchool", "build_city_app", "build_like"]
