"""The images that are searched: file -> pixels -> features and captions -> cache -> gallery."""
