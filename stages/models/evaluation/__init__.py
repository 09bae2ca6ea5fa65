"""How good a network is: its figures on pictures and clips whose truth is known, through the stages that a run uses.

Each figure is a pure function or a class that gathers pictures; README.md has their definitions and sources.
"""
