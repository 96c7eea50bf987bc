"""The ear: listens to all that production code logs while worlds are played, for what must never be said (I12, F21)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from typing import TextIO, cast

from gateway.telemetry import configure_logging


class Ear(io.TextIOBase):
    """A log's stream that keeps nothing but how many lines it heard, and those with a canary in them.

    Attributes:
        line_count: Lines heard since the last `listen_for`.
        heard: The canaries that were said.
    """

    def __init__(self) -> None:
        super().__init__()
        self.line_count = 0
        self.heard: set[str] = set()
        self._said: re.Pattern[str] | None = None

    def listen_for(self, canaries: Iterable[str]) -> None:
        """Begin anew, for these words; they are found in JSON's spelling of them too."""
        self.line_count = 0
        self.heard = set()
        forms = {form for word in canaries for form in (word, json.dumps(word)[1:-1])}
        self._said = re.compile("|".join(sorted(map(re.escape, forms)))) if forms else None

    def writable(self) -> bool:
        """A log may be written here."""
        return True

    def write(self, text: str, /) -> int:
        """Hear a line."""
        self.line_count += text.count("\n")
        if self._said is not None:
            self.heard.update(self._said.findall(text))
        return len(text)

    def hear_all_logs(self) -> None:
        """Become what this process logs into, down to the last detail."""
        configure_logging(stream=cast("TextIO", self), level="DEBUG")
