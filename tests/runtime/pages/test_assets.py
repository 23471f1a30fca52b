"""Static files are served as Pages serves them (Pages docs, "Serving Pages", "Redirects", "Headers")."""

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wrangler_py.runtime.pages.assets import Assets
from wrangler_py.sdk.web.request import Request
from wrangler_py.sdk.wire import unpack

SITE = {
    "index.html": "home",
    "about.html": "about",
    "blog/index.html": "blog",
    "blog/first.html": "first",
    "style.css": "css",
    "data.bin": "\0",
}


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "public"

    def make(**extra):
        for name, text in {**SITE, **extra}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Assets(folder)

    make.folder = folder
    return make


def get(assets, path, **options):
    async def fetch():
        response = await assets.fetch(Request(f"http://localhost{path}", **options))
        return response, await response.text()

    return asyncio.run(fetch())


def told(assets, path):
    response, text = get(assets, path)
    return response.status, response.headers.get("location") or text


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", (200, "home")),
        ("/about", (200, "about")),
        ("/about.html", (308, "/about")),
        ("/about/", (308, "/about")),
        ("/index.html", (308, "/")),
        ("/index", (308, "/")),
        ("/blog/", (200, "blog")),
        ("/blog", (308, "/blog/")),
        ("/blog?a=1&b", (308, "/blog/?a=1&b")),
        ("/blog/index.html", (308, "/blog/")),
        ("/blog/first", (200, "first")),
        ("/style.css", (200, "css")),
    ],
)
def test_paths_lead_to_files(site, path, answer):
    assert told(site(**{"404.html": "none"}), path) == answer


def test_the_nearest_404_page_answers(site):
    assets = site(**{"404.html": "none", "blog/404.html": "no post"})
    assert told(assets, "/x/y/z") == (404, "none")
    assert told(assets, "/blog/x") == (404, "no post")
    assert told(assets, "/blog/x/y") == (404, "no post")


def test_a_site_without_a_404_page_is_a_single_page(site):
    assert told(site(), "/any/where") == (200, "home")


@pytest.mark.parametrize(
    "path",
    ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/a/../../secret", "/%00", "/link", "/.dev.vars", "/_headers",
     "/.wrangler/x", "/functions/a.py", "/.env.staging", "/%2e%2e%5csecret"],
)  # fmt: skip
def test_nothing_outside_the_folder_and_no_secret_is_served(site, path):
    extra = dict.fromkeys(
        (".dev.vars", "_headers", ".wrangler/x", "functions/a.py", ".env.staging"), "# hidden"
    )
    assets = site(**{"404.html": "none"}, **extra)
    (site.folder.parent / "secret").write_text("secret")
    (site.folder / "link").symlink_to(site.folder.parent / "secret")
    assert told(assets, path) == (404, "none")


def test_a_client_that_has_the_file_is_told_so(site):
    assets = site()
    response, _ = get(assets, "/style.css")
    again, body = get(assets, "/style.css", headers={"if-none-match": response.headers["etag"]})
    assert (again.status, body) == (304, "")
    os.utime(site.folder / "style.css", (1, 1))
    assert get(assets, "/style.css", headers={"if-none-match": response.headers["etag"]})[0].status == 200


def test_types_length_and_caching(site):
    response, _ = get(site(), "/style.css")
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert response.headers["content-length"] == "3"
    assert response.headers["cache-control"] == "public, max-age=0, must-revalidate"
    assert get(site(), "/data.bin")[0].headers["content-type"] == "application/octet-stream"


def test_head_has_no_body_and_post_is_refused(site):
    response, body = get(site(), "/about", method="HEAD")
    assert (response.status, response.headers["content-length"], body) == (200, "5", "")
    assert get(site(), "/about", method="POST")[0].status == 405


def test_redirects_come_first_in_their_order(site):
    lines = (
        "# moved", "/about /company 301", "/news/* /blog/:splat", "/u/:name https://x.example/:name 307",
        "/app/* /about 200", "bad", "/x /y 999",
    )  # fmt: skip
    rules = "\n".join(lines)
    assets = site(_redirects=rules, **{"404.html": "none"})
    assert told(assets, "/about") == (301, "/company")
    assert told(assets, "/news/a/b") == (302, "/blog/a/b")
    assert told(assets, "/u/ann") == (307, "https://x.example/ann")
    assert told(assets, "/app/deep") == (200, "about")
    assert told(assets, "/x") == (404, "none")


