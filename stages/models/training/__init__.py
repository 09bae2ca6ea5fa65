"""How networks are trained: recipes, changes to pictures, targets, losses, schedules, the loop and its checkpoints."""
