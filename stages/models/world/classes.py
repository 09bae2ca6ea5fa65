"""The classes of the street world; a label is an index in `CLASSES`, things first."""

from __future__ import annotations

from typing import Final

THINGS: Final = ("person", "bicycle", "car", "bus", "truck")
# "building" includes lamps, poles, signs, bins and benches; "vegetation" includes trees, hedges and grass.
STUFF: Final = ("road", "pavement", "building", "sky", "vegetation")
CLASSES: Final = THINGS + STUFF

PERSON, BICYCLE, CAR, BUS, TRUCK = range(len(THINGS))
# Canvas indices (and ids in `WorldFrame.id_map`) of stuff; 0 is void.
ROAD, PAVEMENT, BUILDING, SKY, VEGETATION = range(1, 1 + len(STUFF))

THING_ID_BASE: Final = 1000  # thing n has 1000 + track id in the id map
