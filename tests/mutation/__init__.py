"""Mutation tests: put one small fault after another into a module and see whether a test notices.

``python -m tests.mutation wrangler_py/engine/limits.py ...`` prints the share of mutants killed for each file and
every survivor. `mutants` makes the faults, `fault` puts one into a process, `runs` runs the tests that reach its line
in a forked process, `accepted.txt` lists the survivors that change nothing a user can see, each with its reason. A
large file may be judged by a ``--sample``, and each fault by as many tests as a ``--budget`` of seconds allows.
"""
