/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native.c - native code of the arm64 core: the way in and out, and the code that all translations share.
 */
#include <stdlib.h>

#include "debug.h"
#include "native.h"

#define	CHAIN		4096U	/* instructions that native code runs before requests are looked at */
#define	WENT_ON		0x3fU	/* no function's status: s->pc says where to go on */

/* NZCV in the upper half of a byte, and as LAHF and SETO leave it in AX: N 15, Z 14, C 8, V 0. */
#define	EFLAGS_NZCV	0xc101U

static uint16_t
to_eflags(unsigned nzcv)
{
	return ((uint16_t)((nzcv & 0xc0) << 8 | (nzcv & 0x20) << 3 | (nzcv >> 4 & 1)));
}

static uint8_t
from_eflags(unsigned eflags)
{
	return ((uint8_t)((eflags >> 8 & 0xc0) | (eflags >> 3 & 0x20) | (eflags & 1) << 4));
}

void
a64_native_sync(struct a64 *c)
{
	*c->retired = c->limit - (uint64_t)(int64_t)c->left - c->cur[1].imm;
	if (c->lazy)
		NZCV(c) = from_eflags(c->eflags);
}

enum a64_status
a64_native_run(struct a64 *c, const void *entry, uint64_t budget)
{
	uint64_t room = budget - c->done, r;
	enum a64_status status;

	c->left = (int32_t)(room < CHAIN ? room : CHAIN);
	c->limit = c->done + (uint32_t)c->left;
	c->pc0 = SOFT_PAGE(c->s->pc);
	c->cur = NULL;
	c->chain = 0;
	c->eflags = to_eflags(NZCV(c));
	c->native = c->lazy = true;
	r = jit_run(c->jit, c, (char *)c->s + NATIVE_BIAS, c->stubs->enter, (uintptr_t)entry);
	if (c->lazy)
		NZCV(c) = from_eflags(c->eflags);
	c->native = c->lazy = false;
	c->done = c->limit - (uint64_t)(int64_t)c->left;
	soft_count(c->cpu, r < WENT_ON ? VM_STAT_JIT_STOPS : r == WENT_ON ? VM_STAT_JIT_FINDS : VM_STAT_JIT_JOINS, 1);
	if (r >= WENT_ON) {
		c->link = r == WENT_ON ? NULL : (struct jit_link *)(uintptr_t)r;
		return (A_DONE);
	}
	/* The instruction is at c->cur; in place of it, of what follows it, or behind it. */
	status = (enum a64_status)r;
	c->done -= status == A_END ? c->cur->imm - 1 : c->cur[1].imm;
	return (status);
}

/* The jump that native code came out for leads to b: from now on directly. */
static void
join(struct a64 *c, struct soft_block *b)
{
	struct jit_link *l = c->link;
	uint64_t va = c->s->pc;

	c->link = NULL;
	if (l->guard == NULL) {
		/* Within the page that it is in. */
		if (l->arg != b->place)
			return;
	} else {
		l->guard[0] = SOFT_PAGE(va) - l->arg;
		l->guard[1] = a64_key(c, va);
	}
	jit_join(c->jit, l, b->jit);
}

const void *
a64_native_entry(struct a64 *c, struct soft_block *b)
{
	const void *entry = jit_entry(c->jit, b);
	struct soft_jump *j;

	if (entry == NULL) {
		c->link = NULL;
		return (NULL);
	}
	j = a64_jump(c, c->s->pc);
	if (j != NULL && j->block == b)
		j->native = entry;
	if (c->link != NULL)
		join(c, b);
	return (entry);
}

/* What is behind an instruction of it that runs. */
void
a64_native_stale(struct a64 *c, struct soft_block *b)
{
	struct a64_insn *copy;

	if (c->jit == NULL || b->jit == NULL)
		return;
	copy = b->jit->data;
	for (unsigned k = 0; k < b->jit->ndata; k++)
		copy[2 * k + 1].go = a64_end;
	jit_drop(c->jit, b);
}

/* Behind an exception return: where to go on natively, NULL: come out. */
static const void *
returned(struct a64 *c)
{
	uint64_t va = c->s->pc;
	const struct soft_jump *j = a64_jump(c, va);

	if (c->cut != NULL)
		a64_uncut(c);
	if ((c->debug & A64_DEBUG_INSN) != 0 || a64_calls(c) || j == NULL || j->native == NULL)
		return (NULL);
	c->pc0 = SOFT_PAGE(va);
	return (j->native);
}

/* Stubs */

static const void *
here(const struct emit *e)
{
	return ((const void *)emit_pc(e));
}

static void
leave(struct jit *j, struct emit *e)
{
	emit_mov_mr(e, 4, CORE(left), H_LEFT);
	emit_jmp_to(e, j->leave);
}

void
native_jump(struct emit *e, unsigned half, const void *other, const void *miss)
{
	emit_alu_rm(e, 8, ALU_CMP, H_RAX, emit_at(H_RCX, (int32_t)offsetof(struct soft_jump, va)));
	emit_jcc_to(e, CC_NE, other);
	emit_mov_rm(e, 8, H_RDX, core_at(offsetof(struct a64, key) + 8 * half));
	emit_alu_rm(e, 8, ALU_CMP, H_RDX, emit_at(H_RCX, (int32_t)offsetof(struct soft_jump, key)));
	emit_jcc_to(e, CC_NE, other);
	emit_mov_rm(e, 8, H_RCX, emit_at(H_RCX, (int32_t)offsetof(struct soft_jump, native)));
	emit_test_rr(e, 8, H_RCX, H_RCX);
	emit_jcc_to(e, CC_E, miss);
	emit_alu_ri(e, 8, ALU_AND, H_RAX, -4096);
	emit_mov_mr(e, 8, CORE(pc0), H_RAX);
	emit_jmp_r(e, H_RCX);
}

