/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native.c - native code: what all translations share.  The way in and out, calls of the first tier's functions.
 */
#include <errno.h>
#include <stdlib.h>

#include <Zydis/Zydis.h>

#include "native.h"
#include "sse_mxcsr.h"

_Static_assert(ZYDIS_MNEMONIC_MAX_VALUE < NAT_MNEMONICS, "the table of rows has them all");

/* Between the state page and x86_native */

/* Flags as LAHF and SETO have them. */
static void
native_in(struct x86 *x)
{
	uint64_t fl = x->s->rflags;

	x->native.flags = (uint16_t)((fl & 0xff) << 8 | (fl >> 11 & 1));
	memcpy(x->native.gpr, &x->s->gpr[R12], sizeof(x->native.gpr));
}

static void
native_out(struct x86 *x)
{
	unsigned ax = x->native.flags;

	x->s->rflags = (x->s->rflags & ~(uint64_t)(FL_ARITH | 0x2a)) | ax >> 8 | (ax & 1) << 11;
	memcpy(&x->s->gpr[R12], x->native.gpr, sizeof(x->native.gpr));
}

/* What becomes of native code behind a call. */
enum after { AFTER_GO_ON, AFTER_LEAVE, AFTER_JUMP };

/* What native code knows of the TLB by itself may not be so any more. */
static void
forget_stack(struct x86 *x)
{
	x->native.stack[0].page = x->native.stack[1].page = X86_NO_STACK;
}

/* Somebody looks at the state page, with so many instructions left: what held for the first one only? */
static void
lapse(struct x86 *x, int32_t left)
{
	if (left != x->native.fresh) {
		x->s->rflags &= ~(uint64_t)FL_RF;
		x->native.sti = false;
	}
}

/* The same where native code is left. */
static void
lapse_out(struct x86 *x, int32_t left)
{
	lapse(x, left);
	if (x->native.sti)
		x->s->intr_shadow = 1;
	if (x->native.sti || (x->s->rflags & FL_RF) != 0)
		x->attention = true;
	x->native.sti = false;
}

/* Native code is left behind x->cur, or at it. */
static enum after
leave(struct x86 *x, enum x86_status r, int32_t left)
{
	bool at = r == X_FAULT || r == X_EXIT || r == X_STOP || r == X_END;

	lapse_out(x, left - !at);
	x->native.status = (uint8_t)r;
	return (AFTER_LEAVE);
}

/*
 * Is there a reason not to go on in native code?  Requests are looked at too: they may say that another processor has written to code, which is seen
 * behind a serializing instruction at the latest (SDM vol. 3 8.1.3), and all of those come here.
 */
static bool
interrupted(const struct x86 *x)
{
	return (x->cut != NULL || x->native.leave || atomic_load_explicit(&x->vcpu->request, memory_order_relaxed) != 0);
}

/*
 * The instruction at off bytes of block b: exactly as run_block() has it, but that a change of the address space, or of what is there, ends the
 * block.
 */
static enum after
call(struct x86 *x, struct soft_block *b, size_t off)
{
	const struct x86_insn *i = (const void *)((const char *)b + off);
	uint64_t key = x->key;
	enum x86_status r;
	int32_t left;
	bool last;

	x->cur = i;
	x->block_code = SOFT_BLOCK_CODE(b);
	x->rip0 = x->native.page + (b->place & 0xfff);
	x->done = x->native.end - (uint64_t)x->native.left;
	left = x->native.left - (int32_t)(i - x->block_code);
	native_out(x);
	lapse(x, left);
	x->keep_rf = false;
	soft_count(x->cpu, VM_STAT_JIT_CALLS, 1);
	r = i->fn(x, i);
	last = (unsigned)(i - x->block_code) + 1 == b->n;
	forget_stack(x);
	if (unlikely(x->keep_rf)) {
		x->native.fresh = left - 1;
		x->native.sti = false;
	}
	if (r == X_DONE) {
		/* The low byte of a key is rights and mode; what changes the mode ends its block. */
		if (likely(!interrupted(x) && (x->key ^ key) >> 8 == 0 &&
		    (!last || !x->attention || x86_settled(x)))) {
			native_in(x);
			return (AFTER_GO_ON);
		}
		x->cur = ++i;
		x->s->rip = x86_rip(x, i);
		return (leave(x, X_END, left - 1));
	}
	if (r != X_JUMP || interrupted(x) || !x->flat || (x->attention && !x86_settled(x)))
		return (leave(x, r, left));
	x->native.left -= (int32_t)(i - x->block_code) + 1;
	native_in(x);
	return (AFTER_JUMP);
}

