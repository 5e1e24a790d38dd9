#!/usr/bin/env bash
# The next-item models that others would pick, in an environment of their own: RecTools wants older numpy and pandas.
# The same torch as ours, built for the processor: pip would else fetch gigabytes for graphics cards.
#
#     benchmarks/peers_shop.sh /tmp/peers-shop
set -euo pipefail
place=${1:?where to put the environment}
here=$(cd "$(dirname "$0")" && pwd)
python3 -m venv "$place"
"$place/bin/pip" install -q 'torch==2.13.0'
"$place/bin/pip" install -q -r "$here/peers_shop.txt"
