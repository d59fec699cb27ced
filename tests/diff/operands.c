/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * operands.c - what particular instructions need to do more than fault: divisors that fit, targets
 * of branches, images for FXRSTOR, selectors, small repeat counts.
 */
#include <string.h>

#include "gen.h"

/* The first explicit memory operand, or NULL. */
static const ZydisDecodedOperand *
memory_of(const struct gen *g)
{
	for (unsigned i = 0; i < g->insn.z.operand_count; i++)
		if (g->insn.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    g->insn.op[i].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			return (&g->insn.op[i]);
	return (NULL);
}

/* Is addr inside the instruction?  Going on there would be another instruction. */
static bool
inside(const struct diff_case *c, uint64_t addr)
{
	return (addr + 1 > c->rip && addr < c->rip + c->len);
}

/* Where a branch may go. */
static uint64_t
target(struct gen *g, const struct diff_case *c)
{
	struct rng *r = &g->rng;
	unsigned p;
	uint64_t to;

	do {
		p = rng_below(r, 100);
		if (p < 82)
			to = DIFF_CODE + rng_below(r, DIFF_PAGE);
		else if (p < 86)
			to = DIFF_CODE + DIFF_PAGE + rng_below(r, 8);
		else if (p < 90)
			to = DIFF_RW + rng_below(r, DIFF_PAGE);
		else if (g->mode == 64 && p < 96)
			to = p & 1 ? 0x800000000000ULL - 8 + rng_below(r, 16)
				   : 0x7fffULL << 48 | DIFF_CODE;
		else
			to = value_int(r);
		/* The host has a page there that Linux runs system calls from. */
		if (to >> 12 == 0xffffffffff600ULL)
			to = DIFF_CODE;
	} while (inside(c, to) || (g->mode == 32 && inside(c, (uint32_t)to)));
	return (to);
}

/* CS for a far transfer. */
static uint16_t
code_selector(struct gen *g)
{
	unsigned p = rng_below(&g->rng, 10);

	return (p < 4 ? DIFF_CS64 : p < 8 ? DIFF_CS32 : gen_selector(g));
}

static void
put(uint8_t *data, unsigned *n, uint64_t v, unsigned size)
{
	memcpy(data + *n, &v, size);
	*n += size;
}

/* A near branch relative to the next instruction. */
static bool
relative(struct gen *g, struct diff_case *c)
{
	const ZydisDecodedInstruction *z = &g->insn.z;
	unsigned bytes = z->raw.imm[0].size / 8U;
	uint64_t next = c->rip + c->len, to;
	int64_t d;

	for (unsigned i = 0; i < 16; i++) {
		if (bytes == 1)
			d = (int8_t)rng_next(&g->rng);
		else
			d = (int64_t)(target(g, c) - next);
		d = bytes == 1 ? d : bytes == 2 ? (int16_t)d : (int32_t)d;
		to = next + (uint64_t)d;
		if (g->mode == 32)
			to = z->operand_width == 16 ? (uint16_t)to : (uint32_t)to;
		if (inside(c, to))
			continue;
		memcpy(c->code + z->raw.imm[0].offset, &d, bytes);
		return (true);
	}
	return (false);
}

/* Targets in registers and memory. */
static bool
indirect(struct gen *g, struct diff_case *c)
{
	const ZydisDecodedOperand *op = &g->insn.op[0];
	uint64_t to = target(g, c);
	uint8_t data[16];
	unsigned bytes, n = 0;
	int reg;

	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		reg = gen_gpr(op->reg.value, &bytes);
		if (reg >= 0)
			gen_set_gpr(c, reg, bytes, to);
		return (true);
	}
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return (true);
	if (g->insn.z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
		put(data, &n, to, g->insn.z.operand_width == 16 ? 2 : 4);
		put(data, &n, code_selector(g), 2);
	} else {
		put(data, &n, to, 8);
	}
	c->npatch = 0;
	c->used = 0;
	(void)gen_patch(c, gen_ea(&g->insn, c, op), data, n);
	return (true);
}

