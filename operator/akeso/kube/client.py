"""The connection to the API server: credentials, TLS, deadlines, impersonation. Bodies are plain dicts both ways."""
from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException

from akeso.errors import ClusterAway, GiveUp, InvalidInput
from akeso.kube.errors import from_status, from_transport
from akeso.settings import Settings

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"

USER_AGENT = "akeso"
POOL = 32  # connections; workers, web and handlers share them

CONNECT_SECONDS = 5.0
"""For the TCP and TLS handshakes; what fails within them was certainly not sent."""

_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:[a-z0-9.-]+:[a-z0-9.-]+")

kubeconfig: Any = config  # it carries no types

Reload = Callable[[], Awaitable[None]]
Query = Mapping[str, str | int | bool]


def impersonation(as_user: str) -> dict[str, str]:
    """The header that makes a request run as that ServiceAccount.

    Raises GiveUp for anything but `system:serviceaccount:<namespace>:<name>`. Empty above all: the API server takes an
    empty Impersonate-User for "no impersonation" and would run the request as the operator (security.md B.2, measured).
    """
    if not _SERVICE_ACCOUNT.fullmatch(as_user):
        raise GiveUp(
            "Refused to write without a ServiceAccount", why=f"{as_user!r} names none",
            next_step="set spec.serviceAccountName of the Workflow to a ServiceAccount of its namespace",
        )
    return {"Impersonate-User": as_user}


class Connection:
    """One pool of connections. Requests go through the client's own low level, so that refreshing credentials and
    TLS are the library's; its typed models are not used, because they drop the fields that they do not know."""

    def __init__(
        self, configuration: Configuration, *, timeout: float, reload: Reload | None = None, namespace: str = "",
    ) -> None:
        """`namespace`: the one that the kubeconfig's context names, for commands that are given none."""
        self._api: Any = ApiClient(configuration)
        self._api.user_agent = USER_AGENT
        self._timeout = timeout
        self._reload = reload
        self.namespace = namespace

    @property
    def host(self) -> str:
        return str(self._api.configuration.host)

    async def request(
        self, method: str, path: str, *, query: Query | None = None, body: Any = None,
        content_type: str = JSON, as_user: str | None = None, timeout: float | None = None,
        mutating: bool | None = None, doing: str = "",
    ) -> dict[str, Any]:
        """The JSON answer. `mutating` False for a POST that changes nothing (dry run, review). Errors: kube.errors."""
        data = await self.read(
            method, path, query=query, body=body, content_type=content_type, as_user=as_user, timeout=timeout,
            mutating=mutating, doing=doing,
        )
        answer = orjson.loads(data) if data else {}
        return answer if isinstance(answer, dict) else {"items": answer}

    async def read(
        self, method: str, path: str, *, query: Query | None = None, body: Any = None,
        content_type: str = JSON, as_user: str | None = None, timeout: float | None = None,
        mutating: bool | None = None, doing: str = "",
    ) -> bytes:
        """As request, but the bytes as they came (container logs are not JSON)."""
        changes = method != "GET" if mutating is None else mutating
        doing = doing or f"{method} {path}"
        headers = {"Content-Type": content_type, "Accept": "application/json, */*"}
        if as_user is not None:
            headers |= impersonation(as_user)
        for last in (False, True):
            status, answered, data = await self._once(method, path, query, headers, body, timeout, doing, changes)
            if status == 401 and self._reload is not None and not last:
                await self._reload()  # an exec plugin's or file's token has run out; a 401 was never executed
                continue
            if status == 403 and not last:  # never executed, so it may be sent again
                await self._require_started(doing)
                continue
            if status >= 400:
                raise from_status(status, data, answered, doing=doing, mutating=changes)
            return data
        raise AssertionError("unreachable")

    async def _once(
        self, method: str, path: str, query: Query | None, headers: Mapping[str, str], body: Any,
        timeout: float | None, doing: str, mutating: bool,
    ) -> tuple[int, Mapping[str, str], bytes]:
        seconds = timeout or self._timeout
        limit = aiohttp.ClientTimeout(total=seconds, connect=min(seconds, CONNECT_SECONDS))
        prepared = await self._api.param_serialize(
            method, path, query_params=[(k, _text(v)) for k, v in (query or {}).items()], header_params=dict(headers),
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._api.rest_client.request(
                method, prepared[1], headers=prepared[2], body=body, _request_timeout=limit)
            return response.status, response.headers, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise from_transport(error, doing=doing, mutating=mutating, host=self.host) from error

    async def _require_started(self, doing: str) -> None:
        """An API server that has just started denies everybody until it has read its roles (measured: half a second).

        Its /readyz says so, or is denied as well; /version too then, which every known user may ask for. Raises
        ClusterAway: the denial means nothing yet.
        """
        for path in ("/readyz", "/version"):
            status, _, _ = await self._once("GET", path, None, {"Accept": "*/*"}, None, CONNECT_SECONDS, doing, False)
            if status == 200:
                return
            if status != 403:
                break
        raise ClusterAway(f"Cannot {doing} yet", why=f"the API server is not ready (HTTP {status})")

    async def close(self) -> None:
        await self._api.close()

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        await self.close()


async def connect(settings: Settings) -> Connection:
    """A connection by `settings.kubeconfig`; where that is empty: in-cluster, else as kubectl finds its own.

    Nothing is sent yet. Raises InvalidInput where no usable configuration is found. Close it, or use `async with`.
    """
    configuration = Configuration(connection_pool_maxsize=POOL)
    reload: Reload | None = None
    namespace = ""
    try:
        if settings.kubeconfig or not _in_cluster(configuration):
            loader = await kubeconfig.load_kube_config(
                settings.kubeconfig or None, client_configuration=configuration, persist_config=False)
            namespace = str(loader.current_context["context"].get("namespace") or "")

            async def reload() -> None:
                try:
                    await loader.load_and_set(configuration)
                except (ConfigException, OSError) as error:
                    raise ClusterAway("Cannot renew the credentials", why=str(error)) from error
    except (ConfigException, OSError) as error:
        raise InvalidInput(
            "No cluster to connect to", why=str(error),
            next_step="set AKESO_KUBECONFIG to a kubeconfig file, or run inside a cluster",
        ) from error
    if not env_proxies(configuration.host):
        # Else aiohttp asks again before each request, in a thread: nearly half of the CPU of a read (measured).
        configuration.client_session_kwargs = {"trust_env": False}
    return Connection(configuration, timeout=settings.request_timeout_seconds, reload=reload, namespace=namespace)


def _in_cluster(configuration: Configuration) -> bool:
    try:
        kubeconfig.load_incluster_config(configuration)
    except ConfigException:
        return False
    return True


def env_proxies(host: str) -> bool:
    """True where the environment names a proxy for that URL; it is fixed once the process runs."""
    url = urlsplit(host)
    return url.scheme in getproxies() and not proxy_bypass(url.hostname or "")


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
