"""Everything that runs in a worker process.

Start with `stages.stage` (the stage contract) and `runtime.stage_processor` (the code that runs a
stage). `tracking` writes jobs, `inputs` handles untrusted input, `vision` has the networks,
`captioners` the text models. Must not import `gateway` or `lookstream`.
"""
