"""send_email as user code sees it: messages become files that any mail program reads (Email Service docs)."""

from __future__ import annotations

import email
import logging
import re
import time
from email import policy
from email.message import EmailMessage as Written

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.conftest import Project
from tests.support.session import kill_worker, place
from tests.support.world import run_virtual
from wrangler_py.bindings.email import declare
from wrangler_py.bindings.email.addresses import Address, _named
from wrangler_py.bindings.email.binding import SendEmail
from wrangler_py.bindings.email.outbox import Outbox
from wrangler_py.bindings.failures import EmailError
from wrangler_py.clock import LoopClock
from wrangler_py.config import load
from wrangler_py.config.model import EmailConfig
from wrangler_py.errors import StoreUnavailableError
from wrangler_py.sdk.js import Object
from wrangler_py.sdk.pyodide.ffi import JsException, jsnull, to_js
from wrangler_py.sdk.web.streams import ReadableStream
from wrangler_py.sdk.workers import import_from_javascript

MIB = 1 << 20
BASE = {"from": "shop@example.com", "to": "me@example.org", "subject": "Hi", "text": "Hello"}
RAW = (
    "From: Shop <shop@example.com>\nTo: me@example.org\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
    "Message-ID: <1@example.com>\n\nHello\nyou\n"
)
EmailMessage = import_from_javascript("cloudflare:email").EmailMessage


@pytest.fixture
def outbox(tmp_path):
    """Sends with a binding of some configuration; returns what was returned and what was written."""

    def send(*messages, config=None, **fields):
        async def run():
            kept = Outbox(tmp_path / "email", shown_from=tmp_path)
            binding = SendEmail(config or EmailConfig("SEND_EMAIL"), kept, LoopClock())
            try:
                return [await binding.send(one, **fields) for one in messages or [None]]
            finally:
                kept.close()

        return run_virtual(run())

    send.files = lambda: sorted((tmp_path / "email").glob("*")) if (tmp_path / "email").exists() else []
    send.read = lambda: [
        email.message_from_bytes(path.read_bytes(), policy=policy.default) for path in send.files()
    ]
    return send


def text_of(part):
    return part.get_content().replace("\r\n", "\n")


# what is written -----------------------------------------------------------------------------------------------------


def test_the_dict_form_is_written_as_a_message(outbox):
    (result,) = outbox(
        {**BASE, "html": "<p>Hello</p>", "replyTo": {"email": "help@example.com", "name": "Help Desk"}}
    )
    (message,) = outbox.read()
    assert result == {"messageId": message["Message-ID"]}
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.com>", result.messageId)
    assert [message[name] for name in ("From", "To", "Subject", "Reply-To", "Date")] == [
        "shop@example.com",
        "me@example.org",
        "Hi",
        "Help Desk <help@example.com>",
        "Thu, 01 Jan 2026 00:00:00 +0000",
    ]
    assert message.get_content_type() == "multipart/alternative"
    assert text_of(message.get_body(("plain",))) == "Hello\n"
    assert text_of(message.get_body(("html",))) == "<p>Hello</p>\n"


@pytest.mark.parametrize(
    "sending",
    [
        lambda send: send(BASE),
        lambda send: send(to_js(BASE, dict_converter=Object.fromEntries)),
        lambda send: send(**BASE),
        lambda send: send(from_="shop@example.com", to="me@example.org", subject="Hi", text="Hello"),
        lambda send: send({"from": "shop@example.com", "to": "me@example.org"}, subject="Hi", text="Hello"),
        lambda send: send({**BASE, "html": None, "cc": jsnull, "attachments": []}),
    ],
)
def test_an_object_and_keywords_say_the_same(outbox, sending):
    sending(outbox)
    (message,) = outbox.read()
    assert (message["From"], message["To"], message["Subject"]) == (
        "shop@example.com",
        "me@example.org",
        "Hi",
    )
    assert text_of(message) == "Hello\n"


