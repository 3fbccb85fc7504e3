"""The declarations of the stages: what every process knows about a stage without its code.

Start with `declaration` (one stage), then `registry` (the built-in stages) and `graph` (which
stage needs which). These modules import nothing but `streams`.
"""
