import numpy as np
import PIL.Image
import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto import synthesize
from impasto.cli import main
from impasto.cli.knobs import TextureKnobs
from impasto.cli.texture import parse_size
from impasto.errors import SettingsError
from impasto.images import writing
from impasto.images.size import enlarge
from impasto.network import weights
from impasto.network.engine import Engine
from impasto.network.tiles import stride
from impasto.network.vgg import VGG19
from impasto.objective.evaluation import Evaluate
from impasto.objective.periodic import periodic_canvas
from impasto.objective.texture import TextureProblem
from impasto.run.events import EpochDone, Finished, ScaleDone, Started, Stepped
from impasto.run.plan import Shapes, plan_run
from impasto.run.stylizer import Stylizer
from impasto.settings.settings import Settings
from impasto.settings.texture import OWN, texture_settings
from impasto.swatches import catalogue as swatches

LAYERS = ("relu1_1", "relu2_1", "relu3_1")
STYLE = smooth_image(64, 64, seed=2, dtype=torch.float32).clamp(0.05, 0.95)


def settings(size=(64, 64), **changes) -> Settings:
    knobs = {"epochs": 3, "steps_per_epoch": 4, "device": "cpu", "style_layers": LAYERS, **changes}
    return texture_settings(Settings(**knobs), size)


def network() -> VGG19:
    return VGG19(tiny_weights(dtype=torch.float32))


def events(size=(64, 64), seamless=False, style=STYLE, **changes) -> list:
    chosen, engine, shapes = settings(size, **changes), network(), Shapes(size, 1)
    if seamless:
        halo, grid = periodic_canvas(size, chosen.style_layers).halo, stride(chosen.style_layers)
        shapes = Shapes(size, 1, halo, grid)
    problem = TextureProblem(style, chosen, engine, size, seamless=seamless)
    return list(Stylizer(chosen).run(problem, plan_run(chosen, shapes, engine)))


def seamless_loss(size, chosen: Settings, engine: Engine, tile: int | None = None) -> Evaluate:
    """The objective of seamless canvases of a size."""
    problem = TextureProblem(STYLE.double(), chosen, engine, size, seamless=True, tile=tile)
    scale = problem.at(size)
    return scale.transform.wrap(scale.objective.evaluate)


