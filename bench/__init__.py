"""What is measured, each figure beside a peer or a limit: `python -m bench` (`make bench`)."""
