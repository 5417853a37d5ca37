"""`espmail web`: requests by HTTP, unsubscribe pages, public pages, provider webhooks."""

from __future__ import annotations


def command() -> None:
    """Answer HTTP on ESPMAIL_WEB_HOST and ESPMAIL_WEB_PORT until SIGTERM or Ctrl-C; put the site's web server before it, for TLS.

    Programs say `Authorization: Bearer TOKEN`; the token is made at the first start and stands in web.token of the var folder.
    People find /unsubscribe/..., /preferences/... and /email/... there, by the links in their mail.

    Example: ESPMAIL_WEB_PORT=8081 espmail web
    """
    from cli import serving
    from gateway.http.serve import serve

    serving.run(serve, "web")
