"""The append-only log of who did what to what, when and why. Whoever acts writes here, in the transaction of the act."""
