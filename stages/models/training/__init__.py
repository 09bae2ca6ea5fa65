"""How networks are trained: recipes, changes to pictures, targets, losses, schedules, and the loop with its checkpoints."""
