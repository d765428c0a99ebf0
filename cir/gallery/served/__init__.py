"""A gallery on a Qdrant server: who talks to it, what a picture is there, how it gets there and back."""
