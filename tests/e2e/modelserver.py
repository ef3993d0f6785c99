"""A language model's server as far as its wire goes: it says yes and cites what it was shown. Run as a script.

Its answers mean nothing; it is there to be stopped. `python modelserver.py PORT`
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        schema = asked["response_format"]["json_schema"]["schema"]
        known = schema["properties"]["evidence"]["items"]["enum"]
        answer = {"evidence": known[:1], "answer": "yes"}
        body = json.dumps({"choices": [{"message": {"content": json.dumps(answer)}, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