/* General registers that are host registers; base: of the state page. */
static void
pins(struct emit *e, unsigned base, bool load)
{
	for (unsigned g = RAX; g <= R11; g++) {
		struct emit_mem m = emit_at(base, (int32_t)(offsetof(struct amd64_state, gpr) + 8 * g));

		if (load)
			emit_mov_rm(e, 8, nat_pin[g], m);
		else
			emit_mov_mr(e, 8, m, nat_pin[g]);
	}
}

static struct emit_mem
xmm_at(unsigned base, unsigned k)
{
	return (emit_at(base, (int32_t)(offsetof(struct amd64_state, fxsave) + FX_XMM + 16 * k)));
}

/* All of them, to the state page at r14. */
static void
spill(struct emit *e)
{
	uint8_t *over;

	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	pins(e, HT, false);
	emit_alu_mi(e, 1, ALU_CMP, NAT_FIELD(native.xmm), 0);
	emit8(e, 0x0f);				/* a long one */
	emit8(e, 0x80 | CC_E);
	emit32(e, 0);
	over = e->at;
	for (unsigned k = 0; k < 16; k++)
		emit_sse_rm(e, SSE_MOVAPS_STORE, k, xmm_at(HT, k));
	emit_mov_mi(e, 1, NAT_FIELD(native.xmm), 0);
	if (!e->full) {
		uint32_t rel = (uint32_t)(e->at - over);

		memcpy(over - 4, &rel, 4);
	}
	nat_x87_spill(e);
}

static void
to_state(struct emit *e, size_t off, unsigned reg)
{
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	emit_mov_mr(e, 8, emit_at(HT, (int32_t)off), reg);
}

/* Its place in the second level, of the hash in ecx. */
static void
second(struct emit *e, bool write)
{
	emit_alu_ri(e, 4, ALU_AND, H_RCX, SOFT_TLB_SIZE - 1);
	emit_shift_ri(e, 4, SH_SHL, H_RCX, 5);
	emit_alu_rm(e, 8, ALU_ADD, H_RCX, write ? NAT_FIELD(second[1]) : NAT_FIELD(second[0]));
}

/*
 * soft_tlb_again() for the page and tag in rax; r14 is the entry of where the access begins, and must be that page's.  What it is going to be comes
 * from [rcx].
 */
