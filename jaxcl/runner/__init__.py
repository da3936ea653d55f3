"""Runs in their folders: begun, resumed, several at once, and searches over settings."""
