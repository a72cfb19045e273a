"""`gazecast demo`: the whole path through real sockets on a real clip, and pictures of what came out."""

from realtime.demo.run import run_demo, view_demo

__all__ = ["run_demo", "view_demo"]
