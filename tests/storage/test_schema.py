"""One database is made once, however many processes ask for it at the same moment."""

from __future__ import annotations

import subprocess
import sys

PROCESSES, ROUNDS = 4, 40
#: Opens each of the databases as soon as all processes have come to it: they wait for each other by their marks.
OPENER = """
import pathlib, sys
from wrangler_py.storage.schema import open_database
folder, me, processes, rounds = pathlib.Path(sys.argv[1]), *sys.argv[2:3], *map(int, sys.argv[3:])
for number in range(rounds):
    (folder / f"{number}.{me}.mark").touch()
    while len(list(folder.glob(f"{number}.*.mark"))) < processes:
        pass
    try:
        open_database(folder / f"{number}.sqlite", synchronous="NORMAL", package="wrangler_py.storage.sqlite").close()
    except Exception as error:
        print(repr(error), file=sys.stderr)
"""


def test_processes_that_make_the_same_database_at_once_all_get_it(tmp_path):
    """None sees half of it: not an empty version beside tables, and no refusal while another changes the mode."""
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(tmp_path), str(number), str(PROCESSES), str(ROUNDS)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    try:
        assert [opener.communicate(timeout=60)[1] for opener in openers] == [""] * PROCESSES
    finally:
        for opener in openers:
            opener.kill()
