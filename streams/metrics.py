"""Every metric there is, with its meaning; served by each worker on ESPMAIL_METRICS_PORT for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

BUCKETS_S = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)

RECORDS = Counter("espmail_records_total", "records handled, by what came of them", ["agent", "outcome"])
DEAD_LETTERS = Counter("espmail_dead_letters_total", "records parked, by reason; more than none wants an operator", ["agent", "reason"])
HANDLING_S = Histogram("espmail_handling_seconds", "from taking a record to its acknowledgement", ["agent"], buckets=BUCKETS_S)
IN_WORK = Gauge("espmail_in_work", "records admitted and not yet acknowledged", ["agent"])
LAST_ACK = Gauge("espmail_last_ack_timestamp_seconds", "when the agent last acknowledged a record, Unix time", ["agent"])
SMTP_CONNECTIONS = Gauge("espmail_smtp_connections", "open connections to the MTA")
