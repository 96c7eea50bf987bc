"""Tells people what happened: read models over records, shadow, plans and the audit. Writes nothing."""
