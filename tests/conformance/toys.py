"""Rows of toys: what the contract allows and no model of the catalogue uses yet."""

TOYS = {}
