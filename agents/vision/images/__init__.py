"""Decode, convert, hash and draw pictures. Start with `picture.py`, which runs in the decoding
child.

The modules that the decoding child loads (`picture`, `formats`, `colour`) must not import numpy.
"""
