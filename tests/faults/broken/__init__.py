"""Servers and workers with one fault each, which the campaign's judge must find.

Most are programs made of the parts of core, one of which is replaced at the start. The `…_tasks` are modules of tasks,
which do the same to the worker that loads them.
"""
