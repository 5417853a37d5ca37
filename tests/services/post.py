"""A sender with an MTA of its own, and what stands on the topics about its mails."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streams import rewind, topics
from streams.domain.states import EmailState, fold
from streams.errors import UserError
from streams.events import EmailQueued
from streams.rewind import Rewind
from streams.settings import Settings
from tests.services.agents import Agent, running
from tests.services.mails import Follower, committed, histories, queue
from tests.services.ports import HOST
from tests.services.sink import Sink, running_sink
from tests.services.until import until

SENDER = "send.bulk"


@dataclass(frozen=True)
class Post:
    """A sender's settings and the MTA that it sends to."""

    settings: Settings
    sink: Sink
    deliveries: Follower
    feedback: Follower

    def queue(self, *emails: EmailQueued) -> None:
        queue(self.settings, emails)

    def standing(self, *emails: EmailQueued) -> list[tuple[EmailState, int]]:
        """Where they stand, those of which anything was said."""
        said = histories(self.deliveries.heard())
        return [standing for one in emails if (standing := fold(said[one.email_id])) is not None]

    def until_they_stand(self, expected: tuple[EmailState, int], *emails: EmailQueued) -> None:
        until(lambda: self.standing(*emails) == [expected] * len(emails), f"all are {expected}")

    def said(self, one: EmailQueued) -> list[str]:
        """The kinds of event said of an email."""
        return [type(event).__name__ for event in self.events_of(one)]

    def events_of(self, one: EmailQueued) -> list[Any]:
        return histories(self.deliveries.heard())[one.email_id]

    def sender(self, module: str = "streams.run_agent", *arguments: str) -> AbstractContextManager[Agent]:
        return running(self.settings, SENDER, module, *arguments)

    def wheel(self) -> AbstractContextManager[Agent]:
        return running(self.settings, "delay")

    def until_idle(self) -> None:
        """Returns when every record of the lane has been acknowledged."""
        ends = {one.partition: one.to_offset for one in at_the_end(self.settings)}
        group = rewind.group_of(self.settings, SENDER)
        until(lambda: committed(self.settings, group, topics.EMAILS_BULK) == ends, f"everything is acknowledged, up to {ends}")


@contextmanager
def post_office(kafka: Settings, folder: Path) -> Iterator[Post]:
    """An MTA, and settings for a sender that has nothing to do with what other tests left on the lane."""
    with running_sink() as sink, ExitStack() as stack:
        settings = settings_for(kafka, folder, sink.port)
        until(lambda: rewound(settings, None), "the group stands at the end of the lane")
        followers = [Follower(settings, topic) for topic in (topics.DELIVERIES, topics.FEEDBACK)]
        for follower in followers:
            stack.callback(follower.close)
        yield Post(settings, sink, *followers)


def rewound(settings: Settings, to: list[Rewind] | None) -> bool:
    """Move the group, to the end if not said otherwise; false while Kafka will not (yet)."""
    try:
        rewind.rewind(settings, SENDER, at_the_end(settings) if to is None else to)
    except UserError:  # the broker makes its topics still, or a killed sender is a member until its session ends
        return False
    return True


def at_the_end(settings: Settings) -> list[Rewind]:
    return [replace(one, to_offset=one.to_offset + one.records, records=0) for one in rewind.plan(settings, SENDER, None)]


def settings_for(kafka: Settings, folder: Path, port: int) -> Settings:
    """Of a sender that is quick to give up and to be given up, with waits of a thousandth."""
    return replace(
        kafka,
        app=f"test-{uuid.uuid4().hex[:8]}",
        var=folder,
        mta=f"{HOST}:{port}",
        session_timeout=3.0,
        smtp_timeout=2.0,
        backoff=0.001,
    )
