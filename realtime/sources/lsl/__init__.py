"""Receives gaze from the Lab Streaming Layer."""
