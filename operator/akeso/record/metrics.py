"""What is counted, for /metrics. Names and labels are an interface; label values come from closed or bounded sets.

A label value from outside (a receiver, an action of a third party) goes through `bounded_label`: beyond
MAX_LABEL_VALUES different ones it is counted as "other", so that nobody can fill the memory of Prometheus.
"""
from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
MAX_LABEL_VALUES = 200
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)
BREAKER_STATES: Mapping[str, int] = {"closed": 0, "half-open": 1, "open": 2}


class Metrics:
    """One registry with everything that Akeso counts; tests make their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seen: dict[str, set[str]] = {}
        self._ingest()
        self._loop()
        self._health()

    def _ingest(self) -> None:
        reg = self.registry
        self.posts = Counter("akeso_webhook_posts", "Webhook requests by HTTP status code.", ["code"], registry=reg)
        self.alerts = Counter("akeso_alerts", "Alerts received and committed, by status.", ["status"], registry=reg)
        self.rejected_alerts = Counter(
            "akeso_alerts_rejected", "Alerts that the ledger can never hold.", registry=reg)
        self.truncated_alerts = Counter(
            "akeso_alerts_truncated", "Alerts that Alertmanager left out of a notification (max_alerts).", registry=reg)
        self.batch_alerts = Histogram(
            "akeso_commit_alerts", "Alerts in one ledger transaction.", registry=reg,
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000))
        self.commit_seconds = Histogram(
            "akeso_commit_seconds", "Duration of one ledger transaction of alerts.", registry=reg, buckets=_FAST)

    def _loop(self) -> None:
        reg = self.registry
        self.decisions = Counter(
            "akeso_decisions", "Answers to conditions: yes, no, unsure; by cel, rules or model.", ["answer", "by"],
            registry=reg)
        self.refusals = Counter(
            "akeso_gate_refusals", "Actions that a gate refused, by reason.", ["reason"], registry=reg)
        self.actions = Counter("akeso_actions", "Actions by name and outcome.", ["action", "outcome"], registry=reg)
        self.runs = Counter("akeso_runs", "Runs that reached a phase.", ["phase"], registry=reg)
        self.stage_seconds = Histogram(
            "akeso_stage_seconds", "Duration of a stage of a run: evidence, decide, plan, act, verify, alert_to_write.",
            ["stage"], registry=reg, buckets=_SLOW)

    def _health(self) -> None:
        reg = self.registry
        self.breakers = Gauge(
            "akeso_breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open.", ["name"], registry=reg)
        self.queue_depth = Gauge("akeso_runs_due", "Runs that are due and that no replica holds.", registry=reg)
        self.heartbeat_age = Gauge(
            "akeso_heartbeat_age_seconds", "Seconds since the always-firing alert of a source was seen.", ["source"],
            registry=reg)
        self.dependency_up = Gauge(
            "akeso_dependency_up", "1 where the dependency answered the last check.", ["name"], registry=reg)

    def committed(self, alerts: int, seconds: float) -> None:
        """One transaction of alerts; what `Intake(committed=...)` calls."""
        self.batch_alerts.observe(alerts)
        self.commit_seconds.observe(seconds)

    def decided(self, answer: str, by: str) -> None:
        """`by` as in a Verdict; of a model only its endpoint is kept."""
        self.decisions.labels(answer, self.bounded_label("by", by.partition("/")[0])).inc()

    def refused(self, reason: str) -> None:
        self.refusals.labels(self.bounded_label("reason", reason)).inc()

    def acted(self, action: str, outcome: str) -> None:
        self.actions.labels(self.bounded_label("action", action), self.bounded_label("outcome", outcome)).inc()

    def breaker(self, name: str, state: str) -> None:
        """State as pybreaker names it: closed, half-open, open."""
        self.breakers.labels(self.bounded_label("breaker", name)).set(BREAKER_STATES[state])

    def heartbeat(self, source: str, age_seconds: float) -> None:
        self.heartbeat_age.labels(self.bounded_label("source", source)).set(age_seconds)

    def bounded_label(self, label: str, value: str) -> str:
        """The value, cut to 120 characters, or "other" once the label has MAX_LABEL_VALUES of them."""
        value = value[:120].encode("utf-8", "replace").decode()
        seen = self._seen.setdefault(label, set())
        if value in seen:
            return value
        if len(seen) >= MAX_LABEL_VALUES:
            return "other"
        seen.add(value)
        return value

    def exposition(self) -> bytes:
        """The text of /metrics; its type is CONTENT_TYPE."""
        return generate_latest(self.registry)
