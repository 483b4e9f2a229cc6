# SPDX-License-Identifier: Apache-2.0
"""A model that does what a test says, for the real Codex CLI: it answers POST /v1/responses on
127.0.0.1 with server-sent events. To the first request of a session it answers with a call of a
shell tool, and to the next, which has the tool's output, with a last message."""

import http.server
import json
import threading


class Model:
    def __init__(self, command):
        self.command, self.requests = command, []
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.reply(b'{"models":[],"data":[]}', "application/json")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "zstd":
                    body = b"{}"
                request = json.loads(body)
                model.requests.append(request)
                self.reply(model.answer(request), "text/event-stream")

            def reply(self, data, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def tool(self, request):
        """The name of the shell tool that this request offers, and its arguments."""
        names = [tool.get("name") for tool in request.get("tools", [])]
        if "exec_command" in names:
            return "exec_command", {"cmd": self.command}
        if "shell_command" in names:
            return "shell_command", {"command": self.command}
        return "shell", {"command": ["sh", "-c", self.command]}

    def outputs(self):
        """The outputs of its calls that the model was told."""
        return [
            json.dumps(item.get("output"))
            for request in self.requests
            for item in request.get("input", [])
            if isinstance(item, dict) and item.get("type") == "function_call_output"
        ]

    def answer(self, request):
        done = any(isinstance(item, dict) and item.get("type") == "function_call_output" for item in request.get("input", []))
        if done:
            item = {"type": "message", "role": "assistant", "id": "m1", "content": [{"type": "output_text", "text": "done"}]}
        else:
            name, arguments = self.tool(request)
            item = {"type": "function_call", "id": "f1", "call_id": "call1", "name": name, "arguments": json.dumps(arguments)}
        events = [
            {"type": "response.created", "response": {"id": "r1"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "r1", "usage": {"input_tokens": 1, "input_tokens_details": None, "output_tokens": 1, "output_tokens_details": None, "total_tokens": 2}}},
        ]
        return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()

    def end(self):
        self.server.shutdown()
        self.server.server_close()
