"""Where an operation stands. The row is the truth; these are its only words."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """States of an operation, in the order of a good life, then the other ends."""

    READY = "ready"  # due at `not_before`
    CLAIMED = "claimed"  # somebody works on it until `lease_until`; nothing was sent
    SENDING = "sending"  # the call is out; a crash now leaves the outcome unknown
    UNKNOWN = "unknown"  # sent, not answered: read back at `not_before`, not touched before
    ACCEPTED = "accepted"  # the city said yes; not yet seen there
    VERIFIED = "verified"  # seen in the city as meant
    BY_HAND = (
        "by_hand"  # on the list «enter by hand»: a person writes it there, the next export of the journal proves it
    )
    PARKED = "parked"  # waits for a person, with its reason
    SUPERSEDED = "superseded"  # overtaken by a newer intent, or the ground moved: decided afresh by the next plan


IN_FLIGHT = (State.CLAIMED, State.SENDING, State.UNKNOWN, State.ACCEPTED)
"""The object belongs to this operation: no other may touch it, no plan may decide about it."""

OPEN = (State.READY, *IN_FLIGHT)
