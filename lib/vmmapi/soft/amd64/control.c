/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control.c - control and debug registers, and what keeps caches of translations (Intel SDM vol. 3 2.5,
 * 4.1, 4.10, 17.2; vol. 2, MOV - control registers, MOV - debug registers, INVLPG, INVPCID).
 */
#include <string.h>

#include "sys.h"

/* Bits of CR0 that exist; others below bit 32 stay clear whatever is written (vol. 3 2.5). */
#define	CR0_BITS	0xe005003fULL
/* Those whose change may load the directory pointers of PAE paging (vol. 3 4.4.1). */
#define	CR0_PDPTE	(CR0_CD | CR0_NW | CR0_PG)
#define	CR4_PDPTE	(CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
/* Those that what the TLB has depends on. */
#define	CR0_TLB		(CR0_PG | CR0_WP | CR0_PE)
#define	CR4_TLB		(CR4_PAE | CR4_PGE | CR4_PSE | CR4_PCIDE | CR4_SMEP | CR4_SMAP)

#define	CR3_NOFLUSH	(1ULL << 63)

/* Would this be PAE paging, with pointers in the processor? */
static bool
pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
	return ((cr0 & CR0_PG) != 0 && (cr4 & CR4_PAE) != 0 && (efer & EFER_LME) == 0);
}

/* Whatever depends on the mode, and events that may be due now. */
static void
follow(struct x86 *x, bool flush)
{
	if (flush)
		x86_flush(x);
	x86_mode(x);
	x->attention = true;
}

/* IA-32e mode is entered with paging (vol. 3 9.8.5). */
static bool
may_enter_long(const struct amd64_state *s)
{
	uint32_t tss = VM_AMD64_SEG_TYPE(s->seg[SEG_TR].access);

	if ((s->cr4 & CR4_PAE) == 0 || (s->seg[SEG_CS].access & VM_AMD64_SEG_L) != 0)
		return (false);
	return (tss != 1 && tss != 3);		/* a 16-bit TSS */
}

static enum x86_status
set_cr0(struct x86 *x, uint64_t v)
{
	struct amd64_state *s = x->s;
	bool on = (v & CR0_PG) != 0, was = (s->cr0 & CR0_PG) != 0;
	uint64_t diff;

	if (v >> 32 != 0)
		return (GP0(x));
	v = (v & CR0_BITS) | CR0_ET;
	diff = v ^ s->cr0;
	if (amd64_bad_cr0(v) != NULL)
		return (GP0(x));
	if (on && !was && (s->efer & EFER_LME) != 0 && !may_enter_long(s))
		return (GP0(x));
	if (!on && was && (x86_64bit(x) || (s->cr4 & CR4_PCIDE) != 0))
		return (GP0(x));
	if ((diff & CR0_PDPTE) != 0 && pae_paging(v, s->cr4, s->efer))
		TRY(x86_load_pdptes(x, s->cr3, s->cr4));
	s->cr0 = v;
	if (on && (s->efer & EFER_LME) != 0)
		s->efer |= EFER_LMA;
	else if (!on)
		s->efer &= ~(uint64_t)EFER_LMA;
	follow(x, (diff & CR0_TLB) != 0);
	return (X_DONE);
}

/*
 * Without PCIDs everything but global translations goes; with them what belongs to the new one, unless
 * bit 63 of the operand says otherwise (vol. 3 4.10.4.1).
 */
static enum x86_status
set_cr3(struct x86 *x, uint64_t v)
{
	struct amd64_state *s = x->s;
	bool pcid = (s->cr4 & CR4_PCIDE) != 0, keep = pcid && (v & CR3_NOFLUSH) != 0;

	if (pcid)
		v &= ~CR3_NOFLUSH;
	if (v >> AMD64_PHYS_BITS != 0)
		return (GP0(x));
	if (pae_paging(s->cr0, s->cr4, s->efer))
		TRY(x86_load_pdptes(x, v, s->cr4));
	s->cr3 = v;
	if (!keep)
		x86_flush_space(x, pcid ? (uint32_t)v & 0xfff : 0);
	x86_mode(x);
	return (X_DONE);
}

