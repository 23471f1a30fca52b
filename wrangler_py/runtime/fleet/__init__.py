"""`pywrangler serve`: one front, and for every live version of every script some workers, kept alive by a supervisor.

::

    supervisor ── front                 the socket, the API, deploys; passes requests on
               ├─ shop 1f3a…  #0 #1     the active version: leads (queues, schedules, Durable Objects), answers requests
               └─ shop 90bc…  #0 #1     an older one, for as long as instances that it began have not ended

Read in this order: `supervisor` is the session; `fleet` decides who is to be there; `crew` is the workers of one
version; `post` is the place of one process, which is filled again when that dies.
"""
