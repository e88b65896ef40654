#!/usr/bin/env bash
# Run the benchmarks of a regular expression once, over their smallest sizes, to see that they work:
#     asv_benchmarks/quick.sh PYTHON REGEX
# Two may run at a time, and none leaves a trace in the figures that are kept: what asv writes during
# a run (which machine this is, which benchmarks there are) goes into a folder that ends with it.
set -euo pipefail
cd "$(dirname "$0")"
HOME=$(mktemp -d)
trap 'rm -rf "$HOME"' EXIT
export HOME REPLAY_BENCH_QUICK=1
sed "s|\"benchmark_dir\": \"|&$PWD/|" asv.conf.json > "$HOME/asv.conf.json"
"$1" -m asv machine --yes
"$1" -m asv --config "$HOME/asv.conf.json" run --quick --python=same --dry-run --show-stderr --bench "$2"
