"""Estimators beneath the families: annealed importance sampling, importance bounds, sample distances."""
