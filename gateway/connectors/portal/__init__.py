"""Connectors to learning portals."""
