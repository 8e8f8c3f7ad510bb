"""Images pixel by pixel."""
