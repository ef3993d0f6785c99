"""From alerts to ledger rows: each alert with the Workflows that it starts."""
from __future__ import annotations

from collections.abc import Sequence

from akeso.ingest.definitions import Definitions
from akeso.ingest.matching import Matched, match
from akeso.model.alert import Alert
from akeso.record.incoming import Incoming, Match


def route(alerts: Sequence[Alert], definitions: Definitions) -> list[Incoming]:
    """What `record.intake` commits. A resolved alert starts nothing; it closes its signal."""
    return [
        Incoming(alert, tuple(as_match(m) for m in match(alert, definitions)) if alert.status == "firing" else ())
        for alert in alerts]


def as_match(matched: Matched) -> Match:
    resource = matched.resource
    return Match(
        workflow_key=workflow_key(resource.kind, resource.namespace, resource.name), namespace=matched.run_namespace,
        run_name_prefix=resource.name, trigger=matched.trigger.name, workflow=matched.workflow, agent=matched.agent)


def workflow_key(kind: str, namespace: str, name: str) -> str:
    """How the ledger names a definition."""
    return f"{namespace}/{kind}/{name}"