/* Returns: what they pop. */
static void
returns(struct gen *g, struct diff_case *c)
{
	unsigned size = g->insn.z.operand_width / 8U, n = 0;
	uint64_t to = target(g, c), fl;
	uint8_t data[48];

	c->npatch = 0;
	c->used = 0;
	put(data, &n, to, size);
	switch (g->insn.z.mnemonic) {
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		put(data, &n, code_selector(g), size);
		fl = rng_next(&g->rng) & ~(uint64_t)EFL_TF;
		if (rng_percent(&g->rng, 60))
			fl &= 0x3f7fd7;
		/*
		 * Intel's check the alignment of what they pop behind the flags by the new AC.  Linux takes such a fault, with AC clear, for that
		 * of a split lock, and starts the instruction again for ever.
		 */
		if (diff_intel() && c->gpr[D_RSP] % size != 0)
			fl &= ~(uint64_t)EFL_AC;
		put(data, &n, fl, size);
		put(data, &n,
		    rng_percent(&g->rng, 80) ? DIFF_STACK + rng_below(&g->rng, DIFF_PAGE)
					     : value_int(&g->rng),
		    size);
		put(data, &n, rng_percent(&g->rng, 80) ? DIFF_DS : gen_selector(g), size);
		break;
	default:
		if (g->insn.z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
			put(data, &n, code_selector(g), size);
		break;
	}
	(void)gen_patch(c, c->gpr[D_RSP], data, n);
}

/* Make the quotient fit most of the time. */
static void
divides(struct gen *g, struct diff_case *c)
{
	unsigned size = g->insn.op[0].size / 8U;
	bool sign = g->insn.z.mnemonic == ZYDIS_MNEMONIC_IDIV;
	unsigned p = rng_below(&g->rng, 10), bits = 8 * size;
	uint64_t hi;

	if (p > 7)
		return;
	hi = p < 2 ? rng_below(&g->rng, 4) : 0;
	if (sign && bits >= 8 && (c->gpr[D_RAX] >> (bits - 1) & 1) != 0)
		hi = ~hi;
	if (size == 1)
		c->gpr[D_RAX] = (c->gpr[D_RAX] & ~0xff00ULL) | (hi & 0xff) << 8;
	else
		gen_set_gpr(c, D_RDX, size, hi);
}

static void
exchanges(struct gen *g, struct diff_case *c)
{
	const ZydisDecodedOperand *op = memory_of(g);
	unsigned size = g->insn.op[0].size / 8U, bytes;
	uint8_t data[16];
	int reg;

	if (rng_percent(&g->rng, 45))
		return;
	if (op == NULL) {
		reg = gen_gpr(g->insn.op[0].reg.value, &bytes);
		if (reg > 0)
			gen_set_gpr(c, D_RAX, bytes, c->gpr[reg]);
		return;
	}
	memcpy(data, &c->gpr[D_RAX], 8);
	if (g->insn.z.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B)
		memcpy(data + 4, &c->gpr[D_RDX], 4);
	else if (g->insn.z.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B)
		memcpy(data + 8, &c->gpr[D_RDX], 8);
	c->npatch = 0;
	c->used = 0;
	(void)gen_patch(c, gen_ea(&g->insn, c, op), data, size);
}

/* Bit numbers in registers move the address. */
static void
bit_number(struct gen *g, struct diff_case *c)
{
	const ZydisDecodedOperand *op = memory_of(g), *bit = &g->insn.op[1];
	unsigned bytes, bb;
	int reg, base;

	if (op == NULL || bit->type != ZYDIS_OPERAND_TYPE_REGISTER || rng_percent(&g->rng, 10))
		return;
	reg = gen_gpr(bit->reg.value, &bytes);
	base = gen_gpr(op->mem.base, &bb);
	if (reg < 0 || reg == base || reg == D_RSP || gen_gpr(op->mem.index, &bb) == reg)
		return;
	gen_set_gpr(c, reg, bytes, (uint64_t)rng_below(&g->rng, 4096) - 2048);
}

/* A selector in the register or memory operand. */
static void
selector(struct gen *g, struct diff_case *c, unsigned n)
{
	const ZydisDecodedOperand *op = &g->insn.op[n];
	uint16_t sel = gen_selector(g);
	unsigned bytes;
	int reg;

	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		reg = gen_gpr(op->reg.value, &bytes);
		if (reg >= 0)
			gen_set_gpr(c, reg, 2, sel);
	} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
		c->npatch = 0;
		c->used = 0;
		(void)gen_patch(c, gen_ea(&g->insn, c, op), &sel, 2);
	}
}

static void
far_pointer(struct gen *g, struct diff_case *c)
{
	const ZydisDecodedOperand *op = memory_of(g);
	uint8_t data[10];
	unsigned n = 0;

	if (op == NULL)
		return;
	put(data, &n, value_int(&g->rng), g->insn.z.operand_width == 16 ? 2 : 4);
	put(data, &n, gen_selector(g), 2);
	c->npatch = 0;
	c->used = 0;
	(void)gen_patch(c, gen_ea(&g->insn, c, op), data, n);
}

