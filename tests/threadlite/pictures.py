"""A table of drawn shapes, as a user would bring it."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

LABELS = ("disc", "frame", "stripe")


def write_table(folder: Path, *, photos: int, senders: int = 12, size: int = 40) -> Path:
    """Write ``images.csv`` and ``images/`` with three classes of shapes; return the folder."""
    generator = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True)
    rows = ["image,sender_id,label,kids"]
    for number in range(photos):
        label = LABELS[number % 3]
        picture = Image.new("RGB", (size, size), tuple(generator.integers(140, 255, 3).tolist()))
        pen = ImageDraw.Draw(picture)
        ink = tuple(generator.integers(0, 100, 3).tolist())
        left, top = generator.integers(2, size // 3, 2).tolist()
        box = (left, top, left + size // 2, top + size // 2)
        if label == "disc":
            pen.ellipse(box, fill=ink)
        elif label == "frame":
            pen.rectangle(box, outline=ink, width=4)
        else:
            pen.line(box, fill=ink, width=5)
        picture.save(folder / "images" / f"photo-{number:03d}.jpg", quality=92)
        rows.append(f"photo-{number:03d},sender-{number // 3 % senders:02d},{label},False")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")
    return folder
