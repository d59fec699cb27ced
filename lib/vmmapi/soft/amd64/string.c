/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * string.c - MOVS, CMPS, SCAS, LODS, STOS, INS, OUTS and their repetition (Intel SDM vol. 1 7.3.9,
 * vol. 2, REP and by instruction).
 *
 * After each iteration the registers are what they have to be if an interrupt, a fault or an exit
 * comes before the next one, which finds RIP still at the instruction: that is X_AGAIN.  Stretches
 * of plain memory within a page are done at once.
 */
#include "alu.h"
#include "decode.h"

enum string_op { STR_MOVS, STR_CMPS, STR_SCAS, STR_LODS, STR_STOS, STR_INS, STR_OUTS };

/* Bytes between looks at what may want the processor. */
#define	ENOUGH	0x10000U

X86_INLINE bool
uses_si(enum string_op op)
{
	return (op == STR_MOVS || op == STR_CMPS || op == STR_LODS || op == STR_OUTS);
}

X86_INLINE bool
uses_di(enum string_op op)
{
	return (op != STR_LODS && op != STR_OUTS);
}

X86_INLINE bool
compares(enum string_op op)
{
	return (op == STR_CMPS || op == STR_SCAS);
}

/* Move the index registers n elements on. */
X86_INLINE void
advance(struct x86 *x, const struct x86_insn *i, enum string_op op, unsigned size, uint64_t n)
{
	unsigned ad = i->adsize;
	uint64_t by = n * size;

	if ((x->s->rflags & FL_DF) != 0)
		by = -by;
	if (uses_si(op))
		x86_gpr_set(x, RSI, ad, x->s->gpr[RSI] + by);
	if (uses_di(op))
		x86_gpr_set(x, RDI, ad, x->s->gpr[RDI] + by);
}

X86_INLINE void
compare(struct x86 *x, unsigned size, uint64_t a, uint64_t b)
{
	unsigned ax;

	(void)alu2(ALU_CMP, size, a, b, 0, &ax);
	alu_set(x, ax);
}

/* A breakpoint at the port is behind the iteration. */
static void
watch(struct x86 *x, uint16_t port, unsigned size)
{
	if (!x->watch)
		return;
	x86_watch_io(x, port, size);
	if (x->trap6 != 0)
		x86_cut(x);
}

/*
 * The port is read when nothing but the store is left to do, which was found possible: reading it
 * may have effects.
 */
static enum x86_status
ins(struct x86 *x, uint64_t di, unsigned size)
{
	uint16_t port = (uint16_t)x->s->gpr[RDX];
	uint64_t v;

	TRY(x86_io_check(x, port, size));
	TRY(x86_probe(x, SEG_ES, di, size, true));
	x86_sync(x);
	if (soft_in(x->cpu, port, size, &v) != SOFT_DONE)
		return (X_EXIT);
	x86_after_device(x);
	TRY(x86_store_seg(x, SEG_ES, di, size, v));
	watch(x, port, size);
	return (X_DONE);
}

static enum x86_status
outs(struct x86 *x, const struct x86_insn *i, uint64_t si, unsigned size)
{
	uint16_t port = (uint16_t)x->s->gpr[RDX];
	uint64_t v;

	TRY(x86_io_check(x, port, size));
	TRY(x86_load_seg(x, (enum amd64_seg)i->seg, si, size, &v));
	x86_sync(x);
	(void)soft_out(x->cpu, port, size, v);
	x86_after_device(x);
	watch(x, port, size);
	return (X_DONE);
}

/* One element, by the general way. */
X86_INLINE enum x86_status
element(struct x86 *x, const struct x86_insn *i, enum string_op op, unsigned size)
{
	enum amd64_seg seg = (enum amd64_seg)i->seg;
	uint64_t si = x86_gpr(x, RSI, i->adsize), di = x86_gpr(x, RDI, i->adsize), a, b;

	switch (op) {
	case STR_MOVS:
		TRY(x86_load_seg(x, seg, si, size, &a));
		TRY(x86_store_seg(x, SEG_ES, di, size, a));
		break;
	case STR_CMPS:
		TRY(x86_load_seg(x, seg, si, size, &a));
		TRY(x86_load_seg(x, SEG_ES, di, size, &b));
		compare(x, size, a, b);
		break;
	case STR_SCAS:
		TRY(x86_load_seg(x, SEG_ES, di, size, &b));
		compare(x, size, x86_gpr(x, RAX, size), b);
		break;
	case STR_LODS:
		TRY(x86_load_seg(x, seg, si, size, &a));
		x86_gpr_set(x, RAX, size, a);
		break;
	case STR_STOS:
		TRY(x86_store_seg(x, SEG_ES, di, size, x86_gpr(x, RAX, size)));
		break;
	case STR_INS:
		TRY(ins(x, di, size));
		break;
	case STR_OUTS:
		TRY(outs(x, i, si, size));
		break;
	}
	advance(x, i, op, size, 1);
	return (X_DONE);
}