def test_names_and_text_of_every_script_come_through(outbox):
    outbox(
        {
            "from": {"email": "shop@example.com", "name": "Übermut, Läden & Co."},
            "to": ["Zoë <zoe@example.org>", '"Last, First" <lf@example.org>', {"email": "plain@example.org"}],
            "cc": "cc@example.org",
            "bcc": ["hidden@example.org"],
            "subject": "Rechnung für 🎉",
            "text": "Grüße\r\n.\r\nFrom here on",
        }
    )
    (message,) = outbox.read()
    assert message["From"].addresses[0].display_name == "Übermut, Läden & Co."
    assert [(one.display_name, one.addr_spec) for one in message["To"].addresses] == [
        ("Zoë", "zoe@example.org"),
        ("Last, First", "lf@example.org"),
        ("", "plain@example.org"),
    ]
    assert (message["Cc"], message["Bcc"]) == ("cc@example.org", "hidden@example.org")
    assert message["Subject"] == "Rechnung für 🎉"
    assert text_of(message) == "Grüße\n.\nFrom here on\n"


def test_attachments_are_files_or_stand_inside_the_html(outbox):
    files = [
        {
            "filename": "a.pdf",
            "content": "JVBE\nRi0x",
            "type": "application/pdf",
            "disposition": "attachment",
        },
        {"filename": "ä.csv", "content": b"a,b\r\n\xff", "type": "text/csv", "disposition": "attachment"},
        {
            "filename": "logo.png",
            "content": memoryview(b"\x89PNG"),
            "type": "image/png",
            "disposition": "inline",
            "contentId": "logo",
        },
    ]
    outbox({**BASE, "html": '<img src="cid:logo">', "attachments": files})
    (message,) = outbox.read()
    assert [(one.get_filename(), one.get_content_type(), one.get_payload(decode=True))
            for one in message.iter_attachments()] == [
        ("a.pdf", "application/pdf", b"%PDF-1"),
        ("ä.csv", "text/csv", b"a,b\r\n\xff"),
    ]  # fmt: skip
    logo = next(one for one in message.walk() if one.get_content_type() == "image/png")
    assert (logo["Content-ID"], logo.get_content_disposition(), logo.get_content()) == (
        "<logo>",
        "inline",
        b"\x89PNG",
    )
    assert text_of(message.get_body(("html",))) == '<img src="cid:logo">\n'


def test_headers_of_ones_own_are_written_unfolded_under_their_names(outbox):
    url = f"<https://example.com/unsubscribe?token={'x' * 300}>"
    outbox(
        {
            **BASE,
            "headers": {"list-unsubscribe": url, "X-Campaign_ID": "märz", "In-Reply-To": "<1@example.com>"},
        }
    )
    text = outbox.files()[0].read_bytes().decode()
    assert f"List-Unsubscribe: {url}\r\n" in text
    (message,) = outbox.read()
    assert (message["X-Campaign_ID"], message["In-Reply-To"]) == ("märz", "<1@example.com>")


def test_lines_end_as_rfc_5322_says(outbox):
    outbox({**BASE, "html": "<p>\n</p>"}, EmailMessage.new("shop@example.com", "me@example.org", RAW))
    for path in outbox.files():
        assert re.search(rb"(?<!\r)\n|\r(?!\n)", path.read_bytes()) is None


async def _chunks(*parts):
    for part in parts:
        yield part


@pytest.mark.parametrize(
    "raw",
    [
        RAW,
        RAW.encode(),
        bytearray(RAW.replace("\n", "\r\n").encode()),
        ReadableStream(RAW.encode()),
        ReadableStream(_chunks(RAW[:30].encode(), RAW[30:].encode())),
    ],
)
def test_an_email_message_is_kept_as_it_is(outbox, raw):
    (result,) = outbox(EmailMessage.new("shop@example.com", "me@example.org", raw))
    assert result == {"messageId": "<1@example.com>"}
    assert outbox.files()[0].read_bytes() == RAW.replace("\n", "\r\n").encode()


