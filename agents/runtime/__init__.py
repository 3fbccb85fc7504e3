"""Runs one stage on records, without Kafka's consumers; one concern for each module.

Start with `stage_processor` (one batch of one stage). `retry` decides about errors, `publishing`
writes results and failures, `dead_letters` writes dead letters. Must not import `agents.workers`,
`agents.vision`, `agents.captioners`, `agents.inputs` or `agents.tracking`.
"""
