"""The named scenarios, and the settings that go with them."""

from jaxcl.core.errors import check_name
from jaxcl.learner.settings.named import SCENARIOS
from jaxcl.learner.settings.protocol import FILE, GIVEN, OF_DATA, OWN, Protocol, Scenario

__all__ = ["FILE", "OWN", "SCENARIOS", "Protocol", "Scenario", "scenario_of"]


def scenario_of(name: str) -> Scenario:
    """Returns a scenario; tasks without a name are ``own``, a data set's ``data``.

    Raises:
      UsageError: an unknown name.
    """
    if name in (OWN, FILE):
        return GIVEN if name == OWN else OF_DATA
    check_name("scenario", name, SCENARIOS)
    return SCENARIOS[name]
