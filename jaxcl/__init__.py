"""Continual learning in JAX: composable loss transforms and growing networks."""

__version__ = "0.1.0"
