"""route: decides on each inbound mail by the tables in force, and carries out what moderators say of held ones."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gateway import vouching
from gateway.bodies import Bodies, BodyDamaged, BodyError, BodyMissing
from gateway.keys import load_keyring
from streams import codec, topics
from streams.agents.bounce import read_bounce
from streams.domain.outgoing.unsubscribe import Keyring
from streams.domain.routing.arc import SealKey
from streams.domain.routing.authentication import Results
from streams.domain.routing.decide import decide, rejected, unjudged
from streams.domain.routing.directory import Directory
from streams.domain.routing.fields import canonical
from streams.domain.routing.index import directory_of
from streams.domain.routing.model import Decision, Inbound, Kind
from streams.domain.routing.moderation import Asking
from streams.domain.routing.outcome import Routed, to_events
from streams.domain.routing.quota import FLOOD, MAX_ASKED, Quota
from streams.domain.verp import is_for_bounces
from streams.events import (
    InboundApproved,
    InboundDropped,
    InboundHeld,
    InboundMailReceived,
    InboundNoticed,
    InboundRejected,
    InboundRerouted,
)
from streams.outcomes import Dead, Done, Outcome, Source
from streams.ports import now
from streams.publisher import Record
from streams.reading import record_at
from streams.settings import Settings, SettingsError
from streams.shell import WorldBroken
from streams.state.catch_up import Ledgers, LedgerUnusable
from streams.state.done import micros
from streams.state.ledger import Ledger
from streams.state.recent import Recent
from streams.state.table import TableUnready, TopicTables

log = logging.getLogger(__name__)

TABLES = (
    topics.SITES,
    topics.EMAIL_LISTS,
    topics.PEOPLE,
    topics.ROSTERS,
    topics.REDIRECTS,
    topics.SUPPRESSIONS,
    topics.HELD_MAIL,
    topics.NOTICES,
)
NOTICE_EVERY = timedelta(days=1)  # spec 8.1
MODERATORS = ("director", "support", "none")
INLINE_BYTES = 1_000_000  # of one mail in all its copies; beyond, the copies carry a claim check
BY = TABLES[:6]  # what a directory is made of
BUILDING = 0.2  # of the time at most: a burst of changes makes a few new directories, not thousands


@dataclass(frozen=True, slots=True)
class Told:
    """The address hashes that had a notice lately, other than for this mail (so that a replay decides the same)."""

    notices: Any
    inbound_id: str
    since: datetime

    def __contains__(self, hashed: object) -> bool:
        row: InboundNoticed | None = self.notices.get(str(hashed).encode())
        return row is not None and row.at > self.since and row.inbound_id != self.inbound_id


class Router:
    """Handles inbound-mail and moderation for streams/shell.py."""

    def __init__(self, settings: Settings, tables: TopicTables, bodies: Bodies, done: Ledgers, seal_key: SealKey | None = None) -> None:
        self._settings = settings
        self._tables = tables
        self._bodies = bodies
        self._done = done
        self._seal_key = seal_key
        self._keyring = load_keyring(settings.var)
        self._asking = asking(settings, self._keyring)
        self._relays = relays(settings)
        self._recent = Recent(max(MAX_ASKED, FLOOD * max(settings.sender_limit, settings.address_limit)))
        self._directory: Directory | None = None
        self._version = -1
        self._next_build = 0.0

    async def __call__(self, event: Any, source: Source) -> Outcome:
        """Raises WorldBroken if the body store or the tables do not answer, or the ledger cannot be trusted."""
        await self._catch_up()
        match event:
            case InboundMailReceived():
                return await self._received(event, source)
            case InboundRerouted():
                return await self._reroute(event, source)
            case InboundApproved():
                return await self._approve(event, source)
            case InboundRejected():
                return await self._reject(event, source)
        return Dead("unexpected_event", type(event).__name__)

    @property
    def directory(self) -> Directory:
        """Of the tables as they were when the record in hand was taken up, or later."""
        return self._directory or self._built()

    async def _catch_up(self) -> None:
        """Until everything is known that was known when the record came: rules that were loaded before a mail came decide on it.

        Who comes within a burst of changes waits for the next directory.
        """
        try:
            await self._tables.catch_up()
        except TableUnready as error:
            raise WorldBroken(str(error)) from error
        wanted = self._tables.version_of(BY)
        while self._version < wanted:
            if (pause := self._next_build - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            else:
                self._built()

    def _built(self) -> Directory:
        began, self._version = time.monotonic(), self._tables.version_of(BY)
        self._directory = directory_in(self._tables)
        for fault in self._directory.rule_faults:
            log.warning("a rule is left out: %s", fault)
        self._next_build = time.monotonic() + (time.monotonic() - began) * (1 / BUILDING - 1)
        return self._directory

    async def _received(self, event: InboundMailReceived, source: Source) -> Outcome:
        """A mail that was decided on before is a replay or a retransmission: it changes nothing."""
        if (await self._ledger(source)).number(event.inbound_id.encode()) is not None:
            return Done("already_routed")
        return await self._route(event, source, limited=True)

    async def _reroute(self, asked: InboundRerouted, source: Source) -> Outcome:
        """Decide anew by the rules of today; once, however often it is read. Copies that went out before do not go again."""
        decided = (await self._ledger(source)).number(asked.inbound_id.encode())
        if decided is not None and decided > micros(asked):
            return Done("already_routed")
        record = await asyncio.to_thread(record_at, self._settings, topics.INBOUND_MAIL, asked.partition, asked.offset)
        mail = codec.decode_as(InboundMailReceived, record.value)
        outcome = await self._route(mail, source)
        if isinstance(outcome, Dead) or outcome.reason == Kind.HOLD or self._taken(asked.inbound_id) is None:
            return outcome
        return _with(outcome, [self._released(asked.inbound_id, source)])  # nobody can approve it any more, and it would stay for ever

    async def _ledger(self, source: Source) -> Ledger:
        try:
            return await self._done.of(source.partition)
        except LedgerUnusable as error:
            raise WorldBroken(str(error)) from error

    async def _route(self, event: InboundMailReceived, source: Source, *, approved: bool = False, limited: bool = False) -> Outcome:
        """Decide and carry it out; `limited`: only so much from one sender, or to one address."""
        content = await self._content(event)
        if isinstance(content, Dead):
            return content
        if is_for_bounces(event.rcpt_to, self._tables.snapshot(topics.SITES)):
            return await self._bounce(event, content, source)
        mail = self._mail(event, content)
        told = Told(self._tables.rows(topics.NOTICES), event.inbound_id, now() - NOTICE_EVERY)
        directory = self.directory
        results = await self._results(mail, directory)
        decision = decide(
            mail,
            directory,
            approved=approved,
            told=told,
            seal_key=self._seal_key,
            quota=self._quota(mail.received_at) if limited else None,
            asking=self._asking,
            results=results,
        )
        for key in decision.counted:
            self._recent.note(key, mail.received_at)
        return await self._carried_out(decision, directory.rules_hash, mail, event, source)

    def _mail(self, event: InboundMailReceived, content: bytes) -> Inbound:
        outside = vouching.is_outside(event.client, self._relays)
        return Inbound.of(event, canonical(content), outside=outside)

    async def _carried_out(self, decision: Decision, rules_hash: str, mail: Inbound, event: InboundMailReceived, source: Source) -> Outcome:
        mail = await self._claimed(mail, len(decision.messages))
        own_paths = bool(self._settings.verp)
        routed = to_events(decision, mail, now(), rules_hash=rules_hash, max_attempts=self._settings.attempts, own_paths=own_paths)
        (await self._ledger(source)).note(routed.routing)
        emails = [Record.of(topics.EMAILS_URGENT, email.email_id, email, source.trace) for email in routed.emails]
        closing = Record.of(topics.ROUTINGS, event.inbound_id, routed.routing, source.trace)
        return Done(decision.kind.value, [*emails, *self._remembered(routed, event, source)], [closing])

    async def _bounce(self, event: InboundMailReceived, content: bytes, source: Source) -> Outcome:
        """Before any rule: the address belongs to nobody, whatever the rules would make of it."""
        read = await asyncio.to_thread(read_bounce, event, content, self._keyring, source.trace)
        dropped = InboundDropped(event.inbound_id, now(), read.reason, None, None, self.directory.rules_hash)
        (await self._ledger(source)).note(dropped)
        return Done(read.reason, read.records, [Record.of(topics.ROUTINGS, event.inbound_id, dropped, source.trace)])

    async def _results(self, mail: Inbound, directory: Directory) -> Results | None:
        host = unjudged(mail, directory) if self._settings.check_senders else None
        if host is None:
            return None
        client = vouching.Client(mail.client, mail.helo, mail.mail_from) if mail.outside else None
        return await vouching.found_out(mail.content, host, client=client)

    def _quota(self, at: datetime) -> Quota:
        return Quota(self._settings.sender_limit, self._settings.address_limit, lambda key: self._recent.count(key, at))

    async def _claimed(self, mail: Inbound, copies: int) -> Inbound:
        """A body that many copies would carry inline is stored once."""
        if mail.claim is not None or len(mail.content) * copies <= INLINE_BYTES:
            return mail
        try:
            return replace(mail, claim=await asyncio.to_thread(self._bodies.put, mail.content))
        except BodyError as error:
            raise WorldBroken(f"the body store does not answer: {error}") from error

    async def _approve(self, said: InboundApproved, source: Source) -> Outcome:
        """A mail that is not held (any more) was settled before: saying it twice delivers once."""
        held = self._taken(said.inbound_id)
        if held is None:
            return Done("nothing_held")
        outcome = await self._route(held, source, approved=True)
        if isinstance(outcome, Dead):  # it can be approved again, when its dead letter is replayed
            self._tables.note(topics.HELD_MAIL, said.inbound_id.encode(), held)
        return _with(outcome, [self._released(said.inbound_id, source)])

    async def _reject(self, said: InboundRejected, source: Source) -> Outcome:
        """With a note its sender is told, if it is somebody known."""
        held = self._taken(said.inbound_id)
        if held is None:
            return Done("nothing_held")
        content = await self._content(held)
        mail = self._mail(held, b"" if isinstance(content, Dead) else content)  # a lost one: nobody is told, the word counts
        directory = self.directory
        results = await self._results(mail, directory) if said.note.strip() else None
        outcome = await self._carried_out(rejected(mail, directory, said.note, results), directory.rules_hash, mail, held, source)
        return _with(outcome, [self._released(said.inbound_id, source)])

    def _taken(self, inbound_id: str) -> InboundMailReceived | None:
        """The held mail, for the first who speaks of it: several are in work at once, and their word must not count too."""
        row: InboundMailReceived | None = self._tables.rows(topics.HELD_MAIL).get(inbound_id.encode())
        self._tables.note(topics.HELD_MAIL, inbound_id.encode(), None)
        return row

    def _remembered(self, routed: Routed, event: InboundMailReceived, source: Source) -> list[Record]:
        """What later decisions need: the held mail itself, or that its sender was told."""
        routing = routed.routing
        if isinstance(routing, InboundHeld):
            return [self._row(topics.HELD_MAIL, event.inbound_id, event, source)]
        if isinstance(routing, InboundNoticed):
            return [self._row(topics.NOTICES, routing.address_hash, routing, source)]
        return []

    def _released(self, inbound_id: str, source: Source) -> Record:
        return Record(topics.HELD_MAIL, inbound_id.encode(), None, source.trace)

    def _row(self, topic: str, key: str, row: Any, source: Source) -> Record:
        self._tables.note(topic, key.encode(), row)
        return Record.of(topic, key, row, source.trace)

    async def _content(self, event: InboundMailReceived) -> bytes | Dead:
        """Raises WorldBroken if the body store does not answer."""
        if event.claim is None:
            return event.content or b""
        try:
            return await asyncio.to_thread(self._bodies.get, event.claim)
        except (BodyMissing, BodyDamaged) as error:
            return Dead("body_lost", str(error))
        except BodyError as error:
            raise WorldBroken(f"the body store does not answer: {error}") from error


def relays(settings: Settings) -> list[vouching.Network]:
    """Our own MTAs. Raises SettingsError."""
    try:
        return vouching.networks(settings.relays)
    except ValueError as error:
        raise SettingsError(f"ESPMAIL_RELAYS takes addresses and networks like 192.0.2.7 or 192.0.2.0/24, with commas: {error}") from None


def asking(settings: Settings, keyring: Keyring) -> Asking | None:
    """How moderators are told of held mail; none if they are not. Raises SettingsError."""
    if settings.moderators not in MODERATORS:
        raise SettingsError(f"ESPMAIL_MODERATORS takes {', '.join(MODERATORS)}, not {settings.moderators!r}")
    return None if settings.moderators == "none" else Asking(keyring, directors=settings.moderators == "director")


def directory_in(tables: TopicTables) -> Directory:
    """The directory of the tables' current rows."""
    return directory_of(
        sites=tables.snapshot(topics.SITES),
        email_lists=tables.snapshot(topics.EMAIL_LISTS),
        people=tables.snapshot(topics.PEOPLE),
        rosters=tables.snapshot(topics.ROSTERS),
        redirects=tables.snapshot(topics.REDIRECTS),
        suppressed=[(row.address_hash, row.purpose) for row in tables.snapshot(topics.SUPPRESSIONS) if row.suppressed],
    )


def _with(outcome: Outcome, more: list[Record]) -> Outcome:
    return replace(outcome, closing=[*outcome.closing, *more]) if isinstance(outcome, Done) else outcome
