"""Evaluation of trained models: the figures a run reports, each with its kind and interval."""
