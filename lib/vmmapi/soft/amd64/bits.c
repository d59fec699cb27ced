/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bits.c - bit tests (with bit strings in memory, SDM vol. 1 3.1.1.9 and vol. 2, BT to BTS), bit
 * scans, POPCNT, byte swaps and CRC32 (Intel SDM vol. 2).
 */
#include "alu.h"
#include "atomic.h"
#include "decode.h"

enum bit_op { BIT_BT, BIT_BTS, BIT_BTR, BIT_BTC };

/* The host takes the bit number modulo the operand size, as registers and immediates do. */
X86_INLINE uint64_t
bit(enum bit_op op, unsigned size, uint64_t a, uint64_t n, uint64_t rflags, unsigned *flags)
{
	unsigned ax = alu_ax(rflags);

#define	BIT(insn, suffix, m)							\
	__asm__(ALU_SEED insn suffix " %" m "[n], %" m "[a]" ALU_FLAGS		\
	    : [a] "+r" (a), "+&a" (ax) : [n] "r" (n) : "cc")
#define	BITS(suffix, m) do {							\
	if (op == BIT_BT)							\
		BIT("bt", suffix, m);						\
	else if (op == BIT_BTS)							\
		BIT("bts", suffix, m);						\
	else if (op == BIT_BTR)							\
		BIT("btr", suffix, m);						\
	else									\
		BIT("btc", suffix, m);						\
} while (0)
	switch (size) {
	case 2:
		BITS("w", "w");
		break;
	case 4:
		BITS("l", "k");
		break;
	default:
		BITS("q", "q");
		break;
	}
#undef	BIT
#undef	BITS
	*flags = ax;
	return (a);
}

/* How far the word with bit n of a bit string is from the operand's address. */
X86_INLINE int64_t
bit_distance(uint64_t n, unsigned size)
{
	return (x86_sext(n, size) >> (size == 2 ? 4 : size == 4 ? 5 : 6)) * (int64_t)size;
}

X86_INLINE enum x86_status
bit_address(struct x86 *x, const struct x86_insn *i, unsigned size, int64_t distance, bool write, uint64_t *lin)
{
	uint64_t ea = (x86_ea(x, i) + (uint64_t)distance) & x86_mask(i->adsize);

	if (likely((i->flags & XI_FLAT) != 0)) {
		*lin = ea;
		return (X_DONE);
	}
	return (x86_linear(x, (enum amd64_seg)i->seg, ea, size, write, lin));
}

struct bit_lock {
	uint64_t	 n, rflags;
	enum bit_op	 op;
	unsigned	 size, ax;
};

static bool
bit_lock_fn(void *arg, const void *old, void *new)
{
	struct bit_lock *l = arg;
	uint64_t v = 0;

	memcpy(&v, old, l->size);
	switch (l->size) {
	case 2:
		v = bit(l->op, 2, v, l->n, l->rflags, &l->ax);
		break;
	case 4:
		v = bit(l->op, 4, v, l->n, l->rflags, &l->ax);
		break;
	default:
		v = bit(l->op, 8, v, l->n, l->rflags, &l->ax);
		break;
	}
	memcpy(new, &v, l->size);
	return (true);
}

X86_INLINE enum x86_status
bit_lock(struct x86 *x, const struct x86_insn *i, enum bit_op op, unsigned size, uint64_t n, uint64_t lin)
{
	struct bit_lock l = { .n = n, .rflags = x->s->rflags, .op = op, .size = size };
	void *p = atomic_host(x, lin, size);
	uint64_t v, old;

	if (likely(p != NULL)) {
		old = host_load(p, size);
		do
			v = bit(op, size, old, n, l.rflags, &l.ax);
		while (!atomic_cas(p, size, &old, v));
	} else {
		TRY(x86_atomic_at(x, (enum amd64_seg)i->seg, lin, size, bit_lock_fn, &l));
	}
	alu_set(x, l.ax);
	return (X_DONE);
}

