"""Who may read what of the city, so that what is not in a list may be concluded about.

A school admin sees all groups. A teacher may be shown his own only, and the others would look empty instead of refused:
he reads the directory and his own groups, and nothing else is read in place of a paused admin.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from gateway.connectors.mesh import SYSTEM
from gateway.connectors.mesh.auth import ADMIN, Profile, Profiles
from gateway.domain.errors import IncompleteReadError
from gateway.domain.reasons import READER_LIMITED

FetchOwnGroups = Callable[[Profile, int | None, float | None], frozenset[int]]


class Readers:
    """Chooses the reader of a list.

    Args:
        fetch_own_groups: Asks the city which groups a teacher's profile has: (profile, year id, monotonic moment by which
            it is over or None).
    """

    def __init__(self, profiles: Profiles, fetch_own_groups: FetchOwnGroups) -> None:
        self._profiles = profiles
        self._fetch_own_groups = fetch_own_groups
        self._own_groups: dict[str, frozenset[int]] = {}

    def choose(self, of_groups: Collection[int], year_id: int | None, until: float | None) -> Profile:
        """Choose who reads: whoever sees all, else a teacher who has all these groups.

        Args:
            of_groups: Groups whose whole content is asked for; empty = a list that everybody sees alike.

        Raises:
            IncompleteReadError: Only teachers of other groups are left.
            AccessDeniedError: No profile, or all are paused.
        """
        first = self._profiles.choose_reader()
        if first.role == ADMIN or not of_groups:
            return first
        for teacher in self._profiles.free_teachers():
            if teacher.name not in self._own_groups:
                self._own_groups[teacher.name] = self._fetch_own_groups(teacher, year_id, until)
            if self._own_groups[teacher.name].issuperset(of_groups):
                return teacher
        raise IncompleteReadError(
            "Журнал: эту группу целиком видит только администратор школы или её учитель, а их профиль не задан или остановлен",
            reason=READER_LIMITED,
            system=SYSTEM,
            method="GET",
        )

    def is_limited(self) -> bool:
        """Whether nobody who sees all groups can read now.

        Raises:
            AccessDeniedError: Nobody can read at all.
        """
        return self._profiles.choose_reader().role != ADMIN

    def forget(self) -> None:
        """Ask for the teachers' groups again when they are next needed."""
        self._own_groups.clear()


__all__ = ["Readers"]
