"""One client's conversation without its socket: the answer to each line, the envelope of its mail, and when enough is enough."""

from __future__ import annotations

from collections import Counter

from gateway import smtp_in_rules as rules
from gateway.intake import Envelope
from gateway.limits import Limits
from gateway.smtp_in_commands import CHATTER, LAST_OF_GROUP, LMTP, SMTP, Identity, Talk

COMMAND_LENGTH = 2048  # Postfix's line_length_limit; RFC 5321, 4.5.3.1.4 asks for a quarter of it
STRANGE_COMMANDS = 4  # whoever says more commands that there are not is a browser or a port scanner


class Dialogue:
    """`answer` each line. Behind rules.SEND_IT comes the mail: take its `envelope`, and `finish` with what became of it."""

    __slots__ = ("_client", "_commands", "_errors", "_limits", "_said", "_strange", "_talk")

    def __init__(self, identity: Identity, limits: Limits, recipients: rules.Recipients, *, client: str, lmtp: bool) -> None:
        self._talk = Talk(identity, limits, recipients, lmtp)
        self._limits = limits
        self._client = client
        self._commands = LMTP if lmtp else SMTP
        self._errors = 0
        self._strange = 0
        self._said: Counter[bytes] = Counter()

    def greeting(self) -> str:
        """What is said first."""
        return f"220 {self._talk.identity.hostname} {'LMTP' if self._talk.lmtp else 'ESMTP'} espmail"

    def answer(self, line: bytes, *, alone: bool) -> str:
        """The reply to a command without its line end, of one or more lines; `alone`: the client has sent nothing behind it.

        It may be the last one: see rules.LAST_WORDS. Raises whatever the rules raise; then say `counted` and go on.
        """
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        if len(line) > COMMAND_LENGTH:
            return self.counted(rules.LONG_COMMAND)
        if verb not in self._commands:
            return self._answer_strange()
        if verb in CHATTER and self._is_too_much(verb):
            return rules.TOO_MUCH_TALK
        if verb in LAST_OF_GROUP and not alone:
            return rules.OUT_OF_STEP
        return self.counted(self._commands[verb](self._talk, argument.strip().decode("utf-8", "surrogateescape")))

    def counted(self, reply: str) -> str:
        """The reply; or, of one refusal too many, that it is the last.

        A recipient too many is no error: who has said all of them, as RFC 5321, 4.5.3.1.10 lets it, goes on with those that were taken.
        """
        if not rules.is_refusal(reply) or reply == rules.TOO_MANY_RECIPIENTS:
            return reply
        self._errors += 1
        return reply if self._errors <= self._limits.errors else rules.TOO_MANY_ERRORS

    def envelope(self) -> Envelope:
        """Who sends to whom, by what was said."""
        talk = self._talk
        return Envelope(talk.mail_from or "", tuple(talk.rcpt_tos), self._client, talk.helo, self._protocol())

    def finish(self, reply: str) -> str:
        """The replies to a mail: one in SMTP, one for each recipient in LMTP (RFC 2033, 4.2).

        Whoever delivers mail may be refused some of it, for as long as it likes.
        """
        replies = len(self._talk.rcpt_tos) if self._talk.lmtp else 1
        self._talk.forget_mail()
        if reply == rules.ACCEPTED:
            self._errors = 0
            self._said.clear()
        last = self.counted(reply)
        return "\r\n".join([last] * replies) if last == reply else last

    def secured(self) -> None:
        """TLS stands; what was said before it is forgotten (RFC 3207, 4.2)."""
        self._talk.secure = True
        self._talk.forget_client()

    def _is_too_much(self, verb: bytes) -> bool:
        self._said[verb] += 1
        return self._said[verb] > self._limits.chatter

    def _answer_strange(self) -> str:
        self._strange += 1
        return self.counted(rules.UNKNOWN_COMMAND) if self._strange <= STRANGE_COMMANDS else rules.TOO_MANY_ERRORS

    def _protocol(self) -> str:
        """The name by RFC 3848."""
        base = "LMTP" if self._talk.lmtp else "ESMTP" if self._talk.extended else "SMTP"
        return base + ("S" if self._talk.secure else "")
