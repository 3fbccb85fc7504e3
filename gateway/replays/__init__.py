"""Processing a job again: a run of one job (`reruns`), or a replay of a topic (`service`).

Start with `service`. `state` stores a replay's progress as an artifact, so that every gateway can
show it. This folder must not import routes or pages.
"""
