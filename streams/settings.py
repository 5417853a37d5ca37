"""One frozen Settings, built once from the environment and handed down; nothing else reads the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from streams.errors import UsageError


class SettingsError(UsageError):
    """An environment variable cannot be used; the message names it and says what it takes."""


def _set(default: object, text: str) -> Any:
    """A setting with its default and the line that `espmail doctor` and docs/operations.md show for it."""
    return field(default=default, metadata={"text": text})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting is the environment variable ESPMAIL_<NAME>; times are seconds, sizes bytes."""

    kafka: str = _set("", "host:port of an outside Kafka; empty: the embedded broker")
    kafka_port: int = _set(19092, "port of the embedded broker on loopback (its controller takes the next one)")
    kafka_fsync: int = _set(0, "1: the embedded broker writes to the disk before it acknowledges, for power cuts; slower")
    jars: str = _set("", "folder of the embedded broker's jars; empty: in the var folder")
    var: Path = _set(Path("var"), "folder of everything that this installation keeps on disk")
    app: str = _set("espmail", "name of the installation; prefix of all consumer groups")
    partitions: int = _set(4, "partitions of the lanes; fixed at the first `espmail topics apply`")
    replication: int = _set(1, "copies of each record; 3 in production, then min.insync.replicas is 2")
    database: str = _set("", "SQLAlchemy URL of the projections; empty: SQLite in the var folder")
    bodies: str = _set("", "where claim-checked bodies are kept: a folder or s3://bucket/prefix; empty: in the var folder")
    inline_limit: int = _set(65536, "bodies above this many bytes are claim-checked")
    transport: str = _set("smtp", "how our own mail goes out: smtp, sendgrid or ses; mail that is passed on always goes by smtp")
    sendgrid_key_file: str = _set("", "file with SendGrid's API key")
    ses_region: str = _set("us-east-1", "region of Amazon SES; its credentials come from the environment, as boto3 finds them")
    ses_configuration_set: str = _set("", "configuration set of Amazon SES; empty: none")
    mta: str = _set("127.0.0.1:25", "host:port of the MTA that takes outbound mail; several with commas, in order of preference")
    mta_tls: str = _set(
        "opportunistic", "opportunistic: STARTTLS where offered; required: with a verified certificate, or nothing is sent; off"
    )
    mta_user: str = _set("", "user name for AUTH at the MTA, which makes opportunistic TLS required, for the password's sake; empty: none")
    mta_password_file: str = _set("", "file with the password for AUTH at the MTA")
    dkim_key: str = _set(
        "", "file with a private RSA key in PEM that signs outgoing mail (DKIM) and seals forwarded mail (ARC); empty: none"
    )
    dkim_domain: str = _set("", "domain of that key: mail from it or below it is signed")
    dkim_selector: str = _set("espmail", "selector of that key: its public half stands in the DNS at <selector>._domainkey.<domain>")
    smtp_connections: int = _set(16, "connections kept to the MTA")
    smtp_timeout: float = _set(60.0, "seconds for each SMTP answer; after the final dot ten times as long (RFC 5321, 4.5.3.2.6)")
    gateway_host: str = _set("127.0.0.1", "address that the gateway listens on")
    gateway_name: str = _set("", "name by which the gateway greets; empty: this machine's full name")
    gateway_certificate: str = _set("", "PEM file with certificate chain and key for the gateway's STARTTLS; empty: no TLS")
    smtp_port: int = _set(8025, "port of the gateway's SMTP; 0: none")
    lmtp_port: int = _set(8024, "port of the gateway's LMTP; 0: none")
    lmtp_socket: str = _set("", "path of the gateway's LMTP unix socket; empty: none")
    max_mail: int = _set(26_214_400, "largest inbound mail")
    mail_memory: int = _set(268_435_456, "bytes of big inbound mails in the gateway's memory at once; more are told to come back (452)")
    unknown_recipient: str = _set("accept", "accept: unknown local parts get a notice; reject: 550 at RCPT")
    check_senders: int = _set(
        0, "1: where no trusted MTA did, ask the DNS (SPF, DKIM, DMARC) who vouches for a sender; hold what nobody does"
    )
    relays: str = _set("", "addresses or networks of our own MTAs that hand mail in, with commas; private ones always are")
    moderators: str = _set(
        "director", "who is told of mail that is held: director (of the class, else the site's support), support, or none"
    )
    sender_limit: int = _set(60, "mails of one sender within an hour; more are held, and ten times as many dropped; 0: no limit")
    address_limit: int = _set(200, "the same for mails to one address of a site")
    window: int = _set(64, "emails in work at once, per partition")
    attempts: int = _set(3, "attempts per email, the original's EMAILRETRIES + 1")
    rate: float = _set(0.0, "mails a second out of one sender process; 0: no limit")
    domain_rate: float = _set(0.0, "mails a second to one recipient domain; 0: no limit until the domain asks for less")
    backoff: float = _set(1.0, "factor on all waits between attempts; below 1 only for trials")
    session_timeout: float = _set(10.0, "seconds until a silent worker's partitions go to others")
    metrics_port: int = _set(
        0, "first port of the Prometheus metrics on loopback: each agent, then the gateway, then the projector; 0: none"
    )
    web_host: str = _set("127.0.0.1", "address that the HTTP gateway listens on")
    web_port: int = _set(8080, "port of the HTTP gateway; 0: `espmail up` starts none")
    web_limit: int = _set(67_108_864, "largest request document that the HTTP gateway takes")
    sendgrid_webhook_key: str = _set("", "public key of SendGrid's signed event webhook, as SendGrid shows it; empty: no webhook")
    sns_topics: str = _set("", "ARNs of the SNS topics that may report on SES mail, with commas; empty: none")
    one_label_from: int = _set(0, "1: senders may be of learningu.org and its direct subdomains only, as in the original")
    verp: int = _set(0, "1: a bounce address of its own for every mail and every copy (emailbounces+<id>@...), if the MTA hands these on")
    soft_bounces: int = _set(5, "days with a soft bounce after which an address gets no more mail; 0: never")
    soft_bounce_days: int = _set(60, "days within which these soft bounces count")
    approval_over: int = _set(0, "requests to more people than this wait for approval; 0: only those that ask for it; -1: all")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Raises SettingsError for a value of the wrong kind, or for an ESPMAIL_ variable that no setting reads."""
        known = {f"ESPMAIL_{f.name.upper()}": f for f in fields(cls)}
        given = {name: value for name, value in env.items() if name.startswith("ESPMAIL_")}
        for name in given:
            if name not in known:
                raise SettingsError(f"{name} is set, but there is no such setting; see `espmail doctor --settings`")
        return cls(**{known[name].name: _parsed(name, known[name].default, value) for name, value in given.items()})

    def as_environment(self) -> dict[str, str]:
        """These settings as environment variables, for child processes."""
        return {f"ESPMAIL_{f.name.upper()}": str(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default}

    @property
    def bootstrap(self) -> str:
        """host:port to connect Kafka clients to."""
        return self.kafka or f"127.0.0.1:{self.kafka_port}"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.var / 'espmail.sqlite'}"

    @property
    def mta_endpoints(self) -> list[tuple[str, int]]:
        """The smart hosts in order of preference. Raises SettingsError."""
        return [_endpoint("ESPMAIL_MTA", item.strip()) for item in self.mta.split(",")]


def _endpoint(name: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(f"{name} takes host:port, several with commas, not {text!r}")
    return host, int(port)


def _parsed(name: str, default: object, text: str) -> Any:
    kind = Path if isinstance(default, Path) else type(default)
    try:
        return kind(text)  # type: ignore[call-arg]
    except ValueError:
        raise SettingsError(f"{name} takes {_described(kind)}, not {text!r}") from None


def _described(kind: type) -> str:
    return {int: "a whole number", float: "a number of seconds"}.get(kind, "text")