/* Stretches */

/*
 * The host's memory of the element at off, and in *n, which has an upper bound, how many elements
 * from there on can be had without leaving the page, the segment or the range of the address size;
 * NULL if none.  Pointers to the others count downwards if `down'.
 */
static char *
stretch(struct x86 *x, enum amd64_seg seg, uint64_t off, unsigned ad, unsigned size, bool write, bool down,
    uint64_t *n)
{
	uint64_t lin = off, low, max, bytes;
	unsigned page, room;
	char *p;

	page = (unsigned)(off & (VM_PAGE_SIZE - 1));
	if (!x->flat || seg == SEG_FS || seg == SEG_GS) {
		if (x86_linear(x, seg, off, size, write, &lin) != X_DONE)
			return (NULL);
		page = (unsigned)(lin & (VM_PAGE_SIZE - 1));
	}
	if (page + size > VM_PAGE_SIZE)
		return (NULL);
	max = down ? page / size + 1 : (VM_PAGE_SIZE - page) / size;
	if (max > *n)
		max = *n;
	/* Without wrap of the offset or, outside 64-bit mode, of the linear address. */
	bytes = max * size;
	low = off;
	if (down) {
		if (off < bytes - size)
			max = off / size + 1;
		bytes = max * size;
		low = off - (bytes - size);
	} else if (x86_mask(ad) - off < bytes - 1) {
		max = (x86_mask(ad) - off + 1) / size;
		bytes = max * size;
	}
	if (max == 0)
		return (NULL);
	if ((!x->flat || seg == SEG_FS || seg == SEG_GS) && max > 1) {
		if (x86_linear(x, seg, low, (unsigned)bytes, write, &low) != X_DONE)
			return (NULL);
	}
	p = x86_window(x, lin, write, &room);
	/* A page that is not in the TLB is entered there; if that faults, the element that comes next does so too. */
	if (p == NULL && !x->watch && x86_probe(x, seg, off, size, write) == X_DONE)
		p = x86_window(x, lin, write, &room);
	if (p == NULL || room < (down ? size : bytes))
		return (NULL);
	*n = max;
	return (p);
}

X86_INLINE void
move_up(char *to, const char *from, unsigned size, uint64_t n)
{
	/* The same instruction: an overlap has the same effect. */
	switch (size) {
	case 1:
		__asm__ volatile("rep; movsb" : "+D" (to), "+S" (from), "+c" (n) : : "memory");
		break;
	case 2:
		__asm__ volatile("rep; movsw" : "+D" (to), "+S" (from), "+c" (n) : : "memory");
		break;
	case 4:
		__asm__ volatile("rep; movsl" : "+D" (to), "+S" (from), "+c" (n) : : "memory");
		break;
	default:
		__asm__ volatile("rep; movsq" : "+D" (to), "+S" (from), "+c" (n) : : "memory");
		break;
	}
}

/*
 * Sixteen bytes at a time: pieces of a page are too short for the host's REP STOS to be at its best.  n bytes, 64 at least, of a pattern whose
 * length divides 16.
 */
static void
fill_bytes(char *to, const uint64_t pattern[2], uint64_t n)
{
	char *last = to + (n - 16), *end = to + (n & ~(uint64_t)63);

	/* What is left behind whole lines ends with a whole number of patterns, too. */
	__asm__ volatile("movups (%[pattern]), %%xmm0\n"
	    "1:	movups %%xmm0, (%[to])\n"
	    "	movups %%xmm0, 16(%[to])\n"
	    "	movups %%xmm0, 32(%[to])\n"
	    "	movups %%xmm0, 48(%[to])\n"
	    "	addq $64, %[to]\n"
	    "	cmpq %[end], %[to]\n"
	    "	jb 1b\n"
	    "	jmp 3f\n"
	    "2:	movups %%xmm0, (%[to])\n"
	    "	addq $16, %[to]\n"
	    "3:	cmpq %[last], %[to]\n"
	    "	jb 2b\n"
	    "	movups %%xmm0, (%[last])\n"
	    : [to] "+r" (to) : [end] "r" (end), [last] "r" (last), [pattern] "r" (pattern) : "xmm0", "cc", "memory");
}

X86_INLINE void
fill_up(char *to, uint64_t v, unsigned size, uint64_t n)
{
	uint64_t pattern[2];

	if (n * size < 64) {
		for (uint64_t k = 0; k < n; k++)
			host_store(to + k * size, size, v);
		return;
	}
	for (unsigned width = size; width < 8; width *= 2)
		v = (v & x86_mask(width)) | v << 8 * width;
	pattern[0] = pattern[1] = v;
	fill_bytes(to, pattern, n * size);
}

/*
 * Up to count iterations at once: how many were done, 0 if the general way has to do one.  Registers
 * but the count are updated.
 */
X86_INLINE uint64_t
many(struct x86 *x, const struct x86_insn *i, enum string_op op, unsigned size, uint64_t count)
{
	unsigned ad = i->adsize;
	bool down = (x->s->rflags & FL_DF) != 0, until = i->rep == 0xf2;
	int64_t step = down ? -(int64_t)size : (int64_t)size;
	uint64_t acc = x86_gpr(x, RAX, size), n = count, k, a = acc, b = 0;
	char *from = NULL, *to = NULL;

	if (op == STR_INS || op == STR_OUTS)
		return (0);
	if (uses_si(op)) {
		from = stretch(x, (enum amd64_seg)i->seg, x86_gpr(x, RSI, ad), ad, size, false, down, &n);
		if (from == NULL)
			return (0);
	}
	if (uses_di(op)) {
		to = stretch(x, SEG_ES, x86_gpr(x, RDI, ad), ad, size, !compares(op), down, &n);
		if (to == NULL)
			return (0);
	}
	switch (op) {
	case STR_MOVS:
		if (!down) {
			move_up(to, from, size, n);
			break;
		}
		for (k = 0; k < n; k++)
			host_store(to + (int64_t)k * step, size, host_load(from + (int64_t)k * step, size));
		break;
	case STR_STOS:
		if (!down) {
			fill_up(to, acc, size, n);
			break;
		}
		for (k = 0; k < n; k++)
			host_store(to + (int64_t)k * step, size, acc);
		break;
	case STR_LODS:
		x86_gpr_set(x, RAX, size, host_load(from + (int64_t)(n - 1) * step, size));
		break;
	default:
		/* Ends behind the first pair that is equal (REPNE) or is not (REPE). */
		for (k = 0; k < n;) {
			if (op == STR_CMPS)
				a = host_load(from + (int64_t)k * step, size);
			b = host_load(to + (int64_t)k * step, size);
			k++;
			if ((a == b) == until)
				break;
		}
		n = k;
		compare(x, size, a, b);
		break;
	}
	advance(x, i, op, size, n);
	return (n);
}

/* Is there something to be done before the next iteration? */
X86_INLINE bool
wanted(const struct x86 *x)
{
	/* Traps behind each iteration; exits and blocks that were dropped; events. */
	return ((x->s->rflags & FL_TF) != 0 || x->trap6 != 0 || x->cut != NULL ||
	    atomic_load_explicit(&x->vcpu->request, memory_order_relaxed) != 0);
}

/*
 * An instruction that is executed again because of a read that the caller answered: with the
 * iteration the answers are used up.
 */
X86_INLINE bool
replayed(struct x86 *x)
{
	if (likely(!x->cpu->replay))
		return (false);
	x->cpu->nreply = x->cpu->nextreply = 0;
	return (true);
}

X86_INLINE enum x86_status
repeat(struct x86 *x, const struct x86_insn *i, enum string_op op, unsigned size)
{
	uint64_t count = x86_gpr(x, RCX, i->adsize), n, done = 0;

	if (count == 0)
		return (X_DONE);
	do {
		n = (x->s->rflags & FL_TF) != 0 || x->cpu->replay ? 0 : many(x, i, op, size, count);
		if (n == 0) {
			TRY(element(x, i, op, size));
			n = 1;
		}
		count -= n;
		x86_gpr_set(x, RCX, i->adsize, count);
		if (count == 0)
			return (X_DONE);
		if (compares(op) && ((x->s->rflags & FL_ZF) != 0) != (i->rep == 0xf3))
			return (X_DONE);
		done += n * size;
	} while (!replayed(x) && !wanted(x) && done < ENOUGH);
	return (X_AGAIN);
}

