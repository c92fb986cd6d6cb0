"""Dialogs over the tabs: questions and sheets of text. They return a value, and change nothing themselves."""
