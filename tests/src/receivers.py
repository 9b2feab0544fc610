# Those who are told: SMTP servers that want TLS (by STARTTLS, and from the first byte) and a login, and an HTTP
# server that checks signatures. Each message becomes a file.
# Usage: receivers.py DIRECTORY SMTP_PORT SMTPS_PORT HTTP_PORT USER PASSWORD SECRET.
import hashlib, hmac, http.server, json, os, ssl, sys, threading, time
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

directory, smtp_port, smtps_port, http_port, user, password, secret = sys.argv[1:]
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
        if not session.authenticated or server.transport.get_extra_info("ssl_object") is None:
            return "530 a login and TLS first"
        keep("eml", envelope.content)
        return "250 taken"


tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(os.path.join(directory, "mail.pem"), os.path.join(directory, "mail.key"))


class Mail(Controller):
    def factory(self):
        if self.ssl_context:
            # It doesn't know that the connection is encrypted already.
            how = {"auth_require_tls": False}
        else:
            how = {"tls_context": tls, "require_starttls": True}
        return SMTP(self.handler, auth_required=True, authenticator=login, **how)


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
Mail(Handler(), hostname="127.0.0.1", port=int(smtps_port), ssl_context=tls).start()
print("ready", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(http_port)), Hook).serve_forever()
