"""Geometry: camera models, gaze mapping, rigid transforms, masks to 3D.

Imports nothing else of ours. Nothing lives here yet: gaze arrives in scene pixels from devices that are
calibrated by their own software.
"""
