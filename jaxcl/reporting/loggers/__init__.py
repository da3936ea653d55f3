"""What else is told of a run while it goes on, if that is asked for: ``--log csv tensorboard``."""

from typing import TYPE_CHECKING

from jaxcl import public

if TYPE_CHECKING:
    from jaxcl.reporting.loggers.base import Logged, Logger
    from jaxcl.reporting.loggers.known import LOGGERS

__all__ = ["LOGGERS", "Logged", "Logger"]

__getattr__ = public(__name__, {"LOGGERS": "known", "Logged": "base", "Logger": "base"})
