"""A worker process: its Kafka consumers, its watchdog and its health; one concern for each module.

Start with `consumer` (one batch at a time) or `side_by_side` (many records at once). `barrier`
stops a record from ending the worker. Only `faust_app` imports Faust. Must not import
`agents.vision`, `agents.captioners`, `agents.inputs` or `agents.tracking`.
"""
