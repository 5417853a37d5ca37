"""A big audience as several records of bounded size, each of which is expanded on its own, in any order, again at will."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from streams.domain.addresses import address_hash
from streams.domain.outgoing.people import Met, MetInMemory
from streams.domain.outgoing.sendto import SEND_TO, targets
from streams.events import Contact, MessageRequest, Person

PERSON_OVERHEAD = 40  # length prefixes and union tags of one Person in Avro, rounded up


MAX_PEOPLE = 1000
MAX_BYTES = 1_000_000


def split_into_chunks(request: MessageRequest, max_people: int = MAX_PEOPLE, max_bytes: int = MAX_BYTES) -> Iterator[MessageRequest]:
    """The records of a request that is in memory whole."""
    parts = list(groups(request.recipients, max_people, max_bytes))
    return chunks(request, parts, len(parts), MetInMemory())


def chunks(head: MessageRequest, parts: Iterable[list[Person]], number: int, met: Met) -> Iterator[MessageRequest]:
    """The records of a request, each repeating its head, with one of the `number` parts of its audience.

    `met` remembers the hashes of addresses. An empty audience is one empty record.
    """
    for i, people in enumerate(parts if number else [[]]):
        before = sorted(met.meet(_mailed(people, head)))
        yield replace(head, chunk=i, chunks=number or 1, mailed_before=before, recipients=people)


def groups(people: Iterable[Person], max_people: int = MAX_PEOPLE, max_bytes: int = MAX_BYTES) -> Iterator[list[Person]]:
    """The people in parts of at most `max_people`, and about `max_bytes` of them; one who is larger has a part alone."""
    group: list[Person] = []
    size = 0
    for person in people:
        weight = _weight(person)
        if group and (len(group) >= max_people or size + weight > max_bytes):
            yield group
            group, size = [], 0
        group.append(person)
        size += weight
    if group:
        yield group


def _weight(person: Person) -> int:
    texts = [person.user_id, person.username, person.first_name, person.last_name, person.email, person.variables]
    for contact in (person.guardian, person.emergency):
        if isinstance(contact, Contact):
            texts += [contact.first_name, contact.last_name, contact.email]
    return PERSON_OVERHEAD + sum(len(text.encode()) for text in texts)


def _mailed(people: list[Person], request: MessageRequest) -> set[str]:
    """Hashes of the addresses that these people's mail goes to; nothing where each address gets all its copies."""
    if request.dedupe == "off":
        return set()
    components = SEND_TO[request.send_to]
    return {address_hash(target.address) for person in people if person.active for target in targets(person, components)}
