"""Proof that nothing acknowledged is lost, doubled or reordered while parts of a server die.

Load processes (`load`) talk to hubs and write down what they asked and saw (`record`); a seeded
nemesis (`nemesis`) breaks parts meanwhile; afterwards the log is read (`reading`) and the history
is judged twice: by `checker`, and by porcupine, which shares no code with it. How it works and what
came out is in docs/faults.md. `python -m tests.faults.history --help` is the long run.
"""
