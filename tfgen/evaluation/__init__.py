"""What is measured of a model: bounds, estimates and their errors."""
