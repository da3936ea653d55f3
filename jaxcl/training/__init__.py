"""The compiled step and loop, evaluation, generators, and the events of a run."""
