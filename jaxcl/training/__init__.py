"""The compiled step and loop, evaluation, generators, and the events of a run."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.training.events import EpochEnded, SeedEnded, StepsDone, TaskBegan
    from jaxcl.training.learner_state import Learner
    from jaxcl.training.settings import GeneratorSettings, Training

__all__ = [
    "EpochEnded",
    "GeneratorSettings",
    "Learner",
    "SeedEnded",
    "StepsDone",
    "TaskBegan",
    "Training",
]

__getattr__ = public(
    __name__,
    {
        "EpochEnded": "events",
        "GeneratorSettings": "settings",
        "Learner": "learner_state",
        "SeedEnded": "events",
        "StepsDone": "events",
        "TaskBegan": "events",
        "Training": "settings",
    },
)
