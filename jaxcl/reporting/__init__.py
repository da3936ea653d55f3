"""Metrics, tables and pictures of what runs found."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.reporting.metrics import (
        anytime_accuracy,
        average_accuracy,
        backward_transfer,
        forgetting,
        forward_transfer,
        learning_accuracy,
    )
    from jaxcl.reporting.summary import summarise

__all__ = [
    "anytime_accuracy",
    "average_accuracy",
    "backward_transfer",
    "forgetting",
    "forward_transfer",
    "learning_accuracy",
    "summarise",
]

__getattr__ = public(
    __name__,
    {
        "anytime_accuracy": "metrics",
        "average_accuracy": "metrics",
        "backward_transfer": "metrics",
        "forgetting": "metrics",
        "forward_transfer": "metrics",
        "learning_accuracy": "metrics",
        "summarise": "summary",
    },
)
