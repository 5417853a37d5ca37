"""The reply table: which refusal means what, read from the top, the first rule that fits decides.

A rule fits when the phase is one of its phases, the code and the enhanced code begin with its own, and its pattern is
found in the text. RFC 5321 section 4.2 (codes), RFC 3463 and its registry (enhanced codes), RFC 7504 (521, 556),
RFC 7505 (5.1.10), RFC 6531 (5.6.7). A reply that no rule fits is odd; delivery.judge says what then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from streams.domain.verdicts import SERVER_PHASES, Kind, Phase

ANY = frozenset(Phase)
SERVER = SERVER_PHASES
MAIL = frozenset({Phase.MAIL})
RCPT = frozenset({Phase.RCPT})
OFFERED = frozenset({Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT})

# Of words that Exim, Postfix, Exchange and Gmail say where they give no enhanced code.
NOBODY = re.compile(
    r"unknown (user|recipient|mailbox|address)|(user|recipient|mailbox|address|account)[^.\n]{0,40}"
    r"(unknown|not found|not exist|n't exist|unavailable|disabled|invalid)|no such (user|recipient|mailbox|address|person)"
    r"|unrouteable address",
    re.IGNORECASE,
)
RELAY = re.compile(
    r"relay(ing)? (access )?(is )?(denied|not (permitted|allowed)|prohibited)|unable to relay|we do not relay", re.IGNORECASE
)
GREYLIST = re.compile(r"gr[ea]y-?list", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; see the module's text. An empty code, enhanced code or no pattern fits all."""

    phases: frozenset[Phase]
    code: str
    enhanced: str
    text: re.Pattern[str] | None
    kind: Kind
    reason: str
    slow_domain: bool = False
    hard_bounce: bool = False
    whole_server: bool = False

    def fits(self, phase: Phase, code: str, enhanced: str, text: str) -> bool:
        return (
            phase in self.phases
            and code.startswith(self.code)
            and f"{enhanced}.".startswith(f"{self.enhanced}." if self.enhanced else "")
            and (self.text is None or bool(self.text.search(text)))
        )


def _defer(
    phases: frozenset[Phase], code: str, enhanced: str, reason: str, text: re.Pattern[str] | None = None, *, slow: bool = False
) -> Rule:
    return Rule(phases, code, enhanced, text, "defer", reason, slow_domain=slow)


def _rest(phases: frozenset[Phase], code: str, enhanced: str, reason: str, text: re.Pattern[str] | None = None) -> Rule:
    return Rule(phases, code, enhanced, text, "defer", reason, whole_server=True)


def _fail(phases: frozenset[Phase], code: str, enhanced: str, reason: str) -> Rule:
    return Rule(phases, code, enhanced, None, "fail", reason)


def _dead(phases: frozenset[Phase], code: str, enhanced: str, reason: str, text: re.Pattern[str] | None = None) -> Rule:
    return Rule(phases, code, enhanced, text, "fail", reason, hard_bounce=True)


RULES: tuple[Rule, ...] = (
    # -- before MAIL FROM: about the server, or about how we are set up; never about the mail
    _rest(SERVER, "4", "", "server_busy"),
    _rest(SERVER, "5", "", "server_refuses_us"),  # also 521 and 535: an operator mends the settings, then the mail flows
    # -- anywhere: our standing with the server
    _rest(ANY, "530", "", "authentication_required"),
    _rest(ANY, "535", "", "authentication_failed"),
    _rest(ANY, "5", "5.7.8", "authentication_failed"),
    _rest(OFFERED | MAIL, "5", "", "relay_denied", RELAY),  # a smart host that does not know us: our slip, not the recipient's
    # -- MAIL FROM: only its size and its alphabet are the mail's own
    _fail(MAIL, "552", "", "too_big"),
    _fail(MAIL, "5", "5.2.3", "too_big"),
    _fail(MAIL, "5", "5.3.4", "too_big"),
    _fail(MAIL, "5", "5.6.7", "needs_smtputf8"),
    _rest(MAIL, "5", "", "sender_refused"),
    # -- 4yz: again later; what slows us down for the domain comes first
    _rest(ANY, "421", "4.3", "server_busy"),
    _defer(ANY, "4", "", "greylisted", GREYLIST),  # says "come back", not "you send too much"
    _defer(ANY, "421", "", "rate_limited", slow=True),
    _defer(ANY, "4", "4.7", "rate_limited", slow=True),
    _defer(ANY, "4", "4.5.3", "too_many_recipients", slow=True),
    _defer(ANY, "4", "4.2.2", "mailbox_full"),
    _defer(ANY, "4", "4.3", "server_busy"),
    _defer(ANY, "4", "4.4", "route_down"),
    _defer(ANY, "452", "", "server_busy"),
    _defer(ANY, "4", "", "temporary"),
    # -- 5yz that is not final after all
    _defer(OFFERED, "5", "5.5.3", "too_many_recipients"),
    _fail(OFFERED, "552", "5.2.2", "mailbox_full"),
    _fail(OFFERED, "552", "5.2.3", "too_big"),
    _fail(OFFERED, "552", "5.3.4", "too_big"),
    _defer(RCPT, "552", "", "too_many_recipients"),  # RFC 5321, section 4.5.3.1.10: to be read as 452
    _rest(OFFERED, "5", "5.1.7", "sender_refused"),
    _rest(OFFERED, "5", "5.1.8", "sender_refused"),
    _defer(OFFERED, "500", "", "protocol"),  # the server did not follow the conversation; it has not judged the mail
    _defer(OFFERED, "502", "", "protocol"),
    _defer(OFFERED, "503", "", "protocol"),
    _defer(OFFERED, "555", "", "protocol"),
    # -- the address is dead: nobody should write to it again
    _dead(OFFERED, "5", "5.1.1", "mailbox_unknown"),
    _dead(OFFERED, "5", "5.1.2", "domain_unknown"),
    _dead(OFFERED, "5", "5.1.3", "address_malformed"),
    _dead(OFFERED, "5", "5.1.6", "mailbox_moved"),
    _dead(OFFERED, "5", "5.1.10", "domain_takes_no_mail"),
    _dead(OFFERED, "5", "5.2.1", "mailbox_disabled"),
    _dead(RCPT, "521", "", "domain_takes_no_mail"),
    _dead(RCPT, "556", "", "domain_takes_no_mail"),
    # -- this mail is refused, the address may be well
    _fail(OFFERED, "5", "5.2.2", "mailbox_full"),
    _fail(OFFERED, "5", "5.2.3", "too_big"),
    _fail(OFFERED, "5", "5.3.4", "too_big"),
    _fail(OFFERED, "5", "5.6.7", "needs_smtputf8"),
    _fail(OFFERED, "5", "5.6", "content_refused"),
    _fail(OFFERED, "5", "5.7", "policy"),
    _fail(OFFERED, "5", "5.4", "unroutable"),
    _fail(OFFERED, "552", "", "too_big"),
    # -- no enhanced code to go by: the words, then the bare code
    _dead(RCPT, "55", "", "mailbox_unknown", NOBODY),
    _dead(RCPT, "551", "", "mailbox_moved"),
    _dead(RCPT, "553", "", "address_malformed"),
    _dead(RCPT, "501", "", "address_malformed"),
    _fail(OFFERED, "5", "", "refused"),
)
