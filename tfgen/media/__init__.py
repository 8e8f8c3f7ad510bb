"""Pictures, pen strokes, sounds and texts: from arrays to files for people, and back."""