/* string: n reaches beyond the operand. */
X86_INLINE enum x86_status
bit_mem(struct x86 *x, const struct x86_insn *i, enum bit_op op, unsigned size, uint64_t n, bool string)
{
	int64_t distance = string ? bit_distance(n, size) : 0;
	enum amd64_seg seg = (enum amd64_seg)i->seg;
	uint64_t lin = 0, v;
	struct x86_ref ref;
	unsigned ax;

	TRY(bit_address(x, i, size, distance, op != BIT_BT, &lin));
	if (op == BIT_BT) {
		TRY(x86_load_at(x, seg, lin, size, &v));
		(void)bit(op, size, v, n, x->s->rflags, &ax);
		alu_set(x, ax);
		return (X_DONE);
	}
	if ((i->flags & XI_LOCK) != 0)
		return (bit_lock(x, i, op, size, n, lin));
	ref.lin = lin;
	ref.p = soft_tlb_hit(x->wrow, x->tag, lin, size, true);
	if (likely(ref.p != NULL))
		v = host_load(ref.p, size);
	else
		TRY(x86_rmw_slow(x, seg, lin, size, &ref, &v));
	v = bit(op, size, v, n, x->s->rflags, &ax);
	TRY(x86_rmw_store(x, i, size, &ref, v));
	alu_set(x, ax);
	return (X_DONE);
}

X86_INLINE enum x86_status
bit_reg(struct x86 *x, const struct x86_insn *i, enum bit_op op, unsigned size, uint64_t n)
{
	unsigned ax;
	uint64_t v = bit(op, size, x86_reg(x, i->r[0], size), n, x->s->rflags, &ax);

	if (op != BIT_BT)
		x86_reg_set(x, i->r[0], size, v);
	alu_set(x, ax);
	return (X_DONE);
}

#define	FORMS(name, op, size)							\
static enum x86_status								\
name##size##_rr(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (bit_reg(x, i, op, size, x86_reg(x, i->r[1], size)));		\
}										\
static enum x86_status								\
name##size##_ri(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (bit_reg(x, i, op, size, i->imm));				\
}										\
static enum x86_status								\
name##size##_mr(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (bit_mem(x, i, op, size, x86_reg(x, i->r[1], size), true));	\
}										\
static enum x86_status								\
name##size##_mi(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (bit_mem(x, i, op, size, i->imm, false));			\
}
#define	ALL_SIZES(name, op)	FORMS(name, op, 2) FORMS(name, op, 4) FORMS(name, op, 8)

ALL_SIZES(bt, BIT_BT)
ALL_SIZES(bts, BIT_BTS)
ALL_SIZES(btr, BIT_BTR)
ALL_SIZES(btc, BIT_BTC)

static bool
bind_bit(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	/* By size, memory, immediate. */
#define	F(name, size)	{ { name##size##_rr, name##size##_ri }, { name##size##_mr, name##size##_mi } }
#define	ROW(name)	{ { { 0 } }, F(name, 2), F(name, 4), F(name, 8) }
	static x86_op *const forms[][4][2][2] = {
		[BIT_BT] = ROW(bt), [BIT_BTS] = ROW(bts), [BIT_BTR] = ROW(btr), [BIT_BTC] = ROW(btc),
	};
#undef	F
#undef	ROW

	i->fn = forms[arg][x86_size_index(i->opsize)][x86_is_mem(d, 0)][x86_is_imm(d, 1)];
	return (i->fn != NULL);
}

/* Source operands: a register or memory. */
X86_INLINE enum x86_status
source(struct x86 *x, const struct x86_insn *i, unsigned size, uint64_t *v)
{
	if ((i->flags & XI_MEM) != 0)
		return (x86_load(x, i, size, v));
	*v = x86_reg(x, i->r[1], size);
	return (X_DONE);
}

enum scan_op { SCAN_BSF, SCAN_BSR, SCAN_POPCNT };

X86_INLINE enum x86_status
scan(struct x86 *x, const struct x86_insn *i, enum scan_op op, unsigned size)
{
	unsigned ax = alu_ax(x->s->rflags);
	uint64_t v, r = 0;

	TRY(source(x, i, size, &v));
#define	SCAN(insn, suffix, m)							\
	__asm__(ALU_SEED insn suffix " %" m "[v], %" m "[r]" ALU_FLAGS		\
	    : [r] "+r" (r), "+&a" (ax) : [v] "r" (v) : "cc")
#define	SCANS(suffix, m) do {							\
	if (op == SCAN_BSF)							\
		SCAN("bsf", suffix, m);						\
	else if (op == SCAN_BSR)						\
		SCAN("bsr", suffix, m);						\
	else									\
		SCAN("popcnt", suffix, m);					\
} while (0)
	switch (size) {
	case 2:
		SCANS("w", "w");
		break;
	case 4:
		SCANS("l", "k");
		break;
	default:
		SCANS("q", "q");
		break;
	}
