"""Where models come from: complete and unchanged, or an error that says what is wrong and where.

The hub is its real client over a local cache, offline: nothing here can reach a network.
"""

import dataclasses
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModel

import clsp
from clsp import CLSPConfig, CLSPModel, checkpoint
from clsp.checkpoint import PUBLISHED, TOKENIZER_REPO, TOKENIZER_REVISION, load_tokenizer, resolve
from clsp.embedder import Embedder
from clsp.errors import CheckpointMismatch, InputError, ModelNotFound

UNEVEN = Path(__file__).parents[1] / "data" / "golden" / "uneven"
NAME = "yfyeung/CLSP"
ROBERTA_VOCAB = 50_265

Edit = Callable[[dict[str, Tensor]], object]


def model_folder(folder: Path, edit: Edit = lambda tensors: None, prefix: str = "model.") -> Path:
    """The golden model in a folder, after `edit` changed its tensors in place."""
    tensors = load_file(UNEVEN / "model.safetensors")
    edit(tensors)
    folder.mkdir(exist_ok=True)
    save_file(
        {prefix + name.removeprefix("model."): tensor for name, tensor in tensors.items()},
        folder / "model.safetensors",
    )
    (folder / "config.json").write_bytes((UNEVEN / "config.json").read_bytes())
    return folder


def agrees_with_golden(model: CLSPModel) -> bool:
    vectors = load_file(UNEVEN / "vectors.safetensors")
    with torch.inference_mode():
        found = model.embed_audio([vectors["audio0.waveform"]])[0]
    return torch.allclose(found, vectors["audio0.embedding"], atol=1e-5)


# ---- folders --------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["model.", ""], ids=["published prefix", "no prefix"])
def test_a_folder_loads_with_and_without_the_key_prefix(tmp_path: Path, prefix: str) -> None:
    model = clsp.load(model_folder(tmp_path, prefix=prefix))
    assert agrees_with_golden(model)
    assert not model.training


BROKEN = {
    "missing": (lambda tensors: tensors.pop("model.text_projection.2.bias"), "text_projection.2"),
    "missing scalar": (lambda tensors: tensors.pop("model.logit_scale"), "logit_scale"),
    "missing but unused": (
        lambda tensors: tensors.pop("model.encoder.encoders.0.layers.0.bypass_scale"),
        "encoders.0.layers.0.bypass_scale",
    ),
    "unexpected": (lambda tensors: tensors.update({"model.ctc.bias": torch.zeros(3)}), "ctc.bias"),
    "misshapen": (
        lambda tensors: tensors.update({"model.encoder_embed.out.bias": torch.zeros(25)}),
        "encoder_embed.out.bias",
    ),
    "misshapen scalar": (
        lambda tensors: tensors.update({"model.logit_scale": torch.zeros(1)}),
        "logit_scale",
    ),
}


@pytest.mark.parametrize("prefix", ["model.", ""], ids=["published prefix", "no prefix"])
@pytest.mark.parametrize("fault", BROKEN)
def test_weights_that_do_not_fit_are_never_loaded_in_part(
    tmp_path: Path, fault: str, prefix: str
) -> None:
    edit, tensor = BROKEN[fault]
    with pytest.raises(CheckpointMismatch) as refused:
        clsp.load(model_folder(tmp_path, edit, prefix))
    assert fault.split()[0] in str(refused.value)
    assert tensor in str(refused.value)


def test_every_fault_of_a_checkpoint_is_named_at_once(tmp_path: Path) -> None:
    def edit(tensors: dict[str, Tensor]) -> None:
        for change, _ in (BROKEN["missing"], BROKEN["unexpected"], BROKEN["misshapen"]):
            change(tensors)

    with pytest.raises(CheckpointMismatch, match=r"(?s)text_projection.*ctc.*encoder_embed"):
        CLSPModel.from_pretrained(model_folder(tmp_path, edit))


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", None])
def test_weights_cut_off_or_never_fetched_are_a_mismatch(
    tmp_path: Path, content: bytes | None
) -> None:
    weights = model_folder(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000] if content is None else content)
    with pytest.raises(CheckpointMismatch, match=r"model\.safetensors"):
        clsp.load(tmp_path)


def test_a_config_that_is_not_json_is_a_mismatch(tmp_path: Path) -> None:
    (model_folder(tmp_path) / "config.json").write_text("{")
    with pytest.raises(CheckpointMismatch, match=r"config\.json"):
        clsp.load(tmp_path)


