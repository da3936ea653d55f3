"""Which leaves train while a task is learned."""

from collections.abc import Callable, Sequence

from jaxcl.growth.parameters import Path, on_route
from jaxcl.networks.base import Net, Pathway

Trains = Callable[[Net, Pathway, Sequence[str], Path], bool]
"""(net, pathway of the task, heads that its output has, path of a leaf) -> trains?"""


def all_on_route(net: Net, pathway: Pathway, heads: Sequence[str], path: Path) -> bool:
    """Lets everything train but the branches that the task does not run through."""
    del heads
    return on_route(net, pathway.route, path)


def shared_and_own_heads(net: Net, pathway: Pathway, heads: Sequence[str], path: Path) -> bool:
    """Lets the shared layers train, and the heads of the task's output; other heads stay."""
    return on_route(net, pathway.route, path) and (path[0] != "heads" or path[1] in heads)


def new_parts(net: Net, pathway: Pathway, heads: Sequence[str], path: Path) -> bool:
    """Lets what came with the task train: its own head and branches."""
    del heads
    own = path[0] in net.layers and path[1] == pathway.task
    return own or path[:2] == ("heads", pathway.head)
