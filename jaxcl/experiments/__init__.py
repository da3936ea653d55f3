"""Commands: ``jaxcl <name>``, or ``python -m jaxcl.experiments.<name>``."""
