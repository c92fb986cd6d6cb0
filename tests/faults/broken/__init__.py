"""Servers and workers with one thing wrong in each: what the campaign's judge has to catch, or it judges nothing.

They are programs of their own, made of the parts of core, of which one is replaced when they start.
"""