static void
stub_again(struct x86 *x, struct jit *j, struct emit *e, bool write)
{
	size_t tag = write ? offsetof(struct soft_tlbe, wtag) : offsetof(struct soft_tlbe, rtag);
	struct emit_label no = { NULL, NULL }, hit = { NULL, NULL };

	x->stubs->again[write] = jit_run_address(j, e->at);
	emit_push(e, H_RCX);
	emit_push(e, H_RDX);
	emit_mov_rr(e, 8, H_RDX, HA);
	emit_shift_ri(e, 8, SH_SHR, H_RDX, 12);
	emit_mov_rr(e, 4, H_RCX, H_RDX);
	emit_alu_ri(e, 4, ALU_AND, H_RCX, SOFT_TLB_SIZE - 1);
	emit_shift_ri(e, 4, SH_SHL, H_RCX, 5);
	emit_alu_rm(e, 8, ALU_ADD, H_RCX, write ? NAT_FIELD(wrow) : NAT_FIELD(row));
	emit_alu_rr(e, 8, ALU_CMP, H_RCX, HT);
	emit_jcc(e, CC_NE, &no);
	emit_mov_rr(e, 8, H_RCX, H_RDX);
	emit_shift_ri(e, 8, SH_SHR, H_RCX, SOFT_TLB_BITS);
	emit_alu_rr(e, 4, ALU_XOR, H_RDX, H_RCX);
	emit_mov_rm(e, 4, H_RCX, NAT_FIELD(tag));
	emit_imul_rri(e, 4, H_RCX, H_RCX, SOFT_TLB_SPREAD);
	emit_alu_rr(e, 4, ALU_XOR, H_RCX, H_RDX);
	second(e, write);
	emit_alu_rm(e, 8, ALU_CMP, HA, emit_at(H_RCX, (int32_t)tag));
	emit_jcc(e, CC_E, &hit);
	emit_mov_rr(e, 4, H_RCX, H_RDX);
	second(e, write);
	emit_mov_rm(e, 8, H_RDX, emit_at(H_RCX, (int32_t)tag));
	emit_test_ri(e, 1, H_RDX, 1);
	emit_jcc(e, CC_E, &no);
	emit_alu_rr(e, 8, ALU_XOR, H_RDX, HA);
	emit_test_ri(e, 8, H_RDX, -4096);
	emit_jcc(e, CC_NE, &no);
	emit_mov_rm(e, 4, H_RDX, emit_at(H_RCX, offsetof(struct soft_tlbe, gpa)));
	emit_alu_ri(e, 4, ALU_AND, H_RDX, 0xfff);
	emit_alu_rm(e, 8, ALU_CMP, H_RDX, NAT_FIELD(global));
	emit_jcc(e, CC_NE, &no);
	emit_bind(e, &hit);
	emit_mov_mr(e, 8, emit_at(HT, offsetof(struct soft_tlbe, rtag)), HA);
	emit_mov_rm(e, 8, H_RDX, emit_at(H_RCX, offsetof(struct soft_tlbe, wtag)));
	emit_test_rr(e, 8, H_RDX, H_RDX);
	emit_cmov_rr(e, 8, CC_NE, H_RDX, HA);
	emit_mov_mr(e, 8, emit_at(HT, offsetof(struct soft_tlbe, wtag)), H_RDX);
	emit_mov_rm(e, 8, H_RDX, emit_at(H_RCX, offsetof(struct soft_tlbe, gpa)));
	emit_mov_mr(e, 8, emit_at(HT, offsetof(struct soft_tlbe, gpa)), H_RDX);
	emit_mov_rm(e, 8, H_RCX, emit_at(H_RCX, offsetof(struct soft_tlbe, addend)));
	emit_mov_mr(e, 8, emit_at(HT, offsetof(struct soft_tlbe, addend)), H_RCX);
	emit_mov_rr(e, 8, HT, H_RCX);
	emit_pop(e, H_RDX);
	emit_pop(e, H_RCX);
	emit_alu_rr(e, 8, ALU_CMP, HA, HA);
	emit_ret(e);
	emit_bind(e, &no);
	emit_pop(e, H_RDX);
	emit_pop(e, H_RCX);
	emit_test_rr(e, 8, H_RSP, H_RSP);
	emit_ret(e);
}

