import weakref
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

import impasto
from impasto.errors import ImageError, ImpastoError, SettingsError
from impasto.images import reading, shrinking, writing
from impasto.jobs import checkpoint, functions
from impasto.jobs import style_scale as jobs_style_scale
from impasto.jobs.checkpoint import Checkpoint
from impasto.jobs.functions import stylize, synthesize
from impasto.jobs.inputs import open_style
from impasto.jobs.recipe import Recipe
from impasto.jobs.rerun import from_recipe
from impasto.jobs.stylization import Stylization
from impasto.network import weights
from impasto.objective import style_scale
from impasto.run.events import Finished, Stepped
from impasto.run.state import tensors_of
from impasto.settings.choices import Color
from impasto.settings.schedule import ScheduledChange
from impasto.settings.settings import Settings

QUICK = {
    "size": 48,
    "epochs": 1,
    "steps_per_epoch": 2,
    "scales": 1,
    "style_layers": ("relu1_1", "relu2_1"),
    "content_layers": ("relu2_2",),
    "device": "cpu",
}


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (36, 48, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def brush(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    path = tmp_path / "brush.png"
    PIL.Image.fromarray(pixels).save(path)
    return path


def finish(job: Stylization) -> Finished:
    *_, last = job.events()
    assert isinstance(last, Finished)
    return last


def test_stylize_returns_a_pil_image_of_the_asked_size_from_paths_images_and_arrays(photo, brush):
    by_path = stylize(str(photo), str(brush), **QUICK)
    with PIL.Image.open(photo) as opened:
        by_image = stylize(opened.copy(), PIL.Image.open(brush), **QUICK)
        by_array = stylize(np.asarray(opened), brush, **QUICK)
    assert by_path.size == (48, 36)
    assert by_path.mode == "RGB"
    assert by_path.tobytes() == by_image.tobytes() == by_array.tobytes()
    assert by_path.tobytes() != PIL.Image.open(photo).tobytes()


def test_the_public_face_is_loaded_lazily_and_complete():
    assert impasto.stylize is functions.stylize
    assert all(hasattr(impasto, name) for name in impasto.__all__)
    with pytest.raises(AttributeError, match="no attribute 'paint'"):
        _ = impasto.paint


def test_transparency_of_the_photo_is_kept_at_the_outputs_size(brush):
    pixels = np.full((60, 80, 4), 90, np.uint8)
    pixels[:, :40, 3], pixels[:, 40:, 3] = 255, 0
    result = stylize(pixels, brush, **QUICK)
    assert result.mode == "RGBA"
    assert result.size == (48, 36)
    alpha = np.asarray(result)[..., 3]
    assert alpha[:, :20].min() == 255
    assert alpha[:, 28:].max() == 0


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB")])
def test_memory_that_runs_out_all_the_same_is_said_in_a_sentence(photo, brush, monkeypatch, error):
    job = Stylization(photo, [brush], Settings(**QUICK))

    def fail(*_, **named):
        raise error

    monkeypatch.setattr(job.network.engine, "features", fail)
    with pytest.raises(ImpastoError, match="Painting 48 px took more memory than there was"):
        list(job.events())


def test_a_swatch_is_a_style_by_name_unless_a_file_has_that_name(tmp_path, monkeypatch, brush):
    swatch = open_style("dots", Settings(size=300))
    assert (swatch.name, swatch.path, tuple(swatch.pixels.shape)) == ("dots", None, (1, 3, 300, 300))
    monkeypatch.chdir(tmp_path)
    brush.rename(tmp_path / "dots")
    assert open_style("dots", Settings()).path == str(tmp_path / "dots")


def test_a_misspelt_swatch_is_refused_with_the_file_and_the_cure():
    with pytest.raises(ImageError, match="'mosiac'") as caught:
        open_style("mosiac", Settings())
    assert "mosaic" in str(caught.value)


@pytest.mark.parametrize("given", [(), (1.0, 2.0)])
def test_the_number_of_styles_and_of_their_weights_must_agree(photo, brush, given):
    with pytest.raises(SettingsError, match=r"No style was given|style_weights has 2 values for 1 styles"):
        Stylization(photo, [brush] if given else [], Settings(style_weights=given))


def test_settings_and_knobs_at_once_are_refused(photo, brush):
    with pytest.raises(SettingsError, match="Both settings and knobs"):
        stylize(photo, brush, settings=Settings(), size=64)


def test_a_run_that_goes_on_lets_go_of_the_state_it_began_from(photo, brush, tmp_path):
    job = Stylization(photo, [brush], Settings(**QUICK | {"steps_per_epoch": 8, "history": 2}))
    for event in job.events():
        if isinstance(event, Stepped) and event.state is not None and event.step == 4:
            checkpoint.write(tmp_path / "state", Checkpoint(job.recipe(), event.state(), {}, {}))
    states = [checkpoint.read(tmp_path / "state").state]
    held = [weakref.ref(tensor) for _, tensor in tensors_of(states[0].as_tree())]
    alive = []
    for event in job.events(states.pop()):
        if isinstance(event, Stepped):
            alive.append(sum(ref() is not None for ref in held))
    assert alive[0] > 0
    assert alive[-1] == 0


@pytest.mark.thin(2)
@pytest.mark.parametrize("color", Color)
def test_a_recipe_survives_a_file_and_paints_the_same_picture_to_the_bit(tmp_path, photo, brush, color):
    start = tmp_path / "start.png"
    PIL.Image.new("RGB", (20, 20), (200, 30, 90)).save(start)
    job = Stylization(photo, [brush, "dots"], Settings(**QUICK, init=str(start), style_weights=(2.0, 1.0), color=color))
    first = finish(job).picture
    out = writing.save(tmp_path / "out.png", first, note=job.recipe().to_json())
    recipe = Recipe.from_json(reading.read_note(out), str(out))
    assert recipe == job.recipe()
    again = finish(from_recipe(recipe)).picture
    assert again.equal(first)


@pytest.mark.parametrize(
    "knobs",
    [{"layer_weights": [5.0, 1.0]}, pytest.param({"color": "keep", "tv_weight": 0.1}, marks=pytest.mark.slow)],
    ids=str,
)
def test_a_run_with_changes_is_painted_again_from_its_recipe_to_the_bit_also_when_it_stops_on_the_way(
    tmp_path, photo, brush, knobs
):
    settings = Settings(**QUICK | {"steps_per_epoch": 5})
    job = Stylization(photo, [brush], settings)
    for event in job.events():
        last = event
        if isinstance(event, Stepped) and event.step == 2:
            job.change(**knobs)
    assert isinstance(last, Finished)
    assert not last.picture.equal(finish(Stylization(photo, [brush], settings)).picture)
    out = writing.save(tmp_path / "out.png", last.picture, note=job.recipe().to_json())
    recipe = Recipe.from_json(reading.read_note(out), str(out))
    assert recipe == job.recipe()
    assert recipe.schedule == (ScheduledChange(2, knobs),)
    again = from_recipe(recipe)
    assert again.recipe() == recipe
    for event in again.events():
        if isinstance(event, Stepped) and event.state is not None and event.step in (1, 2, 4):
            checkpoint.write(tmp_path / f"{event.step}", Checkpoint(recipe, event.state(), {}, {}))
    assert isinstance(event, Finished)
    assert event.picture.equal(last.picture)
    assert again.recipe() == recipe
    for step in (1, 2, 4):
        resumed = from_recipe(recipe)
        *_, end = resumed.events(checkpoint.read(tmp_path / f"{step}").state)
        assert isinstance(end, Finished)
        assert end.picture.equal(last.picture)
        assert resumed.recipe() == recipe


def test_a_recipe_that_changes_what_cannot_change_is_refused_before_the_run(photo, brush):
    recipe = replace(
        Stylization(photo, [brush], Settings(**QUICK)).recipe(), schedule=(ScheduledChange(2, {"size": 64}),)
    )
    with pytest.raises(SettingsError, match="size can't be changed while painting"):
        from_recipe(recipe)


def test_a_recipe_is_followed_from_another_folder_too(tmp_path, photo, brush, monkeypatch):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    weights.convert("embedded", tmp_path / "network.safetensors")
    monkeypatch.chdir(tmp_path)
    knobs = {**QUICK, "init": "brush.png", "weights": "network.safetensors"}
    job = Stylization("photo.png", ["brush.png"], Settings(**knobs))
    monkeypatch.chdir(elsewhere)
    assert finish(from_recipe(job.recipe())).picture.equal(finish(job).picture)


def test_an_input_that_moved_can_be_given_anew_and_a_wrong_one_is_refused(tmp_path, photo, brush):
    job = Stylization(photo, [brush], Settings(**QUICK))
    recipe = job.recipe()
    moved = photo.rename(tmp_path / "moved.png")
    with pytest.raises(ImageError, match=r"photo\.png"):
        from_recipe(recipe)
    assert finish(from_recipe(recipe, content=moved)).picture.equal(finish(job).picture)
    with pytest.raises(ImpastoError, match=r"The content image .*brush\.png is not the one of the recipe"):
        from_recipe(recipe, content=brush)
    with pytest.raises(ImpastoError, match=r"The recipe has 1 styles but 2 were given"):
        from_recipe(recipe, content=moved, styles=[brush, brush])


def test_other_weights_than_the_recipes_are_refused(photo, brush):
    recipe = replace(Stylization(photo, [brush], Settings(**QUICK)).recipe(), weights_sha256="f" * 64)
    with pytest.raises(ImpastoError, match=r"The weights 'embedded' are not those of the recipe"):
        from_recipe(recipe)


@pytest.mark.parametrize("note", [None, "", "holiday 2026", "{}", '{"impasto": 3}', '{"impasto": {}}'])
def test_a_picture_without_a_recipe_is_refused_in_a_sentence(note):
    with pytest.raises(ImageError, match=r"cat\.jpg carries no impasto recipe"):
        Recipe.from_json(note, "cat.jpg")


def test_knobs_changed_before_the_run_count_from_its_first_step_and_stand_in_the_recipe(photo, brush):
    job = Stylization(photo, [brush], Settings(**QUICK))
    job.change(strength=0.9)
    early = finish(job).picture
    assert job.recipe().schedule == (ScheduledChange(0, {"strength": 0.9}),)
    assert finish(from_recipe(job.recipe())).picture.equal(early)
    assert not finish(Stylization(photo, [brush], Settings(**QUICK))).picture.equal(early)


def test_a_whole_job_in_one_call_keeps_no_canvases_of_its_steps(photo, brush, monkeypatch):
    alive: list[weakref.ref] = []
    most = []
    events = Stylization.events

    def watched(self):
        for event in events(self):
            if isinstance(event, Stepped):
                alive.append(weakref.ref(event))
                most.append(sum(ref() is not None for ref in alive))
            yield event

    monkeypatch.setattr(Stylization, "events", watched)
    stylize(photo, brush, **QUICK | {"steps_per_epoch": 12})
    assert len(most) == 12
    assert max(most) <= 2


def test_auto_is_decided_once_and_paints_what_its_number_paints(photo, brush, monkeypatch):
    monkeypatch.setattr(style_scale, "LONGEST", 48)
    auto = Stylization(photo, [brush], Settings(**QUICK, style_scale="auto"))
    number = auto.settings.style_scale
    assert auto.asked.style_scale == "auto"
    assert number in style_scale.CANDIDATES
    assert auto.recipe().settings["style_scale"] == number
    picture = finish(auto).picture
    assert picture.equal(finish(Stylization(photo, [brush], Settings(**QUICK, style_scale=number))).picture)
    monkeypatch.setattr(jobs_style_scale, "nearest_style_scale", None)  # nobody asks it again
    assert picture.equal(finish(from_recipe(auto.recipe())).picture)


@pytest.mark.slow
@pytest.mark.parametrize("number", [0.5, 2.0])
def test_auto_reads_a_huge_style_as_its_number_does(tmp_path, photo, monkeypatch, number):
    noise = np.random.default_rng(3).integers(0, 255, (700, 700, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "huge.png")
    monkeypatch.setattr(shrinking, "HUGE", 100_000)
    monkeypatch.setattr(jobs_style_scale, "nearest_style_scale", lambda *given: number)
    auto, same = (
        Stylization(photo, [tmp_path / "huge.png"], Settings(**QUICK, style_scale=scale)) for scale in ("auto", number)
    )
    assert auto.styles[0].pixels.equal(same.styles[0].pixels)
    one = Stylization(photo, [tmp_path / "huge.png"], Settings(**QUICK)).styles[0].pixels
    assert auto.styles[0].pixels.shape != one.shape


def test_a_texture_which_has_no_photo_to_go_by_takes_auto_for_1(brush):
    knobs = {knob: value for knob, value in QUICK.items() if knob not in ("size", "content_layers")}
    auto, one = (synthesize(brush, (48, 48), style_scale=scale, **knobs) for scale in ("auto", 1))
    assert auto.tobytes() == one.tobytes()


def test_what_cant_be_painted_is_refused_in_a_sentence_whatever_the_size_of_strokes(photo, brush):
    with pytest.raises(ImpastoError, match="style_weights"):
        Stylization(photo, [brush], Settings(**QUICK, style_scale="auto", style_weights=(1.0, 2.0)))
    with pytest.raises(ImpastoError, match="style"):
        Stylization(photo, [], Settings(**QUICK, style_scale="auto"))
    with photo.open("rb") as content, brush.open("rb") as style:  # read once
        assert Stylization(content, [style], Settings(**QUICK, style_scale="auto")).settings.style_factor
