"""The pywrangler command line: thin commands that speak REST, and the screens that show what it answers."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 the user can mend it, 2 wrong usage, 130 interrupted."""
    from wrangler_py.cli.app import run

    run()
