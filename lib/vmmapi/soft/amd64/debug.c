/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug.c - breakpoints of the debug registers (Intel SDM vol. 3 17.2).
 */
#include "cpu.h"

#define	NBREAK		4U

/* DR7 (17.2.4) */
enum { RW_INSN = 0, RW_WRITE = 1, RW_IO = 2, RW_DATA = 3 };

static bool
enabled(uint64_t dr7, unsigned n)
{
	return ((dr7 >> (2 * n) & 3) != 0);	/* locally or globally */
}

static unsigned
rw(uint64_t dr7, unsigned n)
{
	return ((unsigned)(dr7 >> (16 + 4 * n)) & 3);
}

/* LEN: 1, 2, 8 or 4 bytes. */
static unsigned
length(uint64_t dr7, unsigned n)
{
	static const uint8_t len[4] = { 1, 2, 8, 4 };

	return (len[dr7 >> (18 + 4 * n) & 3]);
}

/* Ports are watched with CR4.DE only; without, the encoding means nothing. */
static bool
watches(const struct x86 *x, unsigned n)
{
	unsigned kind = rw(x->s->dr7, n);

	if (!enabled(x->s->dr7, n))
		return (false);
	return (kind == RW_WRITE || kind == RW_DATA || (kind == RW_IO && (x->s->cr4 & CR4_DE) != 0));
}

bool
x86_insn_breakpoints_on(const struct x86 *x)
{
	uint64_t dr7 = x->s->dr7;

	if ((dr7 & 0xff) == 0)
		return (false);
	for (unsigned n = 0; n < NBREAK; n++) {
		if (enabled(dr7, n) && rw(dr7, n) == RW_INSN)
			return (true);
	}
	return (false);
}

/* Their length is to be 0; with another the results are undefined, here it makes no difference. */
uint64_t
x86_insn_breakpoint(struct x86 *x, uint64_t lin)
{
	uint64_t bits = 0;

	for (unsigned n = 0; n < NBREAK; n++) {
		if (enabled(x->s->dr7, n) && rw(x->s->dr7, n) == RW_INSN && x->s->dr[n] == lin)
			bits |= 1U << n;
	}
	return (bits);
}

/* Their low bits are those of an aligned range of their length (17.2.5). */
static bool
overlaps(const struct x86 *x, unsigned n, uint64_t at, unsigned size)
{
	uint64_t len = length(x->s->dr7, n), base = x->s->dr[n] & ~(len - 1);

	return (at < base + len && base < at + size);
}

static void
hit(struct x86 *x, unsigned n)
{
	x->trap6 |= 1U << n;
	x86_cut(x);
}

void
x86_watch_data(struct x86 *x, uint64_t lin, unsigned size, bool write)
{
	for (unsigned n = 0; n < NBREAK; n++) {
		unsigned kind = rw(x->s->dr7, n);

		if (enabled(x->s->dr7, n) && (kind == RW_DATA || (kind == RW_WRITE && write)) &&
		    overlaps(x, n, lin, size))
			hit(x, n);
	}
}

void
x86_watch_io(struct x86 *x, uint16_t port, unsigned size)
{
	for (unsigned n = 0; n < NBREAK; n++) {
		if (watches(x, n) && rw(x->s->dr7, n) == RW_IO && overlaps(x, n, port, size))
			hit(x, n);
	}
}

void
x86_debug_changed(struct x86 *x)
{
	x->watch = false;
	for (unsigned n = 0; n < NBREAK; n++)
		x->watch |= watches(x, n);
	/* Fast paths to memory go by the row, instructions are looked at one by one. */
	x86_mode(x);
	x->attention = true;
}
