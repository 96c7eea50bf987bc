"""The gateway between a school's own systems and the city's electronic journal."""

__version__ = "0.1.0"
