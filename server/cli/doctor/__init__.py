"""`hubbub doctor`: looks at the machine, at its stores, and places calls with itself."""

from server.cli.doctor.examination import examine

__all__ = ["examine"]
