# SPDX-License-Identifier: BSD-2-Clause
"""docs/tutorial.md, typed as it is: each command in one shell, in the order of the page, and what it prints."""
import os
import re
import subprocess

import guest
from guest import case, check

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def commands(text):
    """(Command, lines that the page has below it) for each line behind a prompt."""
    found = []
    for line in text.split("\n"):
        if line.startswith("    $ "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line[4:])
    return found


def matches(expected, said):
    """Whether a command said that: its lines in this order, "..." being any lines, or within a line anything."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else ".*?".join(re.escape(part) for part in re.split(r" *\.\.\. *", re.sub(" +", " ", line))) + r" *\n"
                      for line in expected)
    lines = [re.sub(" +", " ", line).rstrip() for line in said.replace("\r", "").split("\n")]
    return re.fullmatch(pattern + r"\n*", "\n".join(lines) + "\n") is not None


@case(slow=True)
def as_it_is_written(context):
    context.needs_soft()
    if context.arch != "amd64":
        raise guest.Skipped("the page is about an amd64 guest")
    with open(os.path.join(ROOT, "docs/tutorial.md"), encoding="utf-8") as page:
        steps = commands(page.read())
    check(len(steps) > 15, "the page has %d commands" % len(steps))
    context.fetch()
    # In a folder that is laid out as the project is after make.
    place = context.path("project")
    os.makedirs(os.path.join(place, "build/gcc"))
    os.symlink(os.path.dirname(context.hyve), os.path.join(place, "build/gcc/cmd"))
    os.symlink(os.path.join(ROOT, "scripts"), os.path.join(place, "scripts"))
    shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=place, text=True,
                             errors="replace")
    try:
        for command, expected in steps:
            shell.stdin.write(command + "\necho; echo tutorial: next\n")
            shell.stdin.flush()
            said = ""
            for line in shell.stdout:
                if line == "tutorial: next\n":
                    break
                said += line
            check(matches(expected, said), "'%s' says:\n%s\nand not:\n%s" % (command, said, "\n".join(expected)))
    finally:
        shell.stdin.close()
        shell.wait()
        subprocess.run("for vm in $(build/gcc/cmd/hyve ls | tail -n +2 | cut -d ' ' -f 1); do build/gcc/cmd/hyve kill $vm; done", shell=True,
                       cwd=place, env=dict(os.environ, HYVE_DIR=os.path.join(place, "build/vms")), stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)


guest.main()
