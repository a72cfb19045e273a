"""Exports a recording as video, table and COCO data set."""
