"""Data never becomes code: no pickle, no eval, no shell, no code from a model folder or a hub."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import clsp
from clsp.errors import ClspError
from clsp.training import checkpoints

ROOT = Path(__file__).parents[2]
# (file, what is called): why it may stay.
ALLOWED = {
    ("clsp/__init__.py", "importlib.import_module"): "its own modules, from a table of names in it",
    ("flows/deploy.py", "importlib.import_module"): "our own flows, from a table of names in it",
    ("pipelines/taxonomy.py", "yaml.load"): "with _Loader, a SafeLoader that refuses doubled keys",
    ("pipelines/voice.py", "torch.jit.load"): "weights inside the pinned silero-vad wheel, no data",
}
BANNED = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.jit.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.unsafe_load_all",
    "importlib.import_module", "runpy.run_path", "torch.hub.load", "pandas.read_pickle",
}  # fmt: skip
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls by their full name, whatever a module or function was imported as."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {e.asname or e.name: f"{node.module}.{e.name}" for e in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            dotted = ast.unparse(node.func)
            first, dot, rest = dotted.partition(".")
            yield names.get(dotted, names.get(first, first) + dot + rest), node


def problems(code: str) -> list[str]:
    """What of a module could make code of data, by the name of the call."""
    found = []
    for name, node in calls(ast.parse(code)):
        given = {each.arg: ast.unparse(each.value) for each in node.keywords}
        unsafe = name in BANNED or name.split(".")[0] in MODULES
        unsafe |= name == "torch.load" and given.get("weights_only") != "True"
        unsafe |= name.startswith("numpy.") and given.get("allow_pickle", "False") != "False"
        unsafe |= name.startswith("subprocess.") and given.get("shell", "False") != "False"
        unsafe |= given.get("trust_remote_code", "False") != "False"
        if unsafe:
            found.append(name)
    return found


@pytest.mark.parametrize(
    "code",
    [
        "import pickle as p\np.loads(b'')", "from pickle import load\nload(f)", "eval('1')",
        "import torch\ntorch.load(path)", "import torch as t\nt.load(path, weights_only=flag)",
        "from torch import jit\njit.load(path)",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "import yaml\nyaml.load(text)", "import subprocess as s\ns.run(line, shell=True)",
        "import os\nos.system(line)", "from os import system as f\nf(line)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)", "import joblib\njoblib.load(p)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(code):
    assert len(problems(code)) == 1


def test_no_module_makes_code_of_data():
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for floor in ("clsp", "pipelines", "flows")
        for path in sorted((ROOT / floor).rglob("*.py"))
        for name in problems(path.read_text(encoding="utf-8"))
    }
    assert ("pipelines/taxonomy.py", "yaml.load") in found  # the search sees the whole tree
    assert found <= set(ALLOWED)


class Planted:
    """A pickle that makes a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> object:
        return (Path.touch, (self.mark,))


def test_a_planted_checkpoint_or_model_runs_nothing(tmp_path, tiny):
    import json

    mark = tmp_path / "ran"
    evil = pickle.dumps(Planted(mark))
    pickle.loads(evil)
    assert mark.exists()  # it is a weapon
    mark.unlink()

    folder = tmp_path / "checkpoints/step-00000001"
    folder.mkdir(parents=True)
    sizes = {name: len(evil) for name in (checkpoints.MODEL, checkpoints.OPTIMISER)}
    for name in sizes:
        (folder / name).write_bytes(evil)
    (folder / checkpoints.STATE).write_text(json.dumps({"step": 1, "files": sizes}))
    saved = checkpoints.latest(tmp_path / "checkpoints")
    assert saved is not None
    for name in sizes:
        with pytest.raises(ClspError, match="cannot be read"):
            saved.tensors(name)

    for name in ("model.safetensors", "pytorch_model.bin"):
        model = tmp_path / name.replace(".", "-")
        tiny.save_pretrained(model)
        (model / "model.safetensors").unlink()
        (model / name).write_bytes(evil)
        code = f"import pathlib; pathlib.Path({str(mark)!r}).touch()"
        (model / "modeling_clsp.py").write_text(code)
        with pytest.raises(ClspError):
            clsp.load(str(model))
    assert not mark.exists()
