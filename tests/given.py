"""Settings of tests: what one method of several has no use for is left out."""

from typing import Any

from jaxcl.learner.config import Config, known_settings
from jaxcl.learner.configuration import CHOICES, configure


def configured(**settings: Any) -> Config:
    """The configuration, without settings that its method, network or scenario does not have."""
    chosen = {name: settings.pop(name) for name in CHOICES if name in settings}
    own = configure(**chosen).flat()
    unused = {name for name in settings if name in known_settings() and name not in own}
    return configure(**chosen, **{n: v for n, v in settings.items() if n not in unused})
