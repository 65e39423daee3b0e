#!/usr/bin/env bash
# Measures this machine's GPU with steplm and writes a summary. It needs bash and this folder, nothing else:
#
#     ./run.sh [--minutes N] [--out DIR] [--device DEVICE] [--loader FILE] [--driver FILE] ...
#
# `./run.sh --help` lists the flags; README.md beside it says what is measured and what to do with it.
here=${BASH_SOURCE[0]%/*}
[ "$here" != "${BASH_SOURCE[0]}" ] || here=.
kit=$here/gpukit
if [ ! -x "$kit" ]; then # A copy may have lost what makes it executable.
    chmod +x "$kit" || exit 1
fi
exec "$kit" "$@"
