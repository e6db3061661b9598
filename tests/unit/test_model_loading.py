"""A saved model comes back the same, through our doors and transformers' own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import clsp
from clsp import CLSPModel
from clsp.architecture import Architecture
from tests.unit.golden_models import BATCH_ATOL, GOLDEN, golden, golden_config, noise, same


def test_a_saved_model_comes_back_the_same(tmp_path: Path, tiny: CLSPModel) -> None:
    prompts = ["A male speaker.", "A speaker in a sad tone."]
    with torch.inference_mode():
        expected = tiny.embed_text(prompts), tiny.embed_audio([noise(9_000)])
        tiny.save_pretrained(tmp_path)
        model = CLSPModel.from_pretrained(tmp_path).eval()
        found = model.embed_text(prompts), model.embed_audio([noise(9_000)])
    assert model.config.encoder_dim == tiny.config.encoder_dim
    for ours, theirs in zip(found, expected, strict=True):  # equal weights, other alignment
        same(ours, theirs, atol=BATCH_ATOL)


def test_what_a_configuration_says_is_kept_whoever_saves_it(tmp_path: Path) -> None:
    said = golden_config("uneven") | {"causal": False, "warmup": "1,2,3"}
    said["text_config"] |= {"made_up": [1], "initializer_range": 0.03}
    (tmp_path / "config.json").write_text(json.dumps(said))
    (tmp_path / "model.safetensors").symlink_to(GOLDEN / "uneven" / "model.safetensors")
    model = clsp.load(tmp_path)
    model.save_pretrained(tmp_path / "ours")
    CLSPModel.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "transformers")
    CLSPModel(model.config).save_pretrained(tmp_path / "made")
    read = [Architecture.read(tmp_path / name) for name in (".", "ours", "transformers", "made")]
    assert all(one == read[0] for one in read)  # but for what is no field
    for name in ("ours", "transformers"):
        written = json.loads((tmp_path / name / "config.json").read_text())
        assert (written["warmup"], written["text_config"]["made_up"]) == ("1,2,3", [1])
        assert (written["model_type"], written["architectures"]) == ("clsp", ["CLSPModel"])


def test_the_published_way_to_load_works_with_one_changed_import(tiny: CLSPModel) -> None:
    from clsp import CLSPModel as AutoModel  # the published examples import transformers'

    model = AutoModel.from_pretrained("tiny", trust_remote_code=True)
    assert not model.training
    with torch.no_grad():
        ours = model(noise(9_000)[None], torch.tensor([9_000]), ["A male speaker."])
        theirs = tiny(noise(9_000)[None], torch.tensor([9_000]), ["A male speaker."])
    for found, expected in zip(ours, theirs, strict=True):
        same(found, expected, atol=BATCH_ATOL)


def test_weights_stored_in_half_precision_load_as_float32_unless_asked(tmp_path: Path) -> None:
    clsp.load(GOLDEN / "uneven").half().save_pretrained(tmp_path)

    def dtypes(model: CLSPModel) -> set[torch.dtype]:
        return {tensor.dtype for tensor in model.parameters()}

    assert dtypes(clsp.load(tmp_path)) == {torch.float32}
    assert dtypes(CLSPModel.from_pretrained(tmp_path)) == {torch.float32}
    assert dtypes(clsp.load(tmp_path, dtype=torch.bfloat16)) == {torch.bfloat16}


def test_the_published_loading_line_works_with_one_changed_import() -> None:
    from clsp import CLSPModel as AutoModel

    model = AutoModel.from_pretrained(GOLDEN / "uneven", trust_remote_code=True)
    _, vectors = golden("uneven")
    with torch.inference_mode():
        found, _, _ = model(vectors["audio0.waveform"][None], torch.tensor([4_000]))
    same(found[0], vectors["audio0.embedding"])


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


AUTO = ("import clsp", "from transformers import AutoConfig, AutoModel")


@pytest.mark.parametrize("imports", [AUTO, AUTO[::-1]], ids=["clsp first", "transformers first"])
def test_the_auto_classes_give_ours_and_trust_no_remote_code(imports: tuple[str, str]) -> None:
    folder = str(GOLDEN / "uneven")
    asked = [f"print(type({c}.from_pretrained({folder!r})))" for c in ("AutoConfig", "AutoModel")]
    assert python("\n".join([*imports, *asked])).splitlines() == [
        "<class 'clsp.config.CLSPConfig'>",
        "<class 'clsp.model.CLSPModel'>",
    ]


def test_the_modules_that_readme_names_are_there_without_another_import() -> None:
    names = ("zero_shot", "retrieval", "style", "metrics")
    asked = [f"assert clsp.{name}.__name__ == 'clsp.{name}'" for name in names]
    assert python("\n".join(["import clsp", *asked])) == ""


def test_importing_clsp_alone_loads_neither_torch_nor_transformers() -> None:
    code = "import clsp, sys; print({'torch', 'transformers'} & set(sys.modules))"
    assert python(code) == "set()"
