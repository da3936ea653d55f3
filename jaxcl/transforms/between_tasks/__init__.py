"""What is done between two tasks, and not to the loss."""

from jaxcl.transforms.between_tasks.nearest_mean import ncm
from jaxcl.transforms.between_tasks.random_projection import ranpac
from jaxcl.transforms.between_tasks.shrink_perturb import shrink_perturb
from jaxcl.transforms.between_tasks.streaming_lda import slda

__all__ = ["ncm", "ranpac", "shrink_perturb", "slda"]
