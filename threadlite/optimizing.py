"""``threadlite optimize``: a new artifact by one technique, or by several in a row."""

import shutil
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from optimize.convert import export_float
from optimize.techniques import Chain, make_config, parse_chain
from threadlite.commands import reopen_dataset
from threadlite.console import Display
from threadlite.options import parse_settings
from threadlite.variants import optimize_by_chain
from threadlite.workspace import Workspace
from train.artifact import Artifact, open_artifact
from train.errors import UsageError
from train.storage import only_process


def optimize_chain(arguments: Namespace, display: Display) -> Artifact:
    """Make what the words ask for; cut off, it goes on when run again.

    Raises:
        UsageError: the techniques cannot be chained like that, or a setting fits none of them.
        ThreadliteError: what each of the techniques raises.
    """
    plain = arguments.technique == "float"
    chain = Chain(networks=(), file="") if plain else parse_chain(arguments.technique)
    configs = configs_of(chain, parse_settings(arguments.set))
    parent = open_artifact(arguments.artifact)
    if plain:
        return export_float(parent, arguments.format, arguments.out)
    begun = arguments.out.parent / f".optimizing-{arguments.out.name}"
    busy = f"{arguments.out}: another threadlite makes it; wait for it to end"
    with only_process(begun.with_name(f"{begun.name}.lock"), busy):
        made = optimize_by_chain(
            parent,
            chain,
            configs,
            target=arguments.format,
            dataset=reopen_dataset(parent, arguments, display),
            folder=arguments.out,
            workspace=Workspace(folder=begun, done=lambda name, there: None),
            progress=display,
        )
        shutil.rmtree(begun, ignore_errors=True)
    return made


def configs_of(chain: Chain, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of each technique of a chain.

    ``--set KEY=VALUE`` is of the only technique; of several, ``--set TECHNIQUE.KEY=VALUE``.

    Raises:
        UsageError: a setting names none of several techniques.
        ConfigError: a setting is unknown, of another type than its default or out of range.
    """
    names = chain.names
    if len(names) == 1 and not isinstance(settings.get(names[0]), dict):
        return {names[0]: make_config(names[0], settings)}
    for key, value in settings.items():
        if key not in names or not isinstance(value, dict):
            raise UsageError(
                f"--set {key}: must begin with one of the techniques, {', '.join(names)}, such as"
                f" --set {names[0]}.KEY=VALUE"
            )
    return {name: make_config(name, settings.get(name, {})) for name in names}
