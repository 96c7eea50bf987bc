"""Carries the plan out: outbox → relay → deliver → verify. The outbox row is the truth; the broker only nudges."""
