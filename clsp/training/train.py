"""Train the embedded tiny model on a data set made by clsp.training.synthesise.

    python -m clsp.training.train --data DIR --out clsp/assets/tiny [--seeds 1 2] [--jobs 2]
        [--processes 2]

One model a seed, --jobs seeds side by side, each in --processes that share its batches (a small
model gains little from a second thread); the dev voices decide which is written. Phases 1 to 3 of
phases.py (polish.py is the fourth); each one's result is kept in DIR/run-SEED, so a run that was
cut off goes on after the last finished phase.
Writes config.json, model.safetensors (float16), the tokenizer and training.json. It does not know
the test voices.
"""

import argparse
import copy
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from clsp.architecture import Architecture
from clsp.embedder import Embedder
from clsp.errors import InputError
from clsp.training import captions, losses, parallel, phases
from clsp.training.dataset import Clips, load
from clsp.training.evaluate import balanced_accuracy, evaluate
from clsp.training.texts import english_lines
from clsp.training.tokenizer import MAX_TOKENS, VOCAB_SIZE, save_tokenizer, train_tokenizer
from clsp.training.vocabulary import WORDS
from clsp.training.wording import PROMPTS

STEPS = {"attributes": 4_000, "text": 2_000, "align": 1_800}
BATCH = {"attributes": 48, "text": 128, "align": 128}  # of all processes together
TOKENIZER_CAPTIONS = 30_000
LEAST_SHARE = 8  # clips of a batch for each process: heads are normed over them
PAD_ID = 1
POOL_ROUNDS = 2
POOLED_CLIPS = 12_000  # that phase 3 learns from, at most
# What the dev voices decide by: the mean balanced accuracy of these questions, by the canonical
# prompts and in one word a class.
DECIDING = ("gender", "whisper", "level", "pitch", "rate", "quality", "child or adult")


def make_tokenizer(seed: int) -> Tokenizer:
    """From captions of imagined clips, every canonical prompt, and English lines for the rest."""
    rng = np.random.default_rng([seed, 0])
    texts = [
        captions.caption(captions.random_claims(rng), rng).text for _ in range(TOKENIZER_CAPTIONS)
    ]
    prompts = [prompt for classes in PROMPTS.values() for prompt in classes.values()]
    return train_tokenizer([*texts, *prompts * 100, *english_lines()], VOCAB_SIZE)


