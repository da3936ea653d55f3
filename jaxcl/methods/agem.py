"""A-GEM: averaged gradient episodic memory."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from jaxcl.core.errors import UsageError
from jaxcl.core.fields import Positive, shown
from jaxcl.methods.base import Method, StreamInfo
from jaxcl.methods.replay import Kept

if TYPE_CHECKING:
    from jaxcl.transforms import LossTransform


@dataclasses.dataclass(frozen=True)
class AGEM(Kept, Method):
    """Takes out of every gradient what would make the loss on kept images larger."""

    drawn: Annotated[Positive[int] | None, shown("as many as a batch", "INT")] = None
    """Kept images that a step looks at."""

    one_head = True
    summary = "A-GEM: no step may make the loss on kept images of earlier tasks larger"
    paper = "Chaudhry et al. 2019"

    def losses(self, stream: StreamInfo) -> dict[str, "LossTransform"]:
        """Returns the projection of the gradient.

        It is :func:`jaxcl.transforms.agem`.

        Raises:
          UsageError: images are kept by class, where labels are none.
        """
        from jaxcl.transforms import agem, categorical

        learned = stream.objective or categorical
        try:
            made = agem(self.memory(stream.classes), n=self.drawn, objective=learned)
        except ValueError as error:
            raise UsageError(str(error)) from error
        return {"agem": made}
