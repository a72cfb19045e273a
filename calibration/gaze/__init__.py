"""Calibrates reported gaze with a known error. Pure; time is an argument.

`choreography` collects gaze at targets, `mapping` fits the map, `quality` validates it on other targets, `calibrated`
combines them, `drift` corrects later slippage.
"""
