"""Every setting, with its unit, its default and its reason. The only module that reads the environment."""
from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from akeso.errors import InvalidInput

PREFIX = "AKESO_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of `akeso run`. Each is read from AKESO_<NAME IN CAPITALS>; lists are separated by commas."""

    database_url: str = ""                   # empty: the embedded Postgres in data_dir
    data_dir: Path = Path("~/.local/state/akeso/data")
    kubeconfig: str = ""                     # empty: in-cluster, else the usual kubectl rules
    listen_host: str = "127.0.0.1"           # loopback by default: nothing is exposed that was not asked for
    listen_port: int = 8080
    webhook_token_file: str = ""             # static bearer tokens, one a line (two valid ones make rotation possible)
    webhook_service_accounts: tuple[str, ...] = ()  # "namespace:name" whose tokens (audience akeso-webhook) may post
    webhook_anonymous: bool = False          # accept unauthenticated posts; only ever allowed on a loopback address
    webhook_max_bytes: int = 1_048_576       # a 1,000-alert notification is about 0.8 MB
    webhook_max_alerts: int = 2_000          # per notification
    alertmanager_urls: tuple[str, ...] = ()  # reconciled against at start and every reconcile_seconds
    reconcile_seconds: int = 60
    prometheus_url: str = ""                 # empty: no metric facts
    heartbeat_alert: str = "Watchdog"        # kube-prometheus' always-firing alert
    heartbeat_max_age_seconds: int = 900     # its default repeat interval is minutes; older means the pipeline is cut
    protected_namespaces: tuple[str, ...] = ("kube-system", "kube-public", "kube-node-lease")
    escalation_channel: str = ""             # told whenever a run needs a person; empty: Events and metrics only
    channels_file: str = ""                  # JSON: {"oncall": {"url": "https://..."}}
    workers: int = 4                         # runs advanced at once by this process
    worker_poll_seconds: float = 1.0         # sweep for due runs; new ones wake a worker at once
    holder_timeout_seconds: int = 15         # a run whose holder is silent this long is taken over
    request_timeout_seconds: float = 10.0    # one call to the API server
    database_pool_size: int = 8
    breaker_failures: int = 5                # consecutive failures that open a breaker
    breaker_reset_seconds: int = 30          # then one probe is let through
    approval_timeout_seconds: int = 3600     # an unanswered Approval lapses
    cooldown_seconds: int = 300              # between two actions on one object, where the trigger says nothing
    alert_grace_seconds: int = 300           # how long a firing alert may outlive the object's recovery
    log_format: str = "json"                 # json | console
    log_level: str = "info"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Read all settings; raises InvalidInput that names every bad one at once."""
        env = os.environ if env is None else env
        values: dict[str, Any] = {}
        problems: list[str] = []
        for field in fields(cls):
            text = env.get(PREFIX + field.name.upper())
            if text is None:
                continue
            try:
                values[field.name] = _convert(field.name, text, getattr(cls(), field.name))
            except ValueError as error:
                problems.append(f"{PREFIX}{field.name.upper()}: {error}")
        if problems:
            raise InvalidInput(
                "Settings are invalid", why="; ".join(problems), next_step="correct these variables and start again")
        return cls(**{**values, **{k: v for k, v in overrides.items() if v is not None}})

    def export_kubeconfig(self) -> None:
        """Point kopf, which knows no settings of ours, at the same cluster."""
        if self.kubeconfig:
            os.environ["KUBECONFIG"] = self.kubeconfig


def _convert(name: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"must be true or false, not {text!r}")
        return text.lower() in ("true", "1")
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, Path):
        return Path(text)
    if isinstance(default, int | float):
        number = type(default)(text)
        if not 0 <= number < float("inf"):
            raise ValueError(f"must be a number that is not negative, is {text}")
        return number
    return text


def fail_point() -> str:
    """`name` or `name:nth` of the point at which this process kills itself, for crash tests; empty in production."""
    return os.environ.get("AKESO_FAILPOINT", "")
