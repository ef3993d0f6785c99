"""Which Alertmanager an alert came from, so that the webhook and the reconciliation agree.

The identity of an episode is (source, fingerprint, startsAt). Alertmanager's webhook carries its `externalURL`; its
API does not tell it, and the URL by which Akeso reads it is usually another one. The members of a cluster may even
differ in it. Were these three sources, one alert would start three runs. To take two Alertmanagers for one is harmless:
fingerprint and start (to the millisecond) agree only for the same alert of the same Prometheus. Hence the setting:

  `URL`            every Alertmanager that is not named is one source, `alertmanager`: webhooks and reads alike
  `EXTERNAL=URL`   the one whose externalURL is EXTERNAL is a source of its own, and it is read at URL; give the same
                   EXTERNAL for each member of a cluster

One thing is not harmless: what one Alertmanager no longer lists may still fire at another. So where several unnamed
ones were heard, nothing is resolved by its absence (`certain`).
"""
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from akeso.errors import InvalidInput

UNNAMED: Final = "alertmanager"
_PORTS: Final = {"http": 80, "https": 443}
_REMEMBERED: Final = 8


class Sources:
    """read: (URL of the API, source) of each configured Alertmanager. Raises InvalidInput for what is no URL."""

    def __init__(self, alertmanager_urls: Sequence[str] = ()) -> None:
        pairs = [_pair(entry) for entry in alertmanager_urls]
        self.read: Final = tuple((url.rstrip("/"), external or UNNAMED) for external, url in pairs)
        self._named = {external for external, _ in pairs if external}
        self._heard: set[str] = set()

    @classmethod
    def from_settings(cls, alertmanager_urls: tuple[str, ...]) -> Sources:
        """One per process and setting: what the webhook has heard, the reconciliation must know."""
        return _shared(alertmanager_urls)

    def of(self, external_url: str) -> str:
        """The source of a webhook with that externalURL."""
        url = canonical(external_url)
        if url in self._named:
            return url
        if len(self._heard) < _REMEMBERED:
            self._heard.add(url)
        return UNNAMED

    def certain(self, source: str) -> bool:
        """True where an alert that this source does not list is resolved."""
        return source != UNNAMED or len(self._heard) <= 1


@functools.lru_cache(maxsize=1)
def _shared(alertmanager_urls: tuple[str, ...]) -> Sources:
    return Sources(alertmanager_urls)


def canonical(url: str) -> str:
    """Lower-case scheme and host, no default port, no trailing slash, nothing after the path."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url[:512]
    if not parts.hostname:
        return url[:512]
    shown = f":{port}" if port and port != _PORTS.get(parts.scheme) else ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{shown}{parts.path.rstrip('/')}"[:512]


def _pair(entry: str) -> tuple[str, str]:
    external, _, url = entry.partition("=") if "=http" in entry else ("", "", entry)
    for text in (url, external) if external else (url,):
        try:
            usable = urlsplit(text).scheme in _PORTS and bool(urlsplit(text).hostname)
        except ValueError:
            usable = False
        if not usable:
            raise InvalidInput("Not the URL of an Alertmanager", why=repr(entry), next_step="write URL or EXTERNAL=URL")
    return canonical(external) if external else "", url
