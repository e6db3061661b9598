"""The synthetic voices that the tiny model learns from, and how each is made to speak.

It knows engines, licences and which split a voice belongs to; not what is done to the audio later.
Splits are by VOICE: nothing of a test voice, under any engine, is heard in training. Voices whose
licence forbids commercial use or derivatives (festvox-ital*, the MBROLA voices, half of RHVoice's)
are left out on purpose.

Engines, from Debian: flite, espeak-ng, festival and Open JTalk (`APT_PACKAGES`); RHVoice, SVOX
Pico and Open JTalk's voice, of training voices only (`APT_NON_FREE`: free to use, but Debian cannot
rebuild their data).
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
    "festvox-ca-ona-hts", "festvox-ru", "open-jtalk", "open-jtalk-mecab-naist-jdic",
)  # fmt: skip
# Of Debian's components non-free and contrib.
APT_NON_FREE = (
    "rhvoice", "rhvoice-english", "rhvoice-russian", "rhvoice-ukrainian", "rhvoice-kyrgyz",
    "rhvoice-esperanto", "rhvoice-brazilian-portuguese", "libttspico-utils",
    "hts-voice-nitech-jp-atr503-m001",
)  # fmt: skip
INSTALL_HINT = (
    f"apt-get install {' '.join(APT_PACKAGES)}; and, from Debian's components non-free and "
    f"contrib, {' '.join(APT_NON_FREE)}"
)
TIMEOUT_S = 60
# Where Debian puts Open JTalk's dictionary and its voices.
JTALK_DICTIONARY = "/var/lib/mecab/dic/open-jtalk/naist-jdic"
JTALK_VOICES = Path("/usr/share/hts-voice")

CMU = "CMU permissive (as BSD, names kept)"
CSTR = "CSTR/CMU permissive (as BSD, names kept)"
ESPEAK = "GPL-3.0-or-later"
RHVOICE = "LGPL-2.1-or-later"
PICO = "Apache-2.0"
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
    # Spacing of its formants, as `python -m clsp.training.formants` measures it; but for two:
    # hy_fi_mv (reads 1119, a woman's; 1040 is a guess) and aunty (1205 is its German, now 1218).
    formant_hz: float
    split: str = "train"
    weight: float = 1.0
    age: str = "adult"

    @property
    def key(self) -> str:
        return f"{self.engine}:{self.language}:{self.name}"

    @property
    def reads_english(self) -> bool:
        """Whether it can be given English, its own language being another."""
        return self.engine == "rhvoice" or self.language in ("cs", "fi", "ca")


def _espeak(
    pairs: str, gender: str, split: str = "train", weight: float = 1.0
) -> tuple[Voice, ...]:
    """Voices from `language+variant:formant_hz` words."""
    voices = []
    for pair in pairs.split():
        name, _, hz = pair.partition(":")
        language, _, variant = name.partition("+")
        voices.append(
            Voice("espeak-ng", variant, language, gender, ESPEAK, float(hz), split, weight)
        )
    return tuple(voices)


VOICES: tuple[Voice, ...] = (
    # Recorded people, cut or modelled: the voices nearest to real speech.
    Voice("flite", "kal16", "en", "male", CMU, 978, weight=2.0),
    Voice("flite", "awb", "en", "male", CMU, 999, weight=4.0),
    Voice("festival", "kal_diphone", "en", "male", CMU, 979, weight=1.5),
    Voice("festival", "czech_ph", "cs", "male", "GPL-2.0-or-later", 952, weight=3.0),
    Voice("festival", "hy_fi_mv_diphone", "fi", "male", "LGPL-2.1-or-later", 1040, weight=3.0),
    Voice("festival", "msu_ru_nsh_clunits", "ru", "male", "BSD-like (Festvox)", 1035, weight=3.0),
    Voice("festival", "czech_dita", "cs", "female", "GPL-3.0-or-later", 1074, weight=5.0),
    Voice("festival", "suo_fi_lj_diphone", "fi", "female", "LGPL-2.1-or-later", 1087, weight=5.0),
    Voice("festival", "upc_ca_ona_hts", "ca", "female", "LGPL-2.1-or-later", 1192, weight=5.0),
    Voice(
        "festival", "czech_krb", "cs", "child", "GPL-3.0-or-later", 1207, weight=3.0, age="child"
    ),
    Voice("rhvoice", "alan", "en", "male", RHVOICE, 1006, weight=4.0),
    Voice("rhvoice", "bdl", "en", "male", RHVOICE, 1046, weight=4.0),
    Voice("rhvoice", "aleksandr", "ru", "male", RHVOICE, 1054, weight=3.0),
    Voice("rhvoice", "aleksandr-hq", "ru", "male", "CC-BY-SA-4.0", 1045, weight=3.0),
    Voice("rhvoice", "anatol", "uk", "male", RHVOICE, 983, weight=4.0),
    Voice("rhvoice", "azamat", "ky", "male", RHVOICE, 1028, weight=4.0),
    Voice("rhvoice", "clb", "en", "female", RHVOICE, 1175, weight=2.0),
    Voice("rhvoice", "anna", "ru", "female", RHVOICE, 1131, weight=2.0),
    Voice("rhvoice", "elena", "ru", "female", "GPL-3.0-or-later", 1223, weight=2.0),
    Voice("rhvoice", "irina", "ru", "female", RHVOICE, 1188, weight=2.0),
    Voice("rhvoice", "natalia", "uk", "female", RHVOICE, 1129, weight=2.5),
    Voice("rhvoice", "nazgul", "ky", "female", RHVOICE, 1192, weight=2.5),
    Voice("rhvoice", "spomenka", "eo", "female", "GPL-3.0-or-later", 1156, weight=2.5),
    Voice("rhvoice", "Leticia-F123", "pt-br", "female", "CC-BY-SA-4.0", 1154, weight=2.0),
    Voice("open-jtalk", "nitech-jp-atr503-m001", "ja", "male", "CC-BY-3.0", 1028, weight=4.0),
    Voice("pico", "en-GB", "en-gb", "female", PICO, 1061, weight=1.2),
    Voice("pico", "en-US", "en-us", "female", PICO, 1131, weight=1.2),
    Voice("pico", "de-DE", "de", "female", PICO, 1162, weight=1.2),
    Voice("pico", "fr-FR", "fr", "female", PICO, 1205, weight=1.2),
    Voice("pico", "es-ES", "es", "female", PICO, 1147, weight=1.2),
    Voice("pico", "it-IT", "it", "female", PICO, 1168, weight=1.2),
    Voice("festival", "czech_machac", "cs", "male", "GPL-3.0-or-later", 988, "dev", 2.0),
    Voice("flite", "slt", "en", "female", CMU, 1205, "test", 1.5),
    Voice("festival", "cmu_us_slt_arctic_hts", "en", "female", CMU, 1194, "test", 0.5),
    Voice("flite", "rms", "en", "male", CMU, 1044, "test", 1.0),
    Voice("festival", "ked_diphone", "en", "male", CSTR, 1011, "test", 1.0),
    # Formant synthesis: cheap variety of speakers and languages. language+variant:spacing in Hz.
    *_espeak(
        "en-us+f1:1108 en-gb-x-rp+f2:1101 de+f3:1211 fr+f2:1110 es+f5:1109 en-us+belinda:1123 "
        "nl+linda:1199 hu+f2:1146 tr+f3:1222 en-us+f5:1117 it+f3:1206 en-us+Andrea:1100 "
        "pl+f3:1222 sv+f1:1114 pt+f5:1090 en-us+linda:1212 ru+f1:1108 id+f2:1110 hi+f5:1134 "
        "el+f1:1101 en-us+f2:1113",
        "female",
        "train",
        1.0,
    ),
    *_espeak(
        "en-us+m1:965 en-gb-x-rp+m2:1009 de+m3:944 fr+m4:1027 es+m5:1029 it+m8:968 "
        "en-us+klatt2:994 nl+john:977 pl+Michael:887 en-us+Andy:967 sv+max:991 pt+pedro:962 "
        "en-us+caleb:995 en-us+ed:1035 tr+m3:954 ru+iven:1039 hu+antonio:1019 id+m4:1032 "
        "hi+sandro:1002 el+m1:966 en-us+paul:1054 en-gb+benjamin:988 de+rob:1047 fr+Mike:986 "
        "en-us+adam:995 es+Gene:906 en-us+quincy:1044 it+boris:956",
        "male",
        "train",
        0.7,
    ),
    *_espeak("en-us+aunty:1205 it+Alicia:1236", "female", "dev", 1.0),
    *_espeak("en-us+m6:999 es+pablo:1031", "male", "dev", 1.0),
    *_espeak("en-us+f4:1206 en-us+Annie:1173", "female", "test", 0.7),
    *_espeak("en-us+m7:972 en-us+robert:1046", "male", "test", 0.7),
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
        elif voice.engine == "rhvoice":
            script.write_text(text, encoding="utf-8")
            command = ["RHVoice-test", "-p", voice.name, "-i", str(script), "-o", str(out)]
        elif voice.engine == "pico":
            command = ["pico2wave", "-l", voice.name, "-w", str(out), text]
        elif voice.engine == "open-jtalk":
            script.write_text(text, encoding="utf-8")
            model = JTALK_VOICES / voice.name / f"{voice.name.replace('-', '_')}.htsvoice"
            command = ["open_jtalk", "-x", JTALK_DICTIONARY, "-m", str(model), "-ow", str(out)]
            command.append(str(script))
        else:
            known = "flite, festival, espeak-ng, rhvoice, pico, open-jtalk"
            raise InputError(f"unknown engine {voice.engine!r}; known: {known}")
        if shutil.which(command[0]) is None:
            raise InputError(f"{command[0]} is not installed: {INSTALL_HINT}")
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        if done.returncode or not out.is_file():
            said = done.stderr.decode(errors="replace").strip()[:200]
            raise InputError(f"{voice.key} failed ({done.returncode}): {said}. {INSTALL_HINT}")
        import soundfile

        waveform, sample_rate = soundfile.read(out, dtype="float32")
    return np.ascontiguousarray(waveform), int(sample_rate)
