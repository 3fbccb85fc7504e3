"""The steps after training: network weights, temperatures, thresholds and the shipped file.

Start with `calibrate` (thresholds) or `pack` (the shipped file).
"""