def test_a_message_of_the_standard_library_passes(outbox):
    message = Written()
    message["From"], message["To"], message["Subject"] = "Shop <shop@example.com>", "me@example.org", "Grüße"
    message["Message-ID"] = "<2@example.com>"
    message.set_content("Grüße")
    outbox(EmailMessage.new("shop@example.com", "me@example.org", message.as_string()))
    assert text_of(outbox.read()[0]) == "Grüße\n"


def test_email_message_tells_what_it_was_made_of():
    message = EmailMessage("a@example.com", "b@example.com", RAW)
    assert (message.from_, getattr(message, "from"), message.to) == (
        "a@example.com",
        "a@example.com",
        "b@example.com",
    )


def test_files_are_named_by_time_and_nothing_else_is_left(outbox):
    outbox(BASE, BASE)
    names = [path.name for path in outbox.files()]
    assert len(set(names)) == 2
    assert all(re.fullmatch(r"2026-01-01T00-00-00\.000Z-[0-9a-f]{8}\.eml", name) for name in names)


def test_one_line_in_the_log_says_what_was_not_sent_and_where_it_is(outbox, caplog):
    with caplog.at_level(logging.INFO, "wrangler_py.bindings"):
        outbox({**BASE, "from": {"email": "shop@example.com", "name": "Shop"}, "cc": "cc@example.org"})
        outbox(EmailMessage.new("shop@example.com", "me@example.org", RAW))
    assert [re.sub(r"see .*\)", "see FILE)", record.getMessage()) for record in caplog.records] == [
        'Email from Shop <shop@example.com> to me@example.org, cc@example.org: "Hi" (not sent, see FILE)',
        'Email from shop@example.com to me@example.org: "Grüße" (not sent, see FILE)',
    ]
    assert f"see email/{outbox.files()[0].name}" in caplog.text


def test_a_field_that_does_not_exist_is_ignored_as_there_but_not_in_silence(outbox, caplog):
    outbox({**BASE, "reply_to": "x@example.com"})
    assert "send() ignores 'reply_to'" in caplog.text
    assert outbox.read()[0]["Reply-To"] is None


# who may send to whom ------------------------------------------------------------------------------------------------

ONE = EmailConfig("E", destination="me@example.org")
SOME = EmailConfig("E", receivers=("me@example.org", "you@example.org"), senders=("shop@example.com",))


@pytest.mark.parametrize(
    ("config", "change", "message", "code"),
    [
        (ONE, {"to": "x@example.org"}, "email to x@example.org not allowed", "E_RECIPIENT_NOT_ALLOWED"),
        (SOME, {"to": ["me@example.org", "x@example.org"]}, "email to x@example.org not allowed",
         "E_RECIPIENT_NOT_ALLOWED"),
        (SOME, {"bcc": "X <x@example.org>"}, "email to x@example.org not allowed", "E_RECIPIENT_NOT_ALLOWED"),
        (SOME, {"cc": "x@example.org"}, "email to x@example.org not allowed", "E_RECIPIENT_NOT_ALLOWED"),
        (SOME, {"from": "x@example.com"}, "email from x@example.com not allowed", "E_SENDER_NOT_VERIFIED"),
    ],
)  # fmt: skip
def test_only_allowed_addresses_pass(outbox, config, change, message, code):
    outbox(BASE, config=config)
    with pytest.raises(EmailError) as caught:
        outbox({**BASE, **change}, config=config)
    assert (caught.value.message, caught.value.code) == (message, code)
    assert len(outbox.files()) == 1


@pytest.mark.parametrize(
    ("sender", "receiver"), [("shop@example.com", "x@example.org"), ("x@e.com", "me@example.org")]
)
def test_the_envelope_of_an_email_message_is_held_to_the_same(outbox, sender, receiver):
    with pytest.raises(EmailError, match="not allowed"):
        outbox(EmailMessage.new(sender, receiver, RAW), config=SOME)
    assert outbox.files() == []


