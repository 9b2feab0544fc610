# Those who are told: an SMTP server that wants TLS and a login, and an HTTP server that checks signatures.
# Usage: receivers.py DIRECTORY SMTP_PORT HTTP_PORT USER PASSWORD SECRET. Each message becomes a file.
import hashlib, hmac, http.server, json, os, ssl, sys, threading, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

directory, smtp_port, http_port, user, password, secret = sys.argv[1:]
lock, count = threading.Lock(), [0]


def keep(kind, data):
    with lock:
        count[0] += 1
        name = os.path.join(directory, f"{time.time_ns()}-{count[0]}.{kind}")
    with open(name + ".part", "wb") as file:
        file.write(data)
    os.rename(name + ".part", name)


def login(server, session, envelope, mechanism, data):
    ok = isinstance(data, LoginPassword) and data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=ok)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        if not session.authenticated or session.ssl is None:
            return "530 a login and TLS first"
        keep("eml", envelope.content)
        return "250 taken"


class Mail(Controller):
    def factory(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.path.join(directory, "mail.pem"), os.path.join(directory, "mail.key"))
        return SMTP(self.handler, tls_context=context, require_starttls=True, auth_required=True, authenticator=login)


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        at = self.headers["X-Sipprot-Timestamp"]
        signed = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
        good = hmac.compare_digest("sha256=" + signed, self.headers["X-Sipprot-Signature"])
        if good and abs(time.time() - int(at)) < 300:
            keep("hook", json.dumps({"id": self.headers["X-Sipprot-Id"], "body": json.loads(body)}).encode())
            self.send_response(204)
        else:
            self.send_response(403)
        self.end_headers()


Mail(Handler(), hostname="127.0.0.1", port=int(smtp_port)).start()
print("ready", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(http_port)), Hook).serve_forever()
