"""The tab "Galleries": make galleries of one's own pictures, and keep them up to date.

`screen` says what is shown; `handlers` do what is done; `status` has the words for how a gallery stands.
"""
