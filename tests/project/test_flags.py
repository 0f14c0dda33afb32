"""Every flag of every command does what its help says; those that are settings are in `test_options.py`.

What several commands have is tried with each of them; `PROOFS` names the tests of what one alone has.
"""

import inspect
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from cyclopts import App

from helpers import smooth_image, tiny_weights, written_tests
from impasto.cli import bench, demo, main
from impasto.cli.app import app
from impasto.images import reading
from impasto.images.writing import to_pil
from impasto.jobs.recipe import Recipe
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.report import figure
from impasto.run.events import Stepped
from impasto.settings.settings import Settings

STEPS = ["--epochs", "1", "--steps-per-epoch", "2", "--device", "cpu"]
LAYERS = ["--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_2"]
QUICK = ["--size", "32", "--scales", "1", *STEPS, *LAYERS]

RUNS: dict[str, list[str]] = {
    "paint": ["photo.png", "brush.png", *QUICK],
    "sweep": ["photo.png", "brush.png", *QUICK, "--vary", "tv-weight=0,1"],
    "resume": ["unfinished.png.run"],
    "texture": ["brush.png", "--size", "32", "--scales", "1", *STEPS, *LAYERS[:2]],
    "reconstruct": ["photo.png", "--size", "32", *STEPS, "--layers", "relu1_1"],
    "plan": ["photo.png", *QUICK],
    "presets": [],
    "presets show": ["sketch"],
    "presets save": ["mine", *QUICK],
    "swatches": ["--write", "dots", "--size", "32"],
    "weights list": [],
    "weights verify": [],
    "weights download": [],
    "weights convert": ["embedded", "eye.safetensors"],
    "inspect": ["painted.png"],
    "rerun": ["painted.png"],
    "demo": [],
    "doctor": [],
    "bench": [],
    "studio": [],
    "batch": [],
    "video": [],
}
"""A quick way to run each command."""

ELSEWHERE = {"studio", "batch", "video"}
"""A command that never ends by itself, one that fills folders and one for films: tests of their own try their flags."""

COMMON = {"output", "overwrite", "json", "quiet", "config", "preset"}
"""Flags that mean the same wherever they are: tried below with every command that has them."""

