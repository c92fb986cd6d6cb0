"""Servers and workers with one thing wrong in each: what the campaign's judge has to catch, or it judges nothing.

Most are programs of their own, made of the parts of core, of which one is replaced when they start. Those called
`…_tasks` are modules of tasks, which do the same to the worker that loads them, whoever started it.
"""