def test_a_binding_with_one_destination_fills_it_in(outbox):
    outbox({**BASE, "to": None}, EmailMessage.new("shop@example.com", None, RAW), config=ONE)
    assert [message["To"] for message in outbox.read()] == ["me@example.org"] * 2


def test_the_banner_says_who_is_allowed(tmp_path):
    project = Project(tmp_path)
    project.write(
        "wrangler.toml",
        """
        name = "w"
        [[send_email]]
        name = "ALL"
        [[send_email]]
        name = "ONE"
        destination_address = "me@example.org"
        [[send_email]]
        name = "SOME"
        allowed_destination_addresses = ["a@example.org", "b@example.org"]
        allowed_sender_addresses = ["shop@example.com"]
        """,
    )
    assert [one[:3] for one in declare(load(tmp_path / "wrangler.toml").config)] == [
        ("ALL", "Send Email", "unrestricted"),
        ("ONE", "Send Email", "me@example.org"),
        ("SOME", "Send Email", "a@example.org, b@example.org from shop@example.com"),
    ]


# refusals ------------------------------------------------------------------------------------------------------------

FILE = {"filename": "a.txt", "content": b"x", "type": "text/plain", "disposition": "attachment"}


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"from": None}, "E_FIELD_MISSING", "required field is missing: from"),
        ({"to": []}, "E_FIELD_MISSING", "required field is missing: to"),
        ({"subject": ""}, "E_FIELD_MISSING", "required field is missing: subject"),
        ({"to": "nobody"}, "E_VALIDATION_ERROR", "invalid email address in 'to': 'nobody'"),
        ({"to": "a@b.c, d@e.f"}, "E_VALIDATION_ERROR", "invalid email address in 'to'"),
        ({"to": {"name": "x"}}, "E_VALIDATION_ERROR", "the email in 'to' is a string, not NoneType"),
        ({"from": 7}, "E_VALIDATION_ERROR", "'from' is a string, not int"),
        ({"subject": "Hi\r\nBcc: x@example.org"}, "E_VALIDATION_ERROR", "'subject' must not contain line breaks"),
        ({"to": "me@example.org\nBcc: x@e.org"}, "E_VALIDATION_ERROR", "'to' must not contain line breaks"),
        ({"from": {"email": "a@b.c", "name": "A\nB"}}, "E_VALIDATION_ERROR", "the name in 'from' must not contain"),
        ({"subject": "x" * 999}, "E_VALIDATION_ERROR", "'subject' has 999 characters, at most 998 are allowed"),
        ({"text": b"x"}, "E_VALIDATION_ERROR", "'text' is a string, not bytes"),
        ({"text": "\ud800"}, "E_VALIDATION_ERROR", "the message cannot be written"),
        ({"cc": ["a@example.org"] * 50}, "E_TOO_MANY_RECIPIENTS", "too many recipients: 51, at most 50"),
        ({"text": "x" * (25 * MIB)}, "E_CONTENT_TOO_LARGE", "the message has 26"),
        ({"attachments": [FILE] * 33}, "E_TOO_MANY_ATTACHMENTS", "too many attachments: 33, at most 32"),
        ({"attachments": "x"}, "E_VALIDATION_ERROR", "'attachments' is a list, not str"),
        ({"attachments": [7]}, "E_VALIDATION_ERROR", "'attachments[0]' is an object, not int"),
        ({"attachments": [FILE | {"content": None}]}, "E_FIELD_MISSING", "missing: attachments[0].content"),
        ({"attachments": [FILE | {"content": "a,b"}]}, "E_VALIDATION_ERROR", "'attachments[0].content' is not Base64"),
        ({"attachments": [FILE | {"type": "text"}]}, "E_VALIDATION_ERROR", "is not a MIME type such as text/plain"),
        ({"attachments": [FILE | {"filename": "a\nb"}]}, "E_VALIDATION_ERROR", "must not contain line breaks"),
        ({"attachments": [FILE | {"disposition": "x"}]}, "E_VALIDATION_ERROR", '"attachment" or "inline", not \'x\''),
        ({"attachments": [FILE | {"disposition": "inline"}]}, "E_FIELD_MISSING", "missing: attachments[0].contentId"),
        ({"headers": {"Date": "x"}}, "E_HEADER_NOT_ALLOWED",
         "Header 'Date' is not allowed. It is auto-generated by the platform."),
        ({"headers": {"ARC-Seal": "x"}}, "E_HEADER_NOT_ALLOWED", "auto-generated by the platform"),
        ({"headers": {"Foo": "x"}}, "E_HEADER_NOT_ALLOWED", "Header 'Foo' is not allowed."),
        ({"headers": {"From": "x"}}, "E_HEADER_USE_API_FIELD",
         "Header 'From' must be set via the 'from' API field, not the 'headers' object."),
        ({"headers": {"Bad Header!": "x"}}, "E_HEADER_NAME_INVALID",
         "Header name 'Bad Header!' contains invalid characters."),
        ({"headers": {"X-" + "a" * 99: "x"}}, "E_HEADER_NAME_INVALID", "exceeds 100 byte limit"),
        ({"headers": {"X-A": " "}}, "E_HEADER_VALUE_INVALID", "Header 'X-A' must not be empty."),
        ({"headers": {"X-A": "a\nBcc: b"}}, "E_HEADER_VALUE_INVALID", "must not contain line breaks"),
        ({"headers": {"X-A": "a", "x-a": "b", "Importance": "huge"}}, "E_HEADER_VALUE_INVALID", "one of: high"),
        ({"headers": {"Comments": "a", "comments": "b"}}, "E_HEADER_VALUE_INVALID", "'Comments' is given twice"),
        ({"headers": {"List-Unsubscribe": "http://x"}}, "E_HEADER_VALUE_INVALID",
         "Header 'List-Unsubscribe' must contain angle-bracket HTTPS or mailto URI(s)."),
        ({"headers": {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}}, "E_HEADER_VALUE_INVALID", "requires"),
        ({"headers": {"X-Campaign-ID": "x" * 2049}}, "E_HEADER_VALUE_TOO_LONG",
         "Header 'X-Campaign-ID' value exceeds 2048 byte limit."),
        ({"headers": {f"X-{n}": "x" * 2000 for n in range(9)}}, "E_HEADERS_TOO_LARGE",
         "Total custom headers payload (17.6KB) exceeds 16KB limit."),
        ({"headers": [1]}, "E_HEADER_VALUE_INVALID", "'headers' is an object"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_with_cloudflares_code_and_not_written(outbox, change, code, message):
    with pytest.raises(EmailError) as caught:
        outbox({**BASE, **change})
    assert isinstance(caught.value, JsException)
    assert caught.value.code == code
    assert message in caught.value.message
    assert outbox.files() == []


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (RAW.replace("shop@", "other@"), "From: header does not match mail from"),
        (RAW.replace("From: ", "X-From: "), "From: header does not match mail from"),
        (f"From: other@example.com\n{RAW}", "From: header does not match mail from"),
        (RAW.replace("Message-ID", "X-ID"), "invalid message-id"),
        (f"Received: by me\n{RAW}", "invalid headers set"),
        ("", "could not parse email"),
        (7, "an EmailMessage is made of a string, bytes or a ReadableStream, not int"),
        (RAW.encode() + b"x" * (25 * MIB), "at most 26214400"),
        (ReadableStream(_chunks(*[b"x" * MIB] * 26)), "at most 26214400"),
    ],
)
def test_a_raw_message_must_fit_its_envelope(outbox, raw, message):
    with pytest.raises(EmailError, match=re.escape(message)):
        outbox(EmailMessage.new("shop@example.com", "me@example.org", raw))
    assert outbox.files() == []


