"""Estimators beneath the families: annealed importance sampling, bounds, gradients, sample distances."""
