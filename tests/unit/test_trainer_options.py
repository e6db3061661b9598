"""Options of training are checked, and a start from scratch has the model's layout."""

import pytest
import torch

from clsp.errors import InputError
from clsp.training import start
from clsp.training.options import ModelOptions, TrainOptions, parse


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rat": 1.0}, r"no option 'learning_rat'; did you mean 'learning_rate'\?"),
        ({"steps": "100"}, r"steps: got str '100'; expected a whole number"),
        ({"steps": True}, r"steps: got bool True; expected a whole number"),
        ({"learning_rate": "1e-4"}, r"expected a number \(YAML takes 1e-4 and 1.0e4 for text"),
        ({"stage": 3}, r"stage: got int 3; expected one of 1, 2"),
        ({"stage": True}, r"stage: got bool True; expected one of 1, 2"),
        ({"steps": 0}, r"train: steps 0: expected at least 1"),
        ({"batch_clips": 8, "batch_s": 60}, r"batch_clips and batch_s are both given"),
        ({"noise": 1.5}, r"noise 1\.5: expected a probability"),
    ],
)
def test_options_are_checked(given, message):
    with pytest.raises(InputError, match=message):
        parse(TrainOptions, given, "train")


def test_options_nest_and_lists_are_checked():
    found = parse(ModelOptions, {"freeze": ["heads"], "rates": {"heads": 2}}, "model")
    assert (found.freeze, found.rates.heads, found.rates.text_encoder) == (("heads",), 2.0, 1.0)
    with pytest.raises(InputError, match=r"model: freeze: got str 'head'; expected one of front_"):
        parse(ModelOptions, {"freeze": ["head"]}, "model")
    with pytest.raises(InputError, match=r"model: rates: no option 'audio'"):
        parse(ModelOptions, {"rates": {"audio": 2}}, "model")


def test_from_scratch_has_the_layout_a_tokenizer_and_standard_features(tiny):
    model = start.start("tiny-config", seed=1)
    shapes = {name: value.shape for name, value in tiny.state_dict().items()}
    assert {name: value.shape for name, value in model.state_dict().items()} == shapes
    assert model.dtype == torch.float32
    assert torch.isfinite(model.embed_text(["A low voice."])).all()
    features = torch.randn(500, 128) * 3 - 9
    raw = model.model.encoder_embed.conv["0"]
    deviation, mean = features.std(), features.mean()
    expected = raw((features[None, None] - mean) / deviation)[..., 1:-1].detach()
    start.standardise(model, [features])
    found = raw(features[None, None])[..., 1:-1].detach()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
