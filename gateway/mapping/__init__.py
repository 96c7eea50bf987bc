"""Understands: normalises, works out who is who, and says in the city's terms what should stand there."""
