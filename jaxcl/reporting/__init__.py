"""Metrics, tables and plots of what runs found."""
