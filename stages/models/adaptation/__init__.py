"""A network for one's own cameras from footage without labels: a teacher labels it, and a fast network learns it."""
