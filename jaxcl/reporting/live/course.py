"""What a run will do, and how much of it is done."""

from collections.abc import Sequence
from typing import NamedTuple


class Course(NamedTuple):
    """What a run will do.

    Attributes:
      names: of its tasks.
      steps: of each task, all of its epochs together.
      seeds: in order.
      together: how many of them are trained at once.
    """

    names: Sequence[str]
    steps: Sequence[int]
    seeds: Sequence[int]
    together: int

    @property
    def total(self) -> int:
        """Returns the steps of the whole run; those of seeds that are trained at once count once.

        >>> Course(["a", "b"], [10, 30], range(5), 2).total
        120
        """
        return -(-len(self.seeds) // self.together) * sum(self.steps)

    def done(self, seed: int, task_index: int, steps: int) -> int:
        """Returns the steps of the whole run that are done.

        Args:
          seed: that is trained, alone or beside others.
          task_index: of its task, from 0.
          steps: of this task that are done.

        >>> Course(["a", "b"], [10, 30], [4, 0, 2], 1).done(0, 1, 5)
        55
        """
        before = self.seeds.index(seed) // self.together
        return before * sum(self.steps) + sum(self.steps[:task_index]) + steps