@pytest.mark.parametrize("change", [{"to": "me@example.org\r\nRCPT TO: x"}, {"sender": "shop@example.com\n"}])
def test_an_envelope_has_no_line_breaks(outbox, change):
    with pytest.raises(EmailError, match="must not contain line breaks"):
        outbox(
            EmailMessage.new(
                change.get("sender", "shop@example.com"), change.get("to", "me@example.org"), RAW
            )
        )


def test_something_else_is_no_message(outbox):
    with pytest.raises(EmailError, match="takes an EmailMessage or an object, not str"):
        outbox("hello")


TEXT = st.text(max_size=60)


@settings(max_examples=150)
@given(name=TEXT, subject=TEXT.filter(bool), text=TEXT, value=TEXT)
def test_no_text_in_any_field_makes_a_header_of_its_own(tmp_path_factory, name, subject, text, value):
    """Either it is refused, or the message has just the headers it was given, and they say what was given."""
    fields = {"from": {"email": "a@b.c", "name": name}, "to": "d@e.f", "subject": subject, "text": text}
    folder = tmp_path_factory.mktemp("out")

    async def send():
        kept = Outbox(folder, shown_from=folder)
        try:
            await SendEmail(EmailConfig("E"), kept, LoopClock()).send({**fields, "headers": {"X-A": value}})
        finally:
            kept.close()

    try:
        run_virtual(send())
    except EmailError:
        assert list(folder.iterdir()) == []
        return
    message = email.message_from_bytes(next(folder.iterdir()).read_bytes(), policy=policy.default)
    assert sorted(message.keys()) == sorted(
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "X-A",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        ]
    )
    assert message["Subject"].split() == subject.split()
    assert message["X-A"].split() == value.split()


