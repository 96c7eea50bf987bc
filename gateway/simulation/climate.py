"""What kind of world a seed makes: calm and brutal ones, drawn apart (swarm testing)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from random import Random

from gateway.simulation.door import CityWeather
from gateway.simulation.portal import PortalWeather

FAULT_RATES = (0.02, 0.1, 0.3, 0.5)
CRASH_RATES = (0.0, 0.005, 0.03, 0.1)
RUN_POINTS = 8.0
"""A run passes that many times more points than a delivery: at the same rate none would ever reach its end."""
DEADLINE_S = 20.0
SETTLE_S = 150.0
LEASE_S = 15.0
HOUR_S = 3600.0


@dataclass(frozen=True)
class Climate:
    """One seed's world.

    Attributes:
        is_bounded: Every call lands within law 4's bound; the others are labelled.
        horizon_s: When faults end.
        closes_at_s: When the period is closed by hand; None = never.
        edits_end: The last day of editing is the day of the beginning.
        has_poison: Calls about one cell kill the worker that makes them, while faults are on.
        has_restore: The database is replaced by an older copy once.
        classes: How many classes the school has.
        has_chosen: Final marks, lateness, remarks and topics are sent as well.
    """

    p_crash: float
    p_pause: float
    city: CityWeather
    portal: PortalWeather
    horizon_s: float
    is_bounded: bool
    is_lenient: bool
    lag_s: float
    closes_at_s: float | None
    edits_end: bool
    has_restore: bool
    has_dry_runs: bool
    has_poison: bool
    teacher_gap_s: float
    human_gap_s: float
    run_gap_s: float
    outage_gap_s: float
    token_gap_s: float
    leaves_gap_s: float
    classes: int
    has_chosen: bool = False

    @property
    def label(self) -> str:
        """What sets this world apart."""
        names = [
            "" if self.is_bounded else "beyond-bound",
            "lenient" if self.is_lenient else "",
            "closing" if self.closes_at_s is not None else "",
            "edits-end" if self.edits_end else "",
            "restore" if self.has_restore else "",
            "chosen" if self.has_chosen else "",
        ]
        return ",".join(name for name in names if name) or "plain"


def calm(climate: Climate) -> Climate:
    """The same world without any fault and without anybody who interferes: for the harness that kills at chosen points."""
    return replace(
        climate,
        p_crash=0.0,
        p_pause=0.0,
        city=CityWeather(
            **{
                name: 0.0 if name.startswith("p_") else value
                for name, value in dataclasses.asdict(climate.city).items()
            }
        ),
        portal=PortalWeather(p_incomplete=0.0, p_down=0.0, p_forgetful=0.0),
        is_bounded=True,
        is_lenient=False,
        lag_s=0.0,
        closes_at_s=None,
        edits_end=False,
        has_restore=False,
        has_poison=False,
    )


def draw_climate(rng: Random) -> Climate:
    """Draw a world."""
    rate = rng.choice(FAULT_RATES)
    is_bounded = rng.random() >= 0.1
    lag_s = rng.choice((0.0, 0.0, 0.0, 2.0, 30.0))
    horizon_s = rng.uniform(3.0, 9.0) * HOUR_S

    def share() -> float:
        """Most kinds of fault are absent from most worlds, so that each world is extreme in its own way."""
        return rate * rng.choice((0.0, 0.3, 1.0))

    return Climate(
        p_crash=rng.choice(CRASH_RATES),
        p_pause=rng.choice((0.0, 0.01, 0.04)),
        city=CityWeather(
            p_unreachable=share() / 2,
            p_lost=share() / 2,
            p_unanswered=share() / 2,
            p_late=share() / 2,
            p_broken=share() / 2,
            p_throttled=share() / 3,
            p_partial=share(),
            p_swallowed=share() / 8,
            deadline_s=DEADLINE_S,
            late_limit_s=(DEADLINE_S + SETTLE_S - lag_s - 2.0) if is_bounded else 4 * (DEADLINE_S + SETTLE_S),
        ),
        portal=PortalWeather(p_incomplete=share() / 2, p_down=share() / 3, p_forgetful=share() / 6),
        horizon_s=horizon_s,
        is_bounded=is_bounded,
        is_lenient=rng.random() < 0.3,
        lag_s=lag_s,
        closes_at_s=rng.uniform(1 * HOUR_S, horizon_s) if rng.random() < 0.1 else None,
        edits_end=rng.random() < 0.08,
        has_restore=rng.random() < 0.15,
        has_dry_runs=rng.random() < 0.2,
        has_poison=rng.random() < 0.1,
        teacher_gap_s=rng.choice((0.1, 0.4, 1.0)) * HOUR_S,
        human_gap_s=rng.choice((0.5, 2.0, 1000.0, 1000.0)) * HOUR_S,
        run_gap_s=rng.choice((0.5, 1.0, 1.0)) * HOUR_S,
        outage_gap_s=rng.choice((3.0, 8.0, 1000.0)) * HOUR_S,
        token_gap_s=rng.choice((5.0, 1000.0, 1000.0)) * HOUR_S,
        leaves_gap_s=rng.choice((4.0, 1000.0, 1000.0)) * HOUR_S,
        # few cells meet all races sooner than many; what happens between classes needs two
        classes=rng.choice((1, 1, 2)),
    )