def test_header_rules_add_up_and_take_away(site):
    rules = "/*\n  X-Robots-Tag: noindex\n  X-Frame-Options: DENY\n/blog/*\n  ! X-Frame-Options\n  X-Robots-Tag: all\n"
    assets = site(_headers=rules)
    assert get(assets, "/about")[0].headers["x-frame-options"] == "DENY"
    blog = get(assets, "/blog/")[0].headers
    assert blog["x-robots-tag"] == "noindex, all"
    assert "x-frame-options" not in blog


def sent(assets, path, **headers):
    response, _ = get(assets, path, headers=headers)
    return response.status, response.headers


def test_a_rule_may_take_the_etag_away_or_give_another(site):
    assets = site(_headers='/about\n  ! ETag\n/style.css\n  ETag: "mine"\n')
    known = sent(assets, "/")[1]["etag"]
    status, headers = sent(assets, "/about", **{"if-none-match": known})
    assert (status, "etag" in headers) == (200, False)
    assert sent(assets, "/style.css")[1]["etag"] == '"mine"'
    assert sent(assets, "/style.css", **{"if-none-match": '"mine"'})[0] == 304


def test_lines_of_header_rules_need_no_indentation(site):
    """wrangler tells a path by its slash or scheme, and everything else is a header."""
    assets = site(
        _headers="/about\nX-One: 1\n\tX-Two: 2\n! Referrer-Policy\nhttps://a.example/style.css\nx-one: 3\r\n"
    )
    about = sent(assets, "/about")[1]
    assert (about["x-one"], about["x-two"], "referrer-policy" in about) == ("1", "2", False)
    assert sent(assets, "/style.css")[1]["x-one"] == "3"


def test_values_of_one_header_are_joined_and_marks_are_filled_in(site):
    rules = "/blog/*\n  Link: </a>\n  link: </b>\n  X-Path: :splat\n/:folder/:page\n  Link: </:folder>\n  X-Y: :none\n"
    headers = sent(site(_headers=rules), "/blog/first")[1]
    assert (headers["link"], headers["x-path"], headers["x-y"]) == (
        "</a>, </b>, </blog>",
        "first",
        ":none",
    )


@pytest.mark.parametrize(
    "line",
    [
        "X Y: 1",
        ": 1",
        "X:",
        "X",
        "!X",
        "! X: 1",
        "X(y): 1",
        "X: a\0b",
        "/*/*",
        "/:a/:a",
        "/*/:splat",
        "/a/:b/*/:b",
    ],
)
def test_a_line_of_header_rules_that_cannot_be_followed_is_passed_over_and_named(site, line, caplog):
    """Its headers do not fall to the block above it either."""
    assets = site(_headers=f"/about\n  X-One: 1\n{line}\n  X-Two: 2\n")
    status, headers = sent(assets, "/about")
    assert (status, headers["x-one"], "x-two" in headers) == (200, "1", not line.startswith("/"))
    assert ["_headers, line 3," in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    "line",
    [
        "/x",
        "/x /y 302 more",
        "x /y",
        "/x /y 999",
        "/x /y ²",
        "/x https://a.example 200",
        "/*/* /y",
        "/:a/:a /y",
    ],
)
def test_a_redirect_that_cannot_be_followed_is_passed_over_and_named(site, line, caplog):
    assets = site(_redirects=f"{line}\n/style /about 301", **{"404.html": "none"})
    assert told(assets, "/style") == (301, "/about")
    assert told(assets, "/x") == (404, "none")
    assert ["_redirects, line 1," in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/ä", "/%C3%A4"),
        ("/a\x01b", "/a%01b"),
        ("/a%20b?c=d#e", "/a%20b?c=d#e"),
        ("https://[::1]/x", "https://[::1]/x"),
    ],
)
def test_where_a_redirect_leads_can_always_be_sent(site, target, location):
    assert told(site(_redirects=f"/x {target}"), "/x") == (302, location)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=8).map("\n  ".join),
    st.sampled_from(["/about", "/a/b", "/ä%zz", "/*", "/:a"]),
)
def test_whatever_the_rules_say_every_path_has_an_answer(tmp_path_factory, text, path):
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("home")
    for name in ("_headers", "_redirects"):
        (folder / name).write_text(f"/:a\n  {text}\n/* /about 200\n{text}", encoding="utf-8")

    async def answer():
        sent = unpack(await Assets(folder).fetch(Request(f"http://localhost{path}")))
        return sent.status, b"" if isinstance(sent.body, bytes) else b"".join(
            [chunk async for chunk in sent.body]
        )

    assert asyncio.run(answer())[0] in {200, 301, 302, 303, 307, 308, 404}
