"""Print and show masks: python demos/watch.py [tcp://HOST:PORT]. Without a screen it writes overlay.jpg."""

import contextlib
import os
import sys
from pathlib import Path

import cv2
import numpy as np

from realtime import MaskSubscriber

with contextlib.suppress(KeyboardInterrupt), MaskSubscriber(*sys.argv[1:2], topics=("mask", "overlay")) as subscriber:
    for message in subscriber.masks():
        print(f"frame {message.frame.index}: object {message.object} {message.state}, box {message.box}", flush=True)
        if (overlay := subscriber.newest("overlay", timeout_s=0)) is None:
            continue
        if os.environ.get("DISPLAY"):
            cv2.imshow("gazecast", cv2.imdecode(np.frombuffer(overlay.jpeg, np.uint8), cv2.IMREAD_COLOR))
            cv2.waitKey(1)
        else:
            Path("overlay.jpg").write_bytes(overlay.jpeg)
