"""A real DNS server on loopback, with a table of its own; dnspython's own resolver is pointed at it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from tests.services.ports import HOST

Records = Mapping[tuple[str, str], list[str]]  # (name, type) -> values as in a zone file
MAX_QUERY = 4096


@contextlib.contextmanager
def serving(records: Records) -> Iterator[None]:
    """Whatever asks by dnspython meanwhile is answered from these records alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, pytest.MonkeyPatch.context() as patched:
        server.bind((HOST, 0))
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [HOST], server.getsockname()[1]
        patched.setattr(dns.resolver, "default_resolver", resolver)
        thread = threading.Thread(target=_serve, args=(server, records), name="dns", daemon=True)
        thread.start()
        yield
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", server.getsockname())
        thread.join()


def _serve(server: socket.socket, records: Records) -> None:
    """Until an empty datagram comes."""
    while True:
        query, client = server.recvfrom(MAX_QUERY)
        if not query:
            return
        server.sendto(_answer(dns.message.from_wire(query), records).to_wire(), client)


def _answer(asked: dns.message.Message, records: Records) -> dns.message.Message:
    answer = dns.message.make_response(asked)
    answer.flags |= dns.flags.RA
    question = asked.question[0]
    name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
    if found := records.get((name, kind)):
        answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
    elif name not in {known for known, _ in records}:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer
