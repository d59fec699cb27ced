/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo.c - a kernel that answers on its console.  It says "echo: ready" and gives back what it gets, but for some bytes: a tab has it write
 * 30000 lines with their numbers, ^N a line with how often it was asked; ^O powers off, ^R resets, and behind ^U it
 * takes no notice of the power button, which powers off.
 */
#include "echo.h"
#include "put.h"

#define	LINES	30000

static void
number(unsigned n)
{
	char text[12], *p = text + sizeof(text) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	put(p);
}

void
kernel(const void *boot)
{
	bool deaf = false;
	unsigned asked = 0;
	int c;

	machine_init();
	put("echo: ready\r\n");
	for (;;) {
		if (machine_button() && !deaf) {
			put("echo: button\r\n");
			machine_off();
		}
		c = machine_get();
		switch (c) {
		case -1:
			break;
		case '\t':
			for (unsigned i = 1; i <= LINES; i++) {
				put("line ");
				number(i);
				put(" of many\r\n");
			}
			put("echo: done\r\n");
			break;
		case 'N' & 0x1f:
			put("echo: asked ");
			number(++asked);
			put("\r\n");
			break;
		case 'O' & 0x1f:
			machine_off();
			break;
		case 'R' & 0x1f:
			machine_reset();
			break;
		case 'U' & 0x1f:
			deaf = true;
			put("echo: deaf\r\n");
			break;
		default:
			machine_put((char)c);
		}
	}
}
