"""A simulator that searches for faults of the engine: ``python -m tests.simulation --help``.

The engine, its scheduler, its commits and its recovery are the real ones, over a real SQLite file. The world around
them is simulated in one process and from one seed: time (`loop`), processes that are killed or stopped at any await
(`world`), a store that refuses, delays or loses answers (`faults`), users who steer instances (`plan`, `driver`).

A run is a `plan.Plan`, which is plain data: the programs that instances run (`programs`, executed by `interpreter`),
and a script of commands, deaths and faults. Two witnesses outside the engine record what happens: the `ledger` every
call of user code, the `journal` every committed change. `laws` compares them. A plan that breaks a law is made smaller
by `shrink` before it is printed.

`season` puts situations into some of the plans that chance brings about too seldom: `changes` of their programs, and a
`scene` of their script. Those in `alone` have a plan to themselves. `mutants` are faults put back into the engine
(`faulty` holds its old parts); `hunt` counts the seeds until each is found.
"""
