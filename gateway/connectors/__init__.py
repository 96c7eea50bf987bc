"""Hears and speaks: the only floor that knows foreign protocols. Connectors never know one another."""