PROOFS: dict[str, dict[str, str]] = {
    "paint": {
        "content": "test_painting_writes_beside_the_photo_and_prints_the_path_and_plain_progress",
        "style": "test_several_styles_are_joined_in_the_name_and_a_swatch_is_one",
        "snapshots": "test_snapshots_have_the_size_of_the_result_and_no_recipe",
        "report": "test_json_is_all_there_is_on_stdout",
        "executor": "test_the_command_paints_the_same_picture_though_it_is_killed_on_the_way",
        "address": "test_the_command_paints_the_same_picture_though_it_is_killed_on_the_way",
        "no_metadata": "test_no_metadata_leaves_the_recipe_out",
        "resume": "test_resuming_where_there_is_nothing_begins_a_run",
        "checkpoint": "test_an_interval_that_was_asked_for_is_kept_however_long_saving_takes",
    },
    "sweep": {
        "content": "test_sweep_writes_one_sheet_and_says_the_time_first",
        "style": "test_sweep_writes_one_sheet_and_says_the_time_first",
        "vary": "test_the_first_axis_goes_across_and_the_second_down",
        "keep": "test_kept_pictures_can_be_painted_again_from_themselves",
    },
    "resume": {
        "run": "test_a_run_goes_on_from_each_step",
        "content": "test_changed_inputs_are_refused_by_name_and_the_originals_taken_from_elsewhere",
        "style": "test_changed_inputs_are_refused_by_name_and_the_originals_taken_from_elsewhere",
        "report": "test_a_run_from_elsewhere_writes_nowhere_but_beside_it_unless_told_to",
    },
    "texture": {
        "style": "test_the_command_writes_a_picture_of_the_size_asked_for_as_the_function_makes_it",
        "size": "test_the_command_writes_a_picture_of_the_size_asked_for_as_the_function_makes_it",
        "seamless": "test_copies_of_a_seamless_texture_show_no_seam_and_those_of_another_do",
    },
    "reconstruct": {
        "image": "test_reconstruct_shows_each_layers_content_and_style_up_to_each_depth",
        "of": "test_reconstruct_leaves_out_what_it_was_not_asked_for",
        "layers": "test_reconstruct_shows_each_layers_content_and_style_up_to_each_depth",
        "keep": "test_reconstruct_shows_each_layers_content_and_style_up_to_each_depth",
    },
    "plan": {
        "content": "test_plan_shows_scales_tiles_memory_and_time_and_follows_the_budget",
        "styles": "test_plan_counts_the_time_that_styles_take_and_refuses_one_that_cannot_be_measured",
    },
    "presets show": {"name": "test_a_saved_preset_gives_the_settings_it_was_saved_with"},
    "presets save": {
        "name": "test_a_saved_preset_gives_the_settings_it_was_saved_with",
        "description": "test_a_saved_preset_gives_the_settings_it_was_saved_with",
    },
    "swatches": {
        "sheet": "test_swatches_are_listed_written_and_shown_on_a_sheet",
        "write": "test_swatches_are_listed_written_and_shown_on_a_sheet",
        "size": "test_swatches_are_listed_written_and_shown_on_a_sheet",
    },
    "weights verify": {"source": "test_weights_are_listed_verified_and_converted"},
    "weights download": {"source": "test_weights_are_downloaded_where_a_run_needs_them"},
    "weights convert": {
        "source": "test_converting_keeps_every_number_the_convention_and_the_origin",
        "destination": "test_converting_keeps_every_number_the_convention_and_the_origin",
    },
    "inspect": {"out": "test_inspect_tells_the_recipe_and_rerun_repeats_the_picture_to_the_bit"},
    "rerun": {
        "out": "test_inspect_tells_the_recipe_and_rerun_repeats_the_picture_to_the_bit",
        "content": "test_rerun_finds_moved_inputs_by_option_and_refuses_others",
        "style": "test_rerun_finds_moved_inputs_by_option_and_refuses_others",
        "inputs": "test_files_are_found_again_beside_the_picture_or_where_told_by_their_bytes",
    },
    "studio": {
        "port": "test_the_command_serves_on_its_port_and_keeps_its_things_in_its_folder",
        "data": "test_the_command_serves_on_its_port_and_keeps_its_things_in_its_folder",
        "host": "test_others_reach_it_with_the_token_by_its_addresses_and_names",
        "token": "test_others_reach_it_with_the_token_by_its_addresses_and_names",
        "name": "test_others_reach_it_with_the_token_by_its_addresses_and_names",
        "config": "test_a_file_of_settings_is_every_jobs_start_and_a_wrong_one_is_refused",
        "open": "test_the_page_is_opened_when_asked_for",
        "quiet": "test_a_quiet_studio_says_nothing",
    },
    "batch": {
        "contents": "test_a_folder_is_painted_and_said_in_a_manifest_a_sheet_and_a_summary",
        "styles": "test_a_folder_is_painted_and_said_in_a_manifest_a_sheet_and_a_summary",
        "folder": "test_a_folder_is_painted_and_said_in_a_manifest_a_sheet_and_a_summary",
        "zip": "test_photos_and_styles_may_be_zipped_and_pictures_of_another_format",
        "manifest": "test_a_table_names_pictures_with_settings_of_their_own",
        "format": "test_photos_and_styles_may_be_zipped_and_pictures_of_another_format",
        "workers": "test_where_pictures_are_painted_is_made_from_the_flags",
        "executor": "test_where_pictures_are_painted_is_made_from_the_flags",
        "address": "test_where_pictures_are_painted_is_made_from_the_flags",
        "fetch": "test_where_pictures_are_painted_is_made_from_the_flags",
        "watch": "test_a_folder_that_is_watched_is_painted_as_pictures_come_until_ctrl_c",
        "dry_run": "test_a_dry_run_says_what_and_how_long_and_makes_nothing",
        "overwrite": "test_a_picture_of_somebody_elses_stays_unless_told_to",
        "json": "test_a_poisonous_file_fails_alone_with_exit_code_3_and_heals",
        "quiet": "test_a_poisonous_file_fails_alone_with_exit_code_3_and_heals",
        "config": "test_settings_come_from_files_too",
        "preset": "test_settings_come_from_files_too",
    },
    "video": {
        "film": "test_the_command_paints_tells_and_draws_a_strip",
        "style": "test_the_command_paints_tells_and_draws_a_strip",
        "output": "test_the_command_paints_tells_and_draws_a_strip",
        "from_": "test_a_part_begins_at_0_and_every_second_frame_lasts_twice_as_long",
        "to": "test_a_part_begins_at_0_and_every_second_frame_lasts_twice_as_long",
        "every": "test_a_part_begins_at_0_and_every_second_frame_lasts_twice_as_long",
        "rate": "test_sequences_and_animations_come_in_and_go_out",
        "quality": "test_quality_buys_steps_and_best_looks_further_back",
        "passes": "test_several_passes_go_to_and_fro_and_go_on_where_they_were",
        "flow": "test_without_flow_what_stands_still_is_held_all_the_same",
        "workers": "test_where_shots_are_painted_is_made_from_the_flags",
        "executor": "test_where_shots_are_painted_is_made_from_the_flags",
        "address": "test_where_shots_are_painted_is_made_from_the_flags",
        "strip": "test_the_command_paints_tells_and_draws_a_strip",
        "plan": "test_the_plan_of_a_film_makes_nothing_and_is_told_by_both_commands",
        "overwrite": "test_the_command_paints_tells_and_draws_a_strip",
        "json": "test_the_plan_of_a_film_makes_nothing_and_is_told_by_both_commands",
        "quiet": "test_the_command_paints_tells_and_draws_a_strip",
        "config": "test_settings_of_a_film_come_from_files_too",
        "preset": "test_settings_of_a_film_come_from_files_too",
    },
    "demo": {"output_dir": "test_demo_leaves_the_picture_and_the_figure_and_replaces_its_own_when_told_to"},
}


