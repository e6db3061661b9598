"""Where a model comes from: the package, the hub at a pinned revision, or a folder.

Checks file hashes, loads strictly, runs no code from anywhere. `resolve` names a model without
importing torch; `load` gives it. Knows nothing of what is done with the model.

Hub access is huggingface_hub's: `HF_HUB_OFFLINE=1`, `HF_HOME` and `HF_TOKEN` mean what they always
mean, and files in its cache are used without a network.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsp.errors import CheckpointMismatch, InputError, ModelNotFound

if TYPE_CHECKING:
    from clsp.architecture import Architecture
    from clsp.embedder import Embedder

ASSETS = Path(__file__).parent / "assets"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"


@dataclass(frozen=True)
class Published:
    """A hub repository at one commit, with the sha256 of each file that is used."""

    revision: str
    sha256: dict[str, str]


PUBLISHED = {
    "yfyeung/CLSP": Published(
        revision="30355ce67960e4cc1562e4e5fa154baf86a21430",
        sha256={
            CONFIG: "c8195b4a4e1c318253b2eb362165784b213e830703837c020c7d034211817af2",
            WEIGHTS: "7c8c461867815d86d42013b2f55ca79e9bb8ea9fa129f377c1bced9f8b66a743",
        },
    ),
}
EMBEDDED = ("tiny",)

# What the speech encoder computes in, when it is loaded to be used and not trained; see packed.py.
PRECISIONS = ("float32", "bfloat16", "int8")
NAMES = (*EMBEDDED, *PUBLISHED)

# The published model's tokenizer is not in its repository: upstream fetches this one by name.
TOKENIZER_REPO = "FacebookAI/roberta-base"
TOKENIZER_REVISION = "e2da8e2f811d1448a5b465c236feacd80ffbac7b"
TOKENIZER_VOCAB = 50_265


@dataclass(frozen=True)
class Checkpoint:
    """A model that is at hand: what it is called, which exact version, and where its files lie."""

    name: str
    revision: str  # the hub's commit, or the first 16 hex digits of sha256 over config and weights
    folder: Path


def resolve(name: str | Path) -> Checkpoint:
    """Find a model's files and check them, without loading them.

    name: `tiny` (in the package), `yfyeung/CLSP` (hub, pinned revision), or a folder that holds
    `config.json` and `model.safetensors`; `~` is one's home.

    Raises ModelNotFound (unknown name, missing file, hub out of reach) or CheckpointMismatch (a
    file's hash is not the pinned one, or it cannot be read).
    """
    name = str(name)
    if name in EMBEDDED:
        return _folder(name, ASSETS / name)
    if name in PUBLISHED:
        return _published(name, PUBLISHED[name])
    why = "no such folder"
    try:
        if (folder := Path(name).expanduser()).is_dir():
            return _folder(folder.resolve().name, folder.resolve())
    except (OSError, RuntimeError) as error:  # not ours to enter, or the home of nobody known
        why = str(error)
    known = ", ".join(map(repr, NAMES))
    raise ModelNotFound(f"model {name!r}: expected one of {known}, or a folder; {why}")


def load(
    name: str | Path = "tiny",
    device: str = "cpu",
    dtype: Any = None,
    precision: str | None = None,
) -> "Embedder":
    """An Embedder ready to use: weights checked and complete, in eval mode.

    name: see `resolve`. dtype: a torch.dtype, float32 unless given; in float16 there is text only.
    precision: one of PRECISIONS makes the speech encoder as fast as it gets in it, and fit for
    nothing but embedding; it is made of float32, in which text stays. Without one the model is as
    published, and may be trained and saved. Its `checkpoint` attribute says what it is.

    Raises ModelNotFound or CheckpointMismatch, naming the file or tensor; InputError for a device
    that is not here, and a precision that there is not, or not on this device or in this dtype.
    """
    import torch
    from safetensors import SafetensorError

    from clsp.embedder import Embedder

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # what torch raises: no driver, none built in
        why = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"device {device!r}: {why}. Expected 'cpu', or 'cuda' where torch sees a GPU"
        ) from error
    dtype = dtype or torch.float32
    _require_dtype(dtype, precision)
    checkpoint = resolve(name)
    try:
        model = Embedder.read(checkpoint.folder, dtype)
    except (SafetensorError, OSError) as error:  # cut off, empty, a pointer to large storage
        raise CheckpointMismatch(
            f"{CONFIG} or {WEIGHTS} in {checkpoint.folder} cannot be read ({error}): download it "
            "again, whole"
        ) from error
    model.checkpoint = checkpoint
    model = model.to(device)
    if precision is not None:
        from clsp.packed import prepare

        prepare(model, precision)
    return model


def _require_dtype(dtype: Any, precision: str | None) -> None:
    import torch

    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InputError(f"dtype {dtype!r}: expected torch.float32 or torch.bfloat16")
    if precision in PRECISIONS and dtype != torch.float32:  # what it keeps of it would be lost
        raise InputError(
            f"precision {precision!r} with dtype {dtype}: expected torch.float32, of which it is "
            "made. Leave dtype out, or precision"
        )


def own_tokenizer(config: "Architecture") -> Path | None:
    """The folder the model came from, where a tokenizer lies beside the weights."""
    folder = Path(config._name_or_path)
    return folder if config._name_or_path and (folder / TOKENIZER).is_file() else None


def load_tokenizer(config: "Architecture") -> Any:
    """The tokenizer beside the weights, else RoBERTa's at its pinned revision from the hub.

    Raises ModelNotFound when neither is at hand, CheckpointMismatch for one that cannot be read.
    """
    from transformers import PreTrainedTokenizerFast, RobertaTokenizer

    if folder := own_tokenizer(config):
        with _whole(folder):
            return PreTrainedTokenizerFast.from_pretrained(folder)
    vocab = config.text_config.vocab_size
    if vocab != TOKENIZER_VOCAB:
        raise ModelNotFound(
            f"no tokenizer.json in {config._name_or_path or 'the model'}, and its vocabulary of "
            f"{vocab} is not {TOKENIZER_REPO}'s {TOKENIZER_VOCAB}: put its tokenizer.json there"
        )
    try:
        tokenizer = RobertaTokenizer.from_pretrained(TOKENIZER_REPO, revision=TOKENIZER_REVISION)
    except (OSError, ValueError) as error:  # what transformers raises for "not here", mostly
        raise ModelNotFound(_unreachable(TOKENIZER_REPO, TOKENIZER_REVISION)) from error
    if len(tokenizer) != TOKENIZER_VOCAB:  # else it makes one of five tokens, without a word
        raise ModelNotFound(_unreachable(TOKENIZER_REPO, TOKENIZER_REVISION))
    return tokenizer


def read_tokenizer(folder: Path) -> Any:
    """What a folder's tokenizer rests on, a tokenizers.Tokenizer: without transformers.

    Raises CheckpointMismatch for one that cannot be read.
    """
    from tokenizers import Tokenizer

    with _whole(folder):
        return Tokenizer.from_file(str(folder / TOKENIZER))


@contextmanager
def _whole(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # tokenizers' own are of no narrower class
        raise CheckpointMismatch(
            f"{TOKENIZER} or tokenizer_config.json in {folder} cannot be read ({error}): put the "
            "model's own there, whole"
        ) from error


def _published(name: str, published: Published) -> Checkpoint:
    """Config and weights only: the repository's Python files are never fetched."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    paths = {}
    for filename, expected in published.sha256.items():
        try:
            path = hf_hub_download(name, filename, revision=published.revision)
        except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
            raise ModelNotFound(_unreachable(name, published.revision, filename)) from error
        paths[filename] = Path(path)
        found = sha256(paths[filename])
        if found != expected:
            raise CheckpointMismatch(
                f"{filename} of {name} at {published.revision[:12]}: sha256 is {found}, expected "
                f"{expected}. Delete {path} and download it again"
            )
    return Checkpoint(name, published.revision, paths[CONFIG].parent)


def _unreachable(repo: str, revision: str, filename: str = "the tokenizer") -> str:
    from huggingface_hub import constants

    offline = " (HF_HUB_OFFLINE is set)" if constants.is_offline_mode() else ""
    return (
        f"{filename} of {repo} at revision {revision} is neither in the cache "
        f"{constants.HF_HUB_CACHE} nor to be had from the hub{offline}. Where there is a network, "
        f"run: hf download {repo} --revision {revision}"
    )


def _folder(name: str, folder: Path) -> Checkpoint:
    missing = [f for f in (CONFIG, WEIGHTS) if not (folder / f).is_file()]
    if missing:
        raise ModelNotFound(f"model {name!r}: no {' and no '.join(missing)} in {folder}")
    return Checkpoint(name, sha256(folder / CONFIG, folder / WEIGHTS)[:16], folder)


def sha256(*paths: Path) -> str:
    """Hex digest of the files' bytes, one after another. Raises CheckpointMismatch for a file that
    cannot be read."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise CheckpointMismatch(
                f"{path} cannot be read ({error.strerror}): expected a file that this user may "
                "read. Change its mode, or download it again"
            ) from error
    return digest.hexdigest()
