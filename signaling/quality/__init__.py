"""How good a call was: what its devices measured, what that means, and why it was bad."""
