"""Recipients by the current tables, for a gateway that refuses unknown ones at RCPT."""

from __future__ import annotations

import time

from streams import topics
from streams.agents.route import directory_in
from streams.domain.routing.directory import Directory
from streams.domain.routing.known import is_known
from streams.state.table import TopicTables

DIRECTORY = (topics.SITES, topics.EMAIL_LISTS, topics.PEOPLE, topics.ROSTERS, topics.REDIRECTS, topics.SUPPRESSIONS)
DIRECTORY_EVERY_S = 1.0  # a burst of changes makes one new directory, not thousands


class KnownRecipients:
    """Asks the directory of the tables' current rows, which it makes anew when they have changed."""

    def __init__(self, tables: TopicTables) -> None:
        self._tables = tables
        self._version = tables.version
        self._directory: Directory = directory_in(tables)
        self._made = time.monotonic()

    def __call__(self, address: str) -> bool:
        """True if the address is the site's own or some rule takes it."""
        if self._version != self._tables.version and time.monotonic() > self._made + DIRECTORY_EVERY_S:
            self._version = self._tables.version
            self._directory = directory_in(self._tables)
            self._made = time.monotonic()
        return is_known(address, self._directory)
