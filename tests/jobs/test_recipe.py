"""What a recipe takes in: its own format and the earlier one, checked; anything else is refused in one sentence."""

import json
from dataclasses import replace

import pytest

from impasto.errors import ImageError, SettingsError
from impasto.jobs.recipe import FORMAT, KEY, InputFile, Recipe
from impasto.settings.schedule import ScheduledChange
from impasto.settings.settings import Settings


def file(name: str, content: str = "0") -> InputFile:
    return InputFile(name, f"/somewhere/{name}", content * 64)


def recipe(**knobs) -> Recipe:
    settings = Settings(**knobs).model_dump(mode="json")
    return Recipe("0.1.0", settings, file("photo.png"), (file("brush.png"),), None, "f" * 64, "2.10.0", 2, "x86_64")


PLAIN = recipe()
RICH = replace(
    recipe(mask=("/somewhere/left.png",), init="/somewhere/start.png"),
    init=file("start.png"),
    masks=(file("left.png"),),
    schedule=(ScheduledChange(3, {"layer_weights": [1.0, 0.1]}), ScheduledChange(7, {"color": "keep"})),
)


def fields(of: Recipe) -> dict:
    return json.loads(of.to_json())[KEY]


def read(changed: object) -> Recipe:
    return Recipe.from_json(json.dumps({KEY: changed}), "a.png")


@pytest.mark.parametrize("written", [PLAIN, RICH])
def test_a_recipe_says_its_format_and_is_read_back_as_it_was(written):
    assert fields(written)["format"] == FORMAT == 2
    assert Recipe.from_json(written.to_json(), "a.png") == written


@pytest.mark.parametrize("written", [PLAIN, RICH])
def test_a_recipe_of_format_1_is_read(written):
    """Which had no number, and called the schedule otherwise."""
    old = fields(written)
    del old["format"]
    old["steering"] = old.pop("schedule")
    assert read(old) == written


