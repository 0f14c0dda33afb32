"""`impasto presets`: the named starting points, and making one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from impasto.cli import knobs
from impasto.cli.app import MORE
from impasto.cli.error_text import spelled
from impasto.cli.knobs import OUTPUT
from impasto.cli.terminal import tell, tell_json, tell_path
from impasto.errors import SettingsError
from impasto.settings import presets as store
from impasto.settings import roles

presets = App(name="presets", help="List the named starting points, show one, or save one of your own.")

Named = Annotated[str, Parameter(help="A preset, or a TOML file of settings.")]


@presets.default
def list_presets(*, json: Annotated[bool, Parameter(help="Print the result as one JSON object.")] = False) -> None:
    """The named starting points; yours are in the folder shown last."""
    known = store.paths()
    found = {name: _described(name) for name in known}
    if json:
        tell_json({name: {"description": text, "path": str(known[name])} for name, text in found.items()})
        return
    width = max(map(len, known))
    for name, text in found.items():
        yours = "" if known[name].parent == store.BUNDLED else " (yours)"
        tell(f"{name:<{width}}  {text}{yours}")
    tell()
    tell(f"Yours: {store.folder()}")


@presets.command
def show(name: Named, /) -> None:
    """Print a preset as TOML, checked."""
    preset = store.load(name)
    for line in store.to_toml({store.DESCRIPTION: preset.description} | _checked(preset)).splitlines():
        tell(line)


@presets.command(help_epilogue=MORE)
def save(
    name: Annotated[str, Parameter(help="Letters, digits, - and _.")],
    /,
    *,
    description: Annotated[str, Parameter(group=OUTPUT, metavar="TEXT", help="A line for the list.")] = "",
    overwrite: Annotated[bool, Parameter(group=OUTPUT, help="Replace a preset of that name.")] = False,
    config: knobs.Config = None,
    preset: knobs.Preset = None,
    flags: knobs.Flags = None,
) -> None:
    """Save settings under a name: those of the flags, the file and the preset given here; no IMPASTO_… variable."""
    given = knobs.layers(flags or {}, {}, config, preset)
    settings = knobs.settle(*given)
    chosen = {knob: None for layer in given for knob in layer.values}
    if not chosen:
        raise SettingsError(f"No setting is given for the preset {name!r}", "name at least one, such as `size` 768")
    values = settings.model_dump(mode="json")
    found_anywhere = {knob: roles.with_files(knob, values[knob], lambda f: str(Path(f).absolute())) for knob in chosen}
    tell_path(store.save(name, found_anywhere, description, overwrite=overwrite))


def _described(name: str) -> str:
    try:
        preset = store.load(name)
        _checked(preset)
    except SettingsError as error:
        return f"BROKEN: {spelled(error)}".replace("\n", " ")
    return preset.description


def _checked(preset: store.Preset) -> dict[str, object]:
    """The knobs as `Settings` has them; raises `SettingsError` that names the preset."""
    settings = knobs.settle(knobs.Layer(preset.knobs, f"the preset {preset.name!r}"))
    values = settings.model_dump(mode="json")
    return {knob: values[knob] for knob in preset.knobs}
