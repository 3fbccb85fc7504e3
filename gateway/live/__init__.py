"""Live job status: Server-Sent Events (SSE) and long polls.

Start with `live_jobs`: it builds the events of one connection. `event_stream` has the SSE format
and the event ids; `waiting` has the long poll. This folder must not import routes or pages.
"""
