"""The page that shows what is looked at, live, and everything else that a browser or a display can open.

`settings` and `messages` are pure, `outline` draws, `hub` deals out pictures to viewers, and `server` is the one module
that imports aiohttp. The page itself lies in `page/`, as it is: no build step, nothing loaded from elsewhere.
"""
