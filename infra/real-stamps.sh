#!/usr/bin/env bash
# A check on real voices: eight volunteers who named Tux Paint's stamps aloud, four men and four
# women, each in another language, from Debian's archive (44.1 kHz Ogg Vorbis, GPL-2). A few words
# each. Never trained on, never committed.
#   bash infra/real-stamps.sh data/real-stamps 100     so many recordings of each speaker
#   clsp evaluate zero-shot data/real-stamps/labels.csv --kind table --attribute gender
# Gender is what the names in Tux Paint's change log tell, and F0 does not contradict it. Left out:
# letters and digits, which others speak, so do French animals; Bulgarian, where two people speak;
# languages whose speaker is not named.
set -euo pipefail
out=${1:-data/real-stamps} each=${2:-100}
mkdir -p "$out/packages" && cd "$out"
ls packages/*.deb >/dev/null 2>&1 || (cd packages && apt-get download tuxpaint-stamps-default)
dpkg-deb -x packages/tuxpaint-stamps-default_*.deb .
echo "file,speaker,gender" > labels.csv
for speaker in ca:Pujal:male da:Dalton:male fr:PaulK:male ru:Veber:male \
  be:Buraya:female el:Serafeim:female es:Ortiz:female ro:Tabbytha:female; do
  IFS=: read -r language name gender <<< "$speaker"
  others='/symbols/'
  [ "$language" != fr ] || others='/(symbols|animals|naturalforces)/'
  # The same ones every time.
  find usr/share/tuxpaint/stamps -name "*_desc_$language.ogg" | grep -Ev "$others" | LC_ALL=C sort |
    awk -v n="$each" '{ file[NR] = $0 } END { step = NR > n ? NR / n : 1
      for (i = 1; i <= NR; i += step) print file[int(i)] }' |
    sed "s/\$/,$name,$gender/" >> labels.csv
done
cut -d, -f2,3 labels.csv | sort | uniq -c
