/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_mem.c - native code: memory operands, and general registers as operands.
 *
 * The look-up is soft_tlb_hit(): the entry is that of the first byte's page, the tag must be that of the last byte's, which also finds what
 * crosses into another page.
 */
#include "native.h"

_Static_assert(sizeof(struct soft_tlbe) == 32, "found by a shift");

const uint8_t nat_pin[16] = {
	[RAX] = H_R12, [RCX] = H_RCX, [RDX] = H_RDX, [RBX] = H_RBX, [RSP] = H_R13, [RBP] = H_RBP, [RSI] = H_RSI, [RDI] = H_RDI,
	[R8] = H_R8, [R9] = H_R9, [R10] = H_R10, [R11] = H_R11, [R12] = NAT_MEM, [R13] = NAT_MEM, [R14] = NAT_MEM, [R15] = NAT_MEM,
};

/* Registers */

void
nat_get_into(struct nat *n, unsigned host, unsigned r, unsigned size)
{
	if (nat_host(r) == NAT_MEM) {
		emit_mov_rm(n->e, size == 8 ? 8 : 4, host, nat_slot(r >> 3));
	} else if (nat_high(r)) {
		emit_mov_rr(n->e, 4, HA, nat_host(r));
		emit_rr(n->e, 4, EMIT_0F | 0xb6, HA, 4);	/* MOVZX EAX, AH */
	} else {
		emit_mov_rr(n->e, size == 8 ? 8 : 4, host, nat_host(r));
	}
}

unsigned
nat_get(struct nat *n, unsigned r, unsigned size)
{
	if (nat_host(r) != NAT_MEM && !nat_high(r))
		return (nat_host(r));
	nat_get_into(n, HA, r, size);
	return (HA);
}

void
nat_put(struct nat *n, unsigned r, unsigned size, unsigned src)
{
	unsigned h = nat_host(r);

	if (h == NAT_MEM && size < 4 && src != HT) {
		/*
		 * Whole, though a part would do: hosts forward what was stored to a load that wants all of it, or half, and let everything else
		 * wait until it is in their cache.
		 */
		emit_mov_rm(n->e, 8, HT, nat_slot(r >> 3));
		emit_mov_rr(n->e, size, HT, src);
		emit_mov_mr(n->e, 8, nat_slot(r >> 3), HT);
	} else if (h == NAT_MEM) {
		emit_mov_mr(n->e, size == 4 ? 8 : size, nat_slot(r >> 3), src);
	} else if (nat_high(r)) {
		/* By way of memory: the host register need not have such a part. */
		struct emit_mem byte = NAT_FIELD(native.tmp);

		emit_mov_mr(n->e, 8, byte, h);
		byte.disp++;
		emit_mov_mr(n->e, 1, byte, src);
		emit_mov_rm(n->e, 8, h, NAT_FIELD(native.tmp));
	} else if (h != src || size == 4) {
		emit_mov_rr(n->e, size, h, src);
	}
}

/* Memory */

struct nat_cold *
nat_cold(struct nat *n, enum nat_cold_what what)
{
	struct nat_cold *c;

	if (n->ncold == nitems(n->cold)) {
		n->failed = true;
		n->spare = (struct nat_cold){ .what = COLD_CALL };
		return (&n->spare);
	}
	c = &n->cold[n->ncold++];
	*c = (struct nat_cold){ .what = (uint8_t)what, .at = (uint8_t)n->at, .x87 = n->x87, .point = n->point };
	return (c);
}

/* Offset in the page of what is relative to RIP. */
static int64_t
rip_offset(const struct nat *n, const struct x86_insn *i)
{
	return ((int64_t)n->off + i->off + i->len + i->disp);
}

bool
nat_mem_ok(const struct nat *n, const struct x86_insn *i, unsigned size)
{
	int64_t disp = i->base == X86_RIP ? rip_offset(n, i) : i->disp;

	return (i->adsize == 8 && disp + size <= INT32_MAX && disp >= INT32_MIN);
}

