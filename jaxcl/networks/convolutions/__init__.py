"""Convolutions in the formulation that suits the platform."""
