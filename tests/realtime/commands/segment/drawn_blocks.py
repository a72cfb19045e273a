"""Pictures of plain blocks, and `gazecast segment` on them, for tests."""

import numpy as np

from realtime.commands.main import main

BLOCKS = ((20, 30, 60, 40), (110, 20, 40, 90), (30, 100, 50, 40))
"""x, y, width, height, px of a picture of 200 x 160."""
COLOURS = ((40, 40, 220), (210, 60, 30), (40, 200, 60))


def draw_blocks(count):
    """Draw so many blocks on grey."""
    image = np.full((160, 200, 3), 128, np.uint8)
    for (x, y, width, height), colour in list(zip(BLOCKS, COLOURS, strict=True))[:count]:
        image[y : y + height, x : x + width] = colour
    return image


def block(index):
    """Draw a block's mask."""
    x, y, width, height = BLOCKS[index]
    mask = np.zeros((160, 200), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def iou(a, b):
    """Compute the intersection over union."""
    return (a & b).sum() / (a | b).sum()


def run(capsys, *argv):
    """Run the command; returns its exit code and what it printed."""
    code = main(["segment", *map(str, argv)])
    out, err = capsys.readouterr()
    return code, out, err
