"""`gazecast demo`: the whole path through real sockets on a real clip, and pictures of what came out."""

from realtime.commands.demo.command import run_demo, view_demo

__all__ = ["run_demo", "view_demo"]
