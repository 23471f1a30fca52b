"""`pywrangler d1`: wrangler's words and flags, on the file the Worker uses."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys

import pytest

ID = "c0ffee00-0000-4000-8000-000000000001"
CONFIG = f"""
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[d1_databases]]
binding = "DB"
database_name = "shop"
database_id = "{ID}"
"""
CREATE = "CREATE TABLE cart (id TEXT PRIMARY KEY, paid INTEGER, photo BLOB)"


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "wrangler.toml").write_text(CONFIG)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "entry.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def d1(alone, here):
    """Run a command that must succeed; return what it wrote."""

    def call(*arguments):
        result = alone("d1", *arguments)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    return call


@pytest.fixture
def refused(alone, here):
    """Run a command that must fail; return what it says."""

    def call(*arguments):
        result = alone("d1", *arguments)
        assert result.exit_code == 1
        assert "Traceback" not in result.stderr
        return result.stderr

    return call


def file(here):
    return here / ".wrangler" / "state" / "d1" / f"{ID}.sqlite"


def tables(here):
    connection = sqlite3.connect(file(here))
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()


def migration(here, name, sql):
    (here / "migrations").mkdir(exist_ok=True)
    (here / "migrations" / name).write_text(sql)


# execute


@pytest.mark.parametrize("name", ["DB", "shop", ID])
def test_a_database_goes_by_its_binding_its_name_and_its_id(d1, name):
    assert "│ 1 │" in d1("execute", name, "--command", "SELECT 1 AS n")


def test_execute_shows_a_table_for_each_statement_with_rows(d1, here):
    shown = d1(
        "execute",
        "DB",
        "--command",
        f"{CREATE}; INSERT INTO cart VALUES ('a;b', NULL, x'01ff'); SELECT * FROM cart",
    )
    assert shown.splitlines() == [
        f"🌀 Executing on local database shop ({ID}) from {file(here).relative_to(here)}:",
        "🚣 3 commands executed successfully.",
        "┌─────┬──────┬─────────┐",
        "│ id  │ paid │ photo   │",
        "├─────┼──────┼─────────┤",
        "│ a;b │ null │ x'01ff' │",
        "└─────┴──────┴─────────┘",
    ]
    assert "🚣 1 command executed" in d1("execute", "DB", "--yes", "--command", "SELECT 1")


def test_json_is_what_wrangler_prints(d1):
    d1("execute", "DB", "--command", CREATE)
    d1("execute", "DB", "--command", "INSERT INTO cart VALUES ('a', 1, x'01ff')")
    first, second = json.loads(
        d1("execute", "DB", "--json", "--command", "SELECT * FROM cart; DELETE FROM cart")
    )
    assert first["results"] == [{"id": "a", "paid": 1, "photo": [1, 255]}]
    assert first["success"]
    assert (second["results"], second["meta"]["changes"]) == ([], 1)
    assert set(first["meta"]) >= {
        "duration",
        "changes",
        "last_row_id",
        "rows_read",
        "rows_written",
        "size_after",
    }


def test_statements_of_a_file_behind_comments_are_executed(d1, here):
    (here / "seed.sql").write_text(
        f"/* seed data */\n{CREATE};\n/* one; */ INSERT INTO cart (id) VALUES ('a')"
    )
    assert "2 commands executed" in d1("execute", "DB", "--file", "seed.sql")
    assert json.loads(d1("execute", "DB", "--json", "--command", "/* all */ SELECT id FROM cart"))[0][
        "results"
    ] == [{"id": "a"}]


def test_a_file_is_executed_whole_or_not_at_all(d1, refused, here):
    (here / "good.sql").write_text(f"\ufeff-- made by hand\n{CREATE};\nINSERT INTO cart (id) VALUES ('a');\n")
    (here / "bad.sql").write_text(
        "INSERT INTO cart (id) VALUES ('b');\nINSERT INTO cart (id) VALUES ('a');\n"
    )
    d1("execute", "DB", "--file", "good.sql")
    assert refused("execute", "DB", "--file", "bad.sql") == (
        "✘ [ERROR] UNIQUE constraint failed: cart.id: SQLITE_CONSTRAINT\n"
        "  In the statement: INSERT INTO cart (id) VALUES ('a')\n"
    )
    assert json.loads(d1("execute", "DB", "--json", "--command", "SELECT id FROM cart"))[0]["results"] == [
        {"id": "a"}
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("DB",), "must provide --command or --file."),
        (("DB", "--command", "SELECT 1", "--file", "a.sql"), "can't provide both --command and --file."),
        (("DB", "--command", " -- nothing"), "No SQL statements detected."),
        (
            ("DB", "--file", "missing.sql"),
            'Unable to read SQL text file "missing.sql": No such file or directory.',
        ),
        (("DB", "--file", "latin.sql"), "latin.sql is not UTF-8 text."),
        (
            ("DB", "--file", "binary.sql"),
            "binary.sql is a binary SQLite database, not a text of SQL statements.",
        ),
        (("DC", "--command", "SELECT 1"), "There is no D1 database 'DC' in the configuration."),
        (("DB", "--command", "SELEC 1"), 'near "SELEC": syntax error at offset 0: SQLITE_ERROR'),
        (("DB", "--command", "BEGIN"), "To execute a transaction, please use"),
    ],
)
def test_mistakes_are_told_in_a_line(refused, here, arguments, message):
    (here / "latin.sql").write_bytes("SELECT 'é'".encode("latin-1"))
    (here / "binary.sql").write_bytes(b"SQLite format 3\0" + bytes(100))
    assert refused("execute", *arguments).startswith(f"✘ [ERROR] {message}")


def test_a_file_that_is_no_database_is_told_and_left_alone(refused, here):
    file(here).parent.mkdir(parents=True)
    file(here).write_text("precious")
    assert "is not a usable database: file is not a database" in refused(
        "execute", "DB", "--command", "SELECT 1"
    )
    assert file(here).read_text() == "precious"


def test_ctrl_c_ends_a_long_statement_and_changes_nothing(d1, here):
    endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) INSERT INTO cart (paid) SELECT x FROM c"
    d1("execute", "DB", "--command", CREATE)
    process = subprocess.Popen(
        [
            sys.executable,
            "-uc",
            # What a shell starts in the background ignores the signal, and so does all it starts.
            (
                "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
                "from wrangler_py.cli import main; main()"
            ),
            "d1",
            "execute",
            "DB",
            "--command",
            endless,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    wal = file(here).with_name(f"{file(here).name}-wal")
    while not (wal.exists() and wal.stat().st_size > 1_000_000):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    assert json.loads(d1("execute", "DB", "--json", "--command", "SELECT count(*) AS n FROM cart"))[0][
        "results"
    ] == [{"n": 0}]


# migrations


def test_create_numbers_the_files_and_names_them_by_the_message(d1, here):
    shown = d1("migrations", "create", "DB", "create cart table")
    assert shown.startswith("✅ Successfully created Migration '0001_create_cart_table.sql'!")
    migration(here, "0009_by_hand.sql", "SELECT 1;")
    d1("migrations", "create", "DB", "ten")
    assert sorted(path.name for path in (here / "migrations").iterdir()) == [
        "0001_create_cart_table.sql",
        "0009_by_hand.sql",
        "0010_ten.sql",
    ]
    text = (here / "migrations" / "0010_ten.sql").read_text()
    assert re.fullmatch(r"-- Migration number: 0010 \t \d{4}-\d\d-\d\dT[\d:.]+Z\n", text)


@pytest.mark.parametrize("message", ["", "  ", "../up", "a\\b", "a\nb"])
def test_a_message_that_cannot_name_a_file(refused, here, message):
    assert "cannot name a file" in refused("migrations", "create", "DB", message)
    assert not (here / "migrations").exists()


def test_migrations_are_applied_once_in_order_of_their_numbers(d1, here):
    migration(here, "0002_second.sql", "INSERT INTO cart (id) VALUES ('a');")
    migration(here, "0001_first.sql", f"{CREATE};")
    migration(here, "0010_third.sql", "ALTER TABLE cart ADD COLUMN ten;")
    listed = json.loads(d1("migrations", "list", "DB", "--json"))
    assert [one["name"] for one in listed] == ["0001_first.sql", "0002_second.sql", "0010_third.sql"]
    assert d1("migrations", "apply", "DB").count("✅") == 3
    assert d1("migrations", "list", "DB") == "✅ No migrations to apply!\n"
    assert d1("migrations", "apply", "DB") == "✅ No migrations to apply!\n"
    rows = json.loads(d1("execute", "DB", "--json", "--command", "SELECT * FROM d1_migrations"))[0]["results"]
    assert [(row["id"], row["name"]) for row in rows] == [
        (1, "0001_first.sql"),
        (2, "0002_second.sql"),
        (3, "0010_third.sql"),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row["applied_at"]) for row in rows)


def test_a_migration_that_begins_with_a_comment_is_applied(d1, here):
    trigger = "/* keep a log; of all */\nCREATE TRIGGER log AFTER INSERT ON cart BEGIN DELETE FROM cart; END;"
    migration(here, "0001_first.sql", f"/* The shop: carts first. */\n{CREATE};\n{trigger}")
    d1("migrations", "apply", "DB")
    found = json.loads(d1("execute", "DB", "--json", "--command", "SELECT name FROM sqlite_master"))
    assert {"cart", "log"} <= {row["name"] for row in found[0]["results"]}


def test_listing_migrations_makes_no_table(d1, here):
    migration(here, "0001_first.sql", CREATE)
    d1("migrations", "list", "DB")
    assert not file(here).exists()
    d1("execute", "DB", "--command", "CREATE TABLE other (a)")
    d1("migrations", "list", "DB")
    assert tables(here) == {"other"}


def test_a_migration_that_fails_leaves_nothing_and_those_before_it_stay(alone, d1, here):
    migration(here, "0001_first.sql", f"{CREATE};")
    migration(here, "0002_bad.sql", "CREATE TABLE half (a); INSERT INTO nope VALUES (1);")
    migration(here, "0003_never.sql", "CREATE TABLE never (a);")
    result = alone("d1", "migrations", "apply", "DB")
    assert result.exit_code == 1
    assert result.stderr == (
        "✘ [ERROR] Migration 0002_bad.sql failed: no such table: nope: SQLITE_ERROR\n"
        "  In the statement: INSERT INTO nope VALUES (1)\n"
    )
    states = re.findall(r"│ (\S+\.sql) +│ (\S+)", result.stdout)[-3:]
    assert states == [("0001_first.sql", "✅"), ("0002_bad.sql", "❌"), ("0003_never.sql", "🕒️")]
    assert tables(here) - {"sqlite_sequence"} == {"cart", "d1_migrations"}
    migration(here, "0002_bad.sql", "CREATE TABLE half (a);")
    assert d1("migrations", "apply", "DB", "--yes").count("✅") == 2


def test_the_folder_and_the_table_are_configurable(d1, here):
    settings = 'migrations_dir = "sql/changes"\nmigrations_table = "odd name"\n'
    (here / "wrangler.toml").write_text(CONFIG + settings)
    d1("migrations", "create", "DB", "one")
    (here / "sql" / "changes" / "0001_one.sql").write_text(CREATE)
    d1("migrations", "apply", "DB")
    assert "odd name" in tables(here)


def test_no_folder_and_an_empty_migration_are_told(refused, here):
    assert "No migrations present at" in refused("migrations", "list", "DB")
    migration(here, "0001_empty.sql", "-- Migration number: 0001\n")
    assert "Migration 0001_empty.sql failed: No SQL statements detected." in refused(
        "migrations", "apply", "DB"
    )


# list


def test_list_shows_what_is_configured_and_where_it_is(d1, here):
    assert json.loads(d1("list", "--json")) == [
        {"uuid": ID, "name": "shop", "binding": "DB", "file_size": 0, "file": str(file(here))}
    ]
    d1("execute", "DB", "--command", CREATE)
    assert json.loads(d1("list", "--json"))[0]["file_size"] > 0
    assert ID in d1("list")


def test_list_without_databases(d1, here):
    (here / "wrangler.toml").write_text(CONFIG.partition("[[")[0])
    assert d1("list") == "No D1 databases: add one to [[d1_databases]].\n"
