"""Models to CustomResourceDefinitions: structural schemas, as the server enforces and `kubectl explain` shows them."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from akeso.model.api.common import INT32_MAX, ApiModel
from akeso.model.api.kinds import CUSTOM_KINDS, Column, CustomKind
from akeso.model.names import GROUP, VERSION

HEADER: Final = "# Generated from operator/akeso/model/api by hack/update. Do not edit.\n"
_DROPPED: Final = {"title", "default", "$defs"}
_ANNOTATIONS: Final = {
    "helm.sh/resource-policy": "keep",
    "argocd.argoproj.io/sync-options": "ServerSideApply=true,Prune=confirm,Delete=confirm",
    "argocd.argoproj.io/sync-wave": "-10",
}


class _WithRules(GenerateJsonSchema):
    """pydantic's own generator, plus the RULES of each model as `x-kubernetes-validations`."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        out = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        if issubclass(model, ApiModel) and model.RULES:
            out["x-kubernetes-validations"] = [r.as_schema() for r in model.RULES]
        return out


def schema_of(model: type[ApiModel]) -> dict[str, Any]:
    """The structural schema of a model: references inlined; no `anyOf`, `null` or defaults; integers with a format."""
    raw = model.model_json_schema(by_alias=True, schema_generator=_WithRules, mode="validation")
    return _structural(raw, raw.get("$defs", {}))


def _structural(node: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    node = dict(node)
    if "$ref" in node:
        node = {**defs[node.pop("$ref").rpartition("/")[2]], **node}
    if "anyOf" in node:  # Optional[X]: a field may be left out, never null
        (only,) = (n for n in node.pop("anyOf") if n != {"type": "null"})
        return _structural({**_structural(only, defs), **node}, defs)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    out = {k: v for k, v in node.items() if k not in _DROPPED}
    if "properties" in out:
        out["properties"] = {k: _structural(v, defs) for k, v in out["properties"].items()}
    if "items" in out:
        out["items"] = _structural(out["items"], defs)
    if out.get("additionalProperties") is True:
        del out["additionalProperties"]
        out["x-kubernetes-preserve-unknown-fields"] = True
    elif "additionalProperties" in out:
        out["additionalProperties"] = _structural(out["additionalProperties"], defs)
    if out.get("type") == "integer":
        out.setdefault("format", "int32" if out.get("maximum", INT32_MAX + 1) <= INT32_MAX else "int64")
    return _ordered(out)


def _ordered(node: dict[str, Any]) -> dict[str, Any]:
    """type and description first, the long `properties` last: what a reader wants to see."""
    first = [k for k in ("type", "description", "format", "enum") if k in node]
    last = [k for k in ("required", "properties", "additionalProperties", "items") if k in node]
    between = sorted(set(node) - set(first) - set(last))
    return {k: node[k] for k in (*first, *between, *last)}


def definition(kind: CustomKind[Any]) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": kind.crd_name,
            "labels": {"app.kubernetes.io/name": "akeso", "app.kubernetes.io/part-of": "akeso"},
            "annotations": dict(_ANNOTATIONS),
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural, "singular": kind.singular,
                "shortNames": list(kind.short_names), "categories": ["akeso"],
            },
            "versions": [_version(kind)],
        },
    }


def _version(kind: CustomKind[Any]) -> dict[str, Any]:
    # The default says "not seen yet" to kstatus; without it `helm install --wait` calls an unread object deployed.
    status = {**schema_of(kind.status), "default": {"observedGeneration": -1}}
    return {
        "name": VERSION, "served": True, "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {
            "type": "object",
            "description": kind.description,
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string", "description": "API version of the object.", "maxLength": 253},
                "kind": {"type": "string", "description": "Kind of the object.", "maxLength": 63},
                "metadata": {"type": "object"},
                "spec": schema_of(kind.spec),
                "status": status,
            },
        }},
        "additionalPrinterColumns": [_column(c) for c in kind.columns],
        "selectableFields": [{"jsonPath": path} for path in kind.selectable],
    }


def _column(column: Column) -> dict[str, Any]:
    out: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        out["description"] = column.description
    if column.priority:
        out["priority"] = column.priority
    return out


class _Plain(yaml.SafeDumper):
    """Without anchors: `&id001` helps nobody."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(document: Mapping[str, Any]) -> str:
    """The text of a generated file: same input, same bytes."""
    return HEADER + yaml.dump(dict(document), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


def files() -> Iterator[tuple[str, str]]:
    """(path below the repository root, text) of everything that is generated here."""
    for kind in CUSTOM_KINDS:
        yield f"crds/{kind.crd_name}.yaml", to_yaml(definition(kind))
    yield "crds/Kustomization", to_yaml({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [f"{k.crd_name}.yaml" for k in CUSTOM_KINDS],
    })
