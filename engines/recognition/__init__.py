"""Recognizes the objects of a picture: their boxes and names, and how well a word fits a mask."""
