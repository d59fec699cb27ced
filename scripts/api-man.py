#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Make vmmapi(3) and its pages from the public headers.

api-man.py ROOT --list          print the names of the pages and links it makes
api-man.py ROOT DATE DIR        make them in DIR; DATE as in .Dd

vmmapi(3) is the introduction; each section of vmmapi.h is a page vmmapi_<first word>(3); each other header is a page
vmmapi_<name>(3), joined with the section of that name if there is one.  Each function has a link to its page.
"""
import errno
import os
import re
import sys

sys.dont_write_bytecode = True
import apidoc  # noqa: E402

ERRNO = set(errno.errorcode.values())


class Page:
    def __init__(self, name, brief):
        self.name, self.brief = name, brief
        self.title = brief.rpartition("libvmmapi: ")[2]     # in the introduction's list
        self.parts = []         # (header, section)

    def functions(self):
        return [f for _, s in self.parts for f in s.functions()]


def pages(headers):
    """The pages in reading order, without the introduction."""
    found = {}
    for header in headers:
        own = header.include != "vmmapi.h"
        for section in header.sections:
            if not section.items and not section.text:
                continue
            if own:
                name = "vmmapi_" + os.path.basename(header.include)[:-2]
                brief = header.brief
            elif section.title:
                name = "vmmapi_" + re.match(r"\w+", section.title).group(0).lower()
                title = section.title
                brief = "libvmmapi: " + (title if title[1:2].isupper() else title[:1].lower() + title[1:])
            else:
                continue        # shown by the introduction
            found.setdefault(name, Page(name, brief)).parts.append((header, section))
    return list(found.values())


def words(text):
    """Prose as mdoc: sentences on lines of their own, names marked up."""
    out, line = [], []

    def flush():
        if line:
            first = line[0]
            if first[0] in ".'":
                line[0] = "\\&" + first
            out.append(" ".join(line))
            line.clear()

    for word in text.split():
        match = re.match(r"^([(\[]?)(?:((?:vm|vcpu)_\w+)\(\)|(E[A-Z0-9]+)|((?:VM|VMMAPI)_[A-Z0-9_]+\*?))(.*)$", word)
        if match and (match.group(2) or match.group(3) in ERRNO or match.group(4)):
            macro = "Fn" if match.group(2) else "Er" if match.group(3) else "Dv"
            name = match.group(2) or match.group(3) or match.group(4)
            rest = match.group(5)
            if re.match(r"^[.,;:)\]]*$", rest):
                tail = "".join(" " + char for char in rest)
            elif macro == "Dv":
                tail = None
            else:
                tail = " Ns " + rest
            if tail is not None:
                flush()
                out.append(".%s %s%s%s" % (macro, match.group(1) + " " if match.group(1) else "", name, tail))
                continue
        line.append(word.replace("\\", "\\e"))
        if word.endswith(".") or sum(len(w) + 1 for w in line) > 90:
            flush()
    flush()
    return out


def prose(text):
    out = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.startswith("This header"):
            continue
        if out:
            out.append(".Pp")
        out += words(paragraph)
    return out


def literal(code):
    # columns as the header has them, with tabs turned to blanks once
    lines = [line.expandtabs(8).replace("\\", "\\e") for line in code.split("\n")]
    lines = ["\\&" + line if line[:1] in (".", "'") else line for line in lines]
    return [".Bd -literal"] + lines + [".Ed"]


def synopsis(parts):
    out = [".Sh SYNOPSIS"]
    for include in dict.fromkeys(header.include for header, _ in parts):
        out.append(".In " + include)
    for _, section in parts:
        for function in section.functions():
            out.append(".Ft " + function.type)
            out.append(".Fn %s %s" % (function.name, " ".join('"%s"' % arg for arg in function.args)))
    return out


def describe_items(section):
    out, inside = [], False
    for item in section.items:
        if item.kind == "function":
            if not inside:
                out.append(".Bl -tag -width Ds")
                inside = True
            out.append(".It Fn %s%s" % (item.name, " Pq committed" if item.committed else ""))
            out += prose(item.text)
        else:
            if inside:
                out.append(".El")
                inside = False
            out.append(".Pp")
            out += prose(item.text)
            out += literal(item.code)
    return out + ([".El"] if inside else [])


def fields(page, key, heading):
    """A section of the page with one field of each function; functions that agree share an entry."""
    groups = {}
    for _, section in page.parts:
        for function in section.functions():
            value = section.field(function, key)
            if value:
                groups.setdefault(value, []).append(function.name)
    if not groups:
        return []
    out = [".Sh " + heading, ".Bl -tag -width Ds"]
    for value, names in groups.items():
        out.append(".It Fn " + " , Fn ".join(names))
        out += words(value[:1].upper() + value[1:] if value[:1].islower() else value)
    return out + [".El"]


def head(name, date, names, brief):
    return ['.\\" SPDX-License-Identifier: BSD-2-Clause', '.\\" Made by scripts/api-man.py from the public headers.',
            ".Dd " + date, ".Dt %s 3" % name.upper(), ".Os", ".Sh NAME"] + \
        [".Nm %s%s" % (n, " ," if n != names[-1] else "") for n in names] + \
        [".Nd " + brief, ".Sh LIBRARY", "libvmmapi", ".Pq Fl lvmmapi"]


def see_also(names):
    names = sorted(names)
    return [".Sh SEE ALSO"] + [".Xr %s 3%s" % (n, " ," if n != names[-1] else "") for n in names]


def make_page(page, date):
    out = head(page.name, date, [page.name] + [f.name for f in page.functions()], page.brief)
    out += synopsis(page.parts) + [".Sh DESCRIPTION"]
    for header in dict.fromkeys(header for header, _ in page.parts):
        if header.include != "vmmapi.h":
            out += prose(header.text or header.brief + ".")
    several = len(page.parts) > 1
    for _, section in page.parts:
        if several and section.title:
            out.append(".Ss " + section.title)
        out += prose(section.text)
        if section.text and section.items and section.items[0].kind == "function":
            out.append(".Pp")
        out += describe_items(section)
    if any(f.committed for f in page.functions()):
        out += [".Pp", "Functions marked", ".Sq committed", "are promised to programs built today: see", ".Xr vmmapi 3 ."]
    if page.functions():
        out += [".Sh RETURN VALUES", "See", ".Xr vmmapi 3 ."]
    out += fields(page, "Errors", "ERRORS") + see_also(["vmmapi"]) + fields(page, "Threads", "THREADS")
    return tidy(out)


def make_intro(headers, found, date):
    main = headers[0]
    out = head("vmmapi", date, ["vmmapi"], main.brief)
    out += [".Sh SYNOPSIS"] + [".In " + h.include for h in headers] + [".Sh DESCRIPTION"] + prose(main.text)
    out += [".Ss Pages", ".Bl -tag -width Ds"]
    for page in found:
        out += [".It Xr %s 3" % page.name] + words(page.title[:1].upper() + page.title[1:] + ":")
        names = [f.name for f in page.functions()]
        out += [".Fn %s%s" % (n, " ," if n != names[-1] else " .") for n in names]
    out += [".El", ".Ss Types and constants"]
    out += describe_items(main.sections[0])
    out += [".Ss Committed functions",
            "These keep their prototypes and meaning, are exported with symbol version",
            ".Dv VMMAPI_0200 ,", "and can be compiled from bhyve's header names through", ".Pa include/compat :"]
    names = [f.name for page in found for f in page.functions() if f.committed]
    out += [".Fn %s%s" % (n, " ," if n != names[-1] else " .") for n in names]
    return tidy(out + see_also([page.name for page in found]))


def tidy(lines):
    """Drop paragraph marks where the next or the last line makes a paragraph itself."""
    out = []
    for line in lines:
        if line == ".Pp" and out and (out[-1] == ".Pp" or re.match(r"\.(Sh|Ss)\b", out[-1])):
            continue
        if re.match(r"\.(Bd|Bl|Sh|Ss)\b", line) and out and out[-1] == ".Pp":
            out.pop()
        out.append(line)
    return "\n".join(out) + "\n"


def main(argv):
    if len(argv) not in (3, 4):
        raise ValueError("usage: api-man.py ROOT --list | ROOT DATE DIR")
    headers = apidoc.parse_all(argv[1])
    found = pages(headers)
    if argv[2] == "--list":
        print("\n".join(n + ".3" for n in ["vmmapi"] + [p.name for p in found] +
                        [f.name for p in found for f in p.functions()]))
        return
    date, directory = argv[2:]
    made = {"vmmapi": make_intro(headers, found, date)}
    for page in found:
        made[page.name] = make_page(page, date)
        for function in page.functions():
            made[function.name] = ".so man3/%s.3\n" % page.name
    for name, text in made.items():
        with open(os.path.join(directory, name + ".3"), "w", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    try:
        main(sys.argv)
    except (OSError, ValueError) as error:
        sys.exit("api-man.py: %s" % error)
