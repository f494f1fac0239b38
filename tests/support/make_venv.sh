#!/bin/sh
# Makes the virtual environment: $1 is the Python, $2 the folder. Says what is missing in words.
set -eu
python=${1:-}
if [ -z "$python" ] || ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
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
