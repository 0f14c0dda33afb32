"""The nodes for ComfyUI, loaded and run as ComfyUI does: under inference mode, with its progress bar and its Cancel."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_comfy import Host, Interrupted

from helpers import smooth_image, tiny_weights
from impasto import ImpastoError, Settings, SettingsError, stylize, synthesize
from impasto.network import weights
from impasto.run import plan
from impasto.settings import presets, roles

PACKAGE = Path(__file__).parents[2] / "integrations/comfyui"
WORKFLOWS = sorted((PACKAGE / "example_workflows").glob("*.json"))
SAVED = Path(__file__).with_name("saved_workflow.json")
"""What the page saved of each node with every widget moved, and what it meant; values are only ever added to it."""

TINY: dict[str, Any] = {
    "epochs": 1,
    "steps_per_epoch": 4,
    "scales": "1",
    "style_layers": "relu1_1, relu2_1",
    "content_layers": "relu2_2",
}
SAME: Any = {
    "epochs": 1,
    "steps_per_epoch": 4,
    "scales": 1,
    "style_layers": ["relu1_1", "relu2_1"],
    "content_layers": ["relu2_2"],
}
BUILT_IN = {
    "LoadImage": ({}, ["IMAGE", "MASK"]),
    "SaveImage": ({"images": "IMAGE"}, []),
}
"""ComfyUI's own nodes in the workflows: their linked inputs and outputs."""


@pytest.fixture
def host(monkeypatch) -> Host:
    host = Host()
    host.install(monkeypatch)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))
    return host


