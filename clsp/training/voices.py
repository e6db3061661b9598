"""The synthetic voices that the tiny model learns from, and how each is made to speak.

It knows engines, licences and which split a voice belongs to; not what is done to the audio later.
Splits are by VOICE: nothing of a test voice, under any engine, is heard in training. Voices whose
licence forbids commercial use (festvox-ital*, the MBROLA voices) are left out on purpose.

Engines: flite, espeak-ng and festival, from Debian; see `APT_PACKAGES`.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clsp.errors import InputError

APT_PACKAGES = (
    "flite", "espeak-ng", "festival", "fortune-mod", "fortunes", "festvox-kallpc16k",
    "festvox-kdlpc16k", "festvox-us-slt-hts", "festvox-czech-dita", "festvox-czech-krb",
    "festvox-czech-machac", "festvox-czech-ph", "festvox-suopuhe-lj", "festvox-suopuhe-mv",
    "festvox-ca-ona-hts", "festvox-ru",
)  # fmt: skip
INSTALL_HINT = f"apt-get install {' '.join(APT_PACKAGES)}"
TIMEOUT_S = 60

CMU = "CMU permissive (as BSD, names kept)"
CSTR = "CSTR/CMU permissive (as BSD, names kept)"
ESPEAK = "GPL-3.0-or-later"
# festival reads each language in its own 8-bit alphabet; the others take UTF-8.
FESTIVAL_ENCODING = {"cs": "iso8859-2", "fi": "iso8859-15", "ca": "iso8859-15"}


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker. `weight` is how often it is drawn within its split."""

    engine: str
    name: str
    language: str
    gender: str  # "child" for the one recorded child, whose gender we do not teach
    licence: str
    split: str = "train"
    weight: float = 1.0
    age: str = "adult"

    @property
    def key(self) -> str:
        return f"{self.engine}:{self.language}:{self.name}"


def _espeak(
    pairs: str, gender: str, split: str = "train", weight: float = 1.0
) -> tuple[Voice, ...]:
    """Voices from `language+variant` words."""
    voices = []
    for pair in pairs.split():
        language, _, variant = pair.partition("+")
        voices.append(Voice("espeak-ng", variant, language, gender, ESPEAK, split, weight))
    return tuple(voices)


VOICES: tuple[Voice, ...] = (
    # Recorded people, cut or modelled: the voices nearest to real speech.
    Voice("flite", "kal16", "en", "male", CMU, weight=2.0),
    Voice("flite", "awb", "en", "male", CMU, weight=3.0),
    Voice("festival", "kal_diphone", "en", "male", CMU, weight=1.0),
    Voice("festival", "czech_ph", "cs", "male", "GPL-2.0-or-later", weight=2.0),
    Voice("festival", "hy_fi_mv_diphone", "fi", "male", "LGPL-2.1-or-later", weight=2.0),
    Voice("festival", "msu_ru_nsh_clunits", "ru", "male", "BSD-like (Festvox)", weight=2.0),
    Voice("festival", "czech_krb", "cs", "child", "GPL-3.0-or-later", weight=3.0, age="child"),
    Voice("festival", "czech_dita", "cs", "female", "GPL-3.0-or-later", weight=6.0),
    Voice("festival", "suo_fi_lj_diphone", "fi", "female", "LGPL-2.1-or-later", weight=6.0),
    Voice("festival", "czech_machac", "cs", "male", "GPL-3.0-or-later", "dev", 2.0),
    Voice("festival", "upc_ca_ona_hts", "ca", "female", "LGPL-2.1-or-later", "dev", 2.0),
    Voice("flite", "slt", "en", "female", CMU, "test", 1.5),
    Voice("festival", "cmu_us_slt_arctic_hts", "en", "female", CMU, "test", 0.5),
    Voice("flite", "rms", "en", "male", CMU, "test", 1.0),
    Voice("festival", "ked_diphone", "en", "male", CSTR, "test", 1.0),
    # Formant synthesis: cheap variety of speakers and languages.
    *_espeak("en-us+f1 en-gb-x-rp+f2 de+f3 fr+f2 es+f5 en-us+belinda nl+linda pt+steph", "female"),
    *_espeak("en-us+f5 it+f3 en-us+Andrea pl+f3 sv+f1 en-us+anika de+aunty", "female"),
    *_espeak("en-us+m1 en-gb-x-rp+m2 de+m3 fr+m4 es+m5 it+m8 en-us+klatt2", "male", weight=0.7),
    *_espeak("nl+john pl+Michael en-us+Andy sv+max pt+pedro en-us+travis", "male", weight=0.7),
    *_espeak("en-us+steph3 it+Alicia", "female", "dev"),
    *_espeak("en-us+m6 es+pablo", "male", "dev"),
    *_espeak("en-us+f4 en-us+Annie", "female", "test", 0.7),
    *_espeak("en-us+m7 en-us+robert", "male", "test", 0.7),
)


def synthesise(voice: Voice, text: str, words_per_minute: int = 160) -> tuple[np.ndarray, int]:
    """Speak one sentence: a float32 waveform in [-1, 1], shape (samples,), and its sample rate.

    `words_per_minute` is heeded by espeak-ng only; the recorded voices keep their own pace.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, script = Path(folder, "out.wav"), Path(folder, "text.txt")
        if voice.engine == "festival":
            encoding = FESTIVAL_ENCODING.get(voice.language, "utf-8")
            script.write_bytes(text.encode(encoding, errors="ignore"))
            command = ["text2wave", "-eval", f"(voice_{voice.name})", str(script), "-o", str(out)]
        elif voice.engine == "flite":
            command = ["flite", "-voice", voice.name, "-t", text, "-o", str(out)]
        elif voice.engine == "espeak-ng":
            name = f"{voice.language}+{voice.name}"
            command = ["espeak-ng", "-v", name, "-s", str(words_per_minute), "-w", str(out), text]
        else:
            raise InputError(f"unknown engine {voice.engine!r}; known: flite, festival, espeak-ng")
        if shutil.which(command[0]) is None:
            raise InputError(f"{command[0]} is not installed: {INSTALL_HINT}")
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        if done.returncode or not out.is_file():
            said = done.stderr.decode(errors="replace").strip()[:200]
            raise InputError(f"{voice.key} failed ({done.returncode}): {said}. {INSTALL_HINT}")
        import soundfile

        waveform, sample_rate = soundfile.read(out, dtype="float32")
    return np.ascontiguousarray(waveform), int(sample_rate)