static void
stubs(struct soft_cpu *cpu, struct jit *j, struct emit *e)
{
	struct a64 *c = a64_of(cpu);
	struct a64_stubs *s = calloc(1, sizeof(*s));
	uint8_t *over;

	c->stubs = s;
	if (s == NULL)
		return;
	s->enter = here(e);
	emit_mov_rm(e, 4, H_LEFT, CORE(left));
	emit_jmp_r(e, H_RCX);
	s->leave = here(e);
	leave(j, e);
	s->status = here(e);
	emit_mov_rr(e, 4, H_RAX, H_RAX);
	leave(j, e);
	s->out = here(e);
	emit_movzx_rr(e, 2, H_RCX, H_RAX);
	emit_shift_ri(e, 4, SH_SHR, H_RAX, 16);
	emit_alu_rr(e, 4, ALU_ADD, H_LEFT, H_RAX);
	emit_mov_ri(e, H_RAX, WENT_ON);
	s->link = here(e);
	emit_alu_rm(e, 8, ALU_ADD, H_RCX, CORE(pc0));
	emit_mov_mr(e, 8, PAGE(pc), H_RCX);
	leave(j, e);
	s->miss = here(e);
	emit_mov_mr(e, 8, PAGE(pc), H_RAX);
	emit_mov_ri(e, H_RAX, WENT_ON);
	leave(j, e);
	for (unsigned half = 0; half < 2; half++) {
		s->other[half] = here(e);
		emit_alu_ri(e, 8, ALU_XOR, H_RCX, sizeof(struct soft_jump));
		native_jump(e, half, s->miss, s->miss);
	}
	/* Shifted by 0, 5 and 12 places, the four bits meet in bits 15:12. */
	s->to_page = here(e);
	emit_movzx_rm(e, 2, H_RAX, CORE(eflags));
	emit_alu_ri(e, 4, ALU_AND, H_RAX, EFLAGS_NZCV);
	emit_imul_rri(e, 4, H_RAX, H_RAX, 1 | 1 << 5 | 1 << 12);
	emit_alu_ri(e, 4, ALU_AND, H_RAX, 0xf000);
	emit_shift_ri(e, 4, SH_SHR, H_RAX, 8);
	emit_mov_mr(e, 1, emit_at(H_RBP, (int32_t)offsetof(struct arm64_state, pstate) + 3 - NATIVE_BIAS), H_RAX);
	emit_mov_mi(e, 1, CORE(lazy), 0);
	emit_ret(e);
	s->from_page = here(e);
	emit_movzx_rm(e, 1, H_RAX, emit_at(H_RBP, (int32_t)offsetof(struct arm64_state, pstate) + 3 - NATIVE_BIAS));
	emit_mov_rr(e, 4, H_RCX, H_RAX);
	emit_mov_rr(e, 4, H_RDX, H_RAX);
	emit_shift_ri(e, 4, SH_SHL, H_RCX, 8);
	emit_alu_ri(e, 4, ALU_AND, H_RCX, 0xc000);
	emit_shift_ri(e, 4, SH_SHL, H_RDX, 3);
	emit_alu_ri(e, 4, ALU_AND, H_RDX, 0x100);
	emit_shift_ri(e, 4, SH_SHR, H_RAX, 4);
	emit_alu_ri(e, 4, ALU_AND, H_RAX, 1);
	emit_alu_rr(e, 4, ALU_OR, H_RAX, H_RCX);
	emit_alu_rr(e, 4, ALU_OR, H_RAX, H_RDX);
	emit_mov_mr(e, 2, CORE(eflags), H_RAX);
	emit_mov_mi(e, 1, CORE(lazy), 1);
	emit_ret(e);
	s->returned = here(e);
	emit_mov_rr(e, 8, H_RDI, H_R15);
	emit_call_to(e, (const void *)(uintptr_t)returned);
	emit_test_rr(e, 8, H_RAX, H_RAX);
	over = emit_jcc_over(e, CC_NE);
	emit_mov_ri(e, H_RAX, WENT_ON);
	leave(j, e);
	emit_here(e, over);
	emit_mov_rr(e, 8, H_RBX, H_RAX);
	emit_call_to(e, s->from_page);
	emit_jmp_r(e, H_RBX);
}

static void
flushed(struct soft_cpu *cpu)
{
	struct a64 *c = a64_of(cpu);

	c->link = NULL;
	a64_forget_jumps(c);
}

static const struct jit_ops ops = {
	.stubs = stubs,
	.translate = a64_translate_block,
	.flushed = flushed,
	.cold = 60,
};

int
a64_native_create(struct a64 *c)
{
	if (jit_create(c->cpu, &ops, &c->jit) != 0)
		return (-1);
	if (c->jit != NULL && c->stubs == NULL) {
		jit_free(c->jit);
		c->jit = NULL;
	}
	return (0);
}

void
a64_native_destroy(struct a64 *c)
{
	jit_free(c->jit);
	free((void *)(uintptr_t)c->stubs);
}
