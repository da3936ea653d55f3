"""An augmentation for tests of transforms: both networks see the inputs from behind."""

from jaxcl.core.types import Batch
from jaxcl.transforms import Context


def from_behind(batch: Batch) -> Batch:
    """Returns a batch whose inputs ``x`` have their columns in reverse."""
    return {**batch, "x": batch["x"][:, ::-1]}


def augmented(context: Context) -> Context:
    """Returns a context whose network, and the one before it, sees inputs from behind."""
    forward = context.forward
    assert forward is not None
    return context._replace(
        forward=lambda params, batch: forward(params, from_behind(batch)),
        teacher=lambda params, stats, batch: forward(params, from_behind(batch)),
    )
