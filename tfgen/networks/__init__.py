"""Default networks: encoders, decoders, generators and critics by event shape."""
