#!/usr/bin/env bash
# A check on real voices: telephone prompts that people recorded for Asterisk, from Debian's archive
# (8 kHz WAV, CC-BY-SA-3.0, named by speaker). Never trained on, never committed.
#   bash infra/real-prompts.sh data/real-prompts 60      so many prompts of each speaker
#   clsp evaluate zero-shot data/real-prompts/labels.csv --kind table --label gender \
#     --prompt male="A male speaker." --prompt female="A female speaker."
# Five women and one man: enough to see whether anything transfers, not to compare groups. So also
# radio.csv (`--kind table --attribute gender`): speakers of codec2-examples, 8 kHz too, whose gender
# their file names, their call signs or descriptions by others tell.
set -euo pipefail
out=${1:-data/real-prompts} each=${2:-60}
mkdir -p "$out/packages" && cd "$out"
for name in asterisk-core-sounds-{en,es,fr,it,ru}-wav asterisk-prompt-it-menardi-wav codec2-examples; do
  ls packages/"$name"_*.deb >/dev/null 2>&1 || (cd packages && apt-get download "$name")
  dpkg-deb -x packages/"$name"_*.deb .
done
echo "file,gender" > radio.csv
for name in david4 hts1a m2400 mmt1 morig vk2tpm_004 vk5qi; do
  echo "usr/share/codec2/wav/$name.wav,male" >> radio.csv
done
for name in f2400 forig hts2a; do
  echo "usr/share/codec2/wav/$name.wav,female" >> radio.csv
done
echo "file,speaker,gender,quality,whisper,age" > labels.csv
for folder in usr/share/asterisk/sounds/*_[fm]_*; do
  case "$folder" in *_f_*) gender=female ;; *) gender=male ;; esac
  speaker=${folder##*_}
  # Whole sentences: 2 s and more of 8 kHz, 16-bit samples; the same ones every time.
  find "$folder" -name '*.wav' -size +32k -size -160k ! -path '*silence*' | LC_ALL=C sort |
    awk -v n="$each" '{ file[NR] = $0 } END { step = NR > n ? NR / n : 1
      for (i = 1; i <= NR; i += step) print file[int(i)] }' |
    sed "s/\$/,$speaker,$gender,telephone,no,adult/" >> labels.csv
done
cut -d, -f2,3 labels.csv | sort | uniq -c
