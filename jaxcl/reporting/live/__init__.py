"""A run as it goes on, on a terminal or in a log."""