static enum x86_status
set_cr4(struct x86 *x, uint64_t v)
{
	struct amd64_state *s = x->s;
	uint64_t diff = v ^ s->cr4;

	if ((v & ~x86_cr4_bits(x)) != 0)
		return (GP0(x));
	if (x86_long(x) && (v & CR4_PAE) == 0)
		return (GP0(x));
	if ((diff & v & CR4_PCIDE) != 0 && (!x86_long(x) || (s->cr3 & 0xfff) != 0))
		return (GP0(x));
	if ((diff & CR4_PDPTE) != 0 && pae_paging(s->cr0, v, s->efer))
		TRY(x86_load_pdptes(x, s->cr3, v));
	s->cr4 = v;
	if ((diff & CR4_DE) != 0)
		x86_debug_changed(x);
	follow(x, (diff & CR4_TLB) != 0);
	return (X_DONE);
}

/* The task priority class; the lower half of the TPR is cleared (vol. 3 10.8.6). */
static enum x86_status
set_cr8(struct x86 *x, uint64_t v)
{
	if (v > 15)
		return (GP0(x));
	if (v == x->s->cr8)
		(void)x86_controller(x, AMD64_SYSREG_CR8, true, &v);
	else
		x->s->cr8 = v;
	x86_look_again(x);
	return (X_DONE);
}

static unsigned
width(const struct x86 *x)
{
	return (x86_64bit(x) ? 8 : 4);
}

static enum x86_status
op_to_cr(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v = x86_reg(x, i->r[1], width(x));

	switch (i->arg) {
	case 0:
		return (set_cr0(x, v));
	case 2:
		x->s->cr2 = v;
		return (X_DONE);
	case 3:
		return (set_cr3(x, v));
	case 4:
		return (set_cr4(x, v));
	default:
		return (set_cr8(x, v));
	}
}

static enum x86_status
op_from_cr(struct x86 *x, const struct x86_insn *i)
{
	const struct amd64_state *s = x->s;
	uint64_t v;

	switch (i->arg) {
	case 0:
		v = s->cr0;
		break;
	case 2:
		v = s->cr2;
		break;
	case 3:
		v = s->cr3;
		break;
	case 4:
		v = s->cr4;
		break;
	default:
		v = s->cr8;
		break;
	}
	x86_reg_set(x, i->r[0], width(x), v);
	return (X_DONE);
}

/* arg: which operand is the control register */
static bool
bind_cr(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if (!x86_is_reg(d, arg) || ZydisRegisterGetClass(d->op[arg].reg.value) != ZYDIS_REGCLASS_CONTROL)
		return (false);
	i->arg = i->r[arg];
	if ((i->arg > 4 && i->arg != 8) || i->arg == 1)
		return (false);
	return (i->arg != 8 || (d->mode & X86_MODE_SIZE) == X86_MODE_64);
}

/* Debug registers */

#define	DR6_BD		0x2000U
#define	DR6_SET		0xffff0ff0ULL
#define	DR6_BITS	0x0000e00fULL
#define	DR7_SET		0x00000400ULL
#define	DR7_BITS	0xffff23ffULL
#define	DR7_GD		0x2000U

/* 4 and 5 are names of 6 and 7 unless CR4.DE is set (vol. 3 17.2.2). */
static enum x86_status
debug_reg(struct x86 *x, unsigned *n)
{
	if ((*n & 6) == 4) {
		if ((x->s->cr4 & CR4_DE) != 0)
			return (UD(x));
		*n += 2;
	}
	if (x86_cpl(x) != 0)
		return (GP0(x));
	if ((x->s->dr7 & DR7_GD) != 0) {
		x->exc = (struct x86_exc){ .vector = EXC_DB, .dr6 = DR6_BD };
		return (X_FAULT);
	}
	return (X_DONE);
}

static enum x86_status
op_to_dr(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v = x86_reg(x, i->r[1], width(x));
	unsigned n = i->arg;

	TRY(debug_reg(x, &n));
	if (n >= 6 && v >> 32 != 0)
		return (GP0(x));
	if (n < 4)
		x->s->dr[n] = v;
	else if (n == 6)
		x->s->dr6 = (v & DR6_BITS) | DR6_SET;
	else
		x->s->dr7 = (v & DR7_BITS) | DR7_SET;
	x86_debug_changed(x);
	return (X_DONE);
}

static enum x86_status
op_from_dr(struct x86 *x, const struct x86_insn *i)
{
	unsigned n = i->arg;

	TRY(debug_reg(x, &n));
	x86_reg_set(x, i->r[0], width(x), n < 4 ? x->s->dr[n] : n == 6 ? x->s->dr6 : x->s->dr7);
	return (X_DONE);
}

