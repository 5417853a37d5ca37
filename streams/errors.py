"""The one kind of error that is meant for the person at the keyboard."""

from __future__ import annotations


class UserError(Exception):
    """Something outside the code is wrong. The text is one line: what is wrong; then, behind a semicolon, what to do.

    Commands print it without a traceback and exit with `exit_code`, so raise it only where the line alone is enough.
    """

    exit_code = 1


class UsageError(UserError):
    """The command line, an input file or a setting cannot be understood; nothing was tried."""

    exit_code = 2
