/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug_arm64.c - self-hosted debug: breakpoints, watchpoints, software step (Arm ARM D2.8 to D2.12).
 *
 * The state is Non-secure EL1 and EL0 only, which is what the security and privilege fields of control registers are
 * compared with.
 */
#include "debug.h"

/* Control registers (D13.3.2, D13.3.11) */
#define	BCR_E		0x1U
#define	BCR_PXC(r)	((unsigned)(r) >> 1 & 3)
#define	BCR_HMC(r)	((unsigned)(r) >> 13 & 1)
#define	BCR_SSC(r)	((unsigned)(r) >> 14 & 3)
#define	BCR_LBN(r)	((unsigned)(r) >> 16 & 0xf)
#define	BCR_BT(r)	((unsigned)(r) >> 20 & 0xf)
#define	WCR_LOAD(r)	((r) >> 3 & 1)
#define	WCR_STORE(r)	((r) >> 4 & 1)
#define	WCR_BAS(r)	((unsigned)(r) >> 5 & 0xff)
#define	WCR_WT(r)	((r) >> 20 & 1)
#define	WCR_MASK(r)	((unsigned)(r) >> 24 & 0x1f)

/* Types of breakpoints: address, address with a context, context alone, context for an address. */
#define	BT_ADDRESS	0U
#define	BT_ADDRESS_LINK	1U
#define	BT_CONTEXT	2U
#define	BT_CONTEXT_LINK	3U

#define	VA_BITS		0x0001ffffffffffffULL	/* of an address that are compared */

#define	ISS_ISV		0x01000000U
#define	ISS_EX		0x40U
#define	ISS_WNR		0x40U

/* Are debug exceptions enabled from this level (D2.5)? */
static bool
enabled_from(const struct arm64_state *s, bool el0, bool masked)
{
	if (s->oslk != 0 || s->osdlr != 0)
		return (false);
	return (el0 || ((s->mdscr_el1 & MDSCR_KDE) != 0 && !masked));
}

static bool
enabled(const struct a64 *c)
{
	return (enabled_from(c->s, a64_el0(c), (c->s->pstate & PSTATE_D) != 0));
}

unsigned
a64_debug(const struct a64 *c)
{
	const struct arm64_state *s = c->s;
	unsigned what = c->vcpu->vm->debug.ndata != 0 ? A64_DEBUG_DATA : 0;

	if (!enabled(c))
		return (what);
	if ((s->mdscr_el1 & MDSCR_SS) != 0)
		what |= A64_DEBUG_INSN;
	if ((s->mdscr_el1 & MDSCR_MDE) == 0)
		return (what);
	for (unsigned n = 0; n < ARM64_NBRP; n++)
		what |= (s->dbgbcr[n] & BCR_E) != 0 ? A64_DEBUG_INSN : 0;
	for (unsigned n = 0; n < ARM64_NWRP; n++)
		what |= (s->dbgwcr[n] & BCR_E) != 0 ? A64_DEBUG_DATA : 0;
	return (what);
}

/* Is it for this level (D2.9.3)? */
static bool
level_matches(uint64_t cr, bool el0)
{
	unsigned ssc = BCR_SSC(cr);

	if (ssc == 2 || (ssc == 3 && BCR_HMC(cr) == 0))
		return (false);
	return ((BCR_PXC(cr) & (el0 ? 2U : 1U)) != 0);
}

/* The last breakpoint compares CONTEXTIDR_EL1. */
static bool
context_matches(const struct arm64_state *s, unsigned n, unsigned type)
{
	if (n != ARM64_NBRP - 1 || (s->dbgbcr[n] & BCR_E) == 0 || BCR_BT(s->dbgbcr[n]) != type)
		return (false);
	return ((uint32_t)s->dbgbvr[n] == (uint32_t)s->contextidr_el1);
}

static bool
breakpoint_matches(const struct a64 *c, unsigned n)
{
	const struct arm64_state *s = c->s;
	uint64_t cr = s->dbgbcr[n];
	unsigned type = BCR_BT(cr);

	if ((cr & BCR_E) == 0 || !level_matches(cr, a64_el0(c)))
		return (false);
	if (type == BT_CONTEXT)
		return (context_matches(s, n, BT_CONTEXT));
	if (type != BT_ADDRESS && type != BT_ADDRESS_LINK)
		return (false);
	if (type == BT_ADDRESS_LINK && !context_matches(s, BCR_LBN(cr), BT_CONTEXT_LINK))
		return (false);
	return (((s->pc ^ s->dbgbvr[n]) & VA_BITS & ~3ULL) == 0);
}

static enum a64_status
debug_exception(struct a64 *c, unsigned ec, uint64_t iss)
{
	return (a64_raise(c, ESR_EC(ec + (a64_el0(c) ? 0 : 1)) | ESR_IL | FSC_DEBUG | iss));
}

/* Software step comes before everything else, a breakpoint behind what a fetch reports (D1.13.2). */
enum a64_status
a64_debug_before(struct a64 *c)
{
	struct arm64_state *s = c->s;
	struct arm64_walk w;

	c->stepping = false;
	if (!enabled(c))
		return (A_DONE);
	if ((s->mdscr_el1 & MDSCR_SS) != 0) {
		if ((s->pstate & PSTATE_SS) == 0) {
			uint64_t iss = c->stepped ? ISS_ISV | (c->step_excl ? ISS_EX : 0) : 0;

			c->stepped = false;
			return (debug_exception(c, EC_STEP, iss));
		}
		c->stepping = true;
	}
	if ((s->mdscr_el1 & MDSCR_MDE) == 0 || (s->pc & 3) != 0)
		return (A_DONE);
	for (unsigned n = 0; n < ARM64_NBRP; n++) {
		if (!breakpoint_matches(c, n))
			continue;
		if (!arm64_walk(s, s->pc, VM_PROT_EXEC, a64_el0(c), a64_read_table, c->cpu, &w))
			return (A_DONE);
		return (debug_exception(c, EC_BREAKPOINT, 0));
	}
	return (A_DONE);
}