/* x86_jump() of rax, whose first place is at r14. */
static void
stub_other(struct x86 *x, struct jit *j, struct emit *e)
{
	struct emit_label end = { NULL, NULL };
	uint8_t *over;

	x->stubs->other = jit_run_address(j, e->at);
	emit_mov_mr(e, 8, NAT_FIELD(native.tmp), HA);
	for (unsigned way = 0; way < 2; way++) {
		emit_alu_rm(e, 8, ALU_CMP, HA, emit_at(HT, offsetof(struct soft_jump, va)));
		over = emit_jcc_over(e, CC_NE);
		emit_mov_rm(e, 8, HA, NAT_FIELD(key));
		emit_alu_rm(e, 8, ALU_CMP, HA, emit_at(HT, offsetof(struct soft_jump, key)));
		emit_jcc(e, CC_E, &end);
		emit_mov_rm(e, 8, HA, NAT_FIELD(global_key));
		emit_alu_rm(e, 8, ALU_CMP, HA, emit_at(HT, offsetof(struct soft_jump, key)));
		emit_jcc(e, CC_E, &end);
		emit_mov_rm(e, 8, HA, NAT_FIELD(native.tmp));
		emit_here(e, over);
		if (way == 0)
			emit_alu_ri(e, 8, ALU_XOR, HT, sizeof(struct soft_jump));
	}
	emit_test_rr(e, 8, H_RSP, H_RSP);
	emit_bind(e, &end);
	emit_ret(e);
}

/* Entered by a call, so the stack is 8 bytes off. */
static void
stub_call(struct x86 *x, struct jit *j, struct emit *e)
{
	struct emit_label out = { NULL, NULL }, jump = { NULL, NULL }, miss = { NULL, NULL };

	x->stubs->call = jit_run_address(j, e->at);
	emit_push(e, HA);
	emit_push(e, HT);
	spill(e);
	emit_pop(e, H_RDX);
	emit_pop(e, H_RSI);
	emit_mov_rr(e, 8, H_RDI, HX);
	emit_alu_ri(e, 8, ALU_SUB, H_RSP, 8);
	emit_call_to(e, (const void *)(uintptr_t)&call);
	emit_alu_ri(e, 8, ALU_ADD, H_RSP, 8);
	emit_alu_ri(e, 4, ALU_CMP, HA, AFTER_LEAVE);
	emit_jcc(e, CC_E, &out);
	emit_jcc(e, CC_A, &jump);
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	pins(e, HT, true);
	emit_ret(e);

	emit_bind(e, &out);
	emit_alu_ri(e, 8, ALU_ADD, H_RSP, 8);
	emit_mov_ri(e, HA, NAT_CALLED);
	emit_jmp_to(e, j->leave);

	/* It went elsewhere: perhaps there is code already. */
	emit_bind(e, &jump);
	emit_alu_ri(e, 8, ALU_ADD, H_RSP, 8);
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	emit_mov_rm(e, 8, HA, emit_at(HT, offsetof(struct amd64_state, rip)));
	pins(e, HT, true);
	nat_place(e);
	emit_call_to(e, x->stubs->other);
	emit_jcc(e, CC_NE, &miss);
	nat_enter(e);
	emit_bind(e, &miss);
	emit_mov_ri(e, HA, NAT_GO);
	emit_jmp_to(e, x->stubs->leave);
}

static void
stub_leave(struct x86 *x, struct jit *j, struct emit *e)
{
	x->stubs->leave = jit_run_address(j, e->at);
	spill(e);
	emit_jmp_to(e, j->leave);
}

/* eax is an offset of the page. */
static const void *
stub_go(struct x86 *x, struct jit *j, struct emit *e, enum nat_exit why)
{
	const void *at = jit_run_address(j, e->at);

	emit_alu_rm(e, 8, ALU_ADD, HA, NAT_FIELD(native.page));
	to_state(e, offsetof(struct amd64_state, rip), HA);
	emit_mov_ri(e, HA, why);
	emit_jmp_to(e, x->stubs->leave);
	return (at);
}