#define	FORMS(name, op, size)							\
static enum x86_status								\
name##size(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (element(x, i, op, size));					\
}										\
static enum x86_status								\
rep_##name##size(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (repeat(x, i, op, size));					\
}
#define	ALL_SIZES(name, op)							\
	FORMS(name, op, 1) FORMS(name, op, 2) FORMS(name, op, 4) FORMS(name, op, 8)

ALL_SIZES(movs, STR_MOVS)
ALL_SIZES(cmps, STR_CMPS)
ALL_SIZES(scas, STR_SCAS)
ALL_SIZES(lods, STR_LODS)
ALL_SIZES(stos, STR_STOS)
FORMS(ins, STR_INS, 1)
FORMS(ins, STR_INS, 2)
FORMS(ins, STR_INS, 4)
FORMS(outs, STR_OUTS, 1)
FORMS(outs, STR_OUTS, 2)
FORMS(outs, STR_OUTS, 4)

/* MOVSD and CMPSD are names of vector instructions too, which have operands. */
static bool
bind(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
#define	F(name, size)	{ name##size, rep_##name##size }
#define	ROW(name)	{ F(name, 1), F(name, 2), F(name, 4), F(name, 8) }
	/* Ports are 32 bits wide at most. */
#define	IO(name)	{ F(name, 1), F(name, 2), F(name, 4), F(name, 4) }
	static x86_op *const fns[][4][2] = {
		[STR_MOVS] = ROW(movs), [STR_CMPS] = ROW(cmps), [STR_SCAS] = ROW(scas),
		[STR_LODS] = ROW(lods), [STR_STOS] = ROW(stos), [STR_INS] = IO(ins), [STR_OUTS] = IO(outs),
	};
#undef	F
#undef	ROW
#undef	IO

	i->fn = fns[arg][x86_size_index(i->opsize)][i->rep != 0];
	return (d->nop == 0);
}

const struct x86_opdesc x86_ops_string[] = {
	{ ZYDIS_MNEMONIC_MOVSB, 0, STR_MOVS, NULL, bind },
	{ ZYDIS_MNEMONIC_MOVSW, 0, STR_MOVS, NULL, bind },
	{ ZYDIS_MNEMONIC_MOVSD, 0, STR_MOVS, NULL, bind },
	{ ZYDIS_MNEMONIC_MOVSQ, 0, STR_MOVS, NULL, bind },
	{ ZYDIS_MNEMONIC_CMPSB, 0, STR_CMPS, NULL, bind },
	{ ZYDIS_MNEMONIC_CMPSW, 0, STR_CMPS, NULL, bind },
	{ ZYDIS_MNEMONIC_CMPSD, 0, STR_CMPS, NULL, bind },
	{ ZYDIS_MNEMONIC_CMPSQ, 0, STR_CMPS, NULL, bind },
	{ ZYDIS_MNEMONIC_SCASB, 0, STR_SCAS, NULL, bind },
	{ ZYDIS_MNEMONIC_SCASW, 0, STR_SCAS, NULL, bind },
	{ ZYDIS_MNEMONIC_SCASD, 0, STR_SCAS, NULL, bind },
	{ ZYDIS_MNEMONIC_SCASQ, 0, STR_SCAS, NULL, bind },
	{ ZYDIS_MNEMONIC_LODSB, 0, STR_LODS, NULL, bind },
	{ ZYDIS_MNEMONIC_LODSW, 0, STR_LODS, NULL, bind },
	{ ZYDIS_MNEMONIC_LODSD, 0, STR_LODS, NULL, bind },
	{ ZYDIS_MNEMONIC_LODSQ, 0, STR_LODS, NULL, bind },
	{ ZYDIS_MNEMONIC_STOSB, 0, STR_STOS, NULL, bind },
	{ ZYDIS_MNEMONIC_STOSW, 0, STR_STOS, NULL, bind },
	{ ZYDIS_MNEMONIC_STOSD, 0, STR_STOS, NULL, bind },
	{ ZYDIS_MNEMONIC_STOSQ, 0, STR_STOS, NULL, bind },
	{ ZYDIS_MNEMONIC_INSB, 0, STR_INS, NULL, bind },
	{ ZYDIS_MNEMONIC_INSW, 0, STR_INS, NULL, bind },
	{ ZYDIS_MNEMONIC_INSD, 0, STR_INS, NULL, bind },
	{ ZYDIS_MNEMONIC_OUTSB, 0, STR_OUTS, NULL, bind },
	{ ZYDIS_MNEMONIC_OUTSW, 0, STR_OUTS, NULL, bind },
	{ ZYDIS_MNEMONIC_OUTSD, 0, STR_OUTS, NULL, bind },
	{ 0 },
};
