"""Receives a wearer's video and gaze over WebRTC, for wearers behind a network (WHIP, RFC 9725)."""
