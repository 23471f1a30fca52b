"""Five fields, with names, steps, ranges, lists and Cloudflare's specials."""

import pytest

from wrangler_py.config.cron import problem


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *",
        "*/5 0-23/2 1,15 1-12 *",
        "0 0 * JAN-mar MON,fri",
        "0 0 * * FRI-MON",
        "50-10 22-4 28-2 NOV-FEB 7-2",
        "*/59 */23 */30 */11 */6",
        "0 0 L-3W * FRIL",
        "0 0 * * 0",
        "0 0 * * 7",
        "0 0 L * *",
        "0 0 LW * *",
        "0 0 15W * *",
        "59 23 LW * *",
        "0 0 * * 6L",
        "0 0 * * MON#2",
    ],
)
def test_what_cloudflare_takes_passes(expression):
    assert problem(expression) is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "five fields"),
        ("* * * *", "not 4"),
        ("0 * * * * *", "not 6"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of the month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day of the week"),
        ("* * * * FUN", "SUN to SAT"),
        ("*/0 * * * *", "step"),
        ("*/x * * * *", "step"),
        ("1- * * * *", "minute"),
        ("*/60 * * * *", "1 to 59"),
        ("* * * * */7", "1 to 6"),
        ("*-5 * * * *", "minute"),
        ("* * 1,L * *", '"L" in a list'),
        ("* * 1W,3 * *", '"1W" in a list'),
        ("* * L-31 * *", "day of the month"),
        ("* * * * FRI#2,MON", '"FRI#2" in a list'),
        ("1,* * * * *", '"*" in a list'),
        ("1,,2 * * * *", "minute"),
        ("\N{ARABIC-INDIC DIGIT ONE} * * * *", "minute"),
        ("1" * 5000 + " * * * *", "minute"),
    ],
)
def test_what_it_does_not_take_is_explained(expression, words):
    assert words in problem(expression)
