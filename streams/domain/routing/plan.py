"""From an address to people: the first rule that accepts, and through aliases that lead back to the site (spec 6.3, 8 row 49)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from streams.domain.addresses import AddressError, check_address
from streams.domain.routing.authentication import disowned, vouched_for
from streams.domain.routing.case import Case
from streams.domain.routing.directory import Directory
from streams.domain.routing.handlers import Accepted, Asked, Declined
from streams.domain.routing.model import Addressee, Kind, Member, Skip
from streams.domain.routing.posting import FORGED, Refusal, refusal
from streams.domain.routing.quota import exceeded, keys
from streams.domain.routing.rewrite import speaks_for
from streams.domain.routing.rules import Rule

MAX_ALIASES = 10  # of the site, one leading to the other
UNKNOWN = "unknown_recipient"


@dataclass(frozen=True, slots=True)
class Route:
    """The rule that accepted an address, and whom it named."""

    rule: Rule
    accepted: Accepted


@dataclass(frozen=True, slots=True)
class Branch:
    """The members whom one rule sends to, behind the addresses of the site that led to it."""

    path: tuple[Addressee, ...]
    route: Route
    members: tuple[Member, ...]


@dataclass(slots=True)
class Plan:
    """All branches of a mail while they are found; `seen` are the keys of everyone who gets a copy."""

    branches: list[Branch] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    visited: set[Addressee] = field(default_factory=set)
    refused: Refusal | None = None
    faults: list[str] = field(default_factory=list)

    def skip(self, member: Member, reason: str) -> None:
        self.skipped.append(Skip(member.address, member.user_id, reason))


def find_route(to: Addressee, case: Case, faults: list[str]) -> Route | Declined:
    """The first acceptance in the order of seq; else the most telling reason among the declines."""
    reasons = []
    for rule in case.directory.rules:
        match = rule.pattern.search(to.local)
        if match is None:
            continue
        asked = Asked(to, match, rule.handler.groups, case.sender, case.trusted_list, case.directory)
        answer = _asked(rule, asked, faults)
        if isinstance(answer, Accepted):
            return Route(rule, answer)
        reasons.append(answer.reason)
    return Declined(next((reason for reason in reasons if reason != UNKNOWN), UNKNOWN))


def _asked(rule: Rule, asked: Asked, faults: list[str]) -> Accepted | Declined:
    try:
        return rule.handler.accept(asked)
    except Exception as error:  # noqa: BLE001 - a site's own handler may raise anything; the other rules go on (spec 8, row 44)
        faults.append(f"email list {rule.row.seq}: handler {rule.row.handler} failed: {type(error).__name__}")
        return Declined("handler_failed")


def stopped(route: Route, case: Case) -> Refusal | None:
    """Why the mail may not go where this rule sends it, or none."""
    if case.approved:
        return None
    row = route.rule.row
    policy = route.rule.handler.posting if row.who_may_post == "default" else row.who_may_post
    if not case.mail.mail_from and policy != "anyone":
        return Refusal(Kind.DROP, "null_sender")  # a bounce or a vacation note, whatever else it says
    trusted = case.trusted_list and not route.rule.handler.broadcast
    refused = refusal(policy, case.sender, route.accepted.members, trusted_list=trusted)
    refused = refused or (FORGED if _is_forged(route, case, policy) else None) or crowded(case)
    refused = refused or (Refusal(Kind.HOLD, "admin_hold") if row.admin_hold else None)
    return replace(refused, director=route.accepted.director) if refused else None


def _is_forged(route: Route, case: Case, policy: str) -> bool:
    """True if the MTA's results contradict what lets the mail in, or what it would go out as."""
    by_list = vouched_for(case.results, case.site.list_hosts) if case.trusted_list else None
    if policy == "anyone":
        return _in_our_name(route, case) and not by_list
    return by_list is False and not route.rule.handler.broadcast


def _in_our_name(route: Route, case: Case) -> bool:
    """True if a copy would make the site vouch for a sender who is forged as far as can be seen: as itself, or by an account's alias."""
    sender = case.sender
    if sender.mailbox is None or sender.authentic is not False:
        return False
    if speaks_for(case.site, sender.mailbox.address):
        return disowned(case.results)
    return route.rule.rewrites and sender.account is not None


def crowded(case: Case) -> Refusal | None:
    """What becomes of a mail that is one of too many, or none."""
    return exceeded(case.quota, keys(case.mail, case.sender, case.to)) if case.quota else None


def follow(plan: Plan, path: tuple[Addressee, ...], route: Route, case: Case) -> None:
    """Add the members of a route to the plan, each once, and follow those that are addresses of the site."""
    plan.visited.add(path[-1])
    members = []
    for member in route.accepted.members:
        inside = None if route.rule.handler.broadcast else case.directory.addressee(member.address)
        if inside is not None:
            _follow_alias(plan, (*path, inside), member, case)
        elif reason := unfit(plan, member, route.rule.handler.purpose, case.directory):
            plan.skip(member, reason)
        else:
            plan.seen.add(member.key)
            members.append(member)
    if members:
        plan.branches.append(Branch(path, route, tuple(members)))


def _follow_alias(plan: Plan, path: tuple[Addressee, ...], member: Member, case: Case) -> None:
    """An alias to another address of the site is resolved here, without a turn through the MTA."""
    to = path[-1]
    reason = _no_way_on(plan, path, case)
    if reason is not None:
        plan.skip(member, reason)
        return
    route = find_route(to, case, plan.faults)
    if isinstance(route, Declined):
        plan.skip(member, route.reason)
        return
    refused = stopped(route, case)
    if refused is None:
        follow(plan, path, route, case)
    elif refused.kind is Kind.HOLD:
        plan.refused = refused
    else:
        plan.skip(member, refused.reason)


def _no_way_on(plan: Plan, path: tuple[Addressee, ...], case: Case) -> str | None:
    """Why the last address of this path is not followed (a code), or none."""
    to = path[-1]
    if to in path[:-1]:
        return "alias_cycle"
    if to in case.marks:
        return "loop"
    if len(path) > MAX_ALIASES:
        return "too_many_aliases"
    return "duplicate" if to in plan.visited else None


def unfit(plan: Plan, member: Member, purpose: str, directory: Directory) -> str | None:
    """Why this member gets no copy (a code), or none."""
    if not member.active:
        return "inactive"
    if not member.address:
        return "no_address"
    if not _is_address(member.address):
        return "invalid_address"
    if member.key in plan.seen:
        return "duplicate"
    return "suppressed" if directory.is_suppressed(member.address, purpose) else None


@lru_cache(maxsize=65_536)  # the same members, list after list
def _is_address(text: str) -> bool:
    try:
        check_address(text)
    except AddressError:
        return False
    return True