/* Likewise, to the block that the table of jumps has there. */
static void
stub_jump(struct x86 *x, struct jit *j, struct emit *e)
{
	struct emit_label miss = { NULL, NULL };

	x->stubs->jump = jit_run_address(j, e->at);
	emit_alu_rm(e, 8, ALU_ADD, HA, NAT_FIELD(native.page));
	nat_place(e);
	emit_call_to(e, x->stubs->other);
	emit_jcc(e, CC_NE, &miss);
	nat_enter(e);
	emit_bind(e, &miss);
	emit_mov_rm(e, 8, HA, NAT_FIELD(native.tmp));
	to_state(e, offsetof(struct amd64_state, rip), HA);
	emit_mov_ri(e, HA, NAT_GO);
	emit_jmp_to(e, x->stubs->leave);
}

static void
stub_found(struct x86 *x, struct jit *j, struct emit *e)
{
	x->stubs->found = jit_run_address(j, e->at);
	emit_mov_rm(e, 8, HA, emit_at(HT, offsetof(struct soft_jump, va)));
	to_state(e, offsetof(struct amd64_state, rip), HA);
	emit_mov_ri(e, HA, NAT_GO);
	emit_jmp_to(e, x->stubs->leave);
}

/*
 * Called.  With CR0.EM, CR0.TS or without CR4.OSFXSR they stay where they are: vec_denied() has the exception.  Whoever changes any of these or
 * MXCSR is called, so they are looked at again.
 */
static void
stub_xmm(struct x86 *x, struct jit *j, struct emit *e)
{
	struct emit_label no = { NULL, NULL }, there = { NULL, NULL };
	uint8_t *over;

	x->stubs->xmm = jit_run_address(j, e->at);
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	emit_test_mi(e, 4, emit_at(HT, offsetof(struct amd64_state, cr0)), CR0_EM | CR0_TS);
	emit_jcc(e, CC_NE, &no);
	emit_test_mi(e, 4, emit_at(HT, offsetof(struct amd64_state, cr4)), CR4_OSFXSR);
	emit_jcc(e, CC_E, &no);
	emit_alu_mi(e, 1, ALU_CMP, NAT_FIELD(native.xmm), 0);
	emit_jcc(e, CC_NE, &there);
	for (unsigned k = 0; k < 16; k++)
		emit_sse_rm(e, SSE_MOVAPS_LOAD, k, xmm_at(HT, k));
	emit_bind(e, &there);
	emit_mov_mi(e, 1, NAT_FIELD(native.xmm), XMM_LOADED);
	emit_mov_rm(e, 4, HA, emit_at(HT, (int32_t)(offsetof(struct amd64_state, fxsave) + offsetof(struct x87, mxcsr))));
	emit_alu_ri(e, 4, ALU_AND, HA, (int32_t)~MX_FLAGS);
	emit_alu_ri(e, 4, ALU_CMP, HA, MX_INIT);
	over = emit_jcc_over(e, CC_NE);
	emit_mov_mi(e, 1, NAT_FIELD(native.xmm), XMM_FP);
	emit_here(e, over);
	emit_bind(e, &no);
	emit_ret(e);
}

static void
stubs(struct soft_cpu *cpu, struct jit *j, struct emit *e)
{
	struct x86 *x = x86_of(cpu);

	stub_leave(x, j, e);
	stub_again(x, j, e, false);
	stub_again(x, j, e, true);
	stub_other(x, j, e);
	stub_call(x, j, e);
	x->stubs->go = stub_go(x, j, e, NAT_GO);
	x->stubs->tier1 = stub_go(x, j, e, NAT_TIER1);
	stub_jump(x, j, e);
	stub_found(x, j, e);
	stub_xmm(x, j, e);
	x->stubs->x87 = jit_run_address(j, e->at);
	nat_x87_load(e);
	/* The way in: rcx is where to. */
	x->stubs->begin = jit_run_address(j, e->at);
	emit_mov_rr(e, 8, HA, H_RCX);
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	pins(e, HT, true);
	emit_jmp_r(e, HA);
}

static void
flushed(struct soft_cpu *cpu)
{
	x86_forget_jumps(x86_of(cpu));
}

