"""A procedural street world: pictures with exact boxes, panoptic ids and track ids, by seed."""

from stages.models.world.classes import CLASSES, STUFF, THINGS
from stages.models.world.frame import WorldFrame
from stages.models.world.world import World

__all__ = ["CLASSES", "STUFF", "THINGS", "World", "WorldFrame"]
