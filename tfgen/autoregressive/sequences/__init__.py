"""Sequences step by step."""