def encoder_of(tokenizer: Tokenizer) -> phases.Encode:
    """Texts to padded ids and their mask."""
    tokenizer.enable_padding(pad_id=PAD_ID, pad_token="<pad>")
    tokenizer.enable_truncation(MAX_TOKENS)

    def encode(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = tokenizer.encode_batch(texts)
        ids = torch.tensor([one.ids for one in batch])
        return ids, torch.tensor([one.attention_mask for one in batch])

    return encode


def unrelated_words(limit: int = 1_500) -> list[str]:
    """Words of the English lines that no caption uses."""
    used = set(json.dumps([vars(words) for words in WORDS.values()]).lower().split())
    used |= {w.strip("\"',.|") for entry in used for w in entry.replace("|", " ").split()}
    found = {
        word.strip(".,!?;'").lower() for line in english_lines() for word in line.split()
    } - used
    return sorted(word for word in found if len(word) > 3)[:: max(len(found) // limit, 1)]


@torch.inference_mode()
def heads_accuracy(heads: nn.Module, pooled: torch.Tensor, clips: Clips) -> dict[str, float]:
    """Balanced accuracy of phase 1's linear heads: what the pooled audio holds."""
    logits, found = heads(pooled)[:, : len(captions.COLUMNS)], {}
    for attribute in losses.LEARNT:
        states = clips.known[:, losses.SPANS[attribute]] == captions.YES
        labelled = states.sum(1) == 1
        answers = logits[labelled, losses.SPANS[attribute]].argmax(1).numpy()
        truth = states[labelled].argmax(1)
        found[attribute] = round(balanced_accuracy(answers, truth, states.shape[1]), 3)
    return found


def save(model: Embedder, tokenizer: Tokenizer, notes: dict, out: Path) -> None:
    """Write the model's files, each put in place whole; other files in `out` stay."""
    with tempfile.TemporaryDirectory(dir=_made(out).parent, prefix=".tiny-") as name:
        folder = Path(name)
        copied = copy.deepcopy(model).half()
        copied.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
        (folder / "training.json").write_text(json.dumps(notes, indent=1) + "\n")
        _put(folder, out)


def publish(model: Path, scores: dict[int, float], out: Path) -> None:
    """Write a seed's model to `out` as `save` does, with the scores of all seeds in its notes."""
    notes = json.loads((model / "training.json").read_text()) | {"dev_score_by_seed": scores}
    with tempfile.TemporaryDirectory(dir=_made(out).parent, prefix=".tiny-") as name:
        folder = Path(shutil.copytree(model, Path(name) / "model"))
        (folder / "training.json").write_text(json.dumps(notes, indent=1) + "\n")
        _put(folder, out)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _put(files: Path, out: Path) -> None:
    """Move files to `out`, each in place whole; others there stay."""
    for path in sorted(files.iterdir()):
        path.chmod(0o644)
        path.replace(out / path.name)


def dev_score(measured: dict) -> float:
    """One number for how good a model is on the dev voices."""
    answers = [measured[wording] for wording in ("zero_shot", "in_one_word")]
    return float(np.mean([a[name]["balanced_accuracy"] for a in answers for name in DECIDING]))


def train(data: Path, seed: int, steps: dict[str, int], threads: int) -> dict:
    """Run its phases; returns notes with what the dev voices say. The model is DIR/run-SEED's.

    Of several processes that joined, each has its share of every batch and, in phase 3, of the
    clips; the first one writes what is made, and the others return nothing.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    own, processes = parallel.rank(), parallel.world()
    run = data / f"run-{seed}"
    run.mkdir(exist_ok=True)
    splits = load(data)
    clips, dev = splits["train"], splits["dev"]
    print(f"seed {seed}: {len(clips)} clips to learn from, {len(dev)} dev clips", flush=True)
    tokenizer = make_tokenizer(seed)
    encode, words = encoder_of(tokenizer), unrelated_words()
    model = Embedder(Architecture.tiny(text_config={"vocab_size": tokenizer.get_vocab_size()}))
    if own == 0:
        save_tokenizer(tokenizer, run)
    model.config._name_or_path = str(run)  # where the model finds its tokenizer
    sample = clips.frames[0][:100_000].astype(np.float32)
    phases.start_front_end(model, float(sample.mean()), float(sample.std()))
    notes: dict = {"seed": seed, "clips": len(clips), "steps": steps}
    torch.manual_seed(seed + own)  # the same model in all processes, other dropout
    if own == 0:
        made_of = {"clips": len(clips), "steps": steps, "processes": processes}
        require_same(run / "made-of.json", made_of)
    parallel.wait()

    def phase(name: str, work: Callable[[], object]) -> None:
        path, clock = run / f"{name}.pt", run / f"{name}.seconds"
        if path.is_file():
            model.load_state_dict(torch.load(path, weights_only=True))
            model.eval()
            print(f"seed {seed}: {name} taken from {path}", flush=True)
            return
        began = time.monotonic()
        work()
        if own:
            return
        clock.write_text(f"{time.monotonic() - began:.0f}")
        partial = path.with_suffix(".partial")
        torch.save(model.state_dict(), partial)
        partial.replace(path)

    def first() -> None:
        count, batch = steps["attributes"], BATCH["attributes"] // processes
        heads = phases.learn_attributes(model, clips, count, batch, seed)
        if own == 0:
            found = heads_accuracy(heads, phases.pool(model, dev)[0], dev)
            print(f"seed {seed}: dev, linear heads on pooled audio: {found}", flush=True)

    def third() -> None:
        some = clips.every(-(-processes * len(clips) // POOLED_CLIPS), own)
        pooled = phases.pool(model, some, POOL_ROUNDS, seed)
        count, batch = steps["align"], BATCH["align"] // processes
        phases.align(model, some, encode, words, count, batch, seed, pooled)

    phase("attributes", first)
    phase("text", lambda: phases.learn_text(
        model, encode, words, steps["text"], BATCH["text"] // processes, seed))  # fmt: skip
    phase("align", third)
    if own:
        return {}
    notes["dev"] = evaluate(model, dev)
    print(f"seed {seed}: dev after align: {json.dumps(notes['dev'])}", flush=True)
    notes["seconds"] = {path.stem: int(path.read_text()) for path in sorted(run.glob("*.seconds"))}
    notes["dev_score"] = round(dev_score(notes["dev"]), 4)
    save(model, tokenizer, notes, run / "model")
    return notes


def joined(own: int, count: int, meeting: Path, *given: Any) -> dict:
    """`train` as one of `count` processes, which meet at a file that is not there yet."""
    with parallel.group(own, count, meeting):
        return train(*given)


def require_same(record: Path, made_of: dict) -> None:
    """Note what a run's phases are made of. Raises InputError where others are there already."""
    if record.is_file() and (before := json.loads(record.read_text())) != made_of:
        raise InputError(
            f"{record.parent} holds phases made of {before}; expected {made_of}. Remove that "
            "folder, or train with what it was"
        )
    record.write_text(json.dumps(made_of) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--jobs", type=int, default=1, help="seeds trained at once")
    parser.add_argument("--processes", type=int, default=1, help="that share a seed's batches")
    for name, count in STEPS.items():
        parser.add_argument(f"--{name}-steps", type=int, default=count)
    given = parser.parse_args()
    if not 1 <= given.processes <= (most := min(BATCH.values()) // LEAST_SHARE):
        parser.error(f"--processes {given.processes}: expected 1 to {most}, by the smallest batch")
    steps = {name: getattr(given, f"{name}_steps") for name in STEPS}
    load(given.data)  # features are worked out once, before the seeds part
    count = given.processes
    jobs = min(given.jobs, len(given.seeds))
    threads = max((os.cpu_count() or 1) // (jobs * count), 1)
    with (
        tempfile.TemporaryDirectory(prefix="clsp-train-") as name,
        ProcessPoolExecutor(jobs * count, mp_context=get_context("spawn")) as pool,
    ):
        # In this order, whoever waits for the rest of its seed waits for the next in the queue.
        runs = [
            pool.submit(joined, own, count, Path(name, str(seed)), given.data, seed, steps, threads)
            for seed in given.seeds
            for own in range(count)
        ]
        trained = [notes for run in runs if (notes := run.result())]
    scores = {notes["seed"]: notes["dev_score"] for notes in trained}
    best = max(trained, key=lambda notes: notes["dev_score"])
    publish(given.data / f"run-{best['seed']}" / "model", scores, given.out)
    print(f"seed {best['seed']} of {scores} is best on the dev voices: {given.out}")


if __name__ == "__main__":
    main()
