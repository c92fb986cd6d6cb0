"""Other task systems, each as durable as Cauce and as fast as possible, for comparison.

`kinds` has the set-up of each, `peer` measures one, and the modules named after them run in their own processes.
"""
