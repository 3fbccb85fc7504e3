"""Who works: one module a stage, pure of Kafka; only `agents.runtime.consumer` knows Faust."""
