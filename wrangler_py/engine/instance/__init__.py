"""One instance in memory: its life (`runner`), what `run()` sees (`step`), and how steps are tried, waited for, undone.

Nothing here chooses who runs or talks to other processes: `engine.scheduler` and `engine.control` do.
"""
