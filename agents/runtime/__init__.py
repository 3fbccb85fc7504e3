"""Runs processors (stages, tracking, intake) on Kafka; one concern for each module.

Start with `stage_processor` (one batch of one stage). `consumer` commits offsets, `retry` decides
about errors, `publishing` writes results and failures, `dead_letters` writes dead letters, and
`watchdog` ends a stuck worker. Only `faust_app` imports Faust. Must not import `agents.vision`,
`agents.captioners`, `agents.inputs` or `agents.tracking`."""
