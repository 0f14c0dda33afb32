import pytest

from impasto.errors import SettingsError
from impasto.run.scales import plan_scales
from impasto.settings.settings import Settings


def test_scales_double_up_to_the_size_and_share_the_steps():
    plan = plan_scales(Settings(size=512, epochs=10, steps_per_epoch=30), (384, 512))
    assert [s.size for s in plan] == [(96, 128), (192, 256), (384, 512)]
    assert sum(s.steps for s in plan) == 300
    assert plan[0].steps > plan[1].steps > plan[2].steps


@pytest.mark.parametrize("ratio", [0.05, 0.6, 1, 1.5, 20])
@pytest.mark.parametrize(("total", "scales"), [(7, 2), (12, 12), (13, 12), (200, 3)])
def test_each_scale_has_a_step_and_the_ratio_to_the_one_before_where_there_are_enough(ratio, total, scales):
    chosen = Settings(size=65536, scales=scales, epochs=1, steps_per_epoch=total, step_ratio=ratio)
    steps = [s.steps for s in plan_scales(chosen, (65536, 65536))]
    assert sum(steps) == total
    assert min(steps) >= 1
    if min(steps) > 10:
        assert steps[2] / steps[1] == pytest.approx(ratio, rel=0.1)


def test_automatic_scales_never_make_a_picture_too_small_for_its_layers():
    assert [s.size for s in plan_scales(Settings(size=1024), (100, 1024))] == [
        (13, 128),
        (25, 256),
        (50, 512),
        (100, 1024),
    ]
    assert len(plan_scales(Settings(size=100), (100, 100))) == 1
    assert len(plan_scales(Settings(size=1024, epochs=1, steps_per_epoch=2), (1024, 1024))) == 2


@pytest.mark.parametrize(
    ("change", "size", "sentence"),
    [
        ({"size": 16}, (7, 16), "size is 16, which makes the picture 16×7 px, but the layers need at least 8"),
        ({"scales": 4}, (48, 64), "scales is 4, which makes the coarsest picture 8×6 px"),
        ({"scales": 2, "epochs": 1, "steps_per_epoch": 1}, (48, 64), "scales is 2 but the run has 1 steps"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_a_sentence(change, size, sentence):
    with pytest.raises(SettingsError, match=sentence):
        plan_scales(Settings(**{"size": 64, "epochs": 2, "steps_per_epoch": 3} | change), size)
