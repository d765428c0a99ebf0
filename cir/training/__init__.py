"""From nothing to the embedded models, and from pictures or captions to mapping networks."""
