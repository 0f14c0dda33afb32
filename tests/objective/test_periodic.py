import pytest
import torch

from helpers import smooth_image, tiny_weights
from impasto.errors import SettingsError
from impasto.images.size import enlarge
from impasto.network.layers import poolings_before
from impasto.network.tiles import halo
from impasto.network.vgg import VGG19
from impasto.objective.evaluation import Evaluation
from impasto.objective.periodic import PeriodicCanvas, enlarge_periodic, on_the_grid, periodic_canvas
from impasto.settings.choices import Pooling
from impasto.storage.scratch import Scratch

DEEP = ("relu1_1", "relu3_1", "relu5_1")


@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("size", [(32, 48), (48, 16)])
def test_features_of_a_surrounded_canvas_are_those_of_a_wall_of_copies(size, pooling):
    """Padding with surroundings smaller or larger than the canvas, against nine copies seen whole."""
    network, canvas, around = (
        VGG19(tiny_weights(), pooling=pooling).double(),
        smooth_image(*size),
        periodic_canvas(size, DEEP),
    )
    copies = [-(-around.halo // side) for side in size]
    wall = canvas.repeat(1, 1, 2 * copies[0] + 1, 2 * copies[1] + 1)
    assert around.surrounded_size == tuple(around.surrounded(canvas).shape[-2:])
    found, expected = network.features(around.surrounded(canvas), DEEP), network.features(wall, DEEP)
    for name in DEEP:
        p = poolings_before(name)
        (h, w), here = (side >> p for side in size), around.halo >> p
        top, left = copies[0] * h, copies[1] * w
        interior = found[name][..., here : here + h, here : here + w]
        torch.testing.assert_close(interior, expected[name][..., top : top + h, left : left + w])


def test_the_mask_is_one_on_the_canvas_and_nowhere_else():
    around = PeriodicCanvas((3, 4), 2)
    assert torch.equal(around.interior() * around.surrounded(torch.ones(1, 1, 3, 4)), around.interior())
    assert around.interior().sum() == 12
    assert around.interior()[..., 2:5, 2:6].all()


@pytest.mark.parametrize("size", [(5, 4), (3, 16)])
def test_the_folded_gradient_is_the_adjoint_of_surrounding_also_band_by_band_in_files(size, tmp_path, monkeypatch):
    around, canvas, above = (
        PeriodicCanvas(size, 7),
        smooth_image(*size),
        smooth_image(size[0] + 14, size[1] + 14, seed=2),
    )
    leaf = canvas.clone().requires_grad_()
    (around.surrounded(leaf) * above).sum().backward()
    assert leaf.grad is not None
    torch.testing.assert_close(around.folded(above), leaf.grad)
    monkeypatch.setattr(Scratch, "SMALL", 0)
    monkeypatch.setattr(Scratch, "BAND", 1500)
    assert torch.equal(around.surrounded(canvas, Scratch(tmp_path)), around.surrounded(canvas))
    torch.testing.assert_close(around.folded(above, Scratch(tmp_path)), leaf.grad)


def test_an_objective_of_surrounded_canvases_becomes_one_of_canvases():
    around, canvas, nudge = PeriodicCanvas((5, 4), 2), smooth_image(5, 4), torch.zeros(1, 3, 5, 4, dtype=torch.float64)

    def evaluate(image: torch.Tensor) -> Evaluation:
        return Evaluation(image.pow(3).sum().item(), {"cubes": 1.0}, 3 * image.square())

    wrapped = around.wrap(evaluate)
    nudge[0, 1, 0, 3] = 1e-6  # a corner: four copies
    slope = (wrapped(canvas + nudge).loss - wrapped(canvas - nudge).loss) / 2e-6
    assert wrapped(canvas).gradient[0, 1, 0, 3].item() == pytest.approx(slope, rel=1e-6)
    assert wrapped(canvas).parts == {"cubes": 1.0}


def test_sides_off_the_pooling_grid_are_refused_with_the_nearest_that_are_on_it():
    assert periodic_canvas((32, 48), DEEP) == PeriodicCanvas((32, 48), halo(DEEP))
    assert periodic_canvas((33, 50), ["conv1_2"]) == PeriodicCanvas((33, 50), 2)
    with pytest.raises(SettingsError, match=r"size is 500x40, but with seamless .* multiple of 16 px.* use 496x48\."):
        periodic_canvas((40, 500), DEEP)
    assert on_the_grid((7, 100), DEEP) == (16, 96)


@pytest.mark.parametrize(("size", "wanted"), [((32, 48), (64, 96)), ((48, 64), (80, 112)), ((16, 32), (16, 48))])
def test_a_canvas_is_enlarged_as_a_wall_of_copies_would_be(size, wanted):
    canvas = smooth_image(*size).clamp(0.1, 0.9)
    wall = enlarge(canvas.repeat(1, 1, 3, 3), (3 * wanted[0], 3 * wanted[1]))
    middle = wall[..., wanted[0] : 2 * wanted[0], wanted[1] : 2 * wanted[1]]
    torch.testing.assert_close(enlarge_periodic(canvas, wanted), middle)
    assert (enlarge(canvas, wanted) - middle).abs().max() > 0.05
    assert enlarge_periodic(canvas, size) is canvas
