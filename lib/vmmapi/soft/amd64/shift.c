/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shift.c - shifts, rotates and double shifts (Intel SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR,
 * SHLD, SHRD).
 *
 * The host shifts, with the guest's flags before, so that the count's mask, a count of zero and what
 * the manual leaves undefined come out by themselves.
 */
#include "alu.h"
#include "decode.h"

enum shift_op { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAR, SHIFT_SHLD, SHIFT_SHRD };

X86_INLINE uint64_t
shift(enum shift_op op, unsigned size, uint64_t a, uint64_t count, uint64_t rflags, unsigned *flags)
{
	unsigned ax = alu_ax(rflags);

#define	SHIFT(insn, suffix, m)							\
	__asm__(ALU_SEED insn suffix " %%cl, %" m "[a]" ALU_FLAGS		\
	    : [a] "+r" (a), "+&a" (ax) : "c" (count) : "cc")
#define	ROL(suffix, m)	SHIFT("rol", suffix, m)
#define	ROR(suffix, m)	SHIFT("ror", suffix, m)
#define	RCL(suffix, m)	SHIFT("rcl", suffix, m)
#define	RCR(suffix, m)	SHIFT("rcr", suffix, m)
#define	SHL(suffix, m)	SHIFT("shl", suffix, m)
#define	SHR(suffix, m)	SHIFT("shr", suffix, m)
#define	SAR(suffix, m)	SHIFT("sar", suffix, m)
	switch (op) {
	case SHIFT_ROL:
		ALU_SIZES(size, ROL);
		break;
	case SHIFT_ROR:
		ALU_SIZES(size, ROR);
		break;
	case SHIFT_RCL:
		ALU_SIZES(size, RCL);
		break;
	case SHIFT_RCR:
		ALU_SIZES(size, RCR);
		break;
	case SHIFT_SHL:
		ALU_SIZES(size, SHL);
		break;
	case SHIFT_SHR:
		ALU_SIZES(size, SHR);
		break;
	case SHIFT_SAR:
		ALU_SIZES(size, SAR);
		break;
	default:
		break;
	}
#undef	SHIFT
#undef	ROL
#undef	ROR
#undef	RCL
#undef	RCR
#undef	SHL
#undef	SHR
#undef	SAR
	*flags = ax;
	return (a);
}

/*
 * OF behind a rotate by more than 1 is undefined.  Intel's processors compute it where the count is in CL and leave it alone where that is an
 * immediate and what is rotated is a register, which is how native code has it; above, the count is always in CL.
 */
uint64_t
x86_probe_rotates(void)
{
	uint64_t flags[2][2];

	for (unsigned t = 0; t < 2; t++) {
		uint64_t before = 0x202 | (t == 0 ? 0 : FL_OF), v = 0x4001, w = v;

		/* The stack below is the function's own: it calls nobody. */
		__asm__ volatile("subq $256, %%rsp; pushq %[f]; popfq; rolw $2, %w[v]; pushfq; popq %[i]; "
		    "pushq %[f]; popfq; rolw %%cl, %w[w]; pushfq; popq %[c]; addq $256, %%rsp"
		    : [i] "=&r" (flags[t][0]), [c] "=&r" (flags[t][1]), [v] "+&r" (v), [w] "+&r" (w) : [f] "r" (before), "c" (2) : "cc", "memory");
	}
	return ((flags[0][0] ^ flags[1][0]) & ~(flags[0][1] ^ flags[1][1]) & FL_OF);
}

/* The flags of a register's shift by an immediate. */
X86_INLINE unsigned
by_immediate(const struct x86 *x, enum shift_op op, unsigned size, uint64_t count, unsigned ax)
{
	uint64_t keeps = op == SHIFT_ROL || op == SHIFT_ROR ? x->rotate_keeps : 0;

	if (keeps == 0 || (count & (size == 8 ? 63 : 31)) <= 1)
		return (ax);
	return (alu_ax((alu_fl(ax) & ~keeps) | (x->s->rflags & keeps)));
}

/* By an immediate or CL.  The destination is written even if the count is zero. */

X86_INLINE enum x86_status
shift_reg(struct x86 *x, const struct x86_insn *i, enum shift_op op, unsigned size, uint64_t count, bool imm)
{
	unsigned ax;

	x86_reg_set(x, i->r[0], size, shift(op, size, x86_reg(x, i->r[0], size), count, x->s->rflags, &ax));
	alu_set(x, imm ? by_immediate(x, op, size, count, ax) : ax);
	return (X_DONE);
}

X86_INLINE enum x86_status
shift_mem(struct x86 *x, const struct x86_insn *i, enum shift_op op, unsigned size, uint64_t count)
{
	struct x86_ref ref;
	uint64_t v;
	unsigned ax;

	TRY(x86_rmw_load(x, i, size, &ref, &v));
	v = shift(op, size, v, count, x->s->rflags, &ax);
	TRY(x86_rmw_store(x, i, size, &ref, v));
	alu_set(x, ax);
	return (X_DONE);
}

#define	FORMS(name, op, size)							\
static enum x86_status								\
name##size##_ri(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (shift_reg(x, i, op, size, i->imm, true));				\
}										\
static enum x86_status								\
name##size##_rc(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (shift_reg(x, i, op, size, x->s->gpr[RCX], false));			\
}										\
static enum x86_status								\
name##size##_mi(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (shift_mem(x, i, op, size, i->imm));				\
}										\
static enum x86_status								\
name##size##_mc(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (shift_mem(x, i, op, size, x->s->gpr[RCX]));			\
}
#define	ALL_SIZES(name, op)							\
	FORMS(name, op, 1) FORMS(name, op, 2) FORMS(name, op, 4) FORMS(name, op, 8)

