"""Calibrates reported gaze with a known error. Pure; time is an argument.

`choreography` collects gaze at targets, `mapping` fits the map, `quality` validates it on other targets, `calibrated`
combines them, `drift` corrects later slippage. For a webcam, `eye_features` measures the eyes in a picture of a face,
and `screen_calibration` maps that to a screen.
"""