#undef	SCAN
#undef	SCANS
	/* A scan that finds nothing leaves the destination, its upper half too. */
	if (v != 0 || op == SCAN_POPCNT)
		x86_reg_set(x, i->r[0], size, r);
	alu_set(x, ax);
	return (X_DONE);
}

#define	SIZES(name, op)								\
static enum x86_status								\
name##2(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (scan(x, i, op, 2));						\
}										\
static enum x86_status								\
name##4(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (scan(x, i, op, 4));						\
}										\
static enum x86_status								\
name##8(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (scan(x, i, op, 8));						\
}

SIZES(bsf, SCAN_BSF)
SIZES(bsr, SCAN_BSR)
SIZES(popcnt, SCAN_POPCNT)

static bool
bind_scan(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	static x86_op *const fns[][4] = {
		[SCAN_BSF] = { NULL, bsf2, bsf4, bsf8 }, [SCAN_BSR] = { NULL, bsr2, bsr4, bsr8 },
		[SCAN_POPCNT] = { NULL, popcnt2, popcnt4, popcnt8 },
	};

	i->fn = fns[arg][x86_size_index(i->opsize)];
	return (i->fn != NULL);
}

/* BSWAP of 16 bits is undefined: what the host makes of it. */
static enum x86_status
bswap(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v = x86_reg(x, i->r[0], 8);

	if (i->opsize == 8)
		v = __builtin_bswap64(v);
	else if (i->opsize == 4)
		v = __builtin_bswap32((uint32_t)v);
	else
		__asm__(".byte 0x66, 0x0f, 0xc8" : "+a" (v));
	x86_reg_set(x, i->r[0], i->opsize, v);
	return (X_DONE);
}

static uint64_t
swapped(uint64_t v, unsigned size)
{
	return (__builtin_bswap64(v) >> (64 - 8 * size));
}

static enum x86_status
movbe_load(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v;

	TRY(x86_load(x, i, i->opsize, &v));
	x86_reg_set(x, i->r[0], i->opsize, swapped(v, i->opsize));
	return (X_DONE);
}

static enum x86_status
movbe_store(struct x86 *x, const struct x86_insn *i)
{
	return (x86_store(x, i, i->opsize, swapped(x86_reg(x, i->r[1], i->opsize), i->opsize)));
}

static bool
bind_movbe(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->fn = x86_is_mem(d, 0) ? movbe_store : movbe_load;
	return (true);
}

/* The source's size is in arg; the result is 32 bits wide, whatever the destination. */
static enum x86_status
crc32(struct x86 *x, const struct x86_insn *i)
{
	uint64_t crc = x86_reg(x, i->r[0], 4), v;

	TRY(source(x, i, i->arg, &v));
	switch (i->arg) {
	case 1:
		__asm__("crc32b %b1, %k0" : "+r" (crc) : "r" (v));
		break;
	case 2:
		__asm__("crc32w %w1, %k0" : "+r" (crc) : "r" (v));
		break;
	case 4:
		__asm__("crc32l %k1, %k0" : "+r" (crc) : "r" (v));
		break;
	default:
		__asm__("crc32q %q1, %q0" : "+r" (crc) : "r" (v));
		break;
	}
	x86_reg_set(x, i->r[0], 8, (uint32_t)crc);
	return (X_DONE);
}

static bool
bind_crc32(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->fn = crc32;
	i->arg = (uint8_t)(d->op[1].size / 8);
	return (true);
}

const struct x86_opdesc x86_ops_bits[] = {
	{ ZYDIS_MNEMONIC_BT, 0, BIT_BT, NULL, bind_bit },
	{ ZYDIS_MNEMONIC_BTS, 0, BIT_BTS, NULL, bind_bit },
	{ ZYDIS_MNEMONIC_BTR, 0, BIT_BTR, NULL, bind_bit },
	{ ZYDIS_MNEMONIC_BTC, 0, BIT_BTC, NULL, bind_bit },
	{ ZYDIS_MNEMONIC_BSF, 0, SCAN_BSF, NULL, bind_scan },
	{ ZYDIS_MNEMONIC_BSR, 0, SCAN_BSR, NULL, bind_scan },
	{ ZYDIS_MNEMONIC_POPCNT, 0, SCAN_POPCNT, NULL, bind_scan },
	{ ZYDIS_MNEMONIC_BSWAP, 0, 0, bswap, NULL },
	{ ZYDIS_MNEMONIC_MOVBE, 0, 0, NULL, bind_movbe },
	{ ZYDIS_MNEMONIC_CRC32, 0, 0, NULL, bind_crc32 },
	{ 0 },
};
