"""`espmail inbound list|show|why|reroute`: the mails that came, what was decided, and who got a copy."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import shared

if TYPE_CHECKING:
    from sqlalchemy import Connection

InboundId = Annotated[str, typer.Argument(help="The mail's id, or its beginning, as `list` shows it.", metavar="INBOUND_ID")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object a line.")]
DECISIONS = ("deliver", "hold", "notice", "drop")
ID_SHOWN = 10
SHOWN = ("received_at", "mail_from", "rcpt_to", "client", "size", "decision", "reason", "handler", "seq", "moderation", "moderated_by")
EVERY = 100_000


def add_to(app: typer.Typer) -> None:
    """Register these commands on the group `espmail inbound`."""
    app.command("list")(list_them)
    app.command()(show)
    app.command()(why)
    app.command()(reroute)


def list_them(
    sender: Annotated[str, typer.Option("--from", help="Only of this envelope sender.", metavar="ADDRESS")] = "",
    to: Annotated[str, typer.Option(help="Only to this envelope recipient.", metavar="ADDRESS")] = "",
    decision: Annotated[str, typer.Option(help="Only deliver, hold, notice or drop.")] = "",
    since: Annotated[str, typer.Option(help="Only from then on, as 2028-01-20T10:00:00Z.", metavar="INSTANT")] = "",
    most: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many, the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """The newest mails that came in.

    Example: espmail inbound list --to m123-class@splash.example.org --decision drop
    """
    from cli.status import plain, tables
    from projections import queries
    from streams.errors import UsageError

    if decision and decision not in DECISIONS:
        raise UsageError(f"--decision takes {', '.join(DECISIONS)}, not {decision!r}")
    with tables(shared.settings()) as connection:
        mails = queries.find_inbound(
            connection, sender=sender, to=to, decision=decision, since=shared.instant("--since", since) if since else None, most=most
        )
    for mail in mails:
        shared.print_json(plain(mail)) if as_json else typer.echo(entry(mail, f"{_decided(mail)}, {mail['emails']} out"))
    if not mails and not as_json:
        typer.echo("no such mail")


def show(inbound_id: InboundId, as_json: AsJson = False) -> None:
    """One mail: its envelope, the decision and why, and each copy with what became of it."""
    from cli.status import plain, print_emails

    mail, copies = _mail(inbound_id)
    if as_json:
        return shared.print_json(plain({**mail, "copies": copies}))
    for name in SHOWN:
        if mail[name] not in (None, ""):
            typer.echo(f"{name.replace('_', ' ')}: {plain(mail[name])}")
    typer.echo(f"authentication: {vouched(mail)}")
    for _, reason in mail["skipped"]:
        typer.echo(f"left out: {reason}")
    return print_emails(copies, as_json=False)


def why(
    inbound_id: InboundId,
    address: Annotated[str, typer.Argument(help="Whose copy.", metavar="ADDRESS")],
    as_json: AsJson = False,
) -> None:
    """Why an address got a mail, or did not."""
    mail, copies = _mail(inbound_id)
    answer = reason_for(mail, copies, address)
    if as_json:
        shared.print_json({"inbound_id": inbound_id, "address": address, "why": answer})
    else:
        typer.echo(answer)


def reroute(
    inbound_ids: Annotated[list[str], typer.Argument(help="Their ids, as `list` shows them.", metavar="INBOUND_ID...")],
    as_json: AsJson = False,
) -> None:
    """Decide on mails anew, by the tables of now: after a rule or a roster was mended. Copies that went out do not go again."""
    from cli.publishing import publish
    from streams.events import InboundRerouted
    from streams.publisher import Record
    from streams.topics import MODERATION

    now, by = datetime.now(UTC), getpass.getuser()
    mails = [_mail(inbound_id)[0] for inbound_id in inbound_ids]
    asked = [InboundRerouted(mail["inbound_id"], now, by, mail["mail_partition"], mail["mail_offset"]) for mail in mails]
    publish(shared.settings(), [Record.of(MODERATION, event.inbound_id, event) for event in asked])
    for event in asked:
        shared.print_json({"inbound_id": event.inbound_id, "outcome": "asked"}) if as_json else typer.echo(f"asked: {event.inbound_id}")


def reason_for(mail: Mapping[str, Any], copies: Sequence[Mapping[str, Any]], address: str) -> str:
    """In words: what happened to this address's copy of a mail."""
    from streams.domain.addresses import address_hash, normalise

    copy = next((one for one in copies if normalise(one["recipient"] or "") == normalise(address)), None)
    if copy is not None:
        return f"a copy was made; it is {copy['status']}" + (
            f": {copy['last_reply'] or copy['reason']}" if copy["status"] != "sent" else ""
        )
    skipped = dict(mail["skipped"])
    if address_hash(address) in skipped:
        return f"it was left out: {skipped[address_hash(address)]}"
    if mail["decision"] != "deliver":
        decided = f"nobody got a copy: {mail['decision'] or 'not decided yet'}, {mail['reason'] or 'route has not come to it'}"
        return f"{decided} ({vouched(mail)})" if mail["reason"] == "sender_not_authenticated" else decided
    return "it was not on the list, as the list stood when the mail was routed"


def entry(mail: Mapping[str, Any], *said: str) -> str:
    """A mail in a list for people: two lines or more, which fit a terminal where the addresses do."""
    at = f"{mail['received_at']:%Y-%m-%d %H:%M:%SZ}" if mail["received_at"] else "time unknown"
    first, *more = said
    lines = [f"{mail['mail_from'] or '<>'} to {mail['rcpt_to']}", *more]
    return "\n".join([f"{mail['inbound_id'][:ID_SHOWN]}  {at}  {first}", *(f"{'':{ID_SHOWN}}  {line}" for line in lines)])


def whole_id(connection: Connection, beginning: str) -> str | None:
    """The id that begins so; none if there is none. Raises UserError if there are several."""
    from projections import queries
    from streams.errors import UserError

    found = queries.inbound_ids(connection, beginning)
    if len(found) > 1:
        raise UserError(f"several mails have an id that begins with {beginning}; say more of it")
    return found[0] if found else None


def vouched(mail: Mapping[str, Any]) -> str:
    """Who vouched for a mail's sender, in words."""
    from streams.domain.routing.authentication import in_words, judgement_of

    return in_words(judgement_of(mail["judged"]))


def _decided(mail: Mapping[str, Any]) -> str:
    return f"{mail['decision']}: {mail['reason']}" if mail["decision"] else "not decided yet"


def _mail(inbound_id: str) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    """The mail and its copies. Raises UserError for an unknown one."""
    from cli.status import tables
    from projections import queries
    from streams.errors import UserError

    with tables(shared.settings()) as connection:
        found = whole_id(connection, inbound_id)
        mail = queries.inbound(connection, found) if found else None
        if mail is None:
            raise UserError(f"no mail {inbound_id} has been folded; is `espmail project` running, and the id right?")
        return mail, queries.emails_of_inbound(connection, mail["inbound_id"], EVERY)
