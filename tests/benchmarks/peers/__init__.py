"""Other task systems, set up as durable as ours and each as fast as it goes, to measure beside it.

`kinds` says how each is set up; `peer` measures one; the modules named after them run in processes of their own.
"""
