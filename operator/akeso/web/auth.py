"""Who may post alerts: static bearer tokens, tokens of ServiceAccounts, or anybody on this machine where so set.

No token is ever logged, stored or echoed; what is remembered is its digest.
"""
from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from starlette.requests import Request

from akeso.errors import ClusterAway, GiveUp, TryLater
from akeso.model.names import WEBHOOK_AUDIENCE

ReviewToken = Callable[[str, str], Awaitable[str | None]]
"""(token, audience) → the user name, or None where it is not valid. `kube.Cluster.token_review`. Raises TryLater."""

REMEMBERED_SECONDS: Final = 60.0   # a revoked ServiceAccount token is refused after this time at the latest
REMEMBERED: Final = 1_000
REVIEW_SECONDS: Final = 2.0
STATIC_TOKENS: Final = 8           # two are enough for a rotation
MIN_TOKEN: Final = 16              # characters; shorter lines are not taken for tokens
MAX_TOKEN: Final = 16_384
NOT_LOCAL: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "origin", "sec-fetch-site")
NEXT: Final = (
    "set http_config.authorization.credentials_file of the receiver to a token of AKESO_WEBHOOK_TOKEN_FILE, or to a "
    f"ServiceAccount token with audience {WEBHOOK_AUDIENCE} of one listed in AKESO_WEBHOOK_SERVICE_ACCOUNTS"
)


class Unauthenticated(GiveUp):
    """The caller is not known."""

    code = "AK-1207"


@dataclass(slots=True)
class StaticTokens:
    """The tokens of a file, one a line, read again when the file changes. Mounted Secrets change by a symlink."""

    path: Path
    _stamp: tuple[int, int, int] | None = None
    _digests: tuple[bytes, ...] = ()

    async def allows(self, token: str) -> bool:
        """True for one of the tokens. Compares all of them, in constant time."""
        await self._refresh()
        digest = _digest(token)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found

    async def _refresh(self) -> None:
        try:
            seen = self.path.stat()
            stamp = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
            if stamp == self._stamp:
                return
            text = await asyncio.to_thread(self.path.read_text, errors="replace")
        except OSError:
            self._stamp, self._digests = None, ()
            return
        lines = [line.strip() for line in text.splitlines()]
        tokens = [line for line in lines if len(line) >= MIN_TOKEN and not line.startswith("#")]
        self._stamp, self._digests = stamp, tuple(_digest(token) for token in tokens[:STATIC_TOKENS])


@dataclass(slots=True)
class ServiceAccountTokens:
    """Tokens of ServiceAccounts, checked by TokenReview and remembered by digest for a minute.

    accounts  "namespace:name"
    """

    accounts: frozenset[str]
    review: ReviewToken
    now: Callable[[], float] = time.monotonic
    _remembered: OrderedDict[bytes, tuple[float, bool]] = field(default_factory=OrderedDict)

    async def allows(self, token: str) -> bool:
        """Raises TryLater where the API server cannot be asked."""
        digest, now = _digest(token), self.now()
        known = self._remembered.get(digest)
        if known is not None and known[0] > now:
            return known[1]
        try:
            async with asyncio.timeout(REVIEW_SECONDS):
                user = await self.review(token, WEBHOOK_AUDIENCE)
        except TimeoutError as error:
            raise ClusterAway("The API server did not review the token in time") from error
        prefix = "system:serviceaccount:"
        allowed = user is not None and user.startswith(prefix) and user.removeprefix(prefix) in self.accounts
        self._remembered[digest] = (now + REMEMBERED_SECONDS, allowed)
        self._remembered.move_to_end(digest)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return allowed


@dataclass(slots=True)
class Authenticator:
    """static and accounts are asked in that order; anonymous holds for this very machine only."""

    static: StaticTokens | None = None
    accounts: ServiceAccountTokens | None = None
    anonymous: bool = False

    async def check(self, request: Request) -> None:
        """Returns for a known caller. Raises Unauthenticated, or TryLater where that cannot be found out now."""
        header = request.headers.get("authorization")
        if header is None:
            if self.anonymous and _local(request):
                return
            raise _no_token("no Authorization header")
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN:
            raise _no_token("another scheme, or an empty token")
        if self.static is not None and await self.static.allows(token):
            return
        # Only a JSON Web Token can be a ServiceAccount's: others are not worth a call to the API server.
        if self.accounts is not None and token.count(".") == 2 and await self._reviewed(token):
            return
        raise Unauthenticated(
            "The bearer token is not accepted", why="unknown, expired or of another audience", next_step=NEXT)

    async def _reviewed(self, token: str) -> bool:
        assert self.accounts is not None  # noqa: S101 narrows the type
        try:
            return await self.accounts.allows(token)
        except TryLater:
            raise
        except GiveUp as error:  # the operator itself may not review tokens: not the caller's fault
            raise TryLater(
                "Tokens cannot be reviewed", why=str(error), next_step="grant create on tokenreviews", after=5,
            ) from error


def _no_token(why: str) -> Unauthenticated:
    return Unauthenticated("The request carries no bearer token", why=why, next_step=NEXT)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _local(request: Request) -> bool:
    """True where the peer is this machine itself: not a proxy's caller, and not a page in a browser on it."""
    if any(name in request.headers for name in NOT_LOCAL):
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
