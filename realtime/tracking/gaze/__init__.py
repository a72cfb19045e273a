"""Estimates the eye movement from every gaze sample, as one robust `GazeEstimate`. Pure; time is an argument."""
