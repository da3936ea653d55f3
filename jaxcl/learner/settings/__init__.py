"""The settings of a run, and the scenarios with the protocols that go with them."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.learner.settings.config import Config
    from jaxcl.learner.settings.configuration import configure
    from jaxcl.learner.settings.protocols import SCENARIOS, Protocol, Scenario

__all__ = ["SCENARIOS", "Config", "Protocol", "Scenario", "configure"]

__getattr__ = public(
    __name__,
    {
        **dict.fromkeys(("SCENARIOS", "Protocol", "Scenario"), "protocols"),
        "Config": "config",
        "configure": "configuration",
    },
)
