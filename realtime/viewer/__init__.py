"""The page that shows what is looked at, live, and everything else that a browser or a display can open.

`settings` and `messages` are pure, `outline` and `thumbnail` draw, and `server` and `visit` are the modules that import
aiohttp. They serve a host, as `talk` says what that is: `live`, with the `hub` that deals out pictures to viewers and
the `desk` where theirs come in, or `review`, whose `projector` shows moments of a recording. The pages themselves lie
in `page/`, as they are: no build step, nothing loaded from elsewhere.
"""