/* Images for FLDENV, FRSTOR, FXRSTOR (SDM vol. 1 8.1.10, 10.5). */
static void
image(struct gen *g, struct diff_case *c)
{
	const ZydisDecodedOperand *op = memory_of(g);
	uint8_t data[512] = { 0 };
	struct diff_fx fx;
	unsigned n = 0, unit = g->insn.z.operand_width == 16 ? 2 : 4;

	if (op == NULL)
		return;
	gen_fpu(g, &fx);
	c->npatch = 0;
	c->used = 0;
	switch (g->insn.z.mnemonic) {
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		if (rng_percent(&g->rng, 3))
			fx.mxcsr |= 0x10000U << rng_below(&g->rng, 16);
		if ((fx.mxcsr & 0x20000) != 0)		/* MM is AMD's (APM vol. 1 5.9) */
			fx.mxcsr ^= 0x60000;
		memcpy(data, &fx, sizeof(data));
		n = sizeof(data);
		break;
	case ZYDIS_MNEMONIC_LDMXCSR:
		put(data, &n, fx.mxcsr, 4);
		if (rng_percent(&g->rng, 3))
			data[2 + rng_below(&g->rng, 2)] |= 0x08;
		break;
	case ZYDIS_MNEMONIC_FLDCW:
		put(data, &n, rng_percent(&g->rng, 50) ? fx.fcw : rng_next(&g->rng), 2);
		break;
	default:
		put(data, &n, fx.fcw, unit);
		put(data, &n, fx.fsw, unit);
		put(data, &n, rng_percent(&g->rng, 60) ? 0 : rng_next(&g->rng), unit);
		n = 7 * unit;
		for (unsigned i = 0; i < 8; i++, n += 10)
			memcpy(data + n, fx.st[i], 10);
		if (g->insn.z.mnemonic == ZYDIS_MNEMONIC_FLDENV)
			n = 7 * unit;
		break;
	}
	(void)gen_patch(c, gen_ea(&g->insn, c, op), data, n);
}

static void
pop_flags(struct gen *g, struct diff_case *c)
{
	uint64_t fl = rng_next(&g->rng);

	if (rng_percent(&g->rng, 70))
		fl &= 0x3f7fd7;
	fl &= ~(uint64_t)EFL_TF;
	(void)gen_patch(c, c->gpr[D_RSP], &fl, g->insn.z.operand_width / 8U);
	/* From elsewhere TF could come. */
}

static bool
in_stack(const struct diff_case *c, unsigned size)
{
	return (c->gpr[D_RSP] >= DIFF_STACK && c->gpr[D_RSP] + size <= DIFF_STACK + DIFF_PAGE);
}

