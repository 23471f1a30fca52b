"""Tables keep every character, in whatever width."""

import io

from rich.console import Console

from wrangler_py.cli.screens.tables import Line, Narrow, labelled, table

UUID = "12dc179f-9f77-4a37-b973-709dca4189ba"


def drawn(width, headers, rows, narrow=None):
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False, emoji=False)
    console.print(table(console, headers, rows, narrow))
    return console.file.getvalue()


def test_a_table_that_fits_is_wranglers():
    assert drawn(80, ["Name", "Status"], [["a", "✅ Completed"], ["b", "⏸️ Paused"]]) == (
        "┌──────┬──────────────┐\n"
        "│ Name │ Status       │\n"
        "├──────┼──────────────┤\n"
        "│ a    │ ✅ Completed │\n"
        "├──────┼──────────────┤\n"
        "│ b    │ ⏸️ Paused    │\n"
        "└──────┴──────────────┘\n"
    )


def test_a_table_that_does_not_fit_puts_columns_under_each_other():
    text = drawn(50, ["ID", "Version", "Status"], [[UUID, "v" * 36, "done"]], Narrow([(0, 1), (2,)]))
    assert text == (
        "┌──────────────────────────────────────┬────────┐\n"
        "│ ID                                   │        │\n"
        "│ Version                              │ Status │\n"
        "├──────────────────────────────────────┼────────┤\n"
        f"│ {UUID} │ done   │\n"
        f"│ {'v' * 36} │        │\n"
        "└──────────────────────────────────────┴────────┘\n"
    )


def test_columns_to_keep_are_folded_after_the_others():
    text = drawn(40, ["ID", "Status"], [["a" * 20, "several long words"]], Narrow([(0,), (1,)], keep=(0,)))
    assert "a" * 20 in text
    assert "several long words" not in text


def test_a_column_to_keep_leaves_the_others_readable():
    text = drawn(30, ["ID", "Status"], [["a" * 20, "done"]], Narrow([(0,), (1,)], keep=(0,)))
    assert "done" in text


def test_what_is_still_too_wide_is_folded_and_nothing_is_lost():
    text = drawn(24, ["ID"], [[UUID]])
    folded = "".join(line.strip("│ ") for line in text.splitlines() if line.startswith("│"))
    assert folded == f"ID{UUID}"


def test_markup_and_emoji_codes_in_data_are_text():
    assert "[red]:smile:[/red]" in drawn(80, ["Name"], [["[red]:smile:[/red]"]])


def test_labelled_values_stand_in_one_column():
    assert labelled([Line("Name", "x"), Line("Script Name", "y")], indent="  ").plain == (
        "  Name:         x\n  Script Name:  y\n"
    )
