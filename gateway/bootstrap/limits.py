"""Numbers of the settings as the floors below want them: delivery's terms, the guards' limits."""

from __future__ import annotations

from gateway.queue.breaker import BreakerTerms
from gateway.queue.terms import Terms, to_batch_count
from gateway.reconcile.guard import Limits
from gateway.reconcile.lanes import LaneLimits
from gateway.settings import GatewaySettings


def build_terms(settings: GatewaySettings) -> Terms:
    """Delivery's numbers from the settings."""
    return Terms(
        lease_s=settings.queue.lease_s,
        max_claims=settings.queue.max_claims,
        max_attempts=settings.queue.max_attempts,
        settle_s=settings.mesh.settle_s,
        deadline_s=settings.mesh.deadline_s,
        batch_count=to_batch_count(settings.mesh.rate_per_s),
        breaker=BreakerTerms(
            failures_count=settings.mesh.breaker_failures,
            open_s=settings.mesh.breaker_open_s,
            longest_s=settings.mesh.breaker_longest_s,
            # three calls' time: whoever tries may read with its short retries
            probe_s=3 * settings.mesh.deadline_s,
        ),
    )


def build_lane_limits(settings: GatewaySettings) -> LaneLimits:
    """The numbers of the guards over a whole plan from the settings."""
    school = settings.school
    return LaneLimits(
        minimum_count=school.guard_minimum_count,
        create_ratio=school.guard_create_ratio,
        first_count=school.guard_first_count,
        change_ratio=school.guard_change_ratio,
        change_count=school.guard_change_count,
        delete_ratio=school.guard_delete_ratio,
        delete_count=school.guard_delete_count,
        past_count=school.guard_past_count,
        average_shift=school.guard_average_shift,
        period_mark_count=school.guard_period_mark_count,
        average_marks=school.guard_average_marks,
        round_up_from=school.guard_round_up_from,
    )


def build_limits(settings: GatewaySettings) -> Limits:
    """The guard's numbers from the settings."""
    school = settings.school
    return Limits(
        minimum_count=school.guard_minimum_count,
        change_ratio=school.guard_change_ratio,
        delete_ratio=school.guard_delete_ratio,
        empty_source_ratio=school.empty_source_ratio,
    )
