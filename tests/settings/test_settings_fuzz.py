"""Every knob, fuzzed from its own schema: what is valid runs a step, what isn't is refused by name before any work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from helpers import tiny_weights
from impasto.errors import DivergedError, ImpastoError, SettingsError
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.network.layers import LAYERS
from impasto.run.events import Stepped
from impasto.settings.settings import Settings

SCHEMA = Settings.model_json_schema()
KNOBS = list(SCHEMA["properties"])
REAL_LOAD = weights.load
QUICK = {
    "size": 48, "epochs": 1, "steps_per_epoch": 2, "scales": 1, "device": "cpu",
    "style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_2",),
}  # fmt: skip
CONTENT = np.random.default_rng(0).integers(0, 256, (36, 48, 3), dtype=np.uint8)
BRUSH = np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)


# Strategies


def weight_lists(least: int = 1) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(0, 1e12), min_size=least, max_size=4).filter(any)


NAMES = [layer.name for layer in LAYERS if layer.name[-3:] != "5_4"]
MEMORY = st.builds("{:g}{}{}".format, st.integers(1, 9999) | st.floats(0.01, 99), st.sampled_from("MGmg"),
                   st.sampled_from(["", "B", "iB", "b"]))  # fmt: skip
VALID = {
    "style_weights": st.just([]) | weight_lists(),
    "content_layers": st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=3),
    "style_layers": st.lists(st.sampled_from(NAMES), unique=True, max_size=5),
    "content_layer_weights": st.just([]) | weight_lists(),
    "layer_weights": st.just([]) | weight_lists(),
    "size": st.integers(16, 65536) | st.sampled_from(["original", "1cm@100dpi", "0.5 IN @ 96.5 DPI"]),
    "weights": st.just("embedded"),
    "scales": st.just("auto") | st.integers(1, 12),
    "init": st.sampled_from(["content", "noise", "style"]),
    "device": st.sampled_from(["auto", "cpu"]),
    "detail": st.just("auto") | st.floats(0, 1),
    "style_scale": st.just("auto") | st.floats(0.25, 4),
    "max_memory": st.just("auto") | MEMORY,
    "precision": st.sampled_from(["float32", "bfloat16"]),  # tf32 is CUDA's
    "mask": st.just([]),  # files, which have tests of their own
    "style_mask": st.just([]),
    "strength_map": st.just("everywhere"),
    "tile": st.just("auto") | st.just(0) | st.integers(64, 65536),
    "threads": st.just("auto") | st.integers(1, 4),
    "history": st.just("auto") | st.integers(1, 200),
}
"""Where a schema can't tell what is valid; text without a line here is tried at its default only.

A line for a setting that isn't there does no harm.
"""

INVALID = {
    "style_weights": [[0], [0, 0], [-1], [1, "x"]],
    "content_layers": [["relu9_1"], ["relu1_1", "relu1_1"], [""], ["fc6"]],
    "style_layers": [["RELU1_1"], ["conv1_1", "conv1_1"], [None]],
    "size": [
        "",
        "x",
        "1,2",
        "0x10",
        1e400,
        15,
        -(10**30),
        131073,
        10**30,
        0.5,
        1e300,
        "1.5",
        True,
        b"\xff",
        "originals",
        "30cm",
        "30@300dpi",
        "0cm@300dpi",
        "1cm@0dpi",
        "9cm@300",
        "-9cm@300dpi",
        "1e9cm@300dpi",
        "99999in@9999dpi",
    ],
    "scales": [0, 13, -1, 1.5, "Auto", "1e1", True],
    "device": ["", "cuda:", "cuda:x", "CPU", "cpu "],
    "max_memory": ["", "3", "GB", "-3GB", "3 TB", "3GB!", "1e3GB"],
    "tile": [1, 63, 65537, -64, 0.5, False],
    "history": [0, 201, "all", True],
    "detail": [-0.1, 1.1, "some", True],
    "style_scale": [0, 0.24, 4.1, "large", True],
    "mask": [["rest"], ["rest", "rest"]],
}
"""What only the knob itself can tell to be wrong."""

RUNNABLE = {"size": st.integers(16, 80) | st.sampled_from(["original", "0.5cm@96dpi"]), "compile": st.just(False)}
"""A narrower choice of what is valid, for what would take long."""


def schema_of(knob: str) -> dict[str, Any]:
    found = SCHEMA["properties"][knob]
    return found | SCHEMA["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def valid(knob: str) -> st.SearchStrategy:
    return VALID[knob] if knob in VALID else _from_schema(schema_of(knob))


def _from_schema(schema: dict[str, Any]) -> st.SearchStrategy:
    if "$ref" in schema:
        schema = schema | SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return st.one_of([_from_schema(one) for one in schema["anyOf"]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "integer":
            low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return st.integers(low, schema.get("maximum", schema.get("exclusiveMaximum", 2**63) - 1))
        case "number":
            low, high = (schema.get(f"{end}imum", schema.get(f"exclusive{end.title()}imum")) for end in ("min", "max"))
            edges = {"exclude_min": "exclusiveMinimum" in schema, "exclude_max": "exclusiveMaximum" in schema}
            return st.floats(low, high, allow_nan=False, allow_infinity=False, **edges)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array" if schema.get("items", {}).get("type", "string") != "string":
            most = min(schema.get("maxItems", 4), 4)
            return st.lists(_from_schema(schema["items"]), min_size=schema.get("minItems", 0), max_size=most)
        case _ if "default" in schema:
            return st.just(schema["default"])
    raise AssertionError(f"no strategy for {schema}: give VALID a line")


def invalid(knob: str) -> list[Any]:
    """Values that a knob's schema rules out, and those of the table."""
    return [*_ruled_out(schema_of(knob)), *INVALID.get(knob, [])]


