"""Contracts: one suite over every implementation of an interface."""
