"""One learner that goes from task to task."""
