"""The decision on one inbound mail: a function of the mail, the directory, what came before and what a moderator said.

Never raises on a mail: what cannot be read is held or dropped with a reason. Recipients come from handlers only, never
from a header; the body is not looked at (spec 8, rows 41 and 46).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace

from streams.domain.addresses import format_address
from streams.domain.routing import moderation, notices, rewrite
from streams.domain.routing.arc import SealKey
from streams.domain.routing.authentication import Results, judgement, trusted_results
from streams.domain.routing.case import Case
from streams.domain.routing.directory import Directory
from streams.domain.routing.fields import MAX_FIELDS, MAX_HEADER, Head, scan
from streams.domain.routing.handlers import Declined
from streams.domain.routing.loops import came_from_known_list, machine_made, marks
from streams.domain.routing.model import Addressee, Decision, Inbound, Kind, Member, Message
from streams.domain.routing.moderation import Asking
from streams.domain.routing.outcome import COPY
from streams.domain.routing.plan import Branch, Plan, crowded, find_route, follow, stopped
from streams.domain.routing.posting import Refusal, sender_of
from streams.domain.routing.quota import MAX_ASKED, Quota, asked_key, keys

NOBODY: frozenset[str] = frozenset()
MAX_TOGETHER = 500  # members in one To (cc_all); with more, each copy would carry a header bigger than its body


def decide(
    mail: Inbound,
    directory: Directory,
    *,
    approved: bool = False,
    told: Container[str] = NOBODY,
    seal_key: SealKey | None = None,
    quota: Quota | None = None,
    asking: Asking | None = None,
    results: Results | None = None,
) -> Decision:
    """What becomes of the mail. `approved`: a moderator released it, so neither hold nor posting policy applies again.

    `told` holds the address hashes of those who had a notice within the last day: they get no other. With a `seal_key`
    forwards carry an ARC set, with a `quota` what comes after too much is held, with `asking` moderators are told of it.
    `results` say who vouches for the sender where no trusted MTA did.
    """
    to = directory.addressee(mail.rcpt_to)
    if to is None:
        return Decision(Kind.REJECT, "relay_denied")
    case = _case(mail, to, directory, approved=approved, told=told, quota=quota, seal_key=seal_key, results=results)
    refused = _early(case)
    if refused is None:
        decision, director = _routed(case)
    else:
        # What a moderator cannot mend ends: to hold it again would ask for ever.
        decision, director = Decision(Kind.DROP if approved else refused.kind, refused.reason), ""
    return replace(_held(decision, director, case, asking), body_start=case.head.body_start, judged=judgement(case.results))


def unjudged(mail: Inbound, directory: Directory) -> str | None:
    """The site for which it is unknown who vouches for the sender, though a sender is named; none where nothing is to be found out."""
    to = directory.addressee(mail.rcpt_to)
    case = _case(mail, to, directory) if to else None
    return case.site.domain if case and case.sender.mailbox and case.results is None else None


def rejected(mail: Inbound, directory: Directory, note: str, results: Results | None = None) -> Decision:
    """What becomes of a held mail that a moderator rejects: with a note its sender is told, if that may be.

    `results` as in `decide`: the From may be forged, and then the note would go to somebody who never wrote.
    """
    to, dropped = directory.addressee(mail.rcpt_to), Decision(Kind.DROP, "rejected_by_moderator")
    if to is None:
        return dropped
    case = _case(mail, to, directory, results=results)
    account, dropped = case.sender.account, replace(dropped, judged=judgement(case.results))
    if account is None or not note.strip() or not notices.may_be_sent(case):
        return dropped
    return replace(dropped, kind=Kind.NOTICE, messages=(notices.rejection(case, account, note),))


def _case(
    mail: Inbound,
    to: Addressee,
    directory: Directory,
    *,
    approved: bool = False,
    told: Container[str] = NOBODY,
    quota: Quota | None = None,
    seal_key: SealKey | None = None,
    results: Results | None = None,
) -> Case:
    head, site = scan(mail.content), directory.sites[to.domain]
    results = trusted_results(head, [] if mail.outside else site.authserv_ids) or results
    return Case(
        mail=mail,
        head=head,
        to=to,
        sender=sender_of(head, results, directory),
        results=results,
        trusted_list=came_from_known_list(head, site.list_hosts),
        marks=marks(head, directory),
        directory=directory,
        approved=approved,
        told=told,
        quota=quota,
        seal_key=seal_key,
    )


def _held(decision: Decision, director: str, case: Case, asking: Asking | None) -> Decision:
    """The decision with what it counts under and, if it is a hold, with the notices to moderators; one hold too many is a drop."""
    if decision.kind is Kind.HOLD and (crowd := crowded(case)):
        decision = replace(decision, kind=crowd.kind, reason=crowd.reason)
    if decision.kind not in (Kind.DELIVER, Kind.HOLD):
        return decision
    counted = keys(case.mail, case.sender, case.to)
    if decision.kind is Kind.DELIVER or asking is None:
        return replace(decision, counted=counted)
    asked = asked_key(case.site.domain)
    if case.quota is not None and case.quota.posted(asked) >= MAX_ASKED:
        return replace(decision, counted=counted)
    messages = moderation.requests(case, decision.reason, director, asking)
    return replace(decision, asked=messages, counted=(*counted, asked))


def _early(case: Case) -> Refusal | None:
    """What the header alone decides."""
    if reason := _too_much(case.head):
        # Held mail is kept: to made-up addresses anybody could have any number of it kept.
        nobody = isinstance(find_route(case.to, case, []), Declined)
        return Refusal(Kind.DROP if nobody else Kind.HOLD, reason)
    reason = machine_made(case.head, case.to, case.directory)
    return Refusal(Kind.DROP, reason) if reason else None


def _too_much(head: Head) -> str | None:
    if head.size > MAX_HEADER:
        return "header_too_large"
    return "too_many_fields" if len(head.fields) > MAX_FIELDS else None


def _routed(case: Case) -> tuple[Decision, str]:
    """The decision by the rules, and the director of what it was for (blank: none)."""
    plan = Plan(faults=[*case.directory.rule_faults])
    route = find_route(case.to, case, plan.faults)
    if isinstance(route, Declined):
        return _told(Decision(Kind.NOTICE, route.reason, faults=tuple(plan.faults)), case), ""
    refused = stopped(route, case)
    if refused is None:
        follow(plan, (case.to,), route, case)
        refused = plan.refused
    by = Decision(Kind.DELIVER, "approved" if case.approved else "accepted", seq=route.rule.row.seq, handler=route.rule.row.handler)
    by = replace(by, skipped=tuple(plan.skipped), faults=tuple(plan.faults))
    if refused is not None:
        return _told(replace(by, kind=refused.kind, reason=refused.reason, skipped=()), case), refused.director
    messages = tuple(message for branch in plan.branches for message in _copies(case, branch))
    if not messages:
        return _told(replace(by, kind=Kind.NOTICE, reason=_common_reason(plan)), case), ""
    return replace(by, messages=messages), ""


def _common_reason(plan: Plan) -> str:
    """Why nobody is left: the one reason of all skips, or that there are several."""
    reasons = {skip.reason for skip in plan.skipped}
    return reasons.pop() if len(reasons) == 1 else "no_recipients"


def _told(decision: Decision, case: Case) -> Decision:
    """The decision with its notice, where it has one; a drop where the sender may not be told."""
    account = case.sender.account
    if decision.kind is not Kind.NOTICE:
        return decision
    if account is None or not notices.may_be_sent(case):
        return replace(decision, kind=Kind.DROP)
    return replace(decision, messages=(notices.notice(case, account, decision.reason),))


def _headers(copy: rewrite.Copy, members: Sequence[Member], *, together: bool) -> list[bytes]:
    """A header for each member: with all of them in To, or with one's own."""
    if together:
        return [rewrite.addressed(copy, members)] * len(members)
    return [rewrite.addressed(copy, [member]) for member in members]


def _copies(case: Case, branch: Branch) -> Iterator[Message]:
    """One copy for each member of a branch, from one edited header."""
    row, handler, tag = branch.route.rule.row, branch.route.rule.handler, branch.route.accepted.tag
    if branch.route.rule.rewrites:
        copy = rewrite.broadcast(case, branch.path, row, tag, on_list=case.sender.is_among(branch.members))
        headers = _headers(copy, branch.members, together=row.cc_all and len(branch.members) <= MAX_TOGETHER)
    else:
        copy = rewrite.forward(case, branch.path)
        headers = [copy.header + copy.stray] * len(branch.members)
    site = case.directory.sites[branch.path[-1].domain]
    for member, header in zip(branch.members, headers, strict=True):
        yield Message(
            envelope_from=site.bounces,
            recipient=member.address,
            to=format_address(member.name, member.address),
            user_id=member.user_id,
            header=header,
            message_id=copy.message_id,
            subject=copy.subject,
            purpose=handler.purpose,
            part=COPY,
        )
