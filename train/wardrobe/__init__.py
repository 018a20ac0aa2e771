"""The wardrobe behind the rendered garments: one function a class, and the table that names them.

A class is told by its make (sleeves, collar, opening, hem), never by its colour or its place.
"""

from collections.abc import Callable

import numpy as np

from train.wardrobe.accessories import hat, shoes
from train.wardrobe.knitted import hoodie, longsleeve, polo, t_shirt, top, undershirt
from train.wardrobe.lower import body, dress, pants, shorts, skirt
from train.wardrobe.sewn import blazer, blouse, outwear, shirt
from train.wardrobe.shapes import Shape

DRAWINGS: dict[str, Callable[[np.random.Generator], list[Shape]]] = {
    "Blazer": blazer,
    "Blouse": blouse,
    "Body": body,
    "Dress": dress,
    "Hat": hat,
    "Hoodie": hoodie,
    "Longsleeve": longsleeve,
    "Outwear": outwear,
    "Pants": pants,
    "Polo": polo,
    "Shirt": shirt,
    "Shoes": shoes,
    "Shorts": shorts,
    "Skirt": skirt,
    "T-Shirt": t_shirt,
    "Top": top,
    "Undershirt": undershirt,
}
