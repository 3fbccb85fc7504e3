"""Networks and image operations. Start with `networks/model.py`.

`networks` (torch), `geometry` (masks, landmarks, crops), `images` (decoding, colour, drawing),
`text` (titles and vocabulary). Imports nothing of stages except `agents.stages.errors`, and nothing
of the runtime.
"""
