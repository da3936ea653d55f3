"""What the core does not bring, and what installs it.

``pip install jaxcl`` brings what :mod:`jaxcl.transforms` imports. Everything else is in extras;
what needs one that is not installed says so in one line, which is made here.
"""

import importlib.util

BRINGS = {
    "jaxcl[experiments]": (
        "array_record", "flax", "grain", "importlib_resources", "matplotlib", "orbax", "PIL",
        "rich", "skimage", "sklearn", "tensorflow_datasets", "tomli_w", "tyro",
    ),
    "jaxcl[launch]": ("submitit",),
    "jaxcl[tensorboard]": ("tensorboardX",),
    "jaxcl[wandb]": ("wandb",),
    "equinox": ("equinox",),
}  # fmt: skip
"""What pip is asked for -> the modules that come with it."""


class MissingExtra(ModuleNotFoundError):
    """Something was asked for that needs an extra, which is not installed."""


def explained(what: str, error: ModuleNotFoundError) -> MissingExtra:
    """Makes an error of one line, which names what is missing and the remedy.

    Args:
      what: was asked for, such as ``jaxcl.fit``.
      error: of the import.

    Raises:
      ModuleNotFoundError: the error itself, where no extra brings the module.

    >>> print(explained("jaxcl.fit", ModuleNotFoundError(name="rich.console")))
    jaxcl.fit needs what the core does not bring (rich is missing): pip install "jaxcl[experiments]"
    """
    module = (error.name or "").partition(".")[0]
    for install, modules in BRINGS.items():
        if module in modules:
            why = f"needs what the core does not bring ({module} is missing)"
            return MissingExtra(f'{what} {why}: pip install "{install}"', name=error.name)
    raise error


def check(what: str, *modules: str) -> None:
    """Raises a :class:`MissingExtra` for the first module that is not installed.

    Args:
      what: needs them.
      *modules: their names, without a dot; they are not imported.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise explained(what, ModuleNotFoundError(name=module))