bool
nat_kernel(const struct nat *n)
{
	return ((n->b->mode & X86_MODE_USER) == 0);
}

void
nat_look_up(struct nat *n, bool write, struct emit_label *miss)
{
	struct nat_cold *c = nat_cold(n, COLD_AGAIN);
	struct emit *e = n->e;

	c->write = write;
	c->miss = miss;

	emit_shift_ri(e, 4, SH_SHR, HT, 12 - 5);
	emit_alu_ri(e, 4, ALU_AND, HT, (SOFT_TLB_SIZE - 1) << 5);
	emit_alu_ri(e, 8, ALU_AND, HA, -4096);
	emit_alu_rm(e, 8, ALU_OR, HA, NAT_FIELD(tag));
	emit_alu_rm(e, 8, ALU_ADD, HT, write ? NAT_FIELD(wrow) : NAT_FIELD(row));
	emit_alu_rm(e, 8, ALU_CMP, HA, emit_at(HT, write ? offsetof(struct soft_tlbe, wtag) : offsetof(struct soft_tlbe, rtag)));
	emit_jcc(e, CC_NE, &c->from);
	emit_mov_rm(e, 8, HT, emit_at(HT, offsetof(struct soft_tlbe, addend)));
	emit_bind(e, &c->back);
}

void
nat_cold_again(struct nat *n, struct nat_cold *c)
{
	emit_call_to(n->e, n->x->stubs->again[c->write]);
	emit_jcc(n->e, CC_E, &c->back);
	emit_jmp(n->e, c->miss);
}

#define	STACK(write, field)	((write) ? NAT_FIELD(native.stack[1].field) : NAT_FIELD(native.stack[0].field))

/*
 * Compared are the page of the first byte and its alignment, where that is as it should be most of the time; then the last byte is in the same page.
 */
void
nat_look_up_stack(struct nat *n, int32_t disp, unsigned length, bool write, bool aligned, struct emit_label *miss)
{
	bool size = aligned || ((length & (length - 1)) == 0 && length <= 8);
	unsigned sp = nat_pin[RSP];
	struct emit *e = n->e;
	struct nat_cold *c = nat_cold(n, COLD_STACK);

	c->miss = miss;
	c->target = disp;
	c->length = (uint16_t)length;
	c->write = write;
	c->aligned = aligned;
	for (unsigned end = 0; end < (size ? 1U : 2U); end++) {
		emit_lea(e, 8, HA, emit_at(sp, disp + (end == 0 ? 0 : (int32_t)length - 1)));
		emit_alu_ri(e, 8, ALU_AND, HA, size ? -4096 | (int32_t)(length - 1) : -4096);
		emit_alu_rm(e, 8, ALU_CMP, HA, STACK(write, page));
		emit_jcc(e, CC_NE, &c->from);
	}
	emit_mov_rm(e, 8, HT, STACK(write, addend));
	emit_bind(e, &c->back);
}

void
nat_cold_stack(struct nat *n, struct nat_cold *c)
{
	unsigned sp = nat_pin[RSP];
	struct emit *e = n->e;

	emit_lea(e, 8, HT, emit_at(sp, c->target));
	if (c->aligned) {
		emit_test_ri(e, 1, HT, 15);
		emit_jcc(e, CC_NE, c->miss);
	}
	emit_lea(e, 8, HA, emit_at(sp, c->target + c->length - 1));
	nat_look_up(n, c->write, c->miss);
	emit_lea(e, 8, HA, emit_at(sp, c->target));
	emit_alu_ri(e, 8, ALU_AND, HA, -4096);
	emit_mov_mr(e, 8, STACK(c->write, page), HA);
	emit_mov_mr(e, 8, STACK(c->write, addend), HT);
	emit_jmp(e, &c->back);
}

struct nat_cold *
nat_called(struct nat *n)
{
	struct nat_cold *c = nat_cold(n, COLD_CALL);

	c->save = !n->slot;
	c->lazy = n->lazy;
	c->xmm = n->xmm;
	return (c);
}

