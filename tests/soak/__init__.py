"""A soak: cameras that misbehave by turns for as long as it is given, and what must stay as it was meanwhile."""
