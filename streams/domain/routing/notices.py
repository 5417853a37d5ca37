"""What a known sender is told about a mail that reached nobody (spec 6.7, 8 row 43; RFC 3834). Strangers get nothing: no backscatter."""

from __future__ import annotations

from textwrap import fill

from streams.domain.addresses import CONTROL, address_hash, normalise
from streams.domain.routing.case import Case
from streams.domain.routing.letters import answering, letter
from streams.domain.routing.loops import may_be_answered
from streams.domain.routing.model import Member, Message
from streams.events import PersonRow

PURPOSE = "notice"
TEXT = """Your mail to {address} was not delivered: {why}

If you think that this is a mistake, please write to {support}.
"""
UNKNOWN = "the address does not exist or is not accepting mail."
# All other reasons sound alike: a notice does not help to find out who has an account.
WHY = {"may_not_post": "you are not among those who may write to this list."}
MAX_NOTE = 2_000  # characters
WIDTH = 76
REJECTED = """Your mail to {address} was read by a moderator and not passed on:

{note}

If you think that this is a mistake, please write to {support}.
"""


def may_be_sent(case: Case) -> bool:
    """Only to an account that, as far as can be seen, wrote the mail itself, waits for an answer and had none today."""
    account, mail_from = case.sender.account, case.mail.mail_from
    if account is None or case.sender.authentic is False or not may_be_answered(case.head, mail_from):
        return False
    key = normalise(account.email)
    # Another envelope sender's domain: the From may be forged, and its owner would get the notice.
    same_domain = normalise(mail_from).rpartition("@")[2] == key.rpartition("@")[2]
    unwanted = key == normalise(case.site.support) or case.directory.is_suppressed(key, PURPOSE)
    return same_domain and not unwanted and address_hash(key) not in case.told


def notice(case: Case, account: PersonRow, reason: str) -> Message:
    """That the mail was not delivered, and why."""
    return _to_sender(case, account, TEXT.format(address=case.to.address, why=WHY.get(reason, UNKNOWN), support=case.site.support))


def rejection(case: Case, account: PersonRow, note: str) -> Message:
    """That a moderator did not pass the mail on, in the moderator's own words."""
    said = "\n".join(fill(CONTROL.sub(" ", line), WIDTH) for line in note[:MAX_NOTE].strip().splitlines())
    return _to_sender(case, account, REJECTED.format(address=case.to.address, note=said, support=case.site.support))


def _to_sender(case: Case, account: PersonRow, text: str) -> Message:
    to = Member(f"{account.first_name} {account.last_name}".strip(), account.email.strip(), account.user_id)
    return letter(case.mail, case.site, to, PURPOSE, f"Undeliverable mail to {case.to.address}", text, answering(case.head))
