"""``threadlite optimize``: a new artifact by one technique, or by several in a row."""

import shutil
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from optimize.convert import export_float
from optimize.selective_report import sentences
from optimize.sweep_search import sentences as sweep_sentences
from optimize.techniques import Chain, base_of, make_config, parse_chain
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
    if arguments.goal is not None or arguments.minutes is not None:
        raise UsageError("--goal and --minutes are words of optimize auto; leave them out")
    plain = arguments.technique == "float"
    chain = Chain(networks=(), file="") if plain else parse_chain(arguments.technique)
    settings = with_bound(chain, parse_settings(arguments.set), arguments.max_f1_drop)
    configs = configs_of(chain, settings)
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
    names = {base_of(name): name for name in chain.names}
    if len(names) == 1:
        ((base, name),) = names.items()
        if not isinstance(settings.get(base), dict):
            return {name: make_config(name, settings)}
    for key, value in settings.items():
        if key not in names or not isinstance(value, dict):
            raise UsageError(
                f"--set {key}: must begin with one of the techniques, {', '.join(names)}, such as"
                f" --set {next(iter(names))}.KEY=VALUE"
            )
    return {name: make_config(name, settings.get(base, {})) for base, name in names.items()}


def with_bound(chain: Chain, settings: dict[str, Any], max_f1_drop: float | None) -> dict[str, Any]:
    """Return ``settings`` with what ``--max-f1-drop`` says.

    Raises:
        UsageError: nothing in the chain keeps to a bound, or it has been given one already.
    """
    if max_f1_drop is None:
        return settings
    if chain.file != "selective":
        raise UsageError("--max-f1-drop is a bound of selective and of auto; leave it out")
    alone = len(chain.names) == 1 and not isinstance(settings.get("selective"), dict)
    own = settings if alone else settings.get("selective", {})
    if not isinstance(own, dict) or "max_f1_drop" in own:
        raise UsageError("max_f1_drop is given twice; leave out --max-f1-drop or --set")
    bound = {**own, "max_f1_drop": max_f1_drop}
    return bound if alone else {**settings, "selective": bound}


def lines_of(made: Artifact) -> list[str]:
    """Return what is told of a new artifact: what a search found, and its name."""
    last = made.manifest.steps[-1]
    tellers = {"selective": sentences, "swept": sweep_sentences}
    told = tellers[last.technique](last.config) if last.technique in tellers else []
    return [*told, f"{made.manifest.variant} in {made.folder}"]
