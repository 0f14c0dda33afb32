import numpy as np
import pytest
import torch

from helpers import PlannedRun, smooth_image, tiny_weights
from impasto.errors import DivergedError
from impasto.images import colour
from impasto.images.size import resize
from impasto.network.vgg import VGG19
from impasto.objective.colour_matching import colour_statistics
from impasto.objective.colour_mode import colour_mode
from impasto.objective.evaluation import Evaluation
from impasto.report.metrics import colour_distance
from impasto.run.events import EpochDone, Finished, ScaleDone, Stepped
from impasto.settings.choices import Color
from impasto.settings.settings import Settings

CONTENT = 0.3 + 0.4 * smooth_image(48, 64, seed=1, dtype=torch.float32)
STYLE = smooth_image(70, 50, seed=2, dtype=torch.float32) * torch.tensor([0.3, 0.7, 1.0]).view(1, 3, 1, 1)
GREY = CONTENT.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
FLAT = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 48, 64)


def paint(color: str, content: torch.Tensor = CONTENT, style: torch.Tensor = STYLE, **changes) -> list:
    knobs = {"size": 64, "epochs": 4, "steps_per_epoch": 3, "scales": 2, "device": "cpu", "color": color, **changes}
    engine = VGG19(tiny_weights(dtype=torch.float32))
    return list(PlannedRun(Settings(**knobs), engine, content, [style]).events())


def chroma(image: torch.Tensor) -> torch.Tensor:
    return colour.oklab(image)[:, 1:]


def contrast(image: torch.Tensor) -> float:
    return colour.oklab(image)[:, :1].std().item()


@pytest.mark.thin(4)
@pytest.mark.parametrize("optimizer", ["gd", "adam", "lbfgs"])
@pytest.mark.parametrize("init", ["content", "noise", "style"])
def test_keep_gives_every_picture_of_a_run_the_contents_chroma_and_paints_its_lightness(optimizer, init):
    pictures = []
    for event in paint("keep", optimizer=optimizer, init=init):
        if isinstance(event, EpochDone | ScaleDone | Finished):
            pictures.append(event.picture)
        elif isinstance(event, Stepped):
            pictures.append(event.picture())
    for picture in pictures:
        content = resize(CONTENT, (picture.shape[-2], picture.shape[-1]))
        assert picture.shape == content.shape
        off = (chroma(picture) - chroma(content)).square().sum(dim=1).sqrt()
        assert off.mean() < 0.2 * chroma(content).square().sum(dim=1).sqrt().mean()
        assert off.median() < 1e-4
    change = colour.oklab(pictures[-1])[:, :1] - colour.oklab(CONTENT)[:, :1]
    assert change.abs().mean() > 0.005


def test_the_style_colours_the_picture_unless_the_contents_colours_are_kept_or_matched():
    wanted, blue = (colour_statistics(image) for image in (CONTENT, STYLE))
    results = {color: paint(color, content_weight=0, init="style")[-1].picture for color in Color}
    far = {color: colour_distance(colour_statistics(result), wanted) for color, result in results.items()}
    assert far["keep"] < 0.3 * far["style"]
    assert far["match"] < 0.3 * far["style"]
    assert far["style"] > 0.5 * colour_distance(blue, wanted)


def test_the_loss_falls_with_every_colour_mode():
    for color in Color:
        losses = [event.loss for event in paint(color, scales=1) if isinstance(event, Stepped | Finished)]
        assert losses[-1] < 0.8 * losses[0]


def test_a_greys_gradient_is_that_of_the_one_value_its_channels_share():
    target = smooth_image(5, 6, seed=3)

    def evaluate(image: torch.Tensor) -> Evaluation:
        return Evaluation((image - target).pow(4).sum().item(), {}, 4 * (image - target).pow(3))

    grey = colour_mode(Color.KEEP, smooth_image(5, 6), [smooth_image(5, 6)])
    evaluate_grey = grey.wrap(evaluate)
    canvas, nudge = grey.canvas(smooth_image(5, 6, seed=4)), torch.zeros(1, 1, 5, 6, dtype=torch.float64)
    nudge[0, 0, 2, 3] = 1e-5
    slope = (evaluate_grey(canvas + nudge).loss - evaluate_grey(canvas - nudge).loss) / 2e-5
    assert canvas.shape == evaluate_grey(canvas).gradient.shape == (1, 1, 5, 6)
    assert evaluate_grey(canvas).gradient[0, 0, 2, 3].item() == pytest.approx(slope, rel=1e-6)


@pytest.mark.thin(3)
@pytest.mark.parametrize("color", ["keep", "match"])
@pytest.mark.parametrize(("content", "style"), [(GREY, STYLE), (FLAT, STYLE), (CONTENT, GREY), (CONTENT, FLAT)])
def test_grey_and_flat_images_are_painted_without_grey_patches_or_nan(color, content, style):
    result = paint(color, content, style)[-1].picture
    assert result.isfinite().all()
    means = [x.unfold(2, 8, 8).unfold(3, 8, 8).mean(dim=(4, 5)) for x in (chroma(result), chroma(content))]
    if (
        color == "keep" or content is not CONTENT
    ):  # the content's chroma in every patch, which for a grey content is none
        np.testing.assert_allclose(means[0], means[1], atol=0.03)
    else:
        assert chroma(result).std() > 0.5 * chroma(content).std()


def test_a_flat_content_gets_strokes_in_its_own_colour_when_colours_are_kept():
    assert contrast(paint("keep", FLAT, content_weight=0, strength=1)[-1].picture) > 0.005


def test_a_diverged_run_hands_back_a_coloured_picture_when_colours_are_kept():
    class Broken(VGG19):
        calls = 0

        def features(self, image, layers, *, below=None):
            self.calls += 1
            return super().features(image * float("nan") if self.calls >= 8 else image, layers)

    settings = Settings(size=64, scales=1, device="cpu", color=Color.KEEP)
    with pytest.raises(DivergedError) as caught:
        list(PlannedRun(settings, Broken(tiny_weights(dtype=torch.float32)), CONTENT, [STYLE]).events())
    assert isinstance(caught.value.picture, torch.Tensor)
    torch.testing.assert_close(chroma(caught.value.picture).mean(), chroma(CONTENT).mean(), atol=0.02, rtol=0)
    assert caught.value.picture.shape == CONTENT.shape
