"""What is wrong with a request: a code for machines, the place, and words for the person who wrote it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault. `code` is stable (RequestRejected.reason), `where` a path such as recipients[3].email."""

    code: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of the request may go out; `problems` names every fault found and is never empty."""

    problems: tuple[Problem, ...]

    @property
    def reason(self) -> str:
        """The first fault's code."""
        return self.problems[0].code

    @property
    def detail(self) -> str:
        return "; ".join(map(str, self.problems))


class RequestRefused(ValueError):
    """Raised at the edge, where a caller waits for the answer; `refused` says everything."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.detail)
        self.refused = refused