def _ruled_out(schema: dict[str, Any]) -> list[Any]:
    found: list[Any] = [{}, {"a": 1}, object(), [[]], float("nan"), float("-inf")]
    kinds = {one.get("type") for one in schema.get("anyOf", [schema])}
    if "null" not in kinds:
        found.append(None)
    if "array" not in kinds:
        found += [[], [1, 2], (3,)]
    if "boolean" not in kinds | {"integer", "number"} and "enum" not in schema:
        found += [True] if kinds == {"string"} else []
    if kinds == {"string"}:
        found += [3, 0.5, b"\xff"]
    if "enum" in schema:
        found += ["", "no such choice", schema["enum"][0] + " "]
    if schema.get("minLength"):
        found.append("")
    if kinds <= {"integer", "number"}:
        found += ["", "x", "1,2", "0x10", 1e400]
        low, high = schema.get("minimum"), schema.get("maximum")
        found += [] if low is None else [low - 1, -(10**30)]
        found += [] if high is None else [high * 2 + 1, 10**30]
        found += [schema[end] for end in ("exclusiveMinimum", "exclusiveMaximum") if end in schema]
    if kinds == {"integer"}:
        found += [0.5, 1e300, "1.5"]
    if kinds == {"array"}:
        found += [3, "relu1_1", [None], [{}]]
        found += [[value] for value in _ruled_out(schema["items"])] if schema["items"].get("type") == "number" else []
    return found


def companions(knobs: dict[str, Any]) -> dict[str, Any]:
    """The other knobs that these ask for."""
    found = dict(knobs)
    for given_weights, layers in (("layer_weights", "style_layers"), ("content_layer_weights", "content_layers")):
        if knobs.get(given_weights) and layers not in knobs:
            found[layers] = NAMES[: len(knobs[given_weights])]
    if "learning_rate" in knobs:
        found.setdefault("optimizer", "adam")
    if "step_ratio" in knobs or "detail" in knobs:
        found.setdefault("scales", 2)
    return found


def why_not(knobs: dict[str, Any]) -> str | None:
    """Paint one step; the sentence with which it was refused, None where it was done (or it diverged)."""
    try:
        chosen = Settings(**QUICK | companions(knobs))
        events = Stylization(CONTENT, [BRUSH] * max(1, len(chosen.style_weights)), chosen).events()
        step = next(event for event in events if isinstance(event, Stepped))
        events.close()  # pyright: ignore[reportAttributeAccessIssue]
    except DivergedError:  # weights from 1e-300 to 1e12 may well leave float32
        return None
    except ImpastoError as error:
        return str(error)
    assert np.isfinite(step.loss)
    assert step.picture().isfinite().all()
    return None


def names(refusal: str, knob: str) -> bool:
    """Whether a refusal is made of sentences and tells of this knob."""
    whole = all(line.endswith((".", "?")) and len(line) < 700 for line in refusal.splitlines())
    return whole and (knob in refusal or f"--{knob.replace('_', '-')}" in refusal)


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    """A network that runs in milliseconds; other sources of weights are looked for as ever."""
    network = tiny_weights(dtype=torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "load", lambda source: network if source == "embedded" else REAL_LOAD(source))
        yield


def examples(number: int) -> settings:
    return settings(
        max_examples=number, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )


# The tests


@pytest.mark.parametrize("knob", KNOBS)
def test_every_valid_value_is_taken_and_survives_json(knob):
    @examples(30)
    @given(valid(knob))
    def take(value: Any) -> None:
        chosen = Settings(**companions({knob: value}))
        assert Settings(**chosen.model_dump(mode="json")) == chosen

    take()


@pytest.mark.parametrize("knob", KNOBS)
def test_every_invalid_value_is_refused_by_the_knobs_name(knob):
    values = invalid(knob)
    assert len(values) >= 8
    for value in values:
        with pytest.raises(SettingsError) as caught:
            Settings(**companions({knob: value}) if isinstance(value, list) else {knob: value})
        assert names(str(caught.value), knob), value


@pytest.mark.parametrize("number", [3, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize("knob", KNOBS)
def test_a_valid_value_runs_a_step_or_is_refused_by_name(knob, number):
    """It may ask for what this picture, memory or machine doesn't have."""

    @examples(number)
    @given(RUNNABLE.get(knob, valid(knob)))
    def run(value: Any) -> None:
        refusal = why_not({knob: value})
        assert refusal is None or names(refusal, knob)

    run()


@pytest.mark.parametrize("number", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_knobs_together_run_a_step_or_are_refused_by_the_name_of_one(number):
    chosen_knobs = st.fixed_dictionaries({}, optional={knob: RUNNABLE.get(knob, valid(knob)) for knob in KNOBS})
    refusals = []

    @examples(number)
    @given(chosen_knobs)
    def run(knobs: dict[str, Any]) -> None:
        refusals.append(why_not(knobs))
        assert refusals[-1] is None or any(names(refusals[-1], knob) for knob in companions(knobs))

    run()
    assert refusals.count(None) >= number // 10


@examples(200)
@given(st.sampled_from(KNOBS), st.text("abcdefghijklmnopqrstuvwxyz_", max_size=3), st.integers(0, 20))
def test_a_misspelt_knob_is_refused_with_the_nearest_one(knob, scrap, at):
    misspelt = knob[:at] + scrap + knob[at:]
    assume(misspelt not in KNOBS)
    with pytest.raises(SettingsError) as caught:
        Settings(**{misspelt: 1})
    assert str(caught.value).startswith(f"{misspelt} is not a setting")
    if len(scrap) == 1 and len(knob) > 4:
        assert ": did you mean " in str(caught.value)
