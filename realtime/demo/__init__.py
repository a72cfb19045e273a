"""`gazecast demo`: the whole path through real sockets on a real clip, and pictures of what came out."""