static bool
bind_dr(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if (!x86_is_reg(d, arg) || ZydisRegisterGetClass(d->op[arg].reg.value) != ZYDIS_REGCLASS_DEBUG)
		return (false);
	i->arg = i->r[arg];
	return (i->arg < 8);
}

/* The machine status word, and TS */

static enum x86_status
op_clts(struct x86 *x, const struct x86_insn *i)
{
	x->s->cr0 &= ~(uint64_t)CR0_TS;
	return (X_DONE);
}

/* PE, MP, EM and TS; PE can be set only. */
static enum x86_status
op_lmsw(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v = 0;

	if ((i->flags & XI_MEM) != 0)
		TRY(x86_load(x, i, 2, &v));
	else
		v = x86_reg(x, i->r[0], 2);
	return (set_cr0(x, (x->s->cr0 & ~(uint64_t)(CR0_MP | CR0_EM | CR0_TS)) |
	    (v & (CR0_PE | CR0_MP | CR0_EM | CR0_TS))));
}

static enum x86_status
op_smsw(struct x86 *x, const struct x86_insn *i)
{
	if (x86_cpl(x) != 0 && (x->s->cr4 & CR4_UMIP) != 0)
		return (GP0(x));
	if ((i->flags & XI_MEM) != 0)
		return (x86_store(x, i, 2, x->s->cr0 & 0xffff));
	x86_reg_set(x, i->r[0], i->opsize, x->s->cr0);
	return (X_DONE);
}

/* Translations and caches */

/* The linear address of the operand, without any check: not canonical, it names no page. */
static enum x86_status
op_invlpg(struct x86 *x, const struct x86_insn *i)
{
	uint64_t lin = x86_ea(x, i);

	if ((i->flags & XI_FLAT) == 0)
		lin += x->s->seg[i->seg].base;
	if (!x86_64bit(x))
		lin = (uint32_t)lin;
	if (amd64_canonical(lin, x->s->cr4))
		x86_flush_page(x, x86_space(x), lin);
	return (X_DONE);
}

enum { INVPCID_ADDRESS, INVPCID_SINGLE, INVPCID_ALL, INVPCID_ALL_NONGLOBAL };

static enum x86_status
op_invpcid(struct x86 *x, const struct x86_insn *i)
{
	uint64_t type = x86_reg(x, i->r[0], width(x)), desc[2] = { 0 };

	TRY(x86_load_bytes(x, (enum amd64_seg)i->seg, x86_ea(x, i), sizeof(desc), desc));
	if (type > INVPCID_ALL_NONGLOBAL || desc[0] >> 12 != 0)
		return (GP0(x));
	if (type <= INVPCID_SINGLE && (x->s->cr4 & CR4_PCIDE) == 0 && desc[0] != 0)
		return (GP0(x));
	switch (type) {
	case INVPCID_ADDRESS:
		if (!amd64_canonical(desc[1], x->s->cr4))
			return (GP0(x));
		x86_flush_page(x, (uint32_t)desc[0], desc[1]);
		break;
	case INVPCID_SINGLE:
		x86_flush_space(x, (uint32_t)desc[0]);
		break;
	default:
		x86_flush(x);
		break;
	}
	return (X_DONE);
}

/* Memory is always coherent: there is nothing to write back or to lose. */
static enum x86_status
op_cache(struct x86 *x, const struct x86_insn *i)
{
	return (X_DONE);
}

#define	M(n)	ZYDIS_MNEMONIC_##n

const struct x86_opdesc x86_ops_control[] = {
	{ M(MOV), XD_END | XD_CPL0, 0, op_to_cr, bind_cr },
	{ M(MOV), XD_CPL0, 1, op_from_cr, bind_cr },
	{ M(MOV), XD_END, 0, op_to_dr, bind_dr },
	{ M(MOV), 0, 1, op_from_dr, bind_dr },
	{ M(CLTS), XD_CPL0, 0, op_clts, NULL },
	{ M(LMSW), XD_END | XD_CPL0, 0, op_lmsw, NULL },
	{ M(SMSW), 0, 0, op_smsw, NULL },
	{ M(INVLPG), XD_END | XD_CPL0, 0, op_invlpg, NULL },
	{ M(INVPCID), XD_END | XD_CPL0, 0, op_invpcid, NULL },
	{ M(INVD), XD_CPL0, 0, op_cache, NULL },
	{ M(WBINVD), XD_CPL0, 0, op_cache, NULL },
	{ 0 },
};
