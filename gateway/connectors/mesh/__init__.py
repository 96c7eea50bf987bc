"""The city's electronic journal (ОЭЖД / МЭШ): everything about this one system stands in this folder."""

SYSTEM = "mesh"
"""Name of this system in errors and fault places."""
