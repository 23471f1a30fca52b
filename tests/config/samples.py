"""Parts of configuration files, and what was found in them."""

HEAD = """\
name = "app"
main = "src/entry.py"
compatibility_date = "2026-03-01"
compatibility_flags = ["python_workers"]
"""
WORKFLOW = """\
[[workflows]]
name = "w"
binding = "W"
class_name = "Flow"
"""


def without(text, key):
    """Return ``text`` less the first line that sets ``key``."""
    rows = text.splitlines(keepends=True)
    at = next((i for i, row in enumerate(rows) if row.startswith(f"{key} ")), len(rows))
    return "".join(rows[:at] + rows[at + 1 :])


def found(loaded):
    return [(item.severity, item.line, item.message) for item in loaded.diagnostics.items]


def only(loaded, severity):
    """Return the one problem of a severity."""
    items = [item for item in loaded.diagnostics.items if item.severity == severity]
    assert len(items) == 1, loaded.diagnostics.render()
    return items[0]
