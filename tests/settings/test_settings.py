import pytest
from pydantic import ValidationError

from impasto.errors import SettingsError
from impasto.settings.settings import Settings


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"size": 8}, "size is 8 but should be greater than or equal to 16."),
        ({"size": "big"}, "size is 'big' but should be a number of pixels, 'original', or a print's longest side"),
        ({"content_weight": -1}, "content_weight is -1 but should be greater than or equal to 0."),
        ({"style_weight": float("nan")}, "style_weight is nan but should be a finite number."),
        ({"tv_weight": float("inf")}, "tv_weight is inf but should be a finite number."),
        ({"style_layers": ("relu9_1",)}, "style_layers names 'relu9_1', which VGG19 doesn't have"),
        ({"style_layers": ("relu1_1", "relu1_1")}, "style_layers names a layer twice"),
        ({"layer_weights": (1, 2)}, "layer_weights has 2 values for 4 style_layers"),
        ({"content_layer_weights": (1, 2)}, "content_layer_weights has 2 values for 1 content_layers"),
        ({"content_layers": (), "style_layers": ()}, "content_layers and style_layers are both empty"),
        ({"style_weights": (0, 0)}, "style_weights are all 0"),
        ({"pooling": "median"}, "pooling is 'median' but should be 'max' or 'average'"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd' but should be 'gd', 'adam' or 'lbfgs'"),
        ({"scales": 0}, "scales is 0 but should be 'auto' or a number from 1 to 12."),
        ({"scales": "few"}, "scales is 'few' but should be 'auto' or a number from 1 to 12."),
        ({"device": "tpu"}, "device is 'tpu' but should be auto, cpu, cuda, cuda:N or mps."),
        ({"seed": -1}, "seed is -1 but should be greater than or equal to 0."),
        ({"sise": 3}, "sise is not a setting: did you mean size?"),
    ],
)
def test_a_bad_value_reads_as_one_sentence_with_name_value_and_range(knobs, sentence):
    with pytest.raises(SettingsError) as caught:
        Settings(**knobs)
    message = str(caught.value)
    assert sentence in message
    assert "\n" not in message
    assert "pydantic" not in message


def test_every_fault_gets_its_own_sentence():
    with pytest.raises(SettingsError) as caught:
        Settings(size=1, epochs=0, pooling="x")
    assert len(str(caught.value).splitlines()) == 3


def test_settings_are_frozen_and_round_trip_through_json():
    settings = Settings(style_layers=("relu1_1",), scales=2)
    with pytest.raises(ValidationError):
        settings.size = 4  # pyright: ignore[reportAttributeAccessIssue]
    assert Settings(**settings.model_dump(mode="json")) == settings


def test_every_knob_has_a_help_text_that_is_a_sentence():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_the_papers_objective_has_the_papers_layers_loss_and_weights_unless_others_are_given():
    paper = Settings(objective="gatys")
    assert paper.style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert (paper.style_loss, paper.tv_weight, paper.content_weight) == ("gram", 0, 1e-3)
    given = Settings(objective="gatys", style_layers=("relu1_1",), tv_weight=2.0, content_weight=3.0)
    assert (given.style_layers, given.tv_weight, given.content_weight) == (("relu1_1",), 2, 3)
    with pytest.raises(SettingsError, match=r"objective is 'gatys', .*, but style_loss is w2: drop one"):
        Settings(objective="gatys", style_loss="w2")
    assert Settings(**paper.model_dump()) == paper
