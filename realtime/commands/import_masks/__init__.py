"""Brings masks back to a recording that were corrected in another program."""
