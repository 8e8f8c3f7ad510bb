"""Vectors entry by entry, in any order."""
