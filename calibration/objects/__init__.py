"""Locates masked objects in space: points from depth, oriented boxes, filtered poses, positions without depth.

Pure geometry; imports only our cameras and rigid transforms. Open3D is optional (`calibration.objects.with_open3d`).
"""
