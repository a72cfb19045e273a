"""Finds the landmarks of a face and its irises in a picture, with MediaPipe's networks run by OpenVINO."""