ALL_SIZES(rol, SHIFT_ROL)
ALL_SIZES(ror, SHIFT_ROR)
ALL_SIZES(rcl, SHIFT_RCL)
ALL_SIZES(rcr, SHIFT_RCR)
ALL_SIZES(shl, SHIFT_SHL)
ALL_SIZES(shr, SHIFT_SHR)
ALL_SIZES(sar, SHIFT_SAR)

/* By size, memory, CL. */
#define	F(name, size)	{ { name##size##_ri, name##size##_rc }, { name##size##_mi, name##size##_mc } }
#define	ROW(name)	{ F(name, 1), F(name, 2), F(name, 4), F(name, 8) }
static x86_op *const forms[][4][2][2] = {
	[SHIFT_ROL] = ROW(rol), [SHIFT_ROR] = ROW(ror), [SHIFT_RCL] = ROW(rcl), [SHIFT_RCR] = ROW(rcr),
	[SHIFT_SHL] = ROW(shl), [SHIFT_SHR] = ROW(shr), [SHIFT_SAR] = ROW(sar),
};
#undef	F
#undef	ROW

/* Where the count is no immediate it is CL; the forms by 1 have an implicit one. */
static bool
bind_shift(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	bool imm = x86_is_imm(d, 1);

	if (imm)
		i->imm = d->op[1].imm.value.u & 0xff;
	i->fn = forms[arg][x86_size_index(i->opsize)][x86_is_mem(d, 0)][!imm];
	return (true);
}

/* SHLD, SHRD */

X86_INLINE uint64_t
shift_double(enum shift_op op, unsigned size, uint64_t a, uint64_t b, uint64_t count, uint64_t rflags,
    unsigned *flags)
{
	unsigned ax = alu_ax(rflags);

#define	SHIFT(insn, suffix, m)							\
	__asm__(ALU_SEED insn suffix " %%cl, %" m "[b], %" m "[a]" ALU_FLAGS	\
	    : [a] "+r" (a), "+&a" (ax) : [b] "r" (b), "c" (count) : "cc")
#define	BOTH(suffix, m) do {							\
	if (op == SHIFT_SHLD)							\
		SHIFT("shld", suffix, m);					\
	else									\
		SHIFT("shrd", suffix, m);					\
} while (0)
	switch (size) {
	case 2:
		BOTH("w", "w");
		break;
	case 4:
		BOTH("l", "k");
		break;
	default:
		BOTH("q", "q");
		break;
	}
#undef	SHIFT
#undef	BOTH
	*flags = ax;
	return (a);
}

X86_INLINE enum x86_status
double_op(struct x86 *x, const struct x86_insn *i, enum shift_op op, unsigned size, bool mem)
{
	/* imm2: CL */
	uint64_t count = i->imm2 != 0 ? x->s->gpr[RCX] : i->imm, v, b = x86_reg(x, i->r[1], size);
	struct x86_ref ref;
	unsigned ax;

	if (mem)
		TRY(x86_rmw_load(x, i, size, &ref, &v));
	else
		v = x86_reg(x, i->r[0], size);
	v = shift_double(op, size, v, b, count, x->s->rflags, &ax);
	if (mem)
		TRY(x86_rmw_store(x, i, size, &ref, v));
	else
		x86_reg_set(x, i->r[0], size, v);
	alu_set(x, ax);
	return (X_DONE);
}

#define	DOUBLE(name, op, size)							\
static enum x86_status								\
name##size##_r(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (double_op(x, i, op, size, false));				\
}										\
static enum x86_status								\
name##size##_m(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (double_op(x, i, op, size, true));				\
}

DOUBLE(shld, SHIFT_SHLD, 2)
DOUBLE(shld, SHIFT_SHLD, 4)
DOUBLE(shld, SHIFT_SHLD, 8)
DOUBLE(shrd, SHIFT_SHRD, 2)
DOUBLE(shrd, SHIFT_SHRD, 4)
DOUBLE(shrd, SHIFT_SHRD, 8)

static bool
bind_double(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	static x86_op *const fns[2][4][2] = {
		{ { 0 }, { shld2_r, shld2_m }, { shld4_r, shld4_m }, { shld8_r, shld8_m } },
		{ { 0 }, { shrd2_r, shrd2_m }, { shrd4_r, shrd4_m }, { shrd8_r, shrd8_m } },
	};

	i->imm2 = !x86_is_imm(d, 2);
	if (i->imm2 == 0)
		i->imm = d->op[2].imm.value.u & 0xff;
	i->fn = fns[arg == SHIFT_SHRD][x86_size_index(i->opsize)][x86_is_mem(d, 0)];
	return (i->fn != NULL);
}

const struct x86_opdesc x86_ops_shift[] = {
	{ ZYDIS_MNEMONIC_ROL, 0, SHIFT_ROL, NULL, bind_shift },
	{ ZYDIS_MNEMONIC_ROR, 0, SHIFT_ROR, NULL, bind_shift },
	{ ZYDIS_MNEMONIC_RCL, 0, SHIFT_RCL, NULL, bind_shift },
	{ ZYDIS_MNEMONIC_RCR, 0, SHIFT_RCR, NULL, bind_shift },
	{ ZYDIS_MNEMONIC_SHL, 0, SHIFT_SHL, NULL, bind_shift },
	{ ZYDIS_MNEMONIC_SHR, 0, SHIFT_SHR, NULL, bind_shift },
	{ ZYDIS_MNEMONIC_SAR, 0, SHIFT_SAR, NULL, bind_shift },
	{ ZYDIS_MNEMONIC_SHLD, 0, SHIFT_SHLD, NULL, bind_double },
	{ ZYDIS_MNEMONIC_SHRD, 0, SHIFT_SHRD, NULL, bind_double },
	{ 0 },
};
