"""Where things are kept: `api.py` has the seams, each folder one implementation of them."""
