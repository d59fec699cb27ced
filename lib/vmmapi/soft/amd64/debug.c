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

/* RF keeps a stop away in the midst of a string instruction: with its iterations left it is still the same one (SDM vol. 3 17.3.1.1). */
bool
x86_debug_stop(struct x86 *x)
{
	uint64_t lin = x->flat ? x->s->rip : (uint32_t)(x->s->seg[SEG_CS].base + x->s->rip), at = 0;
	const struct vm_debug_point *p;

	if (x->cpu->replay || ((x->s->rflags & FL_RF) != 0 && x->again == lin) || x->vcpu->caps[VM_CAP_SINGLE_STEP] == 1)
		return (false);
	p = debug_find(x->vcpu->vm, VM_DEBUG_EXEC, lin, 1, &at);
	if (p != NULL)
		debug_fill(soft_exit(x->cpu, VM_EXIT_DEBUG, false), p, at, VM_AMD64_DEBUG_DR);
	return (p != NULL);
}

/* A debugger's: the exit is behind the instruction, and there is one of them for all that it accesses. */
static void
watch_point(struct x86 *x, uint64_t lin, unsigned size, bool write)
{
	const struct vm_debug_point *p;
	uint64_t at = 0;

	if (x->cpu->replay || (x->cpu->exiting && x->vcpu->exit.code == VM_EXIT_DEBUG))
		return;
	p = debug_find(x->vcpu->vm, write ? VM_DEBUG_WRITE : VM_DEBUG_READ, lin, size, &at);
	if (p == NULL)
		return;
	x86_sync(x);
	debug_fill(soft_exit(x->cpu, VM_EXIT_DEBUG, false), p, at, VM_AMD64_DEBUG_DR);
	x86_cut(x);
}

void
x86_watch_data(struct x86 *x, uint64_t lin, unsigned size, bool write)
{
	if (x->vcpu->vm->debug.ndata != 0)
		watch_point(x, lin, size, write);
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
	x->watch = x->vcpu->vm->debug.ndata != 0;
	for (unsigned n = 0; n < NBREAK; n++)
		x->watch |= watches(x, n);
	/* Fast paths to memory go by the row, instructions are looked at one by one. */
	x86_mode(x);
	x->attention = true;
}