def test_the_oldest_recipes_without_masks_and_schedule_are_read():
    old = fields(PLAIN)
    for name in ("format", "schedule", "masks"):
        del old[name]
    assert read(old) == PLAIN


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1}, {"settings": []}, {"settings": None}, {"content": "photo.png"}, {"content": {"name": "a"}},
        {"content": {"name": "a", "path": 3, "sha256": "0"}}, {"styles": {"name": "a"}}, {"styles": [None]},
        {"styles": "ab"},
        {"init": []}, {"threads": "2"}, {"threads": 1.5}, {"masks": None}, {"masks": [[]]}, {"schedule": [{}]},
        {"schedule": [{"after": -1, "knobs": {}}]}, {"schedule": [{"after": "2", "knobs": {}}]}, {"steering": []},
        {"schedule": [{"after": 2, "knobs": ["color"]}]}, {"schedule": [{"after": 2, "knobs": {}, "more": 1}]},
        {"format": "2"}, {"format": 0}, {"format": None}, {"format": 1.0}, {"stranger": 1},
        {"content": {"name": "a", "path": None, "sha256": "0", "more": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_is_odd_in_a_recipe_makes_it_none(change):
    with pytest.raises(ImageError) as caught:
        read(fields(PLAIN) | change)
    (name,) = change
    assert str(caught.value) in (
        "a.png carries no impasto recipe: use a picture that impasto wrote without no_metadata.",
        f"a.png carries a recipe that isn't as impasto writes them, at '{name}': use another copy.",
    ) or f", at '{name}." in str(caught.value)


@pytest.mark.parametrize(
    "note", [None, "", "no JSON", "3", "[]", "{}", '{"impasto": 3}', '{"impasto": []}', "[" * 9999]
)
def test_what_is_no_recipe_at_all_is_refused_in_the_same_sentence(note):
    with pytest.raises(ImageError, match=r"^a\.png carries no impasto recipe: "):
        Recipe.from_json(note, "a.png")


@pytest.mark.parametrize("missing", ["version", "settings", "content", "styles", "init", "weights_sha256", "threads"])
def test_what_lacks_a_field_is_no_recipe(missing):
    left = fields(PLAIN)
    del left[missing]
    with pytest.raises(ImageError, match=f"a recipe that isn't as impasto writes them, at '{missing}'"):
        read(left)


def test_a_recipe_of_a_later_format_is_refused_rather_than_guessed_at():
    with pytest.raises(ImageError, match=r"^a\.png carries a recipe of format 3, which this version doesn't know: use"):
        read(fields(PLAIN) | {"format": 3, "stranger": 1})


def test_what_shows_in_no_picture_may_be_another_when_a_run_goes_on():
    now = Settings(scratch="/var/tmp", max_memory="9GB", max_pixels=9999, weights="somewhere.pth")
    assert PLAIN.continued(now) == now.model_copy(update={"threads": PLAIN.threads})


def test_what_was_settled_is_kept_and_what_was_not_asked_for_again_too():
    settled = recipe(tile=0, history=7, engine="torch", device="cpu")
    assert settled.continued(Settings()) == Settings(**settled.settings | {"threads": settled.threads})
    for precision in ("float32", "bfloat16"):
        assert recipe(precision=precision).continued(Settings()).precision == precision
    with pytest.raises(SettingsError, match="precision was bfloat16 when the run began and is float32 now"):
        recipe(precision="bfloat16").continued(Settings(precision="float32"))
    scaled = recipe(style_scale=1.41)
    assert scaled.continued(Settings(style_scale="auto")).style_scale == 1.41
    assert settled.continued(Settings(threads=settled.threads)).threads == settled.threads
    with pytest.raises(SettingsError, match="tile was 0 when the run began and is 64 now"):
        settled.continued(Settings(tile=64))


def test_a_recipe_from_a_machine_of_many_cores_is_followed_with_as_many_threads():
    many = replace(PLAIN, threads=300)
    assert many.checked_settings().threads == 300
    assert recipe(threads=300).checked_settings().threads == 300


def test_a_recipe_from_before_precisions_were_chosen_has_float32():
    old = replace(PLAIN, settings={knob: value for knob, value in PLAIN.settings.items() if knob != "precision"})
    assert old.precision == old.checked_settings().precision == "float32"


def test_a_recipe_of_one_scale_from_before_the_step_ratio_was_another_is_followed():
    """It names every knob, so one that changes nothing too, as it was by default."""
    old = recipe(scales=1)
    old.settings["step_ratio"] = 0.6
    now = Settings(scales=1)
    assert read(fields(old)).checked_settings().step_ratio == now.step_ratio == 0.75
    assert read(fields(old)).continued(now).scales == 1
    old.settings["step_ratio"] = 0.5
    with pytest.raises(SettingsError, match=r"step_ratio is 0\.5: drop one"):
        read(fields(old)).checked_settings()


def test_each_changed_knob_is_an_error_with_its_name_and_value():
    with pytest.raises(SettingsError) as caught:
        PLAIN.continued(Settings(seed=3, epochs=4))
    found = [caught.value, *caught.value.others]
    assert [(error.knob, error.value) for error in found] == [("epochs", 4), ("seed", 3)]


@pytest.mark.parametrize("mask", ["left.png", "../somewhere/left.png", "elsewhere.png"])
def test_a_file_may_be_named_otherwise_and_a_word_is_no_file(mask):
    now = Settings(mask=(mask,), init="start.png")
    assert RICH.continued(now) == now.model_copy(update={"threads": RICH.threads})
    two = recipe(mask=("/somewhere/left.png", "rest"))
    assert two.continued(Settings(mask=(mask, "rest"))).mask == (mask, "rest")
    with pytest.raises(SettingsError, match=r"^mask was /somewhere/left\.png,rest when the run began and is rest,"):
        two.continued(Settings(mask=("rest", mask)))
    with pytest.raises(SettingsError, match=r"^init was /somewhere/start\.png when the run began and is noise now"):
        RICH.continued(Settings(mask=(mask,), init="noise"))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"content": file("photo.png", "1")}, "content image '/somewhere/photo.png'"),
        ({"styles": (file("brush.png", "1"),)}, "style image '/somewhere/brush.png'"),
        ({"init": file("start.png", "1")}, "init image '/somewhere/start.png'"),
        ({"masks": (file("left.png", "1"),)}, "mask image '/somewhere/left.png'"),
        ({"weights_sha256": "1" * 64}, "weights file 'embedded'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_input_is_compared_by_what_is_in_it(change, name):
    assert RICH.changed_inputs(RICH) == []
    (error,) = RICH.changed_inputs(replace(RICH, **change))
    assert str(error).startswith(f"The {name} is not what the run began with (SHA-256 111111111111…, not ")


def test_another_number_of_inputs_is_refused():
    more = replace(RICH, styles=(*RICH.styles, *RICH.styles))
    assert [error.fault for error in RICH.changed_inputs(more)] == ["The run began with 1 styles and has 2 now"]
    assert [error.fault for error in RICH.changed_inputs(replace(RICH, masks=()))] == [
        "The run began with 1 masks and has 0 now"
    ]
