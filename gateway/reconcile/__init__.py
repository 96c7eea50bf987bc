"""Decides: keeps what was last seen on each side, compares three legs, stores the difference as a plan."""
