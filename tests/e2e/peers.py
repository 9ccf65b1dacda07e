"""Receivers of messages for the tests: each holds what it gets against the vendor's published rules and answers as the
vendor does; what breaks a rule is answered as an error and kept in .wrong.

    with Receiver() as r:           an HTTP server on a free port
        r.url("slack")              where Slack's incoming webhook would be
        r.answers.append((429, {"Retry-After": "1"}, b"rate_limited"))    said to the next request instead
        r.got                       [(kind, path, headers, body as JSON) …] of what was taken
"""

import base64
import hashlib
import hmac
import http.server
import json
import re
import ssl
import threading
import time

SLACK_BLOCKS = {"header", "section", "context", "divider", "actions", "image"}


class Wrong(Exception):
    def __init__(self, word):
        super().__init__(word)
        self.word = word


def need(good, word):
    if not good:
        raise Wrong(word)


def slack_text(t, types, limit):
    need(isinstance(t, dict) and t.get("type") in types, "invalid_blocks: text")
    need(set(t) <= {"type", "text", "emoji", "verbatim"}, "invalid_blocks: unknown member")
    need(isinstance(t.get("text"), str) and 1 <= len(t["text"]) <= limit, "invalid_blocks: length of a text")
    if t["type"] == "mrkdwn":
        need(not re.search(r"<(?![@#!]|https?:)|&(?!amp;|lt;|gt;)", t["text"]), "invalid_blocks: & < > are not escaped")


def slack(headers, body):
    """api.slack.com/reference/block-kit and .../messaging/webhooks."""
    need(headers["Content-Type"].startswith("application/json"), "invalid_payload")
    need(set(body) <= {"text", "blocks", "username", "icon_emoji", "icon_url", "channel"}, "invalid_payload")
    need(body.get("text"), "no_text")
    need(isinstance(body.get("blocks", []), list) and len(body.get("blocks", [])) <= 50, "invalid_blocks: number")
    for b in body.get("blocks", []):
        need(b.get("type") in SLACK_BLOCKS, "invalid_blocks: type")
        if b["type"] == "header":
            slack_text(b["text"], {"plain_text"}, 150)
        elif b["type"] == "section":
            need("text" in b or "fields" in b, "invalid_blocks: section")
            if "text" in b:
                slack_text(b["text"], {"plain_text", "mrkdwn"}, 3000)
            need(len(b.get("fields", [])) <= 10, "invalid_blocks: fields")
            for f in b.get("fields", []):
                slack_text(f, {"plain_text", "mrkdwn"}, 2000)
        elif b["type"] == "context":
            need(1 <= len(b["elements"]) <= 10, "invalid_blocks: context")
            for e in b["elements"]:
                slack_text(e, {"plain_text", "mrkdwn"}, 3000)
    return 200, "text/plain", b"ok"


def mattermost(headers, body):
    """developers.mattermost.com/integrate/webhooks/incoming and .../reference/message-attachments."""
    need(headers["Content-Type"].startswith("application/json"), "Unable to parse incoming data.")
    allowed = {"text", "channel", "username", "icon_url", "icon_emoji", "attachments", "type", "props", "priority"}
    need(set(body) <= allowed, "Unable to parse incoming data.")
    need(body.get("text") or body.get("attachments"), "No text specified.")
    size = len(body.get("text", ""))
    known = {"fallback", "color", "pretext", "text", "author_name", "author_link", "author_icon", "title", "title_link",
             "fields", "image_url", "thumb_url", "footer", "footer_icon"}
    for a in body.get("attachments", []):
        need(set(a) <= known, "Unable to parse incoming data.")
        need(re.fullmatch("#[0-9a-fA-F]{6}", a["color"]), "Unable to parse incoming data.")
        need(isinstance(a.get("fallback"), str), "Unable to parse incoming data.")
        size += len(a.get("text", "")) + sum(len(f["title"]) + len(f["value"]) for f in a.get("fields", []))
        for f in a.get("fields", []):
            need(set(f) == {"short", "title", "value"} and isinstance(f["short"], bool), "Unable to parse incoming data.")
    need(size <= 16383, "Message is too long.")
    return 200, "text/plain", b"ok"


