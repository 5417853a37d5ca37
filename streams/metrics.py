"""Every metric there is, with its meaning; each long-running process serves its own for Prometheus, from ESPMAIL_METRICS_PORT on."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from streams.errors import UserError
from streams.reads import NAMES

SERVED = (*NAMES, "gateway", "project")  # each at the first port and its place in this list
HOST = "127.0.0.1"
BUCKETS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)

RECORDS = Counter("espmail_records_total", "records handled, by what came of them", ["agent", "outcome"])
DEAD_LETTERS = Counter("espmail_dead_letters_total", "records parked, by reason; more than none wants an operator", ["agent", "reason"])
HANDLING_S = Histogram("espmail_handling_seconds", "from taking a record to its acknowledgement", ["agent"], buckets=BUCKETS_S)
IN_WORK = Gauge("espmail_in_work", "records admitted and not yet acknowledged", ["agent"])
LAST_ACK = Gauge("espmail_last_ack_timestamp_seconds", "when the agent last acknowledged a record, Unix time", ["agent"])
SMTP_CONNECTIONS = Gauge("espmail_smtp_connections", "open connections to the MTA")

GATEWAY_CONNECTIONS = Gauge("espmail_gateway_connections", "clients inside the gateway")
GATEWAY_ACCEPTED = Counter("espmail_gateway_accepted_total", "inbound mails answered 250, which means durable")
GATEWAY_ACCEPTED_BYTES = Counter("espmail_gateway_accepted_bytes_total", "bytes of the accepted mails")
GATEWAY_REFUSED = Counter("espmail_gateway_refused_total", "replies of the gateway that refuse, by their codes", ["reply"])
GATEWAY_IN_FLIGHT = Gauge("espmail_gateway_in_flight", "inbound mails between DATA and the answer")
GATEWAY_HELD = Gauge("espmail_gateway_held_bytes", "bytes of big inbound mails in the gateway's memory, which ESPMAIL_MAIL_MEMORY caps")
GATEWAY_DURABLE_S = Histogram("espmail_gateway_durable_seconds", "from an inbound mail's final dot until it is durable", buckets=BUCKETS_S)

PROJECTOR_FOLDED = Counter("espmail_projector_folded_total", "events folded into the tables")
PROJECTOR_LAG = Gauge("espmail_projector_lag", "records that stand on a partition and are not folded yet", ["topic", "partition"])
PROJECTOR_LAST_COMMIT = Gauge("espmail_projector_last_commit_timestamp_seconds", "when the tables were last written to, Unix time")


def serve(first_port: int, name: str) -> None:
    """Serve this process's metrics on loopback, in a thread of their own, until it ends; 0: not at all. Raises UserError."""
    if not first_port:
        return
    port = first_port + SERVED.index(name)
    try:
        start_http_server(port, addr=HOST)
    except (OSError, OverflowError) as error:
        text = f"the metrics of {name} cannot be served at {HOST}:{port} ({getattr(error, 'strerror', None) or error})"
        raise UserError(f"{text}; choose another ESPMAIL_METRICS_PORT") from None
