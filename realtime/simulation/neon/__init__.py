"""Simulates a Neon or Invisible on its phone, after Pupil Labs' real-time network API."""
