"""`espmail kafka`: the embedded broker in the foreground."""

from __future__ import annotations

from contextlib import suppress

from cli import shared


def command() -> None:
    """Run the embedded Kafka broker until Ctrl-C, with all topics made.

    Data and log stand in the var folder (ESPMAIL_VAR); the port is ESPMAIL_KAFKA_PORT. It is one broker with one copy of
    each record: it survives kill -9; a power cut may cost it the last second, unless ESPMAIL_KAFKA_FSYNC=1; a lost disk costs it all.
    For more, run a cluster and set ESPMAIL_KAFKA.

    Example: ESPMAIL_VAR=/var/lib/espmail espmail kafka
    """
    from deploy.broker import Broker
    from streams import admin
    from streams.errors import UsageError

    settings = shared.settings()
    if settings.kafka:
        raise UsageError(f"ESPMAIL_KAFKA names an outside Kafka ({settings.kafka}); unset it to run the embedded one")
    shared.heed_sigterm()
    with suppress(KeyboardInterrupt), Broker(settings) as broker:
        admin.apply(settings)
        print(f"Kafka answers at {settings.bootstrap}; its log is {broker.log}; Ctrl-C ends it", flush=True)
        shared.until_stopped(broker.check)