static const struct jit_ops ops = { .stubs = stubs, .translate = x86_translate, .flushed = flushed };

/* Native code may go there too, from now on. */
static void
note(struct x86 *x, struct soft_block *b, const void *entry)
{
	struct soft_jump *j = x86_jump(x, x->s->rip);

	if (j != NULL && j->block == b)
		j->native = entry;
}

bool
x86_native_ready(struct x86 *x, struct soft_block *b)
{
	const void *entry;

	if (x->jit == NULL || x->cpu->first_tier || !x->flat)
		return (false);
	entry = jit_entry(x->jit, b);
	if (entry == NULL || x->native.once) {
		note(x, b, x->stubs->found);
		x->native.once = false;
		return (false);
	}
	note(x, b, entry);
	return (true);
}

/* How many instructions there are between two looks at requests. */
#define	STRETCH		4096

/* The block at RIP, if it has native code and the place of this page says so: b of the table of jumps. */
static void
join(struct x86 *x, struct jit_link *l)
{
	struct soft_jump *j = x86_jump(x, x->s->rip);
	struct soft_block *b = j != NULL ? j->block : NULL;

	if (b == NULL || b->jit == NULL)
		return;
	/* What reaches into the next page depends on what that is. */
	if (b->place2 != SOFT_NOPLACE)
		jit_detour(x->jit, l);
	else
		jit_join(x->jit, l, b->jit);
}

enum nat_exit
x86_native_run(struct x86 *x, struct soft_block *b, uint64_t most)
{
	struct jit_link *l;
	uint64_t why;

	x->native.left = most > STRETCH ? STRETCH : (int32_t)most;
	x->native.end = x->done + (uint64_t)x->native.left;
	x->native.page = x->s->rip & ~(uint64_t)0xfff;
	x->native.leave = false;
	forget_stack(x);
	x->native.fresh = x->native.left;
	x->native.sti = false;
	x->native.xmm = 0;
	x->native.x87 = false;
	native_in(x);
	why = jit_run(x->jit, x, NULL, x->stubs->begin, (uintptr_t)b->jit->entry);
	soft_count(x->cpu, why == NAT_CALLED ? VM_STAT_JIT_STOPS : why >= NAT_LAST ? VM_STAT_JIT_JOINS : VM_STAT_JIT_FINDS, 1);
	if (why == NAT_CALLED)
		return (NAT_CALLED);
	native_out(x);
	lapse_out(x, x->native.left);
	x->done = x->native.end - (uint64_t)x->native.left;
	x->cur = NULL;
	x->native.once = why == NAT_TIER1;
	if (why >= NAT_LAST) {
		memcpy(&l, &why, sizeof(why));
		x->s->rip = x->native.page + l->arg;
		join(x, l);
	}
	return (NAT_GO);
}

int
x86_jit_create(struct x86 *x)
{
	static const struct nat_row *const tables[] = {
		nat_rows_move, nat_rows_arith, nat_rows_flow, nat_rows_system, nat_rows_sse, nat_rows_ssei, nat_rows_x87,
	};

	unsigned ntables;

	x->stubs = calloc(1, sizeof(*x->stubs));
	if (x->stubs == NULL)
		return (vm_fail(ENOMEM, "soft: no memory for vcpu %d", x->vcpu->id));
	x->stubs->keeps = nat_probe();
	ntables = nitems(tables) - (nat_x87_create(x) ? 0 : 1);
	for (unsigned t = 0; t < ntables; t++) {
		for (const struct nat_row *r = tables[t]; r->mnemonic != 0; r++)
			x->stubs->row[r->mnemonic] = r;
	}
	return (jit_create(x->cpu, &ops, &x->jit));
}

void
x86_jit_destroy(struct x86 *x)
{
	nat_x87_destroy(x);
	jit_free(x->jit);
	free(x->stubs);
}
