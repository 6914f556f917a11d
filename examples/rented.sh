#!/bin/sh
# A world on a GPU rented by the minute: records, compiles and trains side by side, so that the GPU seldom waits.
#
#   examples/rented.sh GAME WORLD OUT
#
#   GAME   as everywhere: driving, explorer, gym:CarRacing-v3
#   WORLD  one whose VAE to begin with, for frames of any size: runs/driving-h100, or any checkpoint; - for none
#   OUT    a folder; the world is in OUT/run/checkpoint from the first stage that plays on
#
# In the environment, with their defaults: RECIPE=gpu (64x64) or h100 (128x128), MINUTES=4 for the stages, SECONDS_RECORDED=90,
# FRAMES=40000 to begin the VAE with, WORKERS=all cores but three; DATA=a dataset that is there, or being recorded, to record none;
# TRAIN=further flags of `aapt train`, such as --plain; RECORD=those of `aapt record`; with a recipe of one's own its WARM, a recipe
# of the same sizes and few steps, and SIZE in pixels. All it calls are commands that can be run alone.
#
#   RECIPE=doom_rooms:rooms WARM=doom_rooms:warm SIZE=64 MINUTES=7 FRAMES=200000 \
#     RECORD="--k 2 --max-seconds 24 --policy scripted+scripted+elsewhere" examples/rented.sh doom - OUT
# shellcheck disable=SC2086  # words
set -eu
game=$1 world=$2 out=$3 here=$(dirname "$0") cores=$(nproc)
recipe=${RECIPE:-gpu} aapt=${AAPT:-aapt}
size=${SIZE:-$([ "$recipe" = h100 ] && echo 128 || echo 64)}
mkdir -p "$out"
record() { OMP_NUM_THREADS=1 $aapt record "$game" --size "$size" ${RECORD:---max-seconds 45} "$@" >> "$out/record.log" 2>&1; }
begin=; [ "$world" = - ] || begin=$world
train() { PYTHONPATH=$here:${PYTHONPATH:-} $aapt train "$game" ${begin:+--begin-with "$begin"} --compile "$@"; }

# What torch.compile makes is kept on disk: a training of a few steps on a few episodes fills that cache for the real one.
export TORCHINDUCTOR_CACHE_DIR="${TORCHINDUCTOR_CACHE_DIR:-$out/compiled}"
record --frames 2000 --out "$out/few"
train --recipe "${WARM:-rented:warm_$recipe}" --data "$out/few" --out "$out/warm" > "$out/warm.log" 2>&1 &
data=${DATA:-$out/data} recorder=
[ -n "${DATA:-}" ] || { record --frames 10M --time-limit "${SECONDS_RECORDED:-90}s" --workers "${WORKERS:-$((cores > 4 ? cores - 3 : 1))}" --out "$data" & recorder=$!; }

recorded() { # frames so far: a dataset that is being recorded shows its whole episodes
    python3 - "$data" 2>/dev/null <<'PYTHON' || echo 0
import sys
from aapt_env.data.episodes import Episodes
print(sum(episode.length for episode in Episodes.open(sys.argv[1]).index))
PYTHON
}
while [ -n "$recorder" ] && kill -0 "$recorder" 2>/dev/null && [ "$(recorded)" -lt "${FRAMES:-40000}" ]; do sleep 1; done
train --recipe "$recipe" --data "$data" --out "$out/run" --budget "${MINUTES:-4}m" ${TRAIN:-}
wait
echo "the world is in $out/run/checkpoint"