bool
gen_particular(struct gen *g, struct diff_case *c)
{
	const ZydisDecodedInstruction *z = &g->insn.z;
	struct rng *r = &g->rng;
	bool rep = (z->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
	    ZYDIS_ATTRIB_HAS_REPNE)) != 0;
	uint16_t w;

	if (c->mnemonic == 0)
		return (true);
	/*
	 * A far call whose frame wraps at 4 GiB makes AMD processors fault above it, which Linux
	 * takes for an erratum and tries again, for ever.
	 */
	if (g->mode == 32 && z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR &&
	    ((uint32_t)c->gpr[D_RSP] < 64 || (uint32_t)c->gpr[D_RSP] > 0U - 64U))
		return (false);
	if (rep && rng_percent(r, 85))
		c->gpr[D_RCX] = (c->gpr[D_RCX] &
				    (z->address_width == 64	     ? 0
					    : z->address_width == 32 ? ~0ULL << 32
								     : ~0xffffULL)) |
		    (rng_percent(r, 70) ? rng_below(r, 20) : rng_below(r, 600));
	if (z->raw.imm[0].is_relative) {
		if (z->mnemonic >= ZYDIS_MNEMONIC_LOOP && z->mnemonic <= ZYDIS_MNEMONIC_LOOPNE &&
		    rng_percent(r, 60))
			gen_set_gpr(c, D_RCX, z->address_width / 8U, rng_below(r, 3));
		return (relative(g, c));
	}
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		if (g->insn.op[0].type == ZYDIS_OPERAND_TYPE_POINTER) {
			uint32_t off = (uint32_t)target(g, c);
			uint16_t cs = code_selector(g);

			memcpy(c->code + z->raw.imm[0].offset, &off, z->raw.imm[0].size / 8U);
			memcpy(c->code + z->raw.imm[0].offset + z->raw.imm[0].size / 8U, &cs, 2);
			return (true);
		}
		return (indirect(g, c));
	case ZYDIS_MNEMONIC_RET:
		returns(g, c);
		return (true);
	case ZYDIS_MNEMONIC_IRET:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_IRETQ:
		returns(g, c);
		return (in_stack(c, 40) || !in_stack(c, 0));
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		pop_flags(g, c);
		return (in_stack(c, 8) || !(c->gpr[D_RSP] >= DIFF_DATA - 8 &&
		    c->gpr[D_RSP] < DIFF_DATA + 3 * DIFF_PAGE));
	case ZYDIS_MNEMONIC_DIV:
	case ZYDIS_MNEMONIC_IDIV:
		divides(g, c);
		return (true);
	case ZYDIS_MNEMONIC_CMPXCHG:
	case ZYDIS_MNEMONIC_CMPXCHG8B:
	case ZYDIS_MNEMONIC_CMPXCHG16B:
		exchanges(g, c);
		return (true);
	case ZYDIS_MNEMONIC_BT:
	case ZYDIS_MNEMONIC_BTS:
	case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		bit_number(g, c);
		return (true);
	case ZYDIS_MNEMONIC_BOUND:
		if (rng_percent(r, 60)) {
			uint8_t bounds[8];
			unsigned n = 0, size = z->operand_width / 8U, bytes;
			int reg = gen_gpr(g->insn.op[0].reg.value, &bytes);

			put(bounds, &n, c->gpr[reg < 0 ? 0 : reg] - rng_below(r, 3), size);
			put(bounds, &n, c->gpr[reg < 0 ? 0 : reg] - 1 + rng_below(r, 3), size);
			c->npatch = 0;
			c->used = 0;
			(void)gen_patch(c, gen_ea(&g->insn, c, &g->insn.op[1]), bounds, n);
		}
		return (true);
	case ZYDIS_MNEMONIC_ENTER:
		w = (uint16_t)(rng_percent(r, 80) ? rng_below(r, 512) : rng_next(r));
		memcpy(c->code + z->raw.imm[0].offset, &w, 2);
		c->code[z->raw.imm[1].offset] =
		    (uint8_t)(rng_percent(r, 60) ? rng_below(r, 4) : rng_next(r));
		if (rng_percent(r, 90))
			c->gpr[D_RBP] = DIFF_STACK + 512 + rng_below(r, 2048);
		return (true);
	case ZYDIS_MNEMONIC_LEAVE:
		if (rng_percent(r, 90))
			c->gpr[D_RBP] = DIFF_STACK + rng_below(r, DIFF_PAGE);
		return (true);
	case ZYDIS_MNEMONIC_MOV:
		if (g->insn.op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(g->insn.op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT)
			selector(g, c, 1);
		return (true);
	case ZYDIS_MNEMONIC_POP:
		if (g->insn.op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(g->insn.op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT) {
			w = gen_selector(g);
			(void)gen_patch(c, c->gpr[D_RSP], &w, 2);
		}
		return (true);
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
		selector(g, c, 1);
		return (true);
	case ZYDIS_MNEMONIC_VERR:
	case ZYDIS_MNEMONIC_VERW:
		selector(g, c, 0);
		return (true);
	case ZYDIS_MNEMONIC_LDS:
	case ZYDIS_MNEMONIC_LES:
	case ZYDIS_MNEMONIC_LFS:
	case ZYDIS_MNEMONIC_LGS:
	case ZYDIS_MNEMONIC_LSS:
		far_pointer(g, c);
		return (true);
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FRSTOR:
	case ZYDIS_MNEMONIC_LDMXCSR:
	case ZYDIS_MNEMONIC_FLDCW:
		image(g, c);
		return (true);
	case ZYDIS_MNEMONIC_WRFSBASE:
	case ZYDIS_MNEMONIC_WRGSBASE:
		if (rng_percent(r, 80)) {
			unsigned bytes;
			int reg = gen_gpr(g->insn.op[0].reg.value, &bytes);

			if (reg >= 0)
				c->gpr[reg] &= 0x7fffffffffffULL;
		}
		return (true);
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
		if (rng_percent(r, 80)) {
			c->gpr[D_RAX] = (uint64_t)rng_below(r, 40) - 20;
			c->gpr[D_RDX] = (uint64_t)rng_below(r, 40) - 20;
		}
		return (true);
	default:
		return (true);
	}
}
