"""HTTP for those who watch over a run: is it alive, can it work, and its figures."""
