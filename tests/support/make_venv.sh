#!/bin/sh
# Makes the virtual environment: $1 is the Python (or empty), $2 the folder. Says what is missing in words.
set -eu
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
python=${1:-}
if [ -z "$python" ]; then
    # A name may be there and not run (version managers leave such names): try each.
    for name in python3 python3.13 python3.12 python3.11 python3.14; do
        if command -v $name >/dev/null && new_enough $name; then python=$name && break; fi
    done
fi
if [ -z "$python" ] || ! new_enough "$python"; then
    echo "Hubbub needs Python 3.11 or newer. Install it, or name one: make run PYTHON=/path/to/python3" >&2
    exit 1
fi
if ! "$python" -m venv "$2" 2>/dev/null; then
    rm -rf "$2"
    # Debian and Ubuntu keep venv in a package of its own.
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    fi
    "$python" -m venv "$2" || {
        echo "Python has no venv module here. On Debian or Ubuntu: sudo apt install python3-venv" >&2
        rm -rf "$2"
        exit 1
    }
fi
