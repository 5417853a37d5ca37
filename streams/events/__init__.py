"""Every event that stands on a topic, as a frozen value; one module a family, all of them by name from here.

One class an event; its Avro schema is schemas/<Name>.v<N>.avsc, its topics are named in schemas/topics.yaml.
Instants are aware UTC datetimes. `email_id`, `inbound_id` and `message_id` are deterministic (domain/ids.py), so a
replayed input yields the same events. JSON values of the site's own making stay JSON text (`Json`).
"""

from streams.events.deliveries import (
    EmailAttempting,
    EmailCancelled,
    EmailDeferred,
    EmailExpired,
    EmailFailed,
    EmailInDoubt,
    EmailRequeued,
    EmailSent,
    EmailSuppressed,
)
from streams.events.directory import EmailListRow, PersonRow, RedirectRow, RosterRow, SectionRow, SiteRow
from streams.events.emails import Composed, EmailQueued, Relayed
from streams.events.expansions import (
    RecipientSkipped,
    RequestCancelled,
    RequestConflicted,
    RequestControl,
    RequestExpanded,
    RequestRejected,
    RequestScheduled,
)
from streams.events.feedback import EmailBounced, EmailComplained, Resubscribed, SoftBounces, Suppression, Unsubscribed
from streams.events.inbound import (
    InboundApproved,
    InboundDropped,
    InboundHeld,
    InboundMailReceived,
    InboundNoticed,
    InboundRejected,
    InboundRerouted,
    InboundRouted,
)
from streams.events.keeping import DeadLettered, DeadLetterReplayed, Delayed
from streams.events.parts import Attachment, ClaimCheck, Contact, Creator, Header, Json, Judgement, MethodResult, Person, Site
from streams.events.requests import (
    MessageRequest,
    MessageRequestApproved,
    MessageRequestCancelled,
    MessageRequestPaused,
    MessageRequestResumed,
)

__all__ = [
    "Attachment",
    "ClaimCheck",
    "Composed",
    "Contact",
    "Creator",
    "DeadLetterReplayed",
    "DeadLettered",
    "Delayed",
    "EmailAttempting",
    "EmailBounced",
    "EmailCancelled",
    "EmailComplained",
    "EmailDeferred",
    "EmailExpired",
    "EmailFailed",
    "EmailInDoubt",
    "EmailListRow",
    "EmailQueued",
    "EmailRequeued",
    "EmailSent",
    "EmailSuppressed",
    "Header",
    "InboundApproved",
    "InboundDropped",
    "InboundHeld",
    "InboundMailReceived",
    "InboundNoticed",
    "InboundRejected",
    "InboundRerouted",
    "InboundRouted",
    "Json",
    "Judgement",
    "MessageRequest",
    "MessageRequestApproved",
    "MessageRequestCancelled",
    "MessageRequestPaused",
    "MessageRequestResumed",
    "MethodResult",
    "Person",
    "PersonRow",
    "RecipientSkipped",
    "RedirectRow",
    "Relayed",
    "RequestCancelled",
    "RequestConflicted",
    "RequestControl",
    "RequestExpanded",
    "RequestRejected",
    "RequestScheduled",
    "Resubscribed",
    "RosterRow",
    "SectionRow",
    "Site",
    "SiteRow",
    "SoftBounces",
    "Suppression",
    "Unsubscribed",
]