def ntfy(headers, body):
    """docs.ntfy.sh/publish/#publish-as-json: to the root, with these members."""
    known = {"topic", "message", "title", "tags", "priority", "actions", "click", "attach", "markdown", "icon",
             "filename", "delay", "email", "call"}
    need(set(body) <= known, "invalid request: unknown member")
    need(re.fullmatch(r"[-_A-Za-z0-9]{1,64}", body.get("topic", "")), "invalid request: topic invalid")
    need(body.get("priority", 3) in range(1, 6), "invalid request: priority invalid")
    need(all(isinstance(t, str) for t in body.get("tags", [])), "invalid request: tags")
    need(len(body.get("message", "").encode()) <= 4096, "invalid request: message too large")
    return 200, "application/json", json.dumps({"id": "x", "event": "message", "topic": body["topic"]}).encode()


def pagerduty(headers, body):
    """developer.pagerduty.com/docs/events-api-v2: the PD-CEF fields."""
    errors = []
    if not re.fullmatch(r"[0-9a-zA-Z]{32}", body.get("routing_key", "")):
        errors.append("'routing_key' is missing or invalid")
    action = body.get("event_action")
    if action not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' is missing or invalid")
    if set(body) - {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}:
        errors.append("unknown member")
    if len(body.get("dedup_key", "")) > 255:
        errors.append("'dedup_key' must be at most 255 characters")
    if action == "trigger":
        p = body.get("payload", {})
        if not p.get("summary") or len(p["summary"]) > 1024:
            errors.append("'payload.summary' is missing, blank or too long")
        if not p.get("source"):
            errors.append("'payload.source' is missing or blank")
        if p.get("severity") not in ("critical", "error", "warning", "info"):
            errors.append("'payload.severity' is invalid (must be one of: [critical, error, warning, info])")
        if "timestamp" in p and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", p["timestamp"]):
            errors.append("'payload.timestamp' is invalid")
        known = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}
        if set(p) - known:
            errors.append("unknown member of payload")
    elif "dedup_key" not in body:
        errors.append("'dedup_key' is missing")
    if errors:
        e = Wrong("invalid event")
        e.body = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
        raise e
    key = body.get("dedup_key", "made-here")
    answer = {"status": "success", "message": "Event processed", "dedup_key": key}
    return 202, "application/json", json.dumps(answer).encode()


def webhook_verify(secret, headers, raw, tolerance=300):
    """The published algorithm of standardwebhooks.com, written from its specification."""
    wid, stamp, signatures = headers["webhook-id"], headers["webhook-timestamp"], headers["webhook-signature"]
    if abs(time.time() - int(stamp)) > tolerance:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    want = base64.b64encode(hmac.new(key, f"{wid}.{stamp}.".encode() + raw, hashlib.sha256).digest()).decode()
    return any(v == "v1" and hmac.compare_digest(s, want) for v, s in (x.split(",", 1) for x in signatures.split()))


def webhook(headers, body):
    need(headers.get("webhook-id") and re.fullmatch(r"\d+", headers.get("webhook-timestamp", "")), "no webhook headers")
    need(set(body) == {"type", "timestamp", "data"}, "unknown member")
    return 204, "text/plain", b""


KINDS = {"slack": slack, "mattermost": mattermost, "ntfy": ntfy, "pagerduty": pagerduty, "webhook": webhook}


def refusal(kind, e):
    if kind == "pagerduty":
        return 400, "application/json", json.dumps(e.body).encode()
    if kind == "mattermost":
        return 400, "application/json", json.dumps({"id": "x", "message": e.word, "status_code": 400}).encode()
    if kind == "ntfy":
        return 400, "application/json", json.dumps({"code": 40001, "http": 400, "error": e.word}).encode()
    return 400, "text/plain", e.word.encode()


class Receiver:
    def __init__(self, tls=None):
        self.got, self.raw, self.wrong, self.answers, self.tries = [], [], [], [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.path.strip("/").split("/")[0] or "ntfy"
                receiver.tries.append((kind, dict(self.headers), raw))
                extra = {}
                if receiver.answers:
                    answer = receiver.answers.pop(0)
                    if answer == "hang up":  # after it has read all of it
                        self.close_connection = True
                        self.connection.close()
                        return
                    status, extra, body = answer
                    type_ = "text/plain"
                else:
                    try:
                        parsed = json.loads(raw)
                        status, type_, body = KINDS[kind](self.headers, parsed)
                        receiver.got.append((kind, self.path, dict(self.headers), parsed))
                        receiver.raw.append(raw)
                    except Wrong as e:
                        receiver.wrong.append((kind, str(e), raw))
                        status, type_, body = refusal(kind, e)
                self.send_response(status)
                for k, v in extra.items():
                    self.send_header(k, v)
                self.send_header("Content-Type", type_)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def url(self, path):
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}/{path}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
