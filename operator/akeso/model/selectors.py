"""Kubernetes label selectors, as metav1.LabelSelector says. Pure."""
from __future__ import annotations

from collections.abc import Mapping

from akeso.model.api.workflow import LabelSelector, SelectorExpression


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """True where all of it holds; an empty selector selects everything."""
    return all(labels.get(k) == v for k, v in selector.match_labels.items()) and all(
        _holds(expression, labels) for expression in selector.match_expressions)


def _holds(expression: SelectorExpression, labels: Mapping[str, str]) -> bool:
    has = expression.key in labels
    match expression.operator:
        case "Exists":
            return has
        case "DoesNotExist":
            return not has
        case "In":
            return has and labels[expression.key] in expression.values
        case _:  # NotIn also selects what lacks the key
            return not has or labels[expression.key] not in expression.values
