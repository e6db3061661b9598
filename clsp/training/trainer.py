"""Trains a CLSP model on captioned clips, in the paper's two stages; stop it and it goes on.

    report = Trainer(model, train, dev, options, out).run()

Nothing is drawn from a generator that lives on: dropout is seeded anew for each step from the
seed, the step and the process, and batches follow from seed, epoch and step. So a checkpoint is
weights, the optimiser's moments, and a few numbers; resuming at a step equals never having stopped.

There is no gradient accumulation: a clip is compared with the others of its batch, so two halves
accumulated are not one batch. For more comparisons use more processes (torchrun): the loss is that
of the whole batch. Knows nothing of data sets, YAML or the terminal.
"""

import json
import math
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from clsp.embedder import Embedder
from clsp.errors import InputError, TrainingCollapsed
from clsp.training import checkpoints, contrastive, devset, optimise, parallel, splits, start
from clsp.training.batches import Batch, Batches, Example, Lost
from clsp.training.options import MAY_CHANGE, ModelOptions, TrainOptions
from clsp.training.watch import Watch

LOG = "log.jsonl"
Say = Callable[[dict[str, Any]], None]


class Both(nn.Module):
    """Both encoders in one call, which is what DistributedDataParallel wants to wrap."""

    def __init__(self, model: Embedder) -> None:
        super().__init__()
        self.inner = model.model

    def forward(
        self, features: Tensor, lengths: Tensor, ids: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        inner = self.inner
        audio, text = inner.pooled_audio(features, lengths), inner.text_pooled(ids, mask)
        with torch.autocast(features.device.type, enabled=False):  # bfloat16 is no unit length
            return (
                inner.audio_head(audio.float()),
                inner.text_head(text.float()),
                inner.logit_scale.exp(),
            )


class Trainer:
    """One run. `out` becomes a model folder: its weights are the best so far on `dev`, or the last
    where there is no dev set. `provenance` says where the data comes from; it goes into
    training.json, and a run is resumed only on the same. `say` is told of every logged step."""

    def __init__(
        self, model: Embedder, train: Sequence[Example], dev: Sequence[Example],
        options: TrainOptions, out: Path, *, model_options: ModelOptions | None = None,
        device: str = "cpu", provenance: dict[str, Any] | None = None, say: Say = lambda line: None,
    ) -> None:  # fmt: skip
        self.options, self.model_options = options, model_options or ModelOptions()
        self.out, self.device, self.say = out, torch.device(device), say
        self.provenance = provenance or {}
        self._check(train, dev)
        self.model = model.to(self.device)
        self.started_from = start.revision(model, self.model_options.init)
        self.frozen = optimise.freeze(model, self.model_options.freeze)
        self.optimiser = optimise.optimiser(model, self.model_options, options)
        rates = optimise.rates(model, self.model_options)
        self.learns_temperature = rates.get("logit_scale", 0.0) > 0
        self.batches = Batches(train, options, parallel.world(), parallel.own_slice)
        measured = splits.draw([one.name for one in dev], options.eval_clips)
        self.dev, self.dev_lost = [dev[number] for number in measured], Lost()
        both = Both(model)
        self.both = (
            DistributedDataParallel(both, broadcast_buffers=False) if parallel.world() > 1 else both
        )
        self.watch = Watch(options.collapse_steps, options.collapse_cosine)
        self.step_done, self.place = 0, (0, 0)
        self.best: dict[str, float] | None = None
        self.exported: dict[str, float] | None = None  # what is in `out`: the best, as a rule
        self.since_best, self.seconds = 0, 0.0

    def _check(self, train: Sequence[Example], dev: Sequence[Example]) -> None:
        stage = self.options.stage
        for one in (*train, *dev):
            if not contrastive.enough_texts(one.fine_captions, one.global_captions, stage):
                raise InputError(
                    f"{one.name} has too few captions; stage {stage} wants {stage} different "
                    "one(s) for every clip: leave it out"
                )
        if len(train) < 2 or len(dev) == 1:
            raise InputError(
                f"{len(train)} clips to learn from and {len(dev)} dev clips: expected at least 2 "
                "of each, or no dev clip (dev_split names them; where no clip has a split, "
                "dev_share says how many, and 0 none)"
            )

    # ---- the run ----------------------------------------------------------------------------

    def run(self, resume: bool = True) -> dict[str, Any]:
        """Train to the end, from the latest checkpoint in `out` if there is one.

        Raises TrainingCollapsed, and InputError when what is in `out` was made otherwise.
        """
        saved = checkpoints.latest(self._checkpoints) if resume else None
        if saved:
            self._restore(saved)
        elif parallel.rank() == 0:
            self._clear()
        parallel.wait()
        self._train_mode()
        began, steady = time.monotonic(), self.seconds
        batches = self.batches.from_place(self.step_done, *self.place)
        try:
            while not self._over():
                batch = next(batches)
                found = self._step(batch)
                self.step_done, self.place = self.step_done + 1, batch.place
                self.seconds = steady + time.monotonic() - began
                last = self.step_done == self.options.steps
                if last or self.step_done % self.options.log_every == 0:
                    self._log({"step": self.step_done, **found})
                if self.dev and (last or self.step_done % self.options.eval_every == 0):
                    self._evaluate()
                if self._over() or self.step_done % self.options.save_every == 0:
                    self._save()
        finally:
            batches.close()
            self.model.eval()
        if parallel.rank() == 0:
            if self.best is None:
                start.export(self.model, self.out, self.notes())
            else:
                start.record(self.out, {**self.notes(), "best": self.exported})
        parallel.wait()
        return self.notes()

    def _over(self) -> bool:
        patience = self.options.patience
        tired = patience is not None and self.since_best >= patience
        return tired or self.step_done >= self.options.steps

    def _step(self, batch: Batch) -> dict[str, float]:
        """One update of the weights; returns what was seen."""
        step = self.step_done
        _seed(self.options.seed, step)
        rate = optimise.rate_at(step, self.options)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        flat = [text for texts in zip(*batch.texts, strict=True) for text in texts]
        each = len(batch.texts[0])
        with self._autocast():
            audio, text, scale = self.both(
                batch.features.to(self.device),
                batch.lengths.to(self.device),
                *self.model.tokens(flat),
            )
        rows = torch.stack([audio.float(), *text.float().chunk(each)], dim=1)
        rows = parallel.gather_rows(rows)  # (clips of the whole batch, 1 + texts of each, dim)
        audio, texts = rows[:, 0], rows[:, 1:]
        loss = contrastive.loss_of(audio, texts, scale.float())
        self.optimiser.zero_grad()
        loss.backward()
        learning = [p for group in self.optimiser.param_groups for p in group["params"]]
        norm = float(nn.utils.clip_grad_norm_(learning, self.options.clip_norm))
        found = {
            "loss": loss.item(),
            "chance": contrastive.chance(len(audio), each),
            "audio_cosine": contrastive.mean_cosine(audio.detach()),
            "text_cosine": contrastive.mean_cosine(texts[:, 0].detach()),
        }
        audio_cosine, text_cosine = found["audio_cosine"], found["text_cosine"]
        self.watch.look(step + 1, found["loss"], found["chance"], audio_cosine, text_cosine)
        if not math.isfinite(norm):
            raise TrainingCollapsed(
                f"the gradient is no number at step {step + 1} (norm {norm}, loss "
                f"{found['loss']:.4f}): lower learning_rate, and use precision: fp32"
            )
        self.optimiser.step()
        if self.learns_temperature:
            with torch.no_grad():
                self.model.model.logit_scale.clamp_(0, math.log(contrastive.MAX_SCALE))
        return {**found, "clips": len(audio), "scale": scale.item(), "gradient": norm, "rate": rate}

    def _autocast(self) -> Any:
        enabled = self.options.precision == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _train_mode(self) -> None:
        self.model.train()
        for module in self.frozen:
            module.eval()

    # ---- evaluation -------------------------------------------------------------------------

    def evaluate(self) -> dict[str, float]:
        """What `devset.measure` finds on the dev set, as the model is now."""
        self.model.eval()
        with torch.inference_mode():
            found = devset.measure(
                self.model, self.dev, self.options, self.dev_lost, self._autocast
            )
        self._train_mode()
        return found

    def _evaluate(self) -> None:
        found = self.evaluate()
        values = parallel.from_first(list(found.values()), self.device)  # all decide alike
        found = dict(zip(found, values, strict=True))
        self._log({"step": self.step_done, **{f"dev_{name}": v for name, v in found.items()}})
        if not math.isfinite(found["loss"]):
            raise TrainingCollapsed(f"the dev loss is no number at step {self.step_done}: {found}")
        monitor = self.options.monitor
        sign = 1 if monitor == "loss" else -1
        if self.best is not None and not sign * found[monitor] < sign * self.best[monitor]:
            self.since_best += 1
            return
        self.best, self.since_best = {"step": self.step_done, **found}, 0
        if parallel.rank() == 0:
            start.export(self.model, self.out, self.notes())
        self.exported = self.best

    # ---- what is kept -----------------------------------------------------------------------

    @property
    def _checkpoints(self) -> Path:
        return self.out / "checkpoints"

    def settings(self) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        kept = {k: v for k, v in asdict(self.options).items() if k not in MAY_CHANGE}
        said = {**asdict(self.model_options), "started_from": self.started_from, **kept}
        return dict(json.loads(json.dumps({**said, "data": self.provenance.get("digest")})))

    def notes(self) -> dict[str, Any]:
        """The record of the run so far, for training.json."""
        return {
            "started_from": self.started_from,
            "model": asdict(self.model_options),
            "train": asdict(self.options),
            "data": self.provenance,
            "steps": self.step_done,
            "epochs": self.place[0],
            "seconds": round(self.seconds, 1),
            "best": self.best,
            "lost": {**self.batches.lost.reasons, **self.dev_lost.reasons},
            "processes": parallel.world(),
            "device": self.device.type,
            "versions": start.versions(),
        }

    def _save(self) -> None:
        if parallel.rank() == 0:
            moments = {
                f"{name}/{key}": value
                for group in self.optimiser.param_groups
                for name, parameter in zip(group["names"], group["params"], strict=True)
                for key, value in self.optimiser.state[parameter].items()
            }
            weights = self.model.model.state_dict()
            state = {
                "place": self.place, "best": self.best, "since_best": self.since_best,
                "seconds": self.seconds, "alike": self.watch.alike, "stuck": self.watch.stuck,
                "lost": self.batches.lost.reasons, "settings": self.settings(),
            }  # fmt: skip
            files = {checkpoints.MODEL: weights, checkpoints.OPTIMISER: moments}
            checkpoints.save(self._checkpoints, self.step_done, files, state, self.options.keep)
        parallel.wait()

    def _restore(self, saved: checkpoints.Saved) -> None:
        state, wanted = saved.state, self.settings()
        before = state["settings"]
        if other := [k for k in {**before, **wanted} if before.get(k) != wanted.get(k)]:
            told = ", ".join(f"{k} was {before.get(k)!r}, is {wanted.get(k)!r}" for k in other)
            raise InputError(
                f"{saved.folder} was made otherwise: {told}. Train with what it was, into another "
                "folder, or anew (--no-resume)"
            )
        self.model.model.load_state_dict(saved.tensors(checkpoints.MODEL))
        moments = saved.tensors(checkpoints.OPTIMISER)
        for group in self.optimiser.param_groups:
            for name, parameter in zip(group["names"], group["params"], strict=True):
                kept = {key: moments[f"{name}/{key}"] for key in ("step", "exp_avg", "exp_avg_sq")}
                self.optimiser.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device)
                    for key, value in kept.items()
                }
        self.step_done, self.place = saved.step, (state["place"][0], state["place"][1])
        self.best, self.since_best = state["best"], state["since_best"]
        # Of a later step than the checkpoint's where the run was cut off between the two; it stays,
        # if what is done otherwise now (`steps`, `eval_every`) finds no better one.
        self.exported = start.recorded_best(self.out) or self.best
        self.seconds = state["seconds"]
        self.batches.lost.reasons.update(state["lost"])
        self.watch.alike, self.watch.stuck = state["alike"], state["stuck"]
        log = self.out / LOG
        if parallel.rank() == 0 and log.is_file():  # what came after the checkpoint comes again
            _cut(log, saved.step)

    def _clear(self) -> None:
        """Start over: what an earlier run left in `out`, but for its model, goes."""
        shutil.rmtree(self._checkpoints, ignore_errors=True)
        (self.out / LOG).unlink(missing_ok=True)
        self.out.mkdir(parents=True, exist_ok=True)

    def _log(self, line: dict[str, Any]) -> None:
        if parallel.rank() == 0:
            with (self.out / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            self.say(line)


def _cut(log: Path, step: int) -> None:
    """Keep the lines up to a step; one that was being written when the run died is no line."""
    kept = []
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    log.write_text("".join(kept), encoding="utf-8")


def _seed(seed: int, step: int) -> None:
    """Every generator that something below may draw from, for one step of this process."""
    one = int(np.random.SeedSequence([seed, step, parallel.rank()]).generate_state(1)[0])
    torch.manual_seed(one)
    np.random.seed(one)
    random.seed(one)
