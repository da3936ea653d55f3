"""The methods against forgetting and their settings."""
