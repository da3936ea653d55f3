"""Commands: ``python -m jaxcl.experiments.<name>``."""
