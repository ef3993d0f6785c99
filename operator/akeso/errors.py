"""Errors, sorted by what the caller does next.

    AkesoError
      TryLater        the same call may succeed later: wait `after` seconds
      GiveUp          it will not succeed however often it is tried
        InvalidInput  somebody gave us something that cannot be used
      Refused         a gate said no; nothing was changed
      OutcomeUnknown  a write may or may not have happened: read back, never retry blindly

Whoever shows an error to a person shows `str(error)`: code, what happened, why, what to do next. The same text goes
into the condition, the Event, the log line, the command line and the page. Codes never change their meaning.
"""
from __future__ import annotations

from typing import ClassVar


class AkesoError(Exception):
    """Something went wrong inside Akeso."""

    code: ClassVar[str] = "AK-1000"

    def __init__(self, what: str | None = None, *, why: str = "", next_step: str = "") -> None:
        self.what = what or (type(self).__doc__ or "").splitlines()[0]
        self.why = why
        self.next_step = next_step
        super().__init__(self.what)

    def __str__(self) -> str:
        because = f": {self.why.removesuffix('.')}" if self.why else ""
        then = f" Next: {self.next_step}" if self.next_step else ""
        return f"{self.code} {self.what.removesuffix('.')}{because}.{then}"


class TryLater(AkesoError):
    """A dependency did not answer."""

    code = "AK-1100"

    def __init__(self, what: str | None = None, *, after: float = 1.0, why: str = "", next_step: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.after = after


class DatabaseAway(TryLater):
    """Postgres did not answer."""

    code = "AK-1101"


class ClusterAway(TryLater):
    """The Kubernetes API server did not answer."""

    code = "AK-1102"


class ModelAway(TryLater):
    """The model endpoint did not answer."""

    code = "AK-1103"


class CircuitOpen(TryLater):
    """A circuit breaker is open after repeated failures."""

    code = "AK-1104"


class GiveUp(AkesoError):
    """This cannot be done."""

    code = "AK-1200"


class InvalidInput(GiveUp):
    """The input cannot be used."""

    code = "AK-1201"


class NotFound(GiveUp):
    """The object does not exist."""

    code = "AK-1202"


class Forbidden(GiveUp):
    """The ServiceAccount may not do this."""

    code = "AK-1203"


class Conflict(GiveUp):
    """The object is no longer what was decided about."""

    code = "AK-1204"


class Unprocessable(GiveUp):
    """The API server refused the object."""

    code = "AK-1205"


class ModelAnswerUnusable(GiveUp):
    """The model answered outside its closed list."""

    code = "AK-1206"


class TooManyRequests(TryLater):
    """The API server asks to slow down, or a PodDisruptionBudget does not allow another eviction now."""

    code = "AK-1105"


class Refused(AkesoError):
    """A gate refused the action; nothing was changed."""

    code = "AK-1300"

    def __init__(self, reason: str, message: str, *, next_step: str = "") -> None:
        super().__init__(message, next_step=next_step)
        self.reason = reason


class OutcomeUnknown(AkesoError):
    """The request was sent and no answer came back: it may or may not have been applied."""

    code = "AK-1400"


class Superseded(AkesoError):
    """Another replica holds this run now; this one stops touching it."""

    code = "AK-1500"
