"""Facts about Services: what they select and which port they send to."""
from __future__ import annotations

from collections.abc import Iterator, Mapping

from akeso.decide.facts.view import View, fact, items, name_of, namespace_of, path_of, top_owner
from akeso.model.evidence import Fact
from akeso.model.objects import Object, dig, labels_of


def facts(view: View) -> Iterator[Fact]:
    if view.workload is None:
        return
    for service in services_of(view):
        if port_mismatch(view, service):
            yield fact("service_port_mismatch", path_of(service), f"{path_of(service)} .spec.ports[].targetPort")
            break
    for service in services_of(view):
        owners = {path_of(top_owner(view.snapshot, p)) for p in selected_pods(view, service)}
        if len(owners) > 1:
            yield fact("service_foreign_pods", path_of(service), f"{path_of(service)} .spec.selector")
            break


def selector_of(service: Object) -> Mapping[str, str]:
    found = dig(service, "spec", "selector", default={})
    return found if isinstance(found, Mapping) else {}


def selected_pods(view: View, service: Object) -> list[Object]:
    wanted = selector_of(service)
    return [p for p in view.snapshot.of_kind("Pod")
            if wanted and namespace_of(p) == namespace_of(service) and wanted.items() <= labels_of(p).items()]


def services_of(view: View) -> list[Object]:
    """The Services whose selector takes the workload's pod template."""
    have = labels_of(view.template) or {k: v for p in view.pods[:1] for k, v in labels_of(p).items()}
    return [s for s in view.snapshot.of_kind("Service")
            if namespace_of(s) == view.namespace and selector_of(s) and selector_of(s).items() <= have.items()]


def port_mismatch(view: View, service: Object) -> bool:
    """A targetPort that no container declares, where the containers declare any."""
    declared = [p for c in items(view.template, "spec", "containers") for p in items(c, "ports")]
    names = {p.get("name") for p in declared} | {p.get("containerPort") for p in declared}
    if not declared:
        return False
    return any(port.get("targetPort", port.get("port")) not in names for port in items(service, "spec", "ports"))


def backing(view: View, service: Object) -> Object | None:
    """The one workload whose pod template the Service's selector takes; None where there is none or several."""
    wanted = selector_of(service)
    if not wanted:
        return None
    found = [w for kind in ("Deployment", "StatefulSet", "DaemonSet") for w in view.snapshot.of_kind(kind)
             if namespace_of(w) == namespace_of(service)
             and wanted.items() <= labels_of(dig(w, "spec", "template", default={})).items()]
    return found[0] if len(found) == 1 else None


def named(view: View, namespace: str, name: str) -> Object | None:
    return next((s for s in view.snapshot.of_kind("Service")
                 if name_of(s) == name and namespace_of(s) == namespace), None)