/*
 * Active-not-pending to active-pending (D2.12.3).  An exception has cleared PSTATE.SS, having saved it: returning to
 * it steps again.
 */
void
a64_debug_after(struct a64 *c, bool excl)
{
	if (!c->stepping)
		return;
	c->stepping = false;
	c->stepped = true;
	c->step_excl = excl;
	c->s->pstate &= ~(uint64_t)PSTATE_SS;
}

/* SVC and HVC are done when their exception is taken: it returns to a step that is over. */
void
a64_debug_advance(struct a64 *c)
{
	if ((c->s->mdscr_el1 & MDSCR_SS) != 0 && enabled(c))
		c->s->pstate &= ~(uint64_t)PSTATE_SS;
}

uint64_t
a64_debug_return_ss(struct a64 *c, uint64_t spsr)
{
	struct arm64_state *s = c->s;
	bool el0 = (spsr & PSTATE_MODE) == PSTATE_EL0T;

	c->stepped = false;
	if ((s->mdscr_el1 & MDSCR_SS) == 0 || enabled(c) || !enabled_from(s, el0, (spsr & PSTATE_D) != 0))
		return (0);
	return (spsr & PSTATE_SS);
}

/*
 * The bytes that a watchpoint watches, as first byte, last byte; or for BAS, those of a doubleword that are selected
 * (D2.10.3).  Returns the first byte of [va, va + size) that is watched.
 */
static bool
watched(const struct arm64_state *s, unsigned n, uint64_t va, unsigned size, uint64_t *where)
{
	uint64_t cr = s->dbgwcr[n], base = s->dbgwvr[n] & VA_BITS, at;
	unsigned mask = WCR_MASK(cr), bas = WCR_BAS(cr);

	if (mask >= 3) {
		base &= ~((1ULL << mask) - 1);
		for (unsigned b = 0; b < size; b++) {
			at = (va + b) & VA_BITS;
			if ((at & ~((1ULL << mask) - 1)) == base) {
				*where = va + b;
				return (true);
			}
		}
		return (false);
	}
	/* A word's address: four bytes. */
	if ((base & 4) != 0)
		bas &= 0xf;
	for (unsigned b = 0; b < size; b++) {
		at = ((va + b) & VA_BITS) - (base & ~3ULL);
		if (at < 8 && (bas >> at & 1) != 0) {
			*where = va + b;
			return (true);
		}
	}
	return (false);
}

enum a64_status
a64_debug_stop(struct a64 *c, const struct a64_insn *i)
{
	const struct vm_debug_point *p = NULL;
	uint64_t at = 0;

	c->cur = i;
	if (!c->cpu->replay && c->vcpu->caps[VM_CAP_SINGLE_STEP] != 1)
		p = debug_find(c->vcpu->vm, VM_DEBUG_EXEC, a64_pc(c, i), 1, &at);
	if (p == NULL)
		return (i[1].fn(c, i));		/* block.c: its own way, or a64_call() */
	debug_fill(a64_exit(c, VM_EXIT_DEBUG, false), p, at, VM_ARM64_DEBUG_POINT);
	return (A_STOP);
}

/* A debugger's, before the instruction as the guest's own. */
static bool
watch_point(struct a64 *c, uint64_t va, unsigned size, bool write)
{
	const struct vm_debug_point *p;
	uint64_t at = 0;

	if (c->vcpu->vm->debug.ndata == 0 || c->cpu->replay)
		return (false);
	p = debug_find(c->vcpu->vm, write ? VM_DEBUG_WRITE : VM_DEBUG_READ, va, size, &at);
	if (p != NULL)
		debug_fill(a64_exit(c, VM_EXIT_DEBUG, false), p, at, VM_ARM64_DEBUG_POINT);
	return (p != NULL);
}

enum a64_status
a64_debug_access(struct a64 *c, uint64_t va, unsigned size, bool write, bool el0)
{
	const struct arm64_state *s = c->s;
	uint64_t where = 0;

	if (watch_point(c, va, size, write))
		return (A_STOP);
	if ((s->mdscr_el1 & MDSCR_MDE) == 0 || !enabled(c))
		return (A_DONE);
	for (unsigned n = 0; n < ARM64_NWRP; n++) {
		uint64_t cr = s->dbgwcr[n];

		if ((cr & BCR_E) == 0 || (write ? WCR_STORE(cr) : WCR_LOAD(cr)) == 0 || !level_matches(cr, el0))
			continue;
		if (WCR_WT(cr) != 0 && !context_matches(s, BCR_LBN(cr), BT_CONTEXT_LINK))
			continue;
		if (!watched(s, n, va, size, &where))
			continue;
		(void)debug_exception(c, EC_WATCHPOINT, write ? ISS_WNR : 0);
		c->exc.far = where;
		c->exc.has_far = true;
		return (A_FAULT);
	}
	return (A_DONE);
}
