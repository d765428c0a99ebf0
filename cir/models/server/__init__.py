"""A language model that a server answers for: its address, what asks it, and the model behind the protocol."""
