"""Synthetic triplets from unlabelled images, in HyCIR's order: pairs, query text, consistency; streamed."""
