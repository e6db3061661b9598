"""How likely speech is in every 32 ms of a recording: silero-vad's network, on whole stretches.

Knows samples. Does not know files, nor what is made of the probabilities.

The library runs its network frame by frame, or through onnxruntime. All of it but one recurrent
layer looks at one frame alone, so here the frames of 8 s go through it at once, then the LSTM runs
over them: the same numbers (to 1e-4), at a tenth of the CPU time (`make bench`). A recording is
heard by itself, in stretches that depend on nothing else: what else is in a batch cannot matter.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clsp.errors import InputError
from clsp.features import SAMPLE_RATE, resample
from pipelines.errors import FailureKind, RecordingError, WorkerNotStarted

# silero-vad 6.2.3 (MIT), its current weights; silero_vad_16k.safetensors beside them are others.
WEIGHTS = "data/silero_vad.jit"
WEIGHTS_SHA256 = "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720"
FRAME = 512  # samples at 16 kHz: 32 ms
CONTEXT = 64  # samples of the frame before, which the network sees too
STRETCH_S = 8  # analysed at once
KERNEL_REACH = 8.0  # samples of the lower rate on each side: more than resampling looks at (6.06)


class VoiceActivity:
    """Speech probabilities of `channels` channels of one recording, each by itself."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._network = network()
        self._resampler = Resampler(sample_rate)
        self._rest = torch.zeros(channels, 0)  # at 16 kHz, less than a frame
        self._context = torch.zeros(channels, CONTEXT)
        self._state: tuple[Tensor, Tensor] | None = None

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take samples (n, channels); give (frames, channels), for what is known by now."""
        with torch.inference_mode():
            return self._frames(self._resampler.push(samples.T))

    def finish(self) -> np.ndarray:
        """The frames that are left; silence fills up the last."""
        with torch.inference_mode():
            left = self._resampler.finish()
            lacking = -(self._rest.shape[1] + left.shape[1]) % FRAME
            return self._frames(F.pad(left, (0, lacking)))

    def _frames(self, waveform: Tensor) -> np.ndarray:
        waveform = torch.cat([self._rest, waveform], dim=1)
        count = waveform.shape[1] // FRAME
        waveform, self._rest = waveform[:, : count * FRAME], waveform[:, count * FRAME :].clone()
        if count == 0:
            return np.zeros((0, len(waveform)), np.float32)
        heard = torch.cat([self._context, waveform], dim=1)
        self._context = heard[:, -CONTEXT:].clone()
        frames = heard.unfold(1, CONTEXT + FRAME, FRAME)  # (channels, frames, samples)
        likely, self._state = self._network(frames.transpose(0, 1), self._state)
        return np.asarray(likely.numpy())


class Resampler:
    """To 16 kHz, stretch by stretch, as if the whole had been resampled at once.

    Raises RecordingError(unsupported) for a rate that cannot be resampled.
    """

    def __init__(self, sample_rate: int) -> None:
        common = math.gcd(sample_rate, SAMPLE_RATE)
        self._old, self._new = sample_rate // common, SAMPLE_RATE // common
        self.sample_rate = sample_rate
        self._stretch = STRETCH_S * sample_rate
        reach = KERNEL_REACH * max(1.0, sample_rate / SAMPLE_RATE)
        self._edge = 0 if self._old == self._new else self._old * math.ceil(reach / self._old)
        self._parts: list[np.ndarray] = []
        self._count = 0  # samples in the parts
        self._before = 0  # of them, done before: there for the edge

    def push(self, samples: np.ndarray) -> Tensor:
        """(channels, n) at the old rate to (channels, m) at 16 kHz: whole stretches of 8 s."""
        self._parts.append(samples)
        self._count += samples.shape[1]
        done = []
        while self._count >= self._before + self._stretch + self._edge:
            done.append(self._take(self._stretch, self._edge))
        return torch.cat(done, dim=1) if done else torch.zeros(len(samples), 0)

    def finish(self) -> Tensor:
        """What is left."""
        return self._take(self._count - self._before, 0)

    def _take(self, length: int, after: int) -> Tensor:
        held = np.concatenate(self._parts, axis=1)
        waveform = torch.from_numpy(
            np.ascontiguousarray(held[:, : self._before + length + after], dtype=np.float32)
        )
        start = self._before * self._new // self._old
        end = start + -(-length * self._new // self._old)
        done = self._before + length
        self._before = min(self._edge, done)
        self._parts = [held[:, done - self._before :].copy()]
        self._count = self._parts[0].shape[1]
        try:
            return resample(waveform, self.sample_rate)[:, start:end]
        except InputError as error:
            raise RecordingError(FailureKind.UNSUPPORTED, str(error)) from error


class Network(nn.Module):
    """silero-vad's network of 16 kHz: (frames, channels, 576) to (frames, channels), 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.stft = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        shapes = ((129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1))
        self.encoder = nn.ModuleList(
            nn.Conv1d(old, new, 3, stride=stride, padding=1) for old, new, stride in shapes
        )
        self.rnn = nn.LSTM(128, 128)
        self.out = nn.Conv1d(128, 1, 1)

    def forward(
        self, frames: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        count, channels, _ = frames.shape
        x = F.pad(frames.reshape(count * channels, 1, -1), (0, 64), mode="reflect")
        x = self.stft(x)
        x = (x[:, :129].square() + x[:, 129:].square()).sqrt()
        for layer in self.encoder:
            x = layer(x).relu()
        x, state = self.rnn(x.reshape(count, channels, 128), state)
        x = self.out(x.relu().reshape(count * channels, 128, 1)).sigmoid()
        return x.reshape(count, channels), state


@lru_cache(maxsize=1)
def network() -> Network:
    """The network with its weights, on the CPU. Raises WorkerNotStarted where they are not those
    of the version that is expected: other weights would cut other segments."""
    spec = find_spec("silero_vad")  # not imported: that would leave torch with one thread
    path = Path(spec.origin).parent / WEIGHTS if spec and spec.origin else None
    data = path.read_bytes() if path and path.is_file() else b""
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256:
        raise WorkerNotStarted(
            f"voice activity needs silero-vad 6.2.3: {path or 'the package'} has sha256 "
            f"{found if data else 'none, it is not there'}, expected {WEIGHTS_SHA256}. "
            "Install what requirements.lock names (make setup)"
        )
    # Only the weights are taken of it; a scripted module runs no Python, and its hash is known.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch would rather have exports
        held = torch.jit.load(io.BytesIO(data), map_location="cpu").state_dict()
    made = Network().eval()
    made.load_state_dict(
        {
            "stft.weight": held["_model.stft.forward_basis_buffer"],
            **{
                f"encoder.{at}.{part}": held[f"_model.encoder.{at}.reparam_conv.{part}"]
                for at in range(4)
                for part in ("weight", "bias")
            },
            **{
                f"rnn.{part}_l0": held[f"_model.decoder.rnn.{part}"]
                for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            },
            **{
                f"out.{part}": held[f"_model.decoder.decoder.2.{part}"]
                for part in ("weight", "bias")
            },
        }
    )
    return made.requires_grad_(False)
