"""The classes of the embedded network, and which names of known label sets each gathers.

Names are spelt as the sets spell them: COCO's 80 things and 53 merged kinds of stuff, Cityscapes, CamVid, Pascal VOC.
A name that stands nowhere here is void: its pixels teach nothing.
"""

from __future__ import annotations

from typing import Final

from pipeline.messages import Classes
from stages.models.labelled.taxonomy import Taxonomy

THINGS: Final = ("person", "bicycle", "car", "motorcycle", "bus", "truck", "cat", "dog")
STUFF: Final = ("road", "pavement", "building", "vegetation", "sky", "water", "ground", "floor", "wall", "other")

GATHERS: Final[dict[str, tuple[str, ...]]] = {
    "person": ("rider", "Pedestrian", "Child", "pedestrian", "people"),
    "car": ("SUVPickupTruck", "Car"),
    "motorcycle": ("motorbike", "MotorcycleScooter"),
    "road": ("parking", "Road", "RoadShoulder", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "pavement": ("pavement-merged", "platform", "sidewalk", "Sidewalk", "ParkingBlock"),
    "building": (
        "building-other-merged", "house", "roof", "bridge", "tunnel", "Building", "Archway", "Bridge", "Tunnel",
    ),
    "vegetation": ("tree-merged", "flower", "potted plant", "pottedplant", "Tree", "VegetationMisc"),
    "sky": ("sky-other-merged", "Sky"),
    "water": ("river", "sea", "water-other"),
    # Mountains are mostly grass, earth and snow; rails lie in gravel.
    "ground": (
        "grass-merged", "dirt-merged", "sand", "snow", "gravel", "rock-merged", "mountain-merged", "playingfield",
        "railroad", "rail track", "terrain",
    ),
    "floor": ("floor-wood", "floor-other-merged", "rug-merged"),
    # A closed door and a drawn blind look as the wall does that they are in.
    "wall": (
        "wall-brick", "wall-stone", "wall-tile", "wall-wood", "wall-other-merged", "ceiling-merged", "door-stuff",
        "window-blind", "Wall",
    ),
    "other": (
        # vehicles and animals that are no thing of ours
        "airplane", "aeroplane", "train", "boat", "bird", "horse", "sheep", "cow", "elephant", "bear", "zebra",
        "giraffe", "Train", "Animal", "OtherMoving",
        # what stands in a street
        "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "traffic sign", "pole", "polegroup",
        "fence", "guard rail", "fence-merged", "banner", "tent", "TrafficLight", "SignSymbol", "Column_Pole", "Fence",
        "TrafficCone", "Misc_Text", "CartLuggagePram",
        # what people carry, wear and play with
        "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
        "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "net",
        # what one eats, and eats from
        "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
        "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "fruit", "food-other-merged",
        # what stands, lies and hangs in rooms
        "chair", "couch", "sofa", "bed", "dining table", "diningtable", "toilet", "tv", "tvmonitor", "laptop", "mouse",
        "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock",
        "vase", "scissors", "teddy bear", "hair drier", "toothbrush", "blanket", "cardboard", "counter", "curtain",
        "light", "mirror-stuff", "pillow", "shelf", "towel", "cabinet-merged", "table-merged", "paper-merged",
    ),
}  # fmt: skip

# Names that would teach something false, whichever class had them.
LEFT_VOID: Final = frozenset(
    {
        "window-other",  # a house's from outside, a room's from inside, and what is seen through it
        "stairs",  # of a street or of a house
        "Bicyclist",  # CamVid's: person and bicycle in one
        "Truck_Bus",  # CamVid's: either
        "caravan", "trailer",  # Cityscapes': few, and neither car nor truck
        "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "Void",
    }
)  # fmt: skip

EMBEDDED_TAXONOMY: Final = Taxonomy(classes=Classes(THINGS, STUFF), gathers=GATHERS)
