"""What is counted is exposed, and nobody from outside can make it grow without end."""
from __future__ import annotations

from akeso.record.metrics import MAX_LABEL_VALUES, Metrics


def test_what_was_counted_is_in_the_exposition() -> None:
    metrics = Metrics()
    metrics.posts.labels("202").inc()
    metrics.alerts.labels("firing").inc(3)
    metrics.committed(20, 0.004)
    metrics.decided("yes", "model:local-slm/qwen2.5")
    metrics.refused("Paused")
    metrics.acted("restart_deployment", "Applied")
    metrics.breaker("postgres", "open")
    metrics.heartbeat("am", 12.5)
    text = metrics.exposition().decode()
    for line in (
        'akeso_webhook_posts_total{code="202"} 1.0', 'akeso_alerts_total{status="firing"} 3.0',
        'akeso_decisions_total{answer="yes",by="model:local-slm"} 1.0',
        'akeso_gate_refusals_total{reason="Paused"} 1.0',
        'akeso_actions_total{action="restart_deployment",outcome="Applied"} 1.0',
        'akeso_breaker_state{name="postgres"} 2.0', 'akeso_heartbeat_age_seconds{source="am"} 12.5',
        "akeso_commit_seconds_count 1.0", "akeso_commit_alerts_sum 20.0",
    ):
        assert line in text


def test_label_values_from_outside_are_bounded_in_number_and_length() -> None:
    metrics = Metrics()
    for n in range(MAX_LABEL_VALUES * 3):
        metrics.acted(f"hostile-{n}" + "x" * 10_000, "Applied")
    metrics.acted("\ud800", "Applied")
    lines = [line for line in metrics.exposition().decode().splitlines() if line.startswith("akeso_actions_total")]
    assert len(lines) == MAX_LABEL_VALUES + 1
    assert max(map(len, lines)) < 250
    metrics.acted("hostile-0" + "x" * 10_000, "Applied")
    assert 'action="other"' in "".join(lines)


def test_two_registries_do_not_meet() -> None:
    one, two = Metrics(), Metrics()
    one.refused("Paused")
    assert b"Paused" not in two.exposition()
