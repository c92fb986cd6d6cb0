"""The cases of the campaign, a module for each kind of fault."""
