"""The rules of inbound routing: EmailList rows in the order of seq, compiled with RE2 (spec 1.5, 6.3).

RE2 runs in time linear to the local part, whatever an admin writes (reliability.md, row R-03). A pattern is searched,
ignoring case; `$` is the very end. A rule that cannot be used is left out and named; the others work.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import re2

from streams.domain.addresses import AddressError, parse_mailbox
from streams.events import EmailListRow

if TYPE_CHECKING:
    from streams.domain.routing.handlers import Handler

POSTING = ("default", "accounts", "members", "staff", "anyone", "hold")
MAX_PATTERN = 512  # spec 1.5
SEQ_STEP = 5


@dataclass(frozen=True, slots=True)
class Rule:
    """A usable row with its compiled pattern and its handler."""

    row: EmailListRow
    pattern: Any
    handler: Handler

    @property
    def rewrites(self) -> bool:
        """True if its copies come from the site, with a From of ours; else they stay the sender's own."""
        return bool(self.handler.broadcast or self.row.subject_prefix or self.row.from_email)


def compiled(rows: Iterable[EmailListRow], handlers: Mapping[str, Handler]) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """The usable rules in order (equal seq: as given), and what is wrong with each of the others."""
    rules, faults = [], []
    for row in sorted(rows, key=lambda row: row.seq):
        problems = rule_problems(row, handlers)
        faults += problems
        if not problems:
            rules.append(Rule(row, _compile(row.regex), handlers[row.handler]))
    return tuple(rules), tuple(faults)


def rule_problems(row: EmailListRow, handlers: Mapping[str, Handler]) -> list[str]:
    """Everything that keeps a rule from being used, in its writer's words; empty where it is sound."""
    problems = []
    handler = handlers.get(row.handler)
    if handler is None:
        problems.append(f"no handler {row.handler!r}; there are {', '.join(sorted(handlers))}")
    if row.who_may_post not in POSTING:
        problems.append(f"who_may_post is one of {', '.join(POSTING)}, not {row.who_may_post!r}")
    try:
        problems += _group_problems(_compile(row.regex), handler.groups if handler else ())
    except re2.error as error:
        problems.append(f"regex {row.regex!r} cannot be used: {_said(error)}")
    try:
        if row.from_email:
            parse_mailbox(row.from_email)
    except AddressError as error:
        problems.append(f"from_email: {error}")
    return [f"email list {row.seq}: {problem}" for problem in problems]


def _group_problems(pattern: Any, wanted: tuple[str, ...]) -> list[str]:
    """The groups must be all named as the handler knows them, or as many as it takes, in its order."""
    named = set(wanted) <= set(pattern.groupindex)
    if not wanted or named or pattern.groups == len(wanted):
        return []
    return [f"the regex has {pattern.groups} groups; the handler takes {len(wanted)}: {', '.join(wanted)}"]


def numbered(seqs: Sequence[int | None]) -> list[int]:
    """The seq of each rule: one saved without gets the highest that stands + 5, or 0 where none does (spec 1.5)."""
    highest = max((seq for seq in seqs if seq is not None), default=-SEQ_STEP)
    following = itertools.count(highest + SEQ_STEP, SEQ_STEP)
    return [next(following) if seq is None else seq for seq in seqs]


def rules_hash(rows: Iterable[EmailListRow]) -> str:
    """32 hex digits that name the rule set in force, recorded in each decision."""
    text = json.dumps([asdict(row) for row in sorted(rows, key=lambda row: row.seq)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _compile(pattern: str) -> Any:
    if len(pattern) > MAX_PATTERN:
        raise re2.error(f"longer than {MAX_PATTERN} characters")
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(pattern, options)


def _said(error: re2.error) -> str:
    said = error.args[0] if error.args else "not a regular expression"
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
