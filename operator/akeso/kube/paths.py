"""URL paths of the API server. Names come from alerts and tenants, so nothing in one may lead to another path."""
from __future__ import annotations

from urllib.parse import quote

from akeso.errors import InvalidInput
from akeso.model.objects import Kind, ObjectRef


def collection(kind: Kind, namespace: str = "") -> str:
    """`/apis/apps/v1/namespaces/shop/deployments`; without a namespace that of all namespaces."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    within = f"/namespaces/{segment(namespace)}" if kind.namespaced and namespace else ""
    return f"{root}{within}/{kind.plural}"


def item(kind: Kind, namespace: str, name: str, subresource: str = "") -> str:
    """The path of one object. Raises InvalidInput for a missing namespace and for impossible names."""
    if kind.namespaced and not namespace:
        raise InvalidInput(f"{kind.kind}/{name} needs a namespace")
    path = f"{collection(kind, namespace)}/{segment(name)}"
    return f"{path}/{subresource}" if subresource else path


def of(ref: ObjectRef, subresource: str = "") -> str:
    return item(ref.kind, ref.namespace, ref.name, subresource)


def segment(name: str) -> str:
    """One path segment, quoted; the rule is the API server's own (IsValidPathSegmentName)."""
    if not name or name in (".", "..") or "/" in name or "%" in name:
        raise InvalidInput(f"{name[:80]!r} cannot be the name of an object")
    return quote(name, safe="")