static void
look_up(struct nat *n, bool write, bool aligned)
{
	struct nat_cold *c = nat_called(n);

	if (aligned) {
		emit_test_ri(n->e, 1, HT, 15);
		emit_jcc(n->e, CC_NE, &c->from);
	}
	nat_look_up(n, write, &c->from);
}

static bool
pinned(unsigned g)
{
	return (g == X86_NOREG || (g < 16 && nat_pin[g] != NAT_MEM));
}

static unsigned
host_of(unsigned g)
{
	return (g == X86_NOREG ? EMIT_NOREG : nat_pin[g]);
}

/* base + index * scale + disp, all of them in host registers. */
static struct emit_mem
address(const struct x86_insn *i, int32_t more)
{
	struct emit_mem m = { .base = (uint8_t)host_of(i->base), .index = (uint8_t)host_of(i->index), .scale = (uint8_t)(1U << i->scale),
	    .disp = i->disp + more };

	return (m);
}

static struct emit_mem
simple(struct nat *n, const struct x86_insn *i, unsigned size, bool write, bool aligned)
{
	struct emit *e = n->e;
	struct emit_mem m = address(i, 0);

	if (!aligned && m.index == EMIT_NOREG && m.base != EMIT_NOREG && nat_window(n, i->base, i->disp, size, write))
		return (emit_idx(HT, m.base, 1, m.disp));
	if (i->base == RSP && m.index == EMIT_NOREG) {
		nat_look_up_stack(n, m.disp, size, write, aligned, &nat_called(n)->from);
		return (emit_idx(HT, m.base, 1, m.disp));
	}
	emit_lea(e, 8, HT, m);
	if (size == 1)
		emit_mov_rr(e, 8, HA, HT);
	else
		emit_lea(e, 8, HA, address(i, (int32_t)size - 1));
	look_up(n, write, aligned);
	if (m.index == EMIT_NOREG) {
		if (m.base == EMIT_NOREG)
			return (emit_at(HT, m.disp));
		return (emit_idx(HT, m.base, 1, m.disp));
	}
	if (m.base != EMIT_NOREG)
		emit_lea(e, 8, HT, emit_idx(HT, m.base, 1, 0));
	return (emit_idx(HT, m.index, m.scale, m.disp));
}

/* The address into rax. */
static void
compute(struct nat *n, const struct x86_insn *i)
{
	struct emit *e = n->e;
	int32_t disp = i->base == X86_RIP ? (int32_t)rip_offset(n, i) : i->disp;

	if (i->base == X86_RIP)
		emit_mov_rm(e, 8, HA, NAT_FIELD(native.page));
	else if (i->base == X86_NOREG)
		emit_mov_ri(e, HA, 0);
	else if (nat_pin[i->base] == NAT_MEM)
		emit_mov_rm(e, 8, HA, nat_slot(i->base));
	else
		emit_mov_rr(e, 8, HA, nat_pin[i->base]);
	if (i->index != X86_NOREG) {
		unsigned index = nat_pin[i->index];

		if (index == NAT_MEM) {
			index = HT;
			emit_mov_rm(e, 8, HT, nat_slot(i->index));
		}
		emit_lea(e, 8, HA, emit_idx(HA, index, 1U << i->scale, disp));
	} else if (disp != 0) {
		emit_lea(e, 8, HA, emit_at(HA, disp));
	}
}

void
nat_lea(struct nat *n, const struct x86_insn *i, unsigned size, unsigned to)
{
	if (i->base != X86_RIP && pinned(i->base) && pinned(i->index)) {
		emit_lea(n->e, size, to, address(i, 0));
		return;
	}
	compute(n, i);
	if (to != HA || size != 8)
		emit_mov_rr(n->e, size, to, HA);
}

