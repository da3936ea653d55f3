"""One learner that goes from task to task."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.learner.build import set_up
    from jaxcl.learner.seed_loop import go_on, run
    from jaxcl.learner.settings.config import Config
    from jaxcl.learner.settings.configuration import configure
    from jaxcl.learner.settings.protocols import SCENARIOS
    from jaxcl.learner.tasks import load_tasks

__all__ = ["SCENARIOS", "Config", "configure", "go_on", "load_tasks", "run", "set_up"]

__getattr__ = public(
    __name__,
    {
        "Config": "settings.config",
        "SCENARIOS": "settings.protocols",
        "configure": "settings.configuration",
        "go_on": "seed_loop",
        "load_tasks": "tasks",
        "run": "seed_loop",
        "set_up": "build",
    },
)
