"""The city's school years: asked for once, and which of them a day belongs to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date

from gateway.connectors.mesh import SYSTEM
from gateway.connectors.mesh.answers import read_whole
from gateway.connectors.mesh.wire import WireYear
from gateway.connectors.pace import Lane, current_lane
from gateway.domain.city import CityYear
from gateway.domain.clock import school_year
from gateway.domain.errors import IncompleteReadError


class Years:
    """The years of one city.

    Args:
        fetch_rows: Reads the whole list.
    """

    def __init__(self, fetch_rows: Callable[[], list[object]]) -> None:
        self._fetch_rows = fetch_rows
        self._years: tuple[CityYear, ...] = ()
        # one a lane: a call that somebody waits for must not stand behind a nightly one that waits for its turn
        self._locks: dict[Lane, threading.Lock] = {"demand": threading.Lock(), "nightly": threading.Lock()}

    def get(self, day: date) -> CityYear:
        """Return the school year of a day.

        Raises:
            IncompleteReadError: The city knows no such year.
            ConnectorError: As its type says.
        """
        with self._locks[current_lane()]:
            if not self._years:
                self._years = self._fetch()
            years = self._years
        for year in years:
            if year.begins_on <= day <= year.ends_on:
                return year
        # The city's years may end in May; by law a school year lasts till 31 August (R23).
        for year in years:
            if school_year(year.begins_on) == school_year(day):
                return year
        raise IncompleteReadError(
            "Журнал не знает учебного года, к которому относится день", system=SYSTEM, method="GET"
        )

    def _fetch(self) -> tuple[CityYear, ...]:
        rows = self._fetch_rows()
        if not rows:
            raise IncompleteReadError("Журнал не показал ни одного учебного года", system=SYSTEM, method="GET")
        return tuple(
            CityYear(
                id=year.id,
                name=year.name,
                begins_on=year.begin_date,
                ends_on=year.end_date,
                is_current=bool(year.current_year),
            )
            for year in read_whole(WireYear, rows, "academic_year")
        )


__all__ = ["Years"]
