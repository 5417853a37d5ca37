"""`espmail gateway`: inbound mail by SMTP and LMTP."""

from __future__ import annotations


def command() -> None:
    """Take inbound mail by SMTP and LMTP until SIGTERM or Ctrl-C; open mails are finished first.

    A mail is answered 250 only when Kafka has acknowledged it; otherwise 451, and the MTA comes back with it.

    Examples: espmail gateway; ESPMAIL_SMTP_PORT=0 ESPMAIL_LMTP_SOCKET=/run/espmail/lmtp espmail gateway
    """
    from cli import serving
    from gateway.serve import serve

    serving.run(serve, "gateway")