@pytest.fixture
def nodes(host, monkeypatch) -> dict[str, Any]:
    """The node classes by their ids, from the package as ComfyUI imports it: by its folder."""
    name = str(PACKAGE).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(
        name, PACKAGE / "__init__.py", submodule_search_locations=[str(PACKAGE)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    for part in ("nodes", "schema", "host"):
        monkeypatch.delitem(sys.modules, f"{name}.{part}", raising=False)
    spec.loader.exec_module(module)

    async def found() -> dict[str, Any]:
        extension = await module.comfy_entrypoint()
        await extension.on_load()
        return {node.GET_SCHEMA().node_id: node for node in await extension.get_node_list()}

    return asyncio.run(found())


def images(count: int = 1, height: int = 36, width: int = 48, seed: int = 0) -> torch.Tensor:
    """A batch as ComfyUI has it, (n, h, w, 3)."""
    return torch.cat([smooth_image(height, width, seed + n).float() for n in range(count)]).permute(0, 2, 3, 1)


def defaults(node: Any) -> dict[str, Any]:
    types = node.INPUT_TYPES()
    return {id: about["default"] for group in types.values() for id, (_, about) in group.items() if "default" in about}


def widgets_of(node: Any) -> list[str]:
    """Its widgets in the order in which ComfyUI's page has them, with the one that it adds behind a seed."""
    found: list[str] = []
    for group in node.INPUT_TYPES().values():
        for id, (_, about) in group.items():
            if "default" in about:
                found += [id, f"{id}, then"] if about.get("control_after_generate") else [id]
    return found


@torch.inference_mode()
def run(node: Any, **given: Any) -> Any:
    """A node's first output, as ComfyUI runs it: with every widget's value and all that is linked."""
    return node.EXECUTE_NORMALIZED(**defaults(node) | given).args[0]


def tiny_settings(nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return run(nodes["ImpastoSettings"], **TINY | more)


def transfer(nodes: dict[str, Any], content: torch.Tensor, style: torch.Tensor, **given: Any) -> torch.Tensor:
    given = {"size": 48, "settings": tiny_settings(nodes)} | given
    return run(nodes["ImpastoStyleTransfer"], content=content, style=style, **given)


def pixels(picture: Any) -> torch.Tensor:
    import numpy as np

    return torch.from_numpy(np.asarray(picture).copy())


def levels(image: torch.Tensor) -> torch.Tensor:
    return image.mul(255).round().to(torch.uint8)


def test_each_photo_of_a_batch_is_what_stylize_paints_under_inference_mode(nodes):
    with torch.inference_mode():
        content, style = images(2), images(1, seed=7)
        assert content.is_inference()
    painted = transfer(nodes, content, style, strength=0.7, style_scale=1.5, color="keep", seed=5)
    assert (painted.shape, painted.dtype) == ((2, 36, 48, 3), torch.float32)
    for photo, picture in zip(content, painted, strict=True):
        expected = stylize(
            photo.permute(2, 0, 1), style[0].permute(2, 0, 1), size=48, strength=0.7, style_scale=1.5, color="keep",
            seed=5, **SAME,
        )  # fmt: skip
        assert torch.equal(levels(picture), pixels(expected))


def test_the_inputs_stay_as_they_were(nodes):
    content, style = images(), images(seed=7)
    before = content.clone(), style.clone()
    transfer(nodes, content, style)
    assert torch.equal(content, before[0])
    assert torch.equal(style, before[1])


def test_size_0_is_the_photos_own(nodes):
    assert transfer(nodes, images(1, 40, 56), images(seed=7), size=0).shape == (1, 40, 56, 3)


def test_a_batch_of_styles_shares_each_picture(nodes):
    styles = images(2, seed=7)
    both, first = (transfer(nodes, images(), style) for style in (styles, styles[:1]))
    assert both.shape == first.shape
    assert not torch.equal(both, first)


def test_where_a_mask_is_black_the_photo_stays_and_one_mask_serves_a_batch(nodes):
    content = images(2)
    mask = torch.zeros(1, 36, 48)
    mask[..., 24:] = 1
    painted = transfer(nodes, content, images(seed=7), mask=mask)
    assert torch.allclose(painted[:, :, :20], content[:, :, :20], atol=1 / 255)
    assert (painted[:, :, 28:] - content[:, :, 28:]).abs().mean() > 0.02


def test_progress_goes_over_the_whole_batch_with_previews(nodes, host):
    transfer(nodes, images(2), images(seed=7))
    shares = [value / total for value, total in host.updates]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == 2 * (4 + 1)
    kind, preview, side = host.previews[0]
    assert (kind, preview.size) == ("JPEG", (48, 36))
    assert side >= 256


def test_cancel_ends_the_run_before_its_next_step(nodes, host):
    host.interrupt_at = 0.1
    with pytest.raises(Interrupted):
        transfer(nodes, images(2), images(seed=7))
    assert len([value for value, _ in host.updates if value]) <= 2  # of ten
    host.updates.clear()
    assert transfer(nodes, images(), images(seed=7)).shape[0] == 1  # ComfyUI goes on with the next


def test_a_preset_and_further_settings_hold_where_a_widget_is_at_its_default(nodes, monkeypatch):
    seen: list[Settings] = []
    real = plan.plan_run
    from impasto.jobs import stylization

    monkeypatch.setattr(
        stylization,
        "plan_run",
        lambda settings, *given, **more: (seen.append(settings), real(settings, *given, **more))[1],
    )
    transfer(nodes, images(), images(seed=7), preset="painterly", settings=tiny_settings(nodes, tv_weight=0.3))
    for knob, value in presets.load("painterly").knobs.items():
        if knob not in SAME:
            assert getattr(seen[-1], knob) == value, knob
    assert seen[-1].tv_weight == 0.3
    transfer(nodes, images(), images(seed=7), preset="painterly", strength=0.9)
    assert seen[-1].strength == 0.9


def test_a_workflow_of_one_scale_saved_with_the_step_ratio_of_before_runs_and_another_ratio_is_refused(nodes):
    assert (
        transfer(nodes, images(), images(seed=7), settings=tiny_settings(nodes, scales=1, step_ratio=0.6)).shape[0] == 1
    )
    with pytest.raises(SettingsError, match="step_ratio"):
        transfer(nodes, images(), images(seed=7), settings=tiny_settings(nodes, scales=1, step_ratio=0.5))


def test_contradictions_are_one_sentence(nodes):
    with pytest.raises(SettingsError, match="strength"):
        transfer(nodes, images(), images(seed=7), preset="faithful", strength=0.9)
    with pytest.raises(SettingsError, match="tile"):
        transfer(nodes, images(), images(seed=7), settings=tiny_settings(nodes, tile="many"))


def test_a_run_keeps_within_what_comfyui_says_is_free(nodes, host, monkeypatch):
    from impasto.jobs import stylization

    budgets: list[int] = []
    real = plan.plan_run

    def planned(settings: Settings, *given: Any, **more: Any) -> Any:
        budgets.append(settings.max_memory_bytes or 0)
        return real(settings, *given, **more)

    monkeypatch.setattr(stylization, "plan_run", planned)
    for free in (2_400_000_000, 5_400_000_000):
        host.free = free
        transfer(nodes, images(), images(seed=7))
    assert budgets[1] - budgets[0] == pytest.approx(0.7 * 3e9, rel=0.05)
    transfer(nodes, images(), images(seed=7), settings=tiny_settings(nodes, max_memory="3GB"))
    assert budgets[2] == 3_000_000_000


def test_where_a_picture_does_not_fit_comfyui_is_asked_to_unload_its_models_once(nodes, host):
    host.free = host.reserved

    def unloaded() -> None:
        host.free = 8_000_000_000

    host.on_unload = unloaded
    assert transfer(nodes, images(), images(seed=7)).shape == (1, 36, 48, 3)
    assert host.unloaded == 1
    host.free, host.on_unload = host.reserved, lambda: None
    with pytest.raises(ImpastoError, match="memory"):
        transfer(nodes, images(), images(seed=7))


def test_a_texture_of_each_style_is_what_synthesize_makes(nodes):
    styles = images(2, seed=7)
    made = run(
        nodes["ImpastoTexture"],
        style=styles,
        width=64,
        height=32,
        seamless=True,
        seed=3,
        settings=tiny_settings(nodes, content_layers="relu4_2"),
    )
    assert made.shape == (2, 32, 64, 3)
    same = SAME | {"content_layers": ["relu4_2"]}
    for style, texture in zip(styles, made, strict=True):
        expected = synthesize(style.permute(2, 0, 1), (64, 32), seamless=True, seed=3, **same)
        assert torch.equal(levels(texture), pixels(expected))


def test_every_setting_has_a_widget_but_pictures_places_and_what_files_carry(nodes):
    shown = {id for node in nodes.values() for id in defaults(node)}
    without = Settings.model_fields.keys() - shown
    pictures = {*roles.single_images(), *roles.image_lists()}
    assert without == pictures | {*roles.carried(), "weights", "scratch"}


def test_widgets_have_the_ranges_and_defaults_of_the_settings(nodes):
    types = nodes["ImpastoSettings"].INPUT_TYPES()["required"]
    kind, about = types["tv_weight"]
    field = Settings.model_fields["tv_weight"]
    assert (kind, about["default"], about["tooltip"]) == ("FLOAT", field.default, field.description)
    assert types["optimizer"][1]["options"] == ["gd", "adam", "lbfgs"]
    assert run(nodes["ImpastoSettings"]) == {}
    given = run(
        nodes["ImpastoSettings"], scales="2", layer_weights="1, 2.5", compile=True, tile="auto", style_scale="auto"
    )
    assert given == {"scales": 2, "layer_weights": [1, 2.5], "compile": True, "style_scale": "auto"}
    strokes = nodes["ImpastoStyleTransfer"].INPUT_TYPES()["required"]["style_scale"]
    assert (strokes[0], strokes[1]["min"], strokes[1]["max"], strokes[1]["default"]) == ("FLOAT", 0.25, 4, 1)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_example_workflow_fits_the_nodes_and_runs(path, nodes):
    graph = json.loads(path.read_text("utf-8"))
    by_id = {node["id"]: node for node in graph["nodes"]}
    results: dict[tuple[int, int], Any] = {}
    for link, source, slot, target, place, kind in graph["links"]:
        assert by_id[target]["inputs"][place]["link"] == link
        assert link in by_id[source]["outputs"][slot]["links"]
        assert by_id[source]["outputs"][slot]["type"] == by_id[target]["inputs"][place]["type"] == kind
    for node in sorted(graph["nodes"], key=lambda node: node["order"]):
        if node["type"] in BUILT_IN:
            inputs, outputs = BUILT_IN[node["type"]]
            assert {one["name"]: one["type"] for one in node["inputs"]} == inputs
            assert [one["type"] for one in node["outputs"]] == outputs
            results[node["id"], 0] = images(seed=node["id"])
            continue
        ours = nodes[node["type"]]
        types = {id: about for group in ours.INPUT_TYPES().values() for id, about in group.items()}
        linked = {one["name"]: one["type"] for one in node["inputs"]}
        assert linked == {id: kind for id, (kind, about) in types.items() if "default" not in about}
        values = list(node["widgets_values"])
        widgets: dict[str, Any] = {}
        for id, (_, about) in types.items():
            if "default" in about:
                widgets[id] = values.pop(0)
                if about.get("control_after_generate"):
                    assert values.pop(0) in ("fixed", "increment", "decrement", "randomize")
                if "options" in about:
                    assert widgets[id] in about["options"]
                if "min" in about:
                    assert about["min"] <= widgets[id] <= about["max"]
                assert type(widgets[id]) is type(about["default"]), id
        assert values == []
        sources = {
            one["name"]: next((link[1:3] for link in graph["links"] if link[0] == one["link"]), None)
            for one in node["inputs"]
        }
        given = {name: results[tuple(source)] for name, source in sources.items() if source is not None}
        if node["type"] == "ImpastoSettings":
            widgets |= TINY | {"content_layers": "relu4_2"}
        else:
            widgets |= {"size": 32} if "size" in widgets else {"width": 32, "height": 32}
            given["settings"] = given.get("settings") or tiny_settings(nodes)
        results[node["id"], 0] = run(ours, **widgets, **given)
    assert any(isinstance(result, torch.Tensor) and 32 in result.shape for result in results.values())


def test_a_workflow_saved_earlier_means_what_it_meant(nodes):
    """ComfyUI's page gives a saved workflow's values to the widgets in their order, as many as there are."""
    for node, saved in json.loads(SAVED.read_text("utf-8")).items():
        values, places = list(saved["widgets_values"]), widgets_of(nodes[node])
        assert len(values) <= len(places), node
        assert dict(zip(places, values, strict=False)) == saved["means"], node
        fresh = defaults(nodes[node])
        same = [name for name, value in saved["means"].items() if value == fresh.get(name, "fixed")]
        assert same == [], "a value that is the default's shows no move"


def test_every_widget_of_the_settings_has_its_place_in_saved_workflows(nodes):
    """A new setting is written down last in `SAVED_ORDER` and in the saved workflow."""
    package = sys.modules[nodes["ImpastoSettings"].__module__].schema
    assert list(package.SAVED_ORDER) == widgets_of(nodes["ImpastoSettings"])
    for node, saved in json.loads(SAVED.read_text("utf-8")).items():
        assert list(saved["means"]) == widgets_of(nodes[node])


def test_a_setting_that_impasto_has_no_more_keeps_its_place_and_a_new_one_comes_last(nodes, monkeypatch):
    schema = sys.modules[nodes["ImpastoSettings"].__module__].schema
    before = widgets_of(nodes["ImpastoSettings"])
    monkeypatch.setattr(schema, "SAVED_ORDER", (*before[:2], "hue", *before[2:-1]))
    assert widgets_of(nodes["ImpastoSettings"]) == [*before[:2], "hue", *before[2:]]
    assert run(nodes["ImpastoSettings"], hue="0.5", tv_weight=0.3) == {"tv_weight": 0.3}


def test_there_are_two_example_workflows():
    assert len(WORKFLOWS) == 2


def test_the_package_evaluates_nothing_and_installs_nothing():
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), path
            names = (
                [name.name for name in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
            )
            assert not {str(name).partition(".")[0] for name in names} & {"subprocess", "pip", "os", "importlib"}, path


def test_the_api_is_pinned_and_the_registrys_fields_are_there():
    for path in PACKAGE.glob("*.py"):
        assert "comfy_api.latest" not in path.read_text("utf-8")
    about = tomllib.loads((PACKAGE / "pyproject.toml").read_text("utf-8"))
    ours = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text("utf-8"))
    assert about["project"]["version"] == ours["project"]["version"]
    assert about["project"]["requires-python"] == ours["project"]["requires-python"]
    assert about["project"]["dependencies"] == (PACKAGE / "requirements.txt").read_text().split()
    fields = about["tool"]["comfy"] | about["project"]["urls"]
    assert {"PublisherId", "DisplayName", "Icon", "Repository", "includes"} <= fields.keys()
    told = (PACKAGE / "README.md").read_text("utf-8")
    assert [name for name, value in fields.items() if value == "" and f"| `{name}` |" not in told] == []