def grams(image: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        features = network().features(image, LAYERS)
    return [torch.einsum("nihw,njhw->ij", f, f) / f[0, 0].numel() for f in features.values()]


def test_a_texture_is_enlarged_as_a_picture_is():
    problem = TextureProblem(STYLE, settings(), network(), (64, 64))
    coarse = smooth_image(32, 32, seed=3, dtype=torch.float32)
    torch.testing.assert_close(problem.enlarged(coarse, (64, 64)), enlarge(coarse, (64, 64)))


def distance(image: torch.Tensor, style: torch.Tensor = STYLE) -> float:
    """The mean over layers of |G − A|² / |A|², from Gram matrices written out here."""
    pairs = zip(grams(image), grams(style), strict=True)
    return sum(((g - a).square().sum() / a.square().sum()).item() for g, a in pairs) / len(LAYERS)


def seam(image: torch.Tensor) -> float:
    """How rough the wrap is: its mean absolute difference relative to the 95th percentile of those between neighbouring
    lines within, the greater of both ways. About 1 or less: nobody could tell it from the other lines.
    """
    ratios = []
    for along in (2, 3):
        inside = image.diff(dim=along).abs().mean(dim=(0, 1, 5 - along))
        across = (image.select(along, 0) - image.select(along, -1)).abs().mean()
        ratios.append((across / inside.quantile(0.95)).item())
    return max(ratios)


def test_a_texture_of_any_shape_closes_the_distance_to_its_style_from_noise():
    told = events(size=(48, 96), scales=2, epochs=8)
    assert {type(e) for e in told} == {Started, Stepped, EpochDone, ScaleDone, Finished}
    started, last = told[0], told[-1]
    assert started.plan.sizes == ((24, 48), (48, 96))
    assert [e.step for e in told if isinstance(e, Stepped)] == list(range(1, 33))
    assert last.picture.shape == (1, 3, 48, 96)
    noise = events(size=(48, 96), scales=1, epochs=1, steps_per_epoch=1, optimizer="gd")
    first = next(e for e in noise if isinstance(e, Stepped))
    assert first.loss - first.parts["tv"] == pytest.approx(1, rel=1e-4)  # normalised by the noise's own distance
    assert first.parts["tv"] == pytest.approx(Settings().tv_weight, rel=1e-4)
    start = torch.rand(1, 3, 48, 96, generator=torch.Generator().manual_seed(1))
    assert distance(last.picture) < 0.05 * distance(start)
    assert set(last.parts) == {*(f"style/{name}" for name in LAYERS), "tv"}
    assert last.loss < 0.1


@pytest.mark.parametrize("seamless", [False, True])
def test_total_variation_is_measured_by_that_of_the_noise_on_a_wall_of_copies_too(seamless):
    """At the run's start, which is that noise, it is its weight: once for each pixel, whatever surrounds the canvas."""
    told = events(size=(48, 96), seamless=seamless, scales=1, epochs=1, steps_per_epoch=1, optimizer="gd")
    first = next(e for e in told if isinstance(e, Stepped))
    assert first.parts["tv"] == pytest.approx(Settings().tv_weight, rel=0.05)  # a wall has differences at its seams


def test_copies_of_a_seamless_texture_show_no_seam_and_those_of_another_do():
    style = torch.nn.functional.interpolate(STYLE[..., ::8, ::8], (64, 64), mode="bilinear")
    found = {
        seamless: events(seamless=seamless, scales=2, epochs=6, style=style)[-1].picture for seamless in (True, False)
    }
    assert seam(found[True]) < 1.1
    assert seam(found[False]) > 1.5
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert distance(found[True].repeat(1, 1, 3, 3), style) < 0.1 * distance(noise, style)


def test_a_seamless_loss_and_gradient_are_those_of_the_endless_wall_also_in_tiles():
    """Gram matrices over the middle of a wall of copies, by plain autograd in float64."""
    size, chosen = (32, 48), settings((32, 48), objective="gatys")
    engine = VGG19(tiny_weights()).double()
    canvas, style = smooth_image(*size, seed=3), TextureProblem(STYLE.double(), chosen, engine, size).style_at(size)
    evaluate, tiled = (seamless_loss(size, chosen, engine, tile) for tile in (None, 32))
    leaf, total = canvas.clone().requires_grad_(), torch.zeros((), dtype=torch.float64)
    features = engine.features(leaf.repeat(1, 1, 5, 5), LAYERS)
    wanted = engine.features(style, LAYERS)
    for name, f in features.items():
        h, w = f.shape[2] // 5, f.shape[3] // 5
        f = f[..., 2 * h : 3 * h, 2 * w : 3 * w]
        g, a = (torch.einsum("nihw,njhw->ij", x, x) / x[0, 0].numel() for x in (f, wanted[name]))
        total = total + (g - a).square().sum() / (4 * f.shape[1] ** 2) / len(LAYERS)
    (gradient,) = torch.autograd.grad(total, leaf)
    for now in (evaluate(canvas), tiled(canvas)):
        assert now.loss == pytest.approx(total.item(), rel=1e-9)
        torch.testing.assert_close(now.gradient, gradient, rtol=1e-7, atol=1e-12)


def test_a_seamless_canvas_has_no_place_that_is_its_border():
    """Rolled by the pooling stride, its loss is the same and its gradient rolls along, down to the deepest layer."""
    chosen, start = settings((48, 64), style_layers=("relu1_1", "relu5_1")), smooth_image(48, 64)
    evaluate = seamless_loss((48, 64), chosen, VGG19(tiny_weights()).double())
    here, there = evaluate(start), evaluate(start.roll((16, 48), (2, 3)))
    assert there.loss == pytest.approx(here.loss, rel=1e-9)
    torch.testing.assert_close(there.gradient, here.gradient.roll((16, 48), (2, 3)), rtol=1e-6, atol=1e-12)


def test_every_scale_of_a_seamless_texture_is_on_the_pooling_grid():
    told = events(size=(176, 272), seamless=True, style_layers=("relu5_1",), epochs=1, steps_per_epoch=3, scales=3)
    assert told[0].plan.sizes == ((48, 64), (96, 144), (176, 272))


@pytest.mark.parametrize(
    ("style", "canvas", "now", "expected"),
    [
        ((64, 48), 128, 128, (64, 48)),  # smaller than the canvas: in its own pixels
        ((64, 48), 128, 64, (32, 24)),  # at half the size, halved with it
        ((300, 200), 128, 128, (128, 85)),  # larger: shrunk to the canvas
        ((64, 48), 128, 32, (22, 17)),  # never below the network's least side
    ],
)
def test_a_bigger_canvas_gets_more_of_the_style_and_not_a_magnified_one(style, canvas, now, expected):
    chosen = settings((canvas, canvas), style_layers=("relu5_1",))
    problem = TextureProblem(torch.rand(1, 3, *style), chosen, network(), (canvas, canvas))
    assert tuple(problem.style_at((now, now)).shape[-2:]) == expected


def test_a_style_too_small_for_coarse_scales_is_not_shrunk_below_the_networks_least():
    small = STYLE[..., :20, :20]
    told = events(size=(64, 64), scales=3, style=small, style_layers=("relu5_1",), epochs=1, steps_per_epoch=3)
    assert told[-1].picture.isfinite().all()


def test_texture_settings_leave_out_the_content_and_keep_the_rest():
    wanted = Settings(size=99, epochs=3, content_layers=("relu1_1",), content_layer_weights=(2.0,), init="photo.png")
    found = texture_settings(wanted, (48, 64))
    assert found == Settings(**{**OWN, "size": 64, "epochs": 3})
    with pytest.raises(SettingsError, match="style_layers is empty, and a texture has nothing else"):
        texture_settings(Settings(style_layers=()), (48, 64))
    with pytest.raises(SettingsError, match="style_loss is 'nnst', which goes by a photo, and a texture has none"):
        texture_settings(Settings(style_loss="nnst"), (48, 64))


@pytest.fixture
def _quick(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "load", lambda source="embedded": tiny_weights(dtype=torch.float32))


QUICK = ("--epochs", "1", "--steps-per-epoch", "2", "--style-layers", "relu1_1,relu2_1", "--device", "cpu", "--quiet")


@pytest.mark.usefixtures("_quick")
def test_the_command_writes_a_picture_of_the_size_asked_for_as_the_function_makes_it(tmp_path, capsys):
    writing.save(tmp_path / "brush.png", STYLE)
    assert main(["texture", "brush.png", "--size", "96x64", "--seamless", *QUICK]) == 0
    path = tmp_path / capsys.readouterr().out.strip()
    assert path.name == "brush_texture_impasto.png"
    knobs = {"epochs": 1, "steps_per_epoch": 2, "style_layers": ("relu1_1", "relu2_1"), "device": "cpu"}
    with PIL.Image.open(path) as written:
        assert written.size == (96, 64)
        expected = synthesize("brush.png", (96, 64), seamless=True, **knobs)
        assert np.array_equal(np.asarray(written), np.asarray(expected))
    assert not np.array_equal(np.asarray(synthesize("brush.png", (96, 64), **knobs)), np.asarray(expected))


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--size", "big"], "--size is 'big' but should be width and height in pixels, such as 512x512, "),
        (["--size", "0x20"], "--size is '0x20' but should be"),
        (["--size", "8x9"], "--size is 9 but should be greater than or equal to 16"),
        (["--size", "64x4"], "--size is 64, which makes the picture 64×4 px, but the layers need at least 8 px"),
        (["--size", "100x64", "--seamless"], "--size is 100x64, but with --seamless each side has to be a multiple"),
        (["--content-weight", "3"], "Unknown option"),
        (["--style-layers", ""], "--style-layers is empty"),
        (["-o", "texture.gif"], "texture.gif"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(arguments, sentence, capsys):
    assert main(["texture", swatches.names()[0], *arguments]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1


def test_the_command_has_a_flag_for_each_setting_that_counts_and_no_other():
    assert set(TextureKnobs.__annotations__) == Settings.model_fields.keys() - OWN.keys() - {"size"}


def test_sizes_are_width_and_height():
    assert parse_size("640x480") == (640, 480)
    assert parse_size("64") == (64, 64)
