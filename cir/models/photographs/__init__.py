"""How the embedded models read photographs: an ImageNet network, WordNet's words for its classes, and simple statistics of pixels.

No pair of an image and a text was used to make any of it, but for the fourteen numbers of `sureness`, by which captions
say what is likely right.
"""