/* The base is a word in memory, which is still there when the rest is known: RIP, R12 to R15. */
static struct emit_mem
based(struct nat *n, const struct x86_insn *i, unsigned size, bool write, bool aligned)
{
	int32_t disp = i->base == X86_RIP ? (int32_t)rip_offset(n, i) : i->disp;
	struct emit *e = n->e;

	compute(n, i);
	emit_mov_rr(e, 8, HT, HA);
	if (size != 1)
		emit_lea(e, 8, HA, emit_at(HA, (int32_t)size - 1));
	look_up(n, write, aligned);
	emit_alu_rm(e, 8, ALU_ADD, HT, i->base == X86_RIP ? NAT_FIELD(native.page) : nat_slot(i->base));
	if (i->index == X86_NOREG)
		return (emit_at(HT, disp));
	return (emit_idx(HT, nat_pin[i->index], 1U << i->scale, disp));
}

static struct emit_mem
complex(struct nat *n, const struct x86_insn *i, unsigned size, bool write, bool aligned)
{
	struct emit *e = n->e;

	compute(n, i);
	if ((i->flags & XI_FLAT) == 0) {
		emit_mov_rm(e, 8, HT, NAT_FIELD(s));
		emit_alu_rm(e, 8, ALU_ADD, HA, emit_at(HT, (int32_t)(offsetof(struct amd64_state, seg) +
		    i->seg * sizeof(struct amd64_segment) + offsetof(struct amd64_segment, base))));
	}
	emit_mov_mr(e, 8, NAT_FIELD(native.tmp), HA);
	emit_mov_rr(e, 8, HT, HA);
	if (size != 1)
		emit_lea(e, 8, HA, emit_at(HA, (int32_t)size - 1));
	look_up(n, write, aligned);
	emit_alu_rm(e, 8, ALU_ADD, HT, NAT_FIELD(native.tmp));
	return (emit_at(HT, 0));
}

struct emit_mem
nat_mem(struct nat *n, const struct x86_insn *i, unsigned size, bool write, bool aligned)
{
	nat_flags_settle(n);
	if ((i->flags & XI_FLAT) != 0 && pinned(i->base) && pinned(i->index))
		return (simple(n, i, size, write, aligned));
	if ((i->flags & XI_FLAT) != 0 && pinned(i->index) && i->base != X86_NOREG)
		return (based(n, i, size, write, aligned));
	return (complex(n, i, size, write, aligned));
}

unsigned
nat_source(struct nat *n, const struct x86_insn *i, unsigned size)
{
	struct emit_mem m;

	if ((i->flags & XI_MEM) != 0) {
		m = nat_mem(n, i, size, false, false);
		emit_mov_rm(n->e, size, HT, m);
	} else if (nat_host(i->r[1]) == NAT_MEM) {
		nat_get_into(n, HT, i->r[1], size);
	} else {
		return (nat_host(i->r[1]));
	}
	return (HT);
}

struct emit_mem
nat_pinned(struct nat *n, unsigned g, int32_t disp, unsigned size, bool write)
{
	unsigned pin = nat_pin[g];
	struct emit *e = n->e;

	nat_flags_settle(n);
	if (nat_window(n, g, disp, size, write))
		return (emit_idx(HT, pin, 1, disp));
	if (g == RSP) {
		nat_look_up_stack(n, disp, size, write, false, &nat_called(n)->from);
		return (emit_idx(HT, pin, 1, disp));
	}
	emit_lea(e, 8, HT, emit_at(pin, disp));
	emit_lea(e, 8, HA, emit_at(pin, disp + (int32_t)size - 1));
	look_up(n, write, false);
	return (emit_idx(HT, pin, 1, disp));
}

struct emit_mem
nat_stack(struct nat *n, int32_t disp, unsigned size, bool write)
{
	return (nat_pinned(n, RSP, disp, size, write));
}

void
nat_lock(struct nat *n, struct emit_mem m, unsigned size)
{
	struct nat_cold *c;

	if (size > 1) {
		c = nat_called(n);
		emit_lea(n->e, 8, HA, m);
		emit_alu_ri(n->e, 4, ALU_AND, HA, 63);
		emit_alu_ri(n->e, 4, ALU_CMP, HA, 64 - (int32_t)size);
		emit_jcc(n->e, CC_A, &c->from);
	}
}
