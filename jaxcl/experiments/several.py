"""Runs that belong together, one folder each: what is done is not done again."""

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcl.config import Config
from jaxcl.errors import NonFiniteLoss
from jaxcl.experiments import cli, scenario


def run_each(
    configs: Mapping[str, Config],
    out: Path,
    saving: Mapping[str, Any],
    console,
    prog: str,
    *,
    go_on: bool = False,
) -> None:
    """Runs what is missing; exits with 75 if it is interrupted, when everything is saved.

    Args:
      configs: name of a folder -> settings of its run; checked before the first one runs.
      out: folder of all of them.
      saving: options that are no settings of a run.
      console: where progress is shown.
      prog: name of the program, to say how to go on.
      go_on: whether to go on with the others where a loss is not finite.

    Raises:
      UsageError: a setting that cannot be used.
      NonFiniteLoss: a run diverged.
    """
    from jaxcl.build import check_config
    from jaxcl.interrupt import Interrupted

    for config in configs.values():
        check_config(config)
    for i, (name, config) in enumerate(configs.items()):
        fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(Config)}
        folder = out / name
        console.print(f"{name} ({i + 1} of {len(configs)})", highlight=False)
        try:
            each = scenario.Command(**fields, **saving, out=folder, resume=folder)
            scenario.execute(each, console)
        except NonFiniteLoss as error:
            if not go_on:
                raise
            console.print(f"diverged: {error}", highlight=False)
        except Interrupted:
            again = shlex.join(prog.split() + sys.argv[1:])
            again += "" if "--out" in again else f" --out {shlex.quote(str(out))}"
            sys.exit(cli.fail(f"interrupted and saved; go on with: {again}", 75))