@pytest.mark.parametrize("content", ["null", "[]", "3", '{"text_config": 3}'])
@pytest.mark.parametrize("load", [clsp.load, CLSPModel.from_pretrained])
def test_a_config_that_holds_no_numbers_is_a_mismatch(tmp_path: Path, content: str, load) -> None:
    (model_folder(tmp_path) / "config.json").write_text(content)
    with pytest.raises(CheckpointMismatch, match=r"config\.json of .*Expected a JSON object"):
        load(tmp_path)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, file: str) -> None:
    """As one that is another user's; this one cannot be read by root either."""
    (model_folder(tmp_path) / file).unlink()
    (tmp_path / file).symlink_to("/proc/self/mem")
    with pytest.raises(CheckpointMismatch, match=rf"{file} cannot be read \(Input/output error\)"):
        clsp.load(tmp_path)


@pytest.mark.parametrize("name", ["x" * 5_000, "~nobody-here/model"])
def test_a_name_that_can_be_no_folder_is_an_unknown_model(name: str) -> None:
    with pytest.raises(ModelNotFound, match="expected one of 'tiny', 'yfyeung/CLSP', or a folder"):
        clsp.load(name)


def test_a_folder_may_be_given_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = model_folder(tmp_path / "a")
    assert resolve("~/a") == resolve(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named_with_its_folder(tmp_path: Path, file: str) -> None:
    (model_folder(tmp_path) / file).unlink()
    with pytest.raises(ModelNotFound) as refused:
        clsp.load(tmp_path)
    assert file in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_an_unknown_model_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(ModelNotFound, match=r"'big'.*'tiny', 'yfyeung/CLSP', or a folder"):
        clsp.load("big")


def test_a_folders_revision_changes_with_its_content_and_not_with_its_place(tmp_path: Path) -> None:
    first, moved = (resolve(model_folder(tmp_path / name)) for name in ("first", "moved"))
    assert first.revision == moved.revision
    model_folder(tmp_path / "moved", lambda tensors: tensors["model.logit_scale"].add_(1))
    assert resolve(tmp_path / "moved").revision != first.revision


def test_a_loaded_model_says_which_one_it_is() -> None:
    assert clsp.load(UNEVEN).checkpoint == resolve(UNEVEN)
    assert resolve(UNEVEN).name == "uneven"
    assert resolve(UNEVEN).folder == UNEVEN


def test_resolving_a_model_needs_no_torch() -> None:
    code = f"""
import sys, clsp.checkpoint
print(clsp.checkpoint.resolve({str(UNEVEN)!r}).revision, 'torch' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [resolve(UNEVEN).revision, "False"]


# ---- the hub --------------------------------------------------------------------------------


def test_the_pinned_artefacts_are_the_published_ones() -> None:
    assert PUBLISHED.keys() == {NAME}
    assert PUBLISHED[NAME].revision == "30355ce67960e4cc1562e4e5fa154baf86a21430"
    assert PUBLISHED[NAME].sha256 == {
        "config.json": "c8195b4a4e1c318253b2eb362165784b213e830703837c020c7d034211817af2",
        "model.safetensors": "7c8c461867815d86d42013b2f55ca79e9bb8ea9fa129f377c1bced9f8b66a743",
    }
    assert TOKENIZER_REPO == "FacebookAI/roberta-base"
    assert TOKENIZER_REVISION == "e2da8e2f811d1448a5b465c236feacd80ffbac7b"
    assert checkpoint.TOKENIZER_VOCAB == ROBERTA_VOCAB


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache in place of the user's."""
    assert huggingface_hub.constants.is_offline_mode()
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    return folder


def put(cache: Path, repo: str, revision: str, files: dict[str, bytes]) -> Path:
    """A snapshot as the hub's client leaves it: blobs, links to them, and what `main` is."""
    root = cache / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / revision
    for folder in (snapshot, root / "blobs", root / "refs"):
        folder.mkdir(parents=True)
    for i, (name, content) in enumerate(files.items()):
        (root / "blobs" / str(i)).write_bytes(content)
        (snapshot / name).symlink_to(root / "blobs" / str(i))
    (root / "refs" / "main").write_text(revision)
    return snapshot


def golden_files() -> dict[str, bytes]:
    return {name: (UNEVEN / name).read_bytes() for name in ("config.json", "model.safetensors")}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> str:
    """The pinned revision, with the hashes of the golden model's files as the pinned ones.

    It stands in for the 2.9 GB weights.
    """
    hashes = {name: checkpoint.sha256(UNEVEN / name) for name in golden_files()}
    stand_in = dataclasses.replace(PUBLISHED[NAME], sha256=hashes)
    monkeypatch.setitem(PUBLISHED, NAME, stand_in)
    return stand_in.revision


def test_the_published_model_loads_from_the_cache_without_a_network(
    cache: Path, published: str
) -> None:
    snapshot = put(cache, NAME, published, golden_files())
    model = clsp.load(NAME)
    assert agrees_with_golden(model)
    assert model.checkpoint == checkpoint.Checkpoint(NAME, published, snapshot)


def test_a_changed_byte_is_told_with_both_hashes(cache: Path, published: str) -> None:
    files = golden_files()
    whole = files["model.safetensors"]
    files["model.safetensors"] = whole[:-1] + bytes([whole[-1] ^ 1])
    snapshot = put(cache, NAME, published, files)
    with pytest.raises(CheckpointMismatch) as refused:
        clsp.load(NAME)
    for hash_ in (
        checkpoint.sha256(UNEVEN / "model.safetensors"),
        checkpoint.sha256(snapshot / "model.safetensors"),
    ):
        assert hash_ in str(refused.value)


def test_another_model_under_the_published_name_is_refused(cache: Path) -> None:
    put(cache, NAME, PUBLISHED[NAME].revision, golden_files())
    with pytest.raises(CheckpointMismatch, match=r"config\.json.*c8195b4a"):
        clsp.load(NAME)


@pytest.mark.parametrize("there", [(), ("config.json",)])
def test_without_cache_and_network_the_way_to_get_the_model_is_told(
    cache: Path, published: str, there: tuple[str, ...]
) -> None:
    files = golden_files()
    put(cache, NAME, published, {name: files[name] for name in there})
    with pytest.raises(ModelNotFound) as refused:
        clsp.load(NAME)
    first_missing = next(name for name in files if name not in there)
    for told in (
        f"{first_missing} of {NAME}",
        published,
        str(cache),
        "HF_HUB_OFFLINE",
        f"hf download {NAME} --revision {published}",
    ):
        assert told in str(refused.value)


def test_another_revision_in_the_cache_is_not_taken_for_the_pinned_one(
    cache: Path, published: str
) -> None:
    put(cache, NAME, "0" * 40, golden_files())
    with pytest.raises(ModelNotFound, match=published):
        clsp.load(NAME)


def with_code(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, with a config that asks for the repository's own code, and code that raises."""
    classes = {"AutoConfig": "remote.CLSPConfig", "AutoModel": "remote.CLSPModel"}
    config = {**json.loads(files["config.json"]), "auto_map": classes}
    code = b"raise SystemExit('code from the repository was run')\n"
    return {**files, "config.json": json.dumps(config).encode(), "remote.py": code}


def test_code_in_the_repository_is_never_run(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = PUBLISHED[NAME].revision
    snapshot = put(cache, NAME, revision, with_code(golden_files()))
    hashes = {name: checkpoint.sha256(snapshot / name) for name in golden_files()}
    monkeypatch.setitem(PUBLISHED, NAME, checkpoint.Published(revision, hashes))
    doors = (clsp.load(NAME), clsp.load(snapshot), AutoModel.from_pretrained(snapshot))
    for model, kind in zip(doors, (Embedder, Embedder, CLSPModel), strict=True):
        assert type(model) is kind
    assert type(AutoConfig.from_pretrained(snapshot)) is CLSPConfig


def test_the_published_loading_line_runs_no_code_of_the_hub_with_one_changed_import(
    cache: Path, published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clsp import CLSPModel as AutoModel

    files = with_code(golden_files())
    snapshot = put(cache, NAME, published, files)
    hashes = {name: checkpoint.sha256(snapshot / name) for name in PUBLISHED[NAME].sha256}
    monkeypatch.setitem(PUBLISHED, NAME, dataclasses.replace(PUBLISHED[NAME], sha256=hashes))
    model = AutoModel.from_pretrained(NAME, trust_remote_code=True)
    assert type(model) is CLSPModel
    assert agrees_with_golden(model)


# ---- tokenizers -----------------------------------------------------------------------------


def roberta_files() -> dict[str, bytes]:
    """A byte-level BPE of RoBERTa's size: it stands in for FacebookAI/roberta-base's files."""
    from tokenizers.pre_tokenizers import ByteLevel

    words = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "Ġa", "<mask>"]
    words[-1:-1] = [f"filler{i}" for i in range(ROBERTA_VOCAB - len(words))]
    vocab = {word: i for i, word in enumerate(words)}
    return {
        "vocab.json": json.dumps(vocab).encode(),
        "merges.txt": "#version: 0.2\nĠ a\n".encode(),
        "config.json": b'{"model_type": "roberta"}',
        "tokenizer_config.json": b'{"model_max_length": 512}',
    }


def test_robertas_tokenizer_comes_from_the_cache_at_its_pinned_revision(cache: Path) -> None:
    put(cache, TOKENIZER_REPO, TOKENIZER_REVISION, roberta_files())
    tokenizer = load_tokenizer(CLSPConfig())
    assert len(tokenizer) == ROBERTA_VOCAB
    vocab = json.loads(roberta_files()["vocab.json"])
    expected = [0, *(vocab[token] for token in ("b", "Ġa", "d")), 2]
    assert tokenizer("b ad")["input_ids"] == expected


def test_without_robertas_tokenizer_the_way_to_get_it_is_told(cache: Path) -> None:
    with pytest.raises(ModelNotFound) as refused:
        load_tokenizer(CLSPConfig())
    assert TOKENIZER_REPO in str(refused.value)
    assert f"--revision {TOKENIZER_REVISION}" in str(refused.value)


def test_another_revision_of_robertas_tokenizer_is_not_used(cache: Path) -> None:
    put(cache, TOKENIZER_REPO, "0" * 40, roberta_files())
    with pytest.raises(ModelNotFound, match=TOKENIZER_REVISION):
        load_tokenizer(CLSPConfig())


def test_the_tokenizer_beside_the_weights_wins(
    tmp_path: Path, cache: Path, tiny: CLSPModel
) -> None:
    put(cache, TOKENIZER_REPO, TOKENIZER_REVISION, roberta_files())
    tiny.tokenizer.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(CLSPConfig(_name_or_path=str(tmp_path)))
    assert tokenizer.get_vocab() == tiny.tokenizer.get_vocab()


def test_a_vocabulary_that_is_not_robertas_needs_its_own_tokenizer(cache: Path) -> None:
    put(cache, TOKENIZER_REPO, TOKENIZER_REVISION, roberta_files())
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json.*vocabulary of 320") as refused:
        clsp.load(UNEVEN).embed_text(["A male speaker."])
    assert str(UNEVEN) in str(refused.value)


def test_a_tokenizer_that_lies_in_the_working_directory_is_nobodys(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, tiny: CLSPModel
) -> None:
    tiny.tokenizer.save_pretrained(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFound):
        load_tokenizer(CLSPConfig.tiny())


@pytest.fixture
def own(tmp_path: Path, tiny: Embedder) -> Path:
    """The embedded model in a folder of its own, with its tokenizer."""
    return Path(shutil.copytree(tiny.checkpoint.folder, tmp_path / "own"))


@pytest.mark.parametrize("content", [None, "{}", "null"])
def test_a_tokenizer_cut_off_is_a_mismatch(own: Path, content: str | None) -> None:
    file = own / "tokenizer.json"
    file.write_text(file.read_text()[:5_000] if content is None else content)
    for use in (lambda m: m.embed_text(["A man."]), lambda m: m.save_pretrained(own.parent / "b")):
        with pytest.raises(
            CheckpointMismatch, match=rf"tokenizer\.json .* in {own} cannot be read"
        ):
            use(clsp.load(own))
    assert not (own.parent / "b" / "config.json").exists()


@pytest.mark.parametrize("load", [clsp.load, CLSPModel.from_pretrained])
def test_a_model_whose_tokenizer_is_gone_is_not_saved_without(own: Path, load) -> None:
    model, other = load(own), load(own)
    assert other.tokenizer is not None
    shutil.rmtree(own)
    with pytest.raises(ModelNotFound, match=rf"no tokenizer\.json in {own}.*set model\.tokenizer"):
        model.save_pretrained(own.parent / "saved")
    assert not list(own.parent.glob("saved/*"))
    other.save_pretrained(own.parent / "saved")
    assert clsp.load(own.parent / "saved").embed_text(["A man."]).shape[0] == 1


# ---- what is saved --------------------------------------------------------------------------


@pytest.mark.parametrize("load", [clsp.load, CLSPModel.from_pretrained])
def test_a_saved_config_tells_the_weights_own_number_format(tmp_path: Path, load) -> None:
    load("tiny").save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors").values()
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float32"
    assert {tensor.dtype for tensor in saved} == {torch.float32}
    assert CLSPModel.from_pretrained(tmp_path, dtype="auto").dtype == torch.float32


@pytest.mark.parametrize("load", [clsp.load, CLSPModel.from_pretrained])
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_saved_weights_may_be_read_by_whom_the_umask_lets(
    tmp_path: Path, load, umask: int, mode: int
) -> None:
    model, before = load(UNEVEN), os.umask(umask)
    try:
        model.save_pretrained(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model.safetensors").stat().st_mode) == mode


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_here_is_named(device: str) -> None:
    with pytest.raises(InputError, match=rf"device '{device}': .*\. Expected 'cpu', or 'cuda'"):
        clsp.load("tiny", device=device)
