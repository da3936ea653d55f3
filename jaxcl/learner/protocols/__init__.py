"""The named scenarios, and the settings that go with them."""

from jaxcl.core.errors import check_name
from jaxcl.learner.protocols.named import SCENARIOS
from jaxcl.learner.protocols.protocol import GIVEN, OWN, Protocol, Scenario

__all__ = ["OWN", "SCENARIOS", "Protocol", "Scenario", "scenario_of"]


def scenario_of(name: str) -> Scenario:
    """Returns a scenario; that of tasks without a name is ``own``.

    Raises:
      UsageError: an unknown name.
    """
    if name == OWN:
        return GIVEN
    check_name("scenario", name, SCENARIOS)
    return SCENARIOS[name]
