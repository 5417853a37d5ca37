"""Whom a recipient's mail goes to: the send-to modes (spec 3.2) as a table of components."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from streams.domain.addresses import format_address, normalise
from streams.events import Contact, Person

SELF, GUARDIAN, EMERGENCY = "self", "guardian", "emergency"

# Stored name -> components, in the order in which their mails are made.
SEND_TO: dict[str, tuple[str, ...]] = {
    "": (SELF,),  # the original's spelling of send_to_self
    "send_to_self": (SELF,),
    "send_to_guardian": (GUARDIAN,),
    "send_to_emergency": (EMERGENCY,),
    "send_to_self_and_guardian": (SELF, GUARDIAN),
    "send_to_self_and_emergency": (SELF, EMERGENCY),
    "send_to_guardian_and_emergency": (GUARDIAN, EMERGENCY),
    "send_to_self_and_guardian_and_emergency": (SELF, GUARDIAN, EMERGENCY),
}


@dataclass(frozen=True, slots=True)
class Target:
    """One address looked at: `address` as given, trimmed (maybe blank or no address at all)."""

    name: str
    address: str

    @property
    def formatted(self) -> str:
        """As far as it is known: `"NAME" <>` for a name without an address, '' for nobody."""
        return format_address(self.name, self.address)


def targets(person: Person, components: tuple[str, ...]) -> list[Target]:
    """The person's addresses in order, each once (compared without case). Empty if there is none to send to."""
    found: dict[str, Target] = {}
    for target in _candidates(person, components):
        if target.address:
            found.setdefault(normalise(target.address), target)
    return list(found.values())


def first_target(person: Person, components: tuple[str, ...]) -> Target:
    """Where the mail would have gone, for the record of a person who gets none."""
    return next(_candidates(person, components), Target("", ""))


def _candidates(person: Person, components: tuple[str, ...]) -> Iterator[Target]:
    for component in components:
        owner: Person | Contact | None = person if component == SELF else getattr(person, component)
        if owner is not None:
            yield Target(f"{owner.first_name} {owner.last_name}".strip(), owner.email.strip())
