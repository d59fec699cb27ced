# SPDX-License-Identifier: BSD-2-Clause
"""A client of the control socket that was written after the specification of QMP and knows nothing of hyve: it negotiates, gives ids, takes
answers and events in whatever order they come, and checks each answer against what query-qmp-schema says of it."""
import json
import select
import socket
import time

import guest
from guest import check


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, error):
        super().__init__(error["desc"])
        self.kind = error["class"]


class Qmp:
    """A connection."""

    def __init__(self, path, limit=guest.LIMIT):
        self.limit = limit
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end = time.monotonic() + limit
        while True:
            try:
                self.stream.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                check(time.monotonic() < end, "nobody listens at the socket")
                time.sleep(0.02)
        self.buffer = ""
        self.decoder = json.JSONDecoder()
        self.events = []
        self.number = 0
        self.types = None
        self.greeting = self.message()["QMP"]

    def message(self):
        """The next JSON value of the stream; None at its end."""
        end = time.monotonic() + self.limit
        while True:
            text = self.buffer.lstrip()
            if text:
                try:
                    value, used = self.decoder.raw_decode(text)
                    self.buffer = text[used:]
                    return value
                except json.JSONDecodeError:
                    pass
            if not select.select([self.stream], [], [], max(0, end - time.monotonic()))[0]:
                raise guest.Failed("hung: nothing came from the control socket")
            data = self.stream.recv(65536)
            if not data:
                return None
            self.buffer += data.decode()

    def execute(self, command, **arguments):
        """The answer."""
        self.number += 1
        identity = {"n": self.number}
        request = {"execute": command, "id": identity}
        if arguments:
            request["arguments"] = arguments
        self.stream.sendall(json.dumps(request).encode())
        while True:
            message = self.message()
            check(message is not None, "hung up before '%s' was answered" % command)
            if "event" in message:
                self.events.append(message)
                continue
            check(message["id"] == identity, "the answer has id %s, not %s" % (message.get("id"), identity))
            if "error" in message:
                check(set(message["error"]) == {"class", "desc"}, "an error is %s" % message)
                raise Refused(message["error"])
            return message["return"]

    def negotiate(self):
        check(self.execute("qmp_capabilities") == {}, "capabilities were not taken")
        self.types = {entry["name"]: entry for entry in self.execute("query-qmp-schema")}
        return self

    def event(self, name):
        """The next event, which is this; its data."""
        message = self.events.pop(0) if self.events else self.message()
        check(message is not None, "hung up before the event " + name)
        check(message.get("event") == name, "%s came before the event %s" % (message, name))
        check(set(message["timestamp"]) == {"seconds", "microseconds"} and
              abs(message["timestamp"]["seconds"] - time.time()) < self.limit, "an event is %s" % message)
        if "data" in message:
            self.conforms(message["data"], self.types[name]["arg-type"], name)
        return message.get("data")

    def conforms(self, value, name, where):
        """A value is of a type of the schema."""
        entry = self.types[name]
        kind = entry["meta-type"]
        if kind == "builtin":
            json_types = {"string": str, "int": int, "number": (int, float), "boolean": bool, "value": object}
            good = isinstance(value, json_types[entry["json-type"]]) and (entry["json-type"] != "int" or not isinstance(value, bool))
            check(good, "%s is %r, not of type %s" % (where, value, name))
        elif kind == "enum":
            check(value in [member["name"] for member in entry["members"]], "%s is %r, not of %s" % (where, value, name))
        elif kind == "array":
            check(isinstance(value, list), "%s is %r, not an array" % (where, value))
            for i, element in enumerate(value):
                self.conforms(element, entry["element-type"], "%s[%d]" % (where, i))
        else:
            members = {member["name"]: member for member in entry["members"]}
            check(isinstance(value, dict) and set(value) <= set(members), "%s has %s, of %s" % (where, value, set(members)))
            for member in members.values():
                if member["name"] in value:
                    self.conforms(value[member["name"]], member["type"], where + "." + member["name"])
                else:
                    check("default" in member, "%s lacks %s" % (where, member["name"]))

    def ask(self, command, **arguments):
        """The answer, of the type that the schema says."""
        answer = self.execute(command, **arguments)
        self.conforms(answer, self.types[command]["ret-type"], command)
        return answer

    def refused(self, command, kind, words, **arguments):
        try:
            answer = self.execute(command, **arguments)
        except Refused as reason:
            check(reason.kind == kind and words in str(reason), "%s was refused by %s: %s" % (command, reason.kind, reason))
            return
        raise guest.Failed("%s was done: %s" % (command, answer))

    def ends(self):
        """The other side hangs up, without another word."""
        check(not self.events, "there were events left: %s" % self.events)
        message = self.message()
        check(message is None, "a message came at the end: %s" % message)

    def close(self):
        self.stream.close()
