import pytest

from impasto.errors import SettingsError
from impasto.settings.grid import Axis, Cell, cells, parse_axis
from impasto.settings.settings import Settings


def grid(*texts: str) -> list[Cell]:
    return cells([parse_axis(text) for text in texts], lambda changes: Settings(**changes))


@pytest.mark.parametrize(
    ("text", "knob", "values"),
    [
        ("content-weight=0.2:1:5", "content_weight", (0.2, 0.4, 0.6, 0.8, 1.0)),
        ("content_weight=0.01:1:3:log", "content_weight", (0.01, 0.1, 1.0)),
        ("content-weight=1:0.2:3", "content_weight", (1.0, 0.6, 0.2)),
        ("size=100:200:3", "size", (100, 150, 200)),
        ("size=64:512:4:log", "size", (64, 128, 256, 512)),
        ("scales=auto,1,2", "scales", ("auto", "1", "2")),
        ("scales=1:3:3", "scales", (1, 2, 3)),
        ("pooling=max, average", "pooling", ("max", "average")),
        ("init=content,C:\\a.png", "init", ("content", "C:\\a.png")),
        ("style-layers=relu1_1,relu2_1;relu4_1", "style_layers", (("relu1_1", "relu2_1"), ("relu4_1",))),
    ],
)
def test_an_axis_is_read_from_text(text, knob, values):
    axis = parse_axis(text)
    assert axis == Axis(knob, values)
    assert [type(value) for value in axis.values] == [type(value) for value in values]


def test_the_first_axis_goes_across_and_the_second_down():
    found = grid("size=64,96,128", "pooling=max,average")
    assert [(c.row, c.column, c.settings.size, c.settings.pooling.value) for c in found] == [
        (0, 0, 64, "max"), (0, 1, 96, "max"), (0, 2, 128, "max"),
        (1, 0, 64, "average"), (1, 1, 96, "average"), (1, 2, 128, "average"),
    ]  # fmt: skip
    assert list(found[4].labels) == ["size 96", "pooling average"]
    assert [(c.row, c.column) for c in grid("scales=1,2")] == [(0, 0), (0, 1)]


def test_labels_read_well():
    assert grid("content-weight=0.01:1:3:log")[1].labels == ("content-weight 0.1",)
    assert grid("layer-weights=1,1,1,1;0.5,1,1,1e6")[1].labels == ("layer-weights 0.5,1,1,1e+06",)


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        (["size"], "vary is 'size', without a '='"),
        (["sise=1,2"], "vary names 'sise', which is not a setting: did you mean 'size'?"),
        (["blue=1,2"], "vary names 'blue', which is not a setting."),
        (["size=64"], "vary size=64 has 1 values: give 2 to 100."),
        (["size=64:96"], "vary size=64:96 is no range of 2 to 100 values: write KNOB=a,b,c or"),
        (["size=64:96:1"], "vary size=64:96:1 is no range"),
        (["size=64:96:101"], "vary size=64:96:101 is no range"),
        (["size=64:96:3:lin"], "vary size=64:96:3:lin is no range"),
        (["size=64:96:3:log:log"], "vary size=64:96:3:log:log is no range"),
        (["size=64:inf:3"], "vary size=64:inf:3 is no range"),
        (["content-weight=0:1:3:log"], "vary content-weight=0:1:3:log goes to 0 or below"),
        (["pooling=1:2:3"], "vary pooling=1:2:3 has 1 values"),
        (["pooling=max,median"], "pooling is 'median' but should be 'max' or 'average'."),
        (["size=64,3"], "size is '3' but should be greater than or equal to 16."),
        (["size=64,64.0"], "vary gives size 64 twice: give each value once."),
        (["epochs=1:2:5"], "vary gives epochs 1 twice"),
        (["scales=1,2", "epochs=3,4", "size=64,96"], "vary names scales, epochs, size: give one or two different"),
        (["size=32,64", "size=96,128"], "vary names size, size: give one or two different knobs."),
    ],
)
def test_what_makes_no_grid_is_refused_with_knob_and_value(texts, fault):
    with pytest.raises(SettingsError) as caught:
        grid(*texts)
    assert fault in str(caught.value)
