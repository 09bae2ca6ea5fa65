"""Fuzzing of everything of ours that reads foreign bytes; README.md says how it is run, and what it found."""