def commands(of: App, words: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Each command's words and the names of its flags, without those that come from `Settings`."""
    if words and of.default_command is not None:
        yield " ".join(words), inspect.signature(of.default_command).parameters.keys() - {"flags"}
    for name in of:
        if not name.startswith("-"):
            yield from commands(of[name], (*words, name))


FLAGS = dict(commands(app))


def having(flag: str) -> list[str]:
    return [command for command, flags in FLAGS.items() if flag in flags and command not in ELSEWHERE]


def run(command: str, *arguments: str) -> int:
    return main([*command.split(), *RUNS[command], *arguments])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with two pictures, one painted from them, and a run that was interrupted."""
    folder = tmp_path_factory.mktemp("made")
    paint = Stylization.events

    def interrupted(self, *state):
        for event in paint(self, *state):
            if isinstance(event, Stepped):
                os.kill(os.getpid(), signal.SIGTERM)
            yield event

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
        for seed, name in enumerate(("photo", "brush")):
            to_pil(smooth_image(36, 48, seed=seed)).save(f"{name}.png")
        assert run("paint", "-o", "painted.png") == 0
        patch.setattr(Stylization, "events", interrupted)
        assert run("paint", "-o", "unfinished.png") == 143
    (folder / "unfinished.png").unlink()  # of a run that was copied, what is there isn't replaced
    return folder


@pytest.fixture
def reset(made, tmp_path, monkeypatch):
    """Goes into another copy of that folder."""

    def copy(name: str) -> None:
        shutil.copytree(made, tmp_path / name)
        monkeypatch.chdir(tmp_path / name)

    return copy


@pytest.fixture(autouse=True)
def _surroundings(reset, tmp_path, monkeypatch, request):
    """A copy to work in, and whatever takes long or a network made short."""
    for name in [name for name in os.environ if name.startswith("IMPASTO_")]:
        monkeypatch.delenv(name)
    reset("here")
    monkeypatch.setenv("IMPASTO_PRESETS", str(tmp_path / "presets"))
    monkeypatch.setattr(figure, "DPI", 40)
    if "bench" not in request.node.name:  # which shows all engines, and not each can run the tiny network
        monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    monkeypatch.setattr(weights, "download", lambda source, **_: Path(f"{source}.pth"))
    monkeypatch.setattr(bench, "SIZES", ((32, 48), (48, 64)))
    monkeypatch.setattr(bench, "BUDGET", 0.0)
    monkeypatch.setattr(demo, "photograph", lambda: Path("photo.png"))
    monkeypatch.setattr(demo, "SETTINGS", Settings(size=32, epochs=1, steps_per_epoch=2, device="cpu"))


def test_every_flag_of_every_command_has_a_proof():
    assert FLAGS.keys() == RUNS.keys()
    own = {command: flags if command in ELSEWHERE else flags - COMMON for command, flags in FLAGS.items()}
    assert {command: flags for command, flags in own.items() if flags} == {
        command: set(proofs) for command, proofs in PROOFS.items()
    }


def test_every_proof_is_a_test_that_is_there():
    assert {name for proofs in PROOFS.values() for name in proofs.values()} <= {*written_tests()}


# That of bench: test_bench_tells_the_speed_of_each_engine_and_of_the_default_picture
@pytest.mark.parametrize("command", [command for command in having("json") if command != "bench"])
def test_json_is_one_object_and_all_there_is_on_stdout(command, capsys):
    assert run(command, "--json") == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)


@pytest.mark.thin(3)
@pytest.mark.parametrize("command", having("quiet"))
def test_quiet_leaves_nothing_but_the_result(command, reset, capsys):
    assert run(command) == 0
    out, err = capsys.readouterr()
    assert err
    reset("there")
    assert run(command, "--quiet") == 0
    assert capsys.readouterr() == (out, "")


# Of resume: test_a_run_from_elsewhere_replaces_nothing_unless_told_to
@pytest.mark.thin(3)
@pytest.mark.parametrize("command", [command for command in having("overwrite") if command != "resume"])
def test_what_exists_is_replaced_only_when_asked_to(command, capsys):
    assert run(command) == 0
    written = Path(capsys.readouterr().out.splitlines()[0])
    written.write_bytes(b"mine")
    assert run(command) in (1, 2)
    told = capsys.readouterr()
    assert told.out == ""
    assert re.search(r"already exists|exists already|is in .* already", told.err)
    assert written.read_bytes() == b"mine"
    assert run(command, "--overwrite") == 0
    assert len(written.read_bytes()) > 50


@pytest.mark.parametrize("command", having("output"))
def test_the_result_goes_where_it_is_told_to_and_nowhere_else(command, capsys):
    before = {*Path().rglob("*"), Path("here.jpg")}
    assert run(command, "--output", "here.jpg") == 0
    assert capsys.readouterr().out == "here.jpg\n"
    assert {*Path().rglob("*")} == before
    assert min(reading.load("here.jpg").pixels.shape[-2:]) >= 24


@pytest.mark.parametrize("role", ["--init", "--mask", "--style-mask", "--weights"])
@pytest.mark.parametrize("command", ["paint", "sweep"])
def test_no_output_replaces_a_file_that_settings_name(command, role, capsys):
    shutil.copy("photo.png", "named.png")
    assert run(command, role, "named.png", "-o", "named.png", "--overwrite") == 2
    assert capsys.readouterr().err == "impasto: 'named.png' is one of the inputs: give the output another name.\n"
    assert Path("named.png").read_bytes() == Path("photo.png").read_bytes()


def test_a_rerun_does_not_replace_the_masks_of_its_recipe(capsys):
    shutil.copy("photo.png", "mask.png")
    assert run("paint", "--mask", "mask.png", "-o", "masked.png", "--quiet") == 0
    assert main(["rerun", "masked.png", "-o", "mask.png", "--overwrite"]) == 2
    assert capsys.readouterr().err == "impasto: 'mask.png' is one of the inputs: give the output another name.\n"


@pytest.mark.parametrize("flag", ["config", "preset"])
@pytest.mark.parametrize("command", having("config"))
def test_a_file_of_settings_is_used_and_a_flag_beats_it(command, flag, capsys):
    Path("wild.toml").write_text("seed = -1\n")
    assert command in having(flag)
    assert run(command, f"--{flag}", "wild.toml") == 2
    origin = {"config": "wild.toml", "preset": "the preset 'wild.toml'"}[flag]
    assert capsys.readouterr().err == (
        f"impasto: --seed is -1 but should be greater than or equal to 0 (set by {origin}).\n"
    )
    assert run(command, f"--{flag}", "wild.toml", "--seed", "3") == 0


@pytest.mark.parametrize(("of", "asked"), [("content", ["content_layers"]), ("style", ["style_layers"])])
def test_reconstruct_leaves_out_what_it_was_not_asked_for(of, asked, capsys):
    assert run("reconstruct", "--of", of, "--keep", "cells", "--quiet") == 0
    _, *kept = capsys.readouterr().out.splitlines()
    recipes = [Recipe.from_json(reading.read_note(path), path).checked_settings() for path in kept]
    assert [[name for name in ("content_layers", "style_layers") if getattr(r, name)] for r in recipes] == [asked]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["swatches", "--overwrite"], "--overwrite is given without --write or --sheet: say what to write."),
        (["swatches", "--size", "32"], "--size is given without --write or --sheet: say what to write."),
        (["swatches", "-o", "a.png"], "--output is given without --write: name the swatch to write."),
        (["sweep", *RUNS["sweep"], "--tv-weight", "1"], "--tv-weight is given and varied too: drop one."),
        (["reconstruct", *RUNS["reconstruct"], "--style-layers", "relu1_1"], "--style-layers is set by reconstruct"),
        (["texture", "brush.png", "--size", "44", "--seamless"], "--size is 44x44, but with --seamless each side"),
        (["paint", *RUNS["paint"], "--snapshots", "2"], "--snapshots names epoch 2 but the run has epochs 1 to 1."),
        (["presets", "save", "mine"], "No setting is given for the preset 'mine'"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_flags_that_exclude_each_other_are_refused_by_name(arguments, fault, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"impasto: {fault}")
    assert told.err.count("\n") == 1
