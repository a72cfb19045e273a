"""Measures gaze by webcam on a rendered face that looks at known places of a screen."""
