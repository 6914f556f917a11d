#!/bin/sh
# A world at 128x128 on a GPU rented by the minute: records, compiles and trains side by side, so that the GPU seldom waits.
#
#   examples/rented.sh GAME WORLD OUT [MINUTES] [SIZE]
#
#   GAME     as everywhere: driving, explorer, gym:CarRacing-v3
#   WORLD    one whose VAE to begin with, for frames of any size: runs/driving-h100, or any checkpoint
#   OUT      the run's folder; the world is in OUT/checkpoint at every moment from the first stage that plays on
#   MINUTES  for the stages; 8 by default. Recording and compiling take half a minute before, an evaluation none
#
# Everything is a command of its own that can be run alone. AAPT, FRAMES, RECORD, RECIPE and TRAIN change the details.
set -eu
game=$1 world=$2 out=$3 minutes=${4:-8} size=${5:-128}
aapt=${AAPT:-aapt} recipe=${RECIPE:-h100} frames=${FRAMES:-30000} record=${RECORD:---frames 1M --time-limit 150s}
cores=$(nproc)
mkdir -p "$out"
export OMP_NUM_THREADS=$(( cores > 8 ? 4 : 1 ))
# What torch.compile makes is kept on disk: a process that trains on next to nothing fills that cache for the one that trains.
export TORCHINDUCTOR_CACHE_DIR=${TORCHINDUCTOR_CACHE_DIR:-$out/compiled}

$aapt record "$game" --size "$size" --frames 1000 --max-seconds 20 --workers "$cores" --out "$out/few" > "$out/few.log" 2>&1
PYTHONPATH=$(dirname "$0"):${PYTHONPATH:-} $aapt train "$game" --recipe "${WARM:-rented:warm}" --data "$out/few" \
    --begin-with "$world" --out "$out/warm" --compile > "$out/warm.log" 2>&1 &
warm=$!
# shellcheck disable=SC2086  # words
OMP_NUM_THREADS=1 $aapt record "$game" --size "$size" --max-seconds 45 --workers $(( cores > 4 ? cores - 3 : 1 )) \
    --out "$out/data" $record > "$out/record.log" 2>&1 &
recorder=$!

recorded() { # frames that are there; a dataset that is being recorded shows its whole episodes
    find "$out/data/meta/aapt" -name 'file-*.json' -exec cat {} + 2>/dev/null |
        tr ',{' '\n\n' | sed -n 's/.*"length": *\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }'
}
while kill -0 $recorder 2>/dev/null && [ "$(recorded)" -lt "$frames" ]; do sleep 1; done
# shellcheck disable=SC2086
$aapt train "$game" --recipe "$recipe" --data "$out/data" --begin-with "$world" --out "$out/run" --budget "${minutes}m" \
    --compile ${TRAIN:-}
wait $recorder $warm || true
echo "the world is in $out/run/checkpoint"
