#!/usr/bin/env bash
# A check on real voices that the default model never heard: three of the volunteers who named Tux
# Paint's stamps aloud, from Debian's archive (44.1 kHz Ogg Vorbis, GPL-2), in Russian, Belarusian
# and Greek; five others of them are in its training (clsp/training/recordings.py). Never committed.
#   bash infra/real-stamps.sh data/real-stamps 100     so many recordings of each speaker
#   clsp evaluate zero-shot data/real-stamps/labels.csv --kind table --attribute gender
# Gender is what the change log of Tux Paint tells by names: Edwin Veber, Kseniya Buraya, Kiriaki
# Serafeim. Recordings are a few words long. The Bulgarian is left out: two people speak there.
set -euo pipefail
out=${1:-data/real-stamps} each=${2:-100}
mkdir -p "$out/packages" && cd "$out"
ls packages/*.deb >/dev/null 2>&1 || (cd packages && apt-get download tuxpaint-stamps-default)
dpkg-deb -x packages/tuxpaint-stamps-default_*.deb .
echo "file,speaker,gender" > labels.csv
for speaker in ru:Veber:male be:Buraya:female el:Serafeim:female; do
  IFS=: read -r language name gender <<< "$speaker"
  # Not the letters and digits, which others speak; the same ones every time.
  find usr/share/tuxpaint/stamps -name "*_desc_$language.ogg" ! -path '*/symbols/*' |
    LC_ALL=C sort |
    awk -v n="$each" '{ file[NR] = $0 } END { step = NR > n ? NR / n : 1
      for (i = 1; i <= NR; i += step) print file[int(i)] }' |
    sed "s/\$/,$name,$gender/" >> labels.csv
done
cut -d, -f2,3 labels.csv | sort | uniq -c
