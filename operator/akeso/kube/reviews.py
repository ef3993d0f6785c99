"""Questions about identities and permissions. They are POSTs that change nothing."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from akeso.kube.client import Connection
from akeso.model.objects import dig

_AUTHN = "/apis/authentication.k8s.io/v1"
_AUTHZ = "/apis/authorization.k8s.io/v1"


class Reviews:
    """TokenReview, SubjectAccessReview and their Self forms."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def token_review(self, token: str, audience: str) -> str | None:
        """The user name behind a bearer token made for that audience, or None where it is not valid."""
        if not token:
            return None
        status = await self._review(_AUTHN, "TokenReview", {"token": token, "audiences": [audience]})
        # A server that knows no audiences answers without them; such an answer holds for any audience, so not here.
        if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
            return None
        return str(dig(status, "user", "username", default="")) or None

    async def can_i(
        self, user: str, verb: str, group: str, resource: str, subresource: str = "", namespace: str = "",
        name: str = "",
    ) -> tuple[bool, str]:
        """Whether that user may, and the authorizer's reason. A ServiceAccount has its groups."""
        spec: dict[str, Any] = {"user": user, **_attributes(verb, group, resource, subresource, namespace, name)}
        parts = user.split(":")
        if user.startswith("system:serviceaccount:") and len(parts) == 4:
            spec["groups"] = ["system:serviceaccounts", f"system:serviceaccounts:{parts[2]}", "system:authenticated"]
        return _answer(await self._review(_AUTHZ, "SubjectAccessReview", spec))

    async def can_i_self(
        self, verb: str, group: str, resource: str, subresource: str = "", namespace: str = "",
        name: str = "",
    ) -> tuple[bool, str]:
        """Whether the operator itself may."""
        spec = _attributes(verb, group, resource, subresource, namespace, name)
        return _answer(await self._review(_AUTHZ, "SelfSubjectAccessReview", spec))

    async def whoami(self) -> str:
        """The user name that the operator itself is known by."""
        return str(dig(await self._review(_AUTHN, "SelfSubjectReview", {}), "userInfo", "username", default=""))

    async def _review(self, root: str, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        body = {"apiVersion": root.removeprefix("/apis/"), "kind": kind, "spec": spec}
        answer = await self.connection.request(
            "POST", f"{root}/{kind.lower()}s", body=body, mutating=False, doing=f"ask for a {kind}")
        status = answer.get("status")
        return status if isinstance(status, dict) else {}


def _attributes(verb: str, group: str, resource: str, subresource: str, namespace: str, name: str) -> dict[str, Any]:
    return {"resourceAttributes": {
        "verb": verb, "group": group, "resource": resource, "subresource": subresource, "namespace": namespace,
        "name": name,
    }}


def _answer(status: Mapping[str, Any]) -> tuple[bool, str]:
    return bool(status.get("allowed")), str(status.get("reason") or status.get("evaluationError") or "")
