#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Make a C source of payload images: embed.py OUT ARCH/NAME=FILE..."""
import sys

out = ['/* Made by embed.py. */', '#include "payloads.h"', '']
table = []
for arg in sys.argv[2:]:
    name, path = arg.split('=', 1)
    arch, name = name.split('/', 1)
    with open(path, 'rb') as f:
        data = f.read()
    out.append('static const unsigned char %s_%s[] = {' % (arch, name))
    for i in range(0, len(data), 16):
        out.append('\t' + ' '.join('0x%02x,' % b for b in data[i:i + 16]))
    out.append('};')
    table.append('\t{ "%s", "%s", %s_%s, sizeof(%s_%s) },' % (arch, name, arch, name, arch, name))
out += ['', 'const struct payload payloads[] = {'] + table + ['\t{ NULL, NULL, NULL, 0 }', '};']
with open(sys.argv[1], 'w') as f:
    f.write('\n'.join(out) + '\n')
