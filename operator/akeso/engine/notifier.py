"""Channels: names that Workflows use, and where they lead. A generic webhook; Slack and others come later."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
import orjson

from akeso.errors import GiveUp, InvalidInput, TryLater

_DEADLINE = 5.0


class Channels:
    """Posts JSON {"text", "run", "namespace", "target"} with an Idempotency-Key, so that a repeat can be recognised."""

    def __init__(self, urls: Mapping[str, str], client: httpx.AsyncClient) -> None:
        self._urls = urls
        self._client = client

    @classmethod
    def from_file(cls, path: str, client: httpx.AsyncClient) -> Channels:
        """{"oncall": {"url": "https://..."}}. Raises InvalidInput naming what is wrong with the file."""
        if not path:
            return cls({}, client)
        try:
            raw = orjson.loads(Path(path).read_bytes())
            urls = {str(name): str(entry["url"]) for name, entry in raw.items()}
            wrong = [name for name, url in urls.items() if httpx.URL(url).scheme not in ("http", "https")]
            if wrong:
                raise ValueError(f"no http or https URL: {', '.join(wrong)}")
            return cls(urls, client)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, httpx.InvalidURL) as error:
            raise InvalidInput(f"Channels file {path} cannot be used", why=str(error),
                               next_step='write {"oncall": {"url": "https://..."}} into it') from error

    async def notify(self, channel: str, message: str, context: Mapping[str, str], *, key: str) -> None:
        url = self._urls.get(channel)
        if url is None:
            raise GiveUp(f"No channel `{channel}` is configured", next_step="add it to the file in AKESO_CHANNELS_FILE")
        try:
            answer = await self._client.post(
                url, content=orjson.dumps({"text": message, **context}),
                headers={"Content-Type": "application/json", "Idempotency-Key": key},
                timeout=_DEADLINE)
        except httpx.HTTPError as error:
            raise TryLater(f"Channel `{channel}` did not answer", why=type(error).__name__, after=5) from error
        if answer.status_code >= 500 or answer.status_code == 429:
            raise TryLater(f"Channel `{channel}` answered {answer.status_code}", after=5)
        if answer.status_code >= 300:
            raise GiveUp(f"Channel `{channel}` answered {answer.status_code}", next_step="check its url")
