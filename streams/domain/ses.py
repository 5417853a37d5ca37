"""Amazon SES (API v2, SendEmail with raw content): the call for one mail, and what its errors mean in SMTP's words.

    arguments(sender, recipient, message, configuration_set) -> keyword arguments for boto3's send_email
    refusal(code, status, words) -> (Phase, Reply | Fault), for delivery.judge

SES has no idempotency token (botocore's model of the service), so a call is made once: retries are ours alone.
"""

from __future__ import annotations

from typing import Any

from streams.domain.mime_fields import wire_address
from streams.domain.verdicts import Fault, Phase, Reply

UNVERIFIED = "not verified"  # SES says MessageRejected for a sender of ours that nobody has verified

# Error code -> the phase and reply of an SMTP server that says the same; the table of replies then decides.
REFUSALS: dict[str, tuple[Phase, int, str]] = {
    "MessageRejected": (Phase.DOT, 554, "5.6.0"),
    "BadRequestException": (Phase.DOT, 554, "5.6.0"),
    "MailFromDomainNotVerifiedException": (Phase.MAIL, 550, "5.7.1"),
    "NotFoundException": (Phase.GREETING, 502, "5.5.1"),  # the configuration set
    "AccountSuspendedException": (Phase.GREETING, 521, "5.3.2"),
    "SendingPausedException": (Phase.GREETING, 421, "4.3.2"),
    "TooManyRequestsException": (Phase.GREETING, 421, "4.7.0"),
    "ThrottlingException": (Phase.GREETING, 421, "4.7.0"),
    "Throttling": (Phase.GREETING, 421, "4.7.0"),
    "LimitExceededException": (Phase.GREETING, 421, "4.7.0"),  # today's quota
    "AccessDeniedException": (Phase.AUTH, 535, "5.7.8"),
    "ExpiredTokenException": (Phase.AUTH, 535, "5.7.8"),
    "InvalidClientTokenId": (Phase.AUTH, 535, "5.7.8"),
    "InvalidSignatureException": (Phase.AUTH, 535, "5.7.8"),
    "SignatureDoesNotMatch": (Phase.AUTH, 535, "5.7.8"),
    "UnrecognizedClientException": (Phase.AUTH, 535, "5.7.8"),
    "InternalFailure": (Phase.DOT, 451, "4.3.0"),
    "InternalServiceErrorException": (Phase.DOT, 451, "4.3.0"),
    "ServiceUnavailable": (Phase.DOT, 451, "4.3.0"),
}


def arguments(sender: str, recipient: str, message: bytes, configuration_set: str) -> dict[str, Any]:
    """The call that sends `message` to `recipient` alone, whatever its To says; bounces go to `sender` where there is one."""
    call: dict[str, Any] = {
        "Destination": {"ToAddresses": [wire_address(recipient)]},
        "Content": {"Raw": {"Data": message}},
    }
    if sender:
        call["FeedbackForwardingEmailAddress"] = wire_address(sender)
    if configuration_set:
        call["ConfigurationSetName"] = configuration_set
    return call


def refusal(code: str, status: int, words: str) -> tuple[Phase, Reply | Fault]:
    """The refusal as an SMTP server would have given it. Total: unknown codes go by their HTTP status."""
    if code == "MessageRejected" and UNVERIFIED in words:
        return Phase.MAIL, Reply(550, f"5.7.1 {words}")
    phase, reply, enhanced = REFUSALS.get(code, (Phase.DOT, 554, "5.0.0"))
    if code not in REFUSALS and not 400 <= status <= 499:
        return Phase.DOT, Fault("protocol", f"HTTP {status} {code}: {words}")
    return phase, Reply(reply, f"{enhanced} {code}: {words}")
