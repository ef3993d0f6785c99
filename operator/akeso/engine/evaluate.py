"""`akeso eval`: deciding over frozen scenarios, without a cluster, by the code that decides live."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from akeso.act import registry
from akeso.decide import rules
from akeso.decide.facts.extract import extract
from akeso.engine import scenario as scenarios
from akeso.engine.scenario import Scenario
from akeso.errors import AkesoError, InvalidInput
from akeso.model.evidence import Facts
from akeso.model.verdict import ESCALATE, NO_ACTION, Choice

RIGHT, ABSTAINED, NEEDLESS, HARMFUL = "right", "abstained", "needless", "harmful"
POINTS: Final[Mapping[str, int]] = {RIGHT: 1, ABSTAINED: 0, NEEDLESS: -1, HARMFUL: -5}
NOT_REMEDIES: Final = frozenset({"collect_diagnostics", "notify"})

Result = dict[str, Any]


def evaluate_directory(directory: Path) -> Result:
    """Every `scenario.yaml` below the folder, in the order of their paths; a broken one is an error of its own.

    Raises InvalidInput where there is none.
    """
    paths = sorted(directory.rglob("scenario.yaml")) if directory.is_dir() else []
    if not paths:
        raise InvalidInput(f"There is no scenario.yaml below {directory}", next_step="akeso eval tests/scenarios")
    remedies = registered()
    return asyncio.run(_all(paths, remedies))


def registered() -> tuple[str, ...]:
    """The actions that remedy something: all registered ones but those that only look or tell."""
    return tuple(name for name in sorted(registry.load().names()) if name not in NOT_REMEDIES)


async def _all(paths: Sequence[Path], remedies: Sequence[str]) -> Result:
    done = [await _one(path, remedies) for path in paths]
    return {"scenarios": done, "totals": totals(done)}


async def _one(path: Path, remedies: Sequence[str]) -> Result:
    try:
        scenario = await scenarios.build(scenarios.read(path), path.parent.name)
        return evaluate(scenario, remedies)
    except AkesoError as error:
        return {"id": path.parent.name, "title": "", "result": "error", "message": str(error)}
    except Exception as error:  # noqa: BLE001 a loop edge: one broken scenario does not stop the others; it is counted
        return {
            "id": path.parent.name,
            "title": "",
            "result": "error",
            "message": f"{type(error).__name__}: {error}"[:500],
        }


def evaluate(scenario: Scenario, remedies: Sequence[str]) -> Result:
    """One decision, with the facts that it cites."""
    facts, choice = decide(scenario, scenario.candidates or remedies)
    cited = [facts[name] for name in choice.facts if name in facts]
    return {
        "id": scenario.id,
        "title": scenario.title,
        "decision": choice.action,
        "target": choice.target,
        "facts": [
            {
                "name": f.name,
                "value": list(f.value) if isinstance(f.value, tuple) else f.value,
                "source": f.source,
                "tier": int(f.tier),
            }
            for f in cited
        ],
        "rules": list(choice.rules),
        "contradicted": list(choice.contradicted),
        "message": choice.message,
        "result": classify(choice, scenario),
    }


def decide(scenario: Scenario, candidates: Sequence[str]) -> tuple[Facts, Choice]:
    """About the first alert's object; where no rule speaks of it, about the only other one."""
    facts = extract(scenario.snapshot)
    choice = rules.choose(facts, candidates)
    if choice.rules or not scenario.others:
        return facts, choice
    others = [(f, rules.choose(f, candidates)) for f in map(extract, scenario.others)]
    spoken = {(c.action, c.target): (f, c) for f, c in others if c.rules}
    return next(iter(spoken.values())) if len(spoken) == 1 else (facts, choice)


def classify(choice: Choice, scenario: Scenario) -> str:
    """right, abstained, needless or harmful: what was expected against what was decided."""
    decision = choice.action
    if decision in scenario.right:
        return RIGHT
    if decision in scenario.harmful:
        return HARMFUL
    due = any(name not in (NO_ACTION, ESCALATE) for name in scenario.right)
    if decision == ESCALATE or (decision == NO_ACTION and due):
        return ABSTAINED
    return NEEDLESS


def totals(done: Sequence[Result]) -> Result:
    """Counts; coverage is the share that was not abstained, selective accuracy the share of these that was right."""
    counts = {name: sum(1 for d in done if d["result"] == name) for name in (RIGHT, ABSTAINED, NEEDLESS, HARMFUL)}
    judged = sum(counts.values())
    answered = judged - counts[ABSTAINED]
    return {
        "scenarios": len(done),
        **counts,
        "errors": len(done) - judged,
        "coverage": round(answered / judged, 4) if judged else 0.0,
        "selective_accuracy": round(counts[RIGHT] / answered, 4) if answered else 0.0,
        "score": sum(POINTS[name] * n for name, n in counts.items()),
    }


def report(result: Result, output: str) -> str:
    """The result as JSON (the same bytes for the same scenarios) or as lines for people."""
    if output == "json":
        return json.dumps(result, indent=2, ensure_ascii=False)
    lines = []
    for one in result["scenarios"]:
        lines.append(f"{one['id']:<10} {one['result']:<10} {one.get('decision', ''):<22} {one.get('target', '')}")
        lines.append(f"           {one['message']}")
    total = result["totals"]
    lines.append(", ".join(f"{name} {total[name]}" for name in total))
    return "\n".join(lines)
