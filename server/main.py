"""The program `hubbub`: commands are in `server.cli`, loaded only when they run."""

from __future__ import annotations

import sys


def main() -> None:
    from server.cli.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
