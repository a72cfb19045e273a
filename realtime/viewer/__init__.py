"""Web pages for a live run and for a recording, their server, and the desktop window.

`server` and `connections` are the only modules that import aiohttp. The server drives a `PageHost`, which `interfaces`
defines: `live_page` with the `frame_broadcaster` for a run, or `review_page` with the `timeline_broadcaster` for a
recording. The files of the pages lie in `page/`, served as they are: no build step, nothing loaded from elsewhere.
"""