# state ---------------------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_says_so(outbox, tmp_path):
    (tmp_path / "email").write_text("a file")
    with pytest.raises(StoreUnavailableError, match="The email cannot be written to"):
        outbox(BASE)


CONFIG = """
name = "my-app"
main = "src/entry.py"
compatibility_date = "2026-03-01"

[[send_email]]
name = "SEND_EMAIL"
"""
ENTRY = """
import asyncio
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        self.ctx.waitUntil(self.fill())
        return Response("started")

    async def fill(self):
        for number in range(1_000_000):
            sent = await self.env.SEND_EMAIL.send({
                "from": "a@example.com", "to": "b@example.com", "subject": f"number {number}", "text": "x" * 5000,
            })
            print("sent", number, flush=True)
"""


def test_every_awaited_message_survives_a_kill_of_the_worker_whole(tmp_path, monkeypatch):
    """The line is printed after the await; the worker is killed in the midst of sending."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with place(tmp_path / "project") as where:
        where.has(CONFIG, ENTRY)
        session = where.dev().ready()
        session.get()
        session.wait_for(r"sent 50\n")
        kill_worker(session)
        printed = max(int(number) for number in re.findall(r"sent (\d+)\n", session.output))
        assert re.search(
            r'Email from a@example\.com to b@example\.com: "number 7" \(not sent, see \.wrangler/state/email/.*\.eml\)',
            session.output,
        )
        files = list((where.project.state / "email").glob("*.eml"))
        messages = [email.message_from_bytes(path.read_bytes(), policy=policy.default) for path in files]
    assert {f"number {number}" for number in range(printed + 1)} <= {
        message["Subject"] for message in messages
    }
    assert {len(text_of(message)) for message in messages} == {5001}


@given(st.text('ab@ <>"', max_size=10))
def test_a_named_address_is_a_name_that_may_be_quoted_and_an_address_in_brackets(text):
    match = re.fullmatch(r'\s*"?(?P<name>[^<>"]*?)"?\s*<(?P<email>[^<>]*)>\s*', text)
    expected = match and Address(match["email"].strip(), match["name"])
    assert _named(text.strip()) == expected


def test_a_long_address_is_read_once():
    began = time.process_time()
    for text in (" " * 50_000 + "x", "a " * 50_000, "<" * 50_000, '"' * 50_000):
        _named(text)
    assert time.process_time() - began < 2
