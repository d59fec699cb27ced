# SPDX-License-Identifier: BSD-2-Clause
"""Read libvmmapi's public headers as documentation: sections, functions, types and constants with their comments.

The comment directly above a declaration is its text.  In it, "Errors:" and "Threads:" start fields that end at the next
field or empty line; "Errors and threads:" is both.  "SECTION: Title" comments open sections; "Threads:" in the text of a
section holds for each of its functions that says nothing itself.
"""
import os
import re

MARKS = {"VM_COMMITTED": True, "VM_PUBLIC": False}
FIELD = re.compile(r"(?:(?<=\s)|^)(Errors and threads|Errors|Threads):\s")


class Item:
    """A declaration: kind is function, type or define."""

    def __init__(self, kind, code, comment, where):
        self.kind, self.code, self.where = kind, code, where
        self.text, self.fields = split_fields(comment)
        self.documented = bool(comment.strip())


class Function(Item):
    def __init__(self, code, comment, where):
        super().__init__("function", code, comment, where)
        flat = " ".join(re.sub(r"__attribute__\s*\(\(.*?\)\)\s*(?=;|$)", "", code, flags=re.S).split()).rstrip("; ")
        match = re.match(r"(VM_\w+) (.*?)(\w+) ?\((.*)\)$", flat)
        if match is None:
            raise ValueError("%s: cannot read the declaration '%s'" % (where, flat))
        self.committed = MARKS[match.group(1)]
        self.type = match.group(2).strip()
        self.name = match.group(3)
        self.args = split_args(match.group(4))
        if self.type.endswith("*"):
            self.type = self.type.rstrip("* ") + " *"


class Section:
    def __init__(self, title, comment):
        self.title = title
        self.text, self.fields = split_fields(comment)
        self.items = []

    def functions(self):
        return [i for i in self.items if i.kind == "function"]

    def field(self, function, key):
        """The field of a function, else the section's, else None."""
        return function.fields.get(key) or self.fields.get(key)


class Header:
    def __init__(self, path, include):
        self.path = path
        self.include = include              # as in #include <...>
        self.brief = ""
        self.text = ""
        self.sections = [Section("", "")]   # the first has what comes before any SECTION


def split_args(text):
    args, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            args.append(text[start:i].strip())
            start = i + 1
    return args + [text[start:].strip()]


def split_fields(comment):
    """Take the fields out of a comment's text: (text, {field: text})."""
    fields, paragraphs = {}, []
    for paragraph in re.split(r"\n\s*\n", comment.strip()):
        parts = FIELD.split(paragraph)
        if parts[0].strip():
            paragraphs.append(parts[0].strip())
        for key, value in zip(parts[1::2], parts[2::2]):
            value = " ".join(value.split())
            for name in ("Errors", "Threads"):
                if name.lower() in key.lower():
                    fields[name] = value
    return "\n\n".join(paragraphs), fields


def comment_text(raw):
    body = raw[2:-2]
    lines = [re.sub(r"^\s*\*? ?", "", line) for line in body.split("\n")]
    return "\n".join(line.rstrip() for line in lines).strip()


def pieces(text):
    """Yield (kind, source, line, gap): comments, preprocessor lines and declarations at file level."""
    pos, line = 0, 1
    comment = re.compile(r"/\*.*?\*/", re.S)
    while pos < len(text):
        skip = re.match(r"\s*", text[pos:]).group(0)
        gap = skip.count("\n")
        pos += len(skip)
        line += gap
        if pos >= len(text):
            return
        if text.startswith("/*", pos):
            end = comment.match(text, pos).end()
            kind = "comment"
        elif text[pos] == "#":
            end = re.compile(r"(?:\\\n|/\*.*?\*/|[^\n])*", re.S).match(text, pos).end()
            kind = "cpp"
        elif re.compile(r'extern\s+"C"\s*\{').match(text, pos):
            end = text.index("{", pos) + 1
            kind = "brace"
        elif text[pos] == "}":
            end = pos + 1
            kind = "brace"
        else:
            end, depth = pos, 0
            while True:
                if text.startswith("/*", end):
                    end = comment.match(text, end).end()
                    continue
                depth += text[end] in "{(" and 1 or text[end] in "})" and -1 or 0
                end += 1
                if text[end - 1] == ";" and depth == 0:
                    break
            rest = re.compile(r"[ \t]*/\*.*?\*/", re.S).match(text, end)
            if rest:
                end = rest.end()
            kind = "decl"
        yield kind, text[pos:end], line, gap
        line += text.count("\n", pos, end)
        pos = end


def parse(path, include):
    with open(path, encoding="utf-8") as source:
        text = source.read()
    header, pending, first, last = Header(path, include), "", True, None
    for kind, source, line, gap in pieces(text):
        where = "%s:%d" % (os.path.relpath(path), line)
        section = header.sections[-1]
        if kind == "comment":
            body = comment_text(source)
            if body.startswith("SPDX"):
                continue
            if first:
                first = False
                head, _, header.text = body.partition("\n\n")
                header.brief = " ".join(re.sub(r"^\S+ - ", "", head).split()).rstrip(".")
            elif body.startswith("SECTION:"):
                title, _, rest = body.partition("\n")
                header.sections.append(Section(title[8:].strip(), rest.strip()))
            else:
                pending, last = body, None
            continue
        if kind == "brace":
            continue
        comment = pending if gap < 2 else ""
        pending = ""
        if kind == "cpp":
            if not re.match(r"#\s*define\s+VM", source) or re.match(r"#\s*define\s+VM_(COMMITTED|PUBLIC)\b", source):
                continue
            if re.match(r"#\s*define\s+\w+_H_|#\s*define\s+\w+_\(", source):
                continue        # a guard, or a macro that others are made of
            if last is not None and last.kind == "define" and gap < 2 and not comment:
                last.code += "\n" + source      # a block of constants is one item
                continue
            section.items.append(Item("define", source, comment, where))
        elif re.match(r"VM_(COMMITTED|PUBLIC)\b", source):
            section.items.append(Function(source, comment, where))
        elif re.match(r"struct \w+;", source):
            last = None
            continue
        else:
            section.items.append(Item("type", source, comment, where))
        last = section.items[-1]
    return header


def parse_all(root):
    """The public headers under root/include."""
    names = ["vmmapi.h"] + ["vmmapi/" + n for n in sorted(os.listdir(os.path.join(root, "include/vmmapi")))]
    return [parse(os.path.join(root, "include", name), name) for name in names]
