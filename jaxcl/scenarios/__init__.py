"""Data sets, tasks, and the sequences of tasks with their protocols."""
