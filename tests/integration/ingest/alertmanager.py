"""A real Alertmanager process (Debian's) that posts to a receiver of ours."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

BINARIES = ("prometheus-alertmanager", "alertmanager")
EXTERNAL = "http://alerts.example.test/am"


def binary() -> str | None:
    return next((found for name in BINARIES if (found := shutil.which(name))), None)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def config(url: str, token_file: Path) -> str:
    return f"""
route: {{receiver: "ops/akeso.v1", group_by: [alertname], group_wait: 0s, group_interval: 2s, repeat_interval: 1h}}
receivers:
- name: "ops/akeso.v1"
  webhook_configs:
  - url: {url}
    send_resolved: true
    http_config: {{authorization: {{credentials_file: {token_file}}}}}
"""


@contextlib.asynccontextmanager
async def running(folder: Path, url: str, token_file: Path) -> AsyncIterator[str]:
    """Its URL, while it runs."""
    port = free_port()
    file = folder / "alertmanager.yml"
    file.write_text(config(url, token_file))
    process = await asyncio.create_subprocess_exec(
        str(binary()),
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.external-url={EXTERNAL}",
        "--web.route-prefix=/",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    base = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(20), httpx.AsyncClient() as http:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get(f"{base}/-/ready")).status_code == 200:
                        break
                await asyncio.sleep(0.05)
        yield base
    finally:
        process.terminate()
        await process.wait()
