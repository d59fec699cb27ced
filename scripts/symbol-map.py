#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""symbol-map.py HEADER... OUT: the linker's version script from the public headers.

A function marked VM_COMMITTED is exported with version VMMAPI_0200, one marked VM_PUBLIC with VMMAPI_HYVE, and
nothing else is exported.  A public function without a mark, a mark that is not understood and a function that is
declared twice are errors: what the headers promise and what the library exports must not drift apart.
"""
import re
import sys

NODES = {"VM_COMMITTED": "VMMAPI_0200", "VM_PUBLIC": "VMMAPI_HYVE"}
MARK = re.compile(r"\b(?:%s)\b" % "|".join(NODES))


def blank(match):
    """Replace text by its line ends, so that line numbers stay right."""
    return "\n" * match.group(0).count("\n") or " "


def strip(text):
    """The declarations of a header: no comments, preprocessor lines, strings or bodies."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.S)
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)
    text = re.sub(r'\bextern\s*"C"\s*\{', blank, text)
    out, depth = [], 0
    for char in text:
        if char == "{":
            depth += 1
        elif char == "}":
            if depth > 0:
                depth -= 1
                # a body ends the declaration of an inline function, the members of a struct do not
                out.append(" \0 ")
        elif depth == 0 or char == "\n":
            out.append(char)
    if depth != 0:
        raise ValueError("unbalanced braces")
    return "".join(out)


def functions(path):
    """Yield (line, version node, name) of each marked function of a header."""
    with open(path, encoding="utf-8") as header:
        text = strip(header.read())
    line = 1
    for decl in text.split(";"):
        start = line + decl[:len(decl) - len(decl.lstrip())].count("\n")
        line += decl.count("\n")
        flat = " ".join(decl.split())
        where = "%s:%d" % (path, start)
        marks = MARK.findall(flat)
        if not marks:
            head = flat.rsplit("\0", 1)[-1]
            if "(" in head and not re.match(r"\s*(?:typedef|static|_Static_assert)\b", head):
                raise ValueError("%s: '%s' has neither VM_COMMITTED nor VM_PUBLIC" % (where, head))
            continue
        if len(marks) != 1:
            raise ValueError("%s: two marks in one declaration: '%s'" % (where, flat))
        match = re.search(r"%s ([^(;]*?)([A-Za-z_]\w*) ?\(" % marks[0], flat)
        if match is None or not match.group(1).strip(" *") or "=" in match.group(1):
            raise ValueError("%s: cannot read the declaration '%s'" % (where, flat))
        yield where, NODES[marks[0]], match.group(2)


def main(argv):
    if len(argv) < 3:
        raise ValueError("usage: symbol-map.py HEADER... OUT")
    seen, nodes = {}, {node: [] for node in NODES.values()}
    for path in argv[1:-1]:
        for where, node, name in functions(path):
            if name in seen:
                raise ValueError("%s: %s was declared before at %s" % (where, name, seen[name]))
            if not re.match(r"(?:vm|vcpu)_", name):
                raise ValueError("%s: exported name %s starts with neither vm_ nor vcpu_" % (where, name))
            seen[name] = where
            nodes[node].append(name)
    if not all(nodes.values()):
        raise ValueError("no function for version %s" % [n for n in nodes if not nodes[n]][0])
    out = ["/* Made by scripts/symbol-map.py from the public headers. */"]
    for node, names in nodes.items():
        out.append("%s {\nglobal:" % node)
        out.extend("\t%s;" % name for name in sorted(names))
        if node == "VMMAPI_0200":
            out.append("local:\n\t*;")
        out.append("};")
    with open(argv[-1], "w", encoding="utf-8") as script:
        script.write("\n".join(out) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv)
    except (OSError, ValueError) as error:
        sys.exit("symbol-map.py: %s" % error)
