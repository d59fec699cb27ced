/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gen.c - makes cases: an instruction, and registers and memory that let it do something.
 *
 * An encoding is chosen (forms.h) and filled at random; Zydis says what operands came out; then the
 * registers that make up addresses are solved so that most operands lie in a window, or at its
 * edges. operands.c does what is particular to one instruction.
 */
#include <stdlib.h>
#include <string.h>

#include "gen.h"

struct gen *
gen_new(unsigned mode)
{
	struct gen *g = calloc(1, sizeof(*g));

	if (g == NULL || (g->forms = forms_new(mode)) == NULL) {
		free(g);
		return (NULL);
	}
	g->mode = mode;
	return (g);
}

void
gen_free(struct gen *g)
{
	if (g == NULL)
		return;
	forms_free(g->forms);
	free(g);
}

bool
gen_only(struct gen *g, const char *name)
{
	g->only = true;
	return (forms_only(g->forms, name));
}

void
gen_window(uint64_t seed, uint8_t window[DIFF_WINDOW])
{
	struct rng r;
	uint8_t vector[16];

	rng_seed(&r, seed, ~0ULL);
	for (unsigned i = 0; i < DIFF_WINDOW; i += 16) {
		value_vector(&r, FLAVOUR_ANY, vector);
		if (i >= 3 * DIFF_PAGE)		/* flags are popped from the stack: no TF */
			for (unsigned j = 1; j < 16; j += 8)
				vector[j] &= 0xfe;
		memcpy(window + i, vector, 16);
	}
}

/* The instruction's bytes */

/* Encode a form with everything else at random: number of bytes up to the ones that may follow. */
static void
encode(struct gen *g, const struct form *f, uint8_t code[DIFF_MAXLEN])
{
	static const uint8_t segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	struct rng *r = &g->rng;
	bool memory = f->rm == FORM_MEMORY || (f->reg == FORM_NONE);
	unsigned n = 0, modrm;

	if (memory && rng_percent(r, 10))
		code[n++] = segments[rng_below(r, 6)];
	else if (memory && g->mode == 32 && rng_percent(r, 5))
		code[n++] = segments[4 + rng_below(r, 2)];
	if (memory && rng_percent(r, g->mode == 64 ? 6 : 3))
		code[n++] = 0x67;
	if (rng_percent(r, memory ? 12 : 1))
		code[n++] = 0xf0;
	if (f->prefix != 0x66 && rng_percent(r, 2))
		code[n++] = 0x66;
	if (f->prefix == 0 && rng_percent(r, 1))
		code[n++] = rng_percent(r, 50) ? 0xf2 : 0xf3;
	if (f->prefix != 0)
		code[n++] = f->prefix;
	if (g->mode == 64 && (f->rex_w || rng_percent(r, 40)))
		code[n++] = (uint8_t)(0x40 | f->rex_w << 3 | rng_below(r, 8));
	if (f->map != 0)
		code[n++] = 0x0f;
	if (f->map > 1)
		code[n++] = f->map == 2 ? 0x38 : 0x3a;
	code[n++] = f->opcode;
	if (f->reg != FORM_NONE) {
		modrm = (f->reg == FORM_ANY ? rng_below(r, 8) : f->reg) << 3;
		if (f->rm == FORM_MEMORY)
			modrm |= rng_below(r, 3) << 6 | rng_below(r, 8);
		else
			modrm |= 0xc0 | (f->rm == FORM_ANY ? rng_below(r, 8) : f->rm);
		code[n++] = (uint8_t)modrm;
	}
	while (n < DIFF_MAXLEN)
		code[n++] = (uint8_t)(rng_percent(r, 30) ? value_int(r) : rng_next(r));
}

/*
 * Bytes that are no instruction to Zydis: undefined opcodes, LOCK where it may not be, too many
 * prefixes.  Breakpoints follow, should the host know better.
 */
static void
undefined(struct gen *g, struct diff_case *c)
{
	static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2,
		0xf3 };
	struct rng *r = &g->rng;
	unsigned n, map, kind;
	ZydisDecodedInstruction z;

	do {
		n = 0;
		kind = rng_below(r, 8);
		memset(c->code, 0xcc, sizeof(c->code));
		if (kind == 0) {	/* 15 bytes and no end */
			while (n < DIFF_MAXLEN)
				c->code[n++] = prefixes[rng_below(r, sizeof(prefixes))];
			continue;
		}
		if (kind < 4)
			c->code[n++] = 0xf0;
		if (rng_percent(r, 40))
			c->code[n++] = prefixes[6 + rng_below(r, 4)];
		if (g->mode == 64 && rng_percent(r, 40))
			c->code[n++] = (uint8_t)(0x40 | rng_below(r, 16));
		map = rng_below(r, 4);
		if (map != 0)
			c->code[n++] = 0x0f;
		if (map > 1)
			c->code[n++] = map == 2 ? 0x38 : 0x3a;
		c->code[n++] = (uint8_t)rng_next(r);
		c->code[n++] = (uint8_t)(0xc0 | rng_next(r));
		/* LOCK MOV CR0 is CR8 to AMD (APM vol. 3 MOV CRn); 0F 01 calls the host's
		 * hypervisor. */
		if (map == 1 && ((c->code[n - 2] & 0xfc) == 0x20 || c->code[n - 2] == 0x01))
			c->code[n - 2] = 0x0b;
	} while (ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&g->forms->decoder, NULL, c->code,
	    DIFF_MAXLEN, &z)));
	c->len = (uint8_t)n;
	c->mnemonic = 0;
	memset(&g->insn, 0, sizeof(g->insn));
}

/* An instruction that is worth trying: its bytes in c->code, decoded in g->insn. */
static void
choose(struct gen *g, struct diff_case *c)
{
	struct forms *f = g->forms;
	struct rng *r = &g->rng;
	bool known;

	if (!g->only && rng_percent(r, 1)) {
		undefined(g, c);
		return;
	}
	for (;;) {
		if (g->only || rng_percent(r, 93)) {
			unsigned m = rng_below(r, f->nmnemonic);

			encode(g,
			    &f->form[f->mnemonic[m].first + rng_below(r, f->mnemonic[m].count)],
			    c->code);
		} else {
			for (unsigned i = 0; i < DIFF_MAXLEN; i++)
				c->code[i] = (uint8_t)rng_next(r);
		}
		known = forms_decode(&f->decoder, c->code, DIFF_MAXLEN, &g->insn);
		if (!known || !forms_allowed(&g->insn.z))
			continue;
		if (g->only && !forms_has(f, g->insn.z.mnemonic))
			continue;
		c->len = g->insn.z.length;
		c->mnemonic = (uint16_t)g->insn.z.mnemonic;
		return;
	}
}

/* Memory */

bool
gen_patch(struct diff_case *c, uint64_t addr, const void *data, unsigned len)
{
	unsigned off;

	if (addr >= DIFF_DATA && addr < DIFF_DATA + 3 * DIFF_PAGE)
		off = (unsigned)(addr - DIFF_DATA);
	else if (addr >= DIFF_STACK && addr < DIFF_STACK + DIFF_PAGE)
		off = (unsigned)(addr - DIFF_STACK) + 3 * DIFF_PAGE;
	else
		return (false);
	if (c->npatch == DIFF_NPATCH || c->used + len > DIFF_POOL)
		return (false);
	/* Not from one window into the other. */
	if (off < 3 * DIFF_PAGE && off + len > 3 * DIFF_PAGE)
		len = 3 * DIFF_PAGE - off;
	if (off + len > DIFF_WINDOW)
		len = DIFF_WINDOW - off;
	memcpy(c->pool + c->used, data, len);
	c->patch[c->npatch].off = (uint16_t)off;
	c->patch[c->npatch].len = (uint16_t)len;
	c->patch[c->npatch++].from = c->used;
	c->used = (uint16_t)(c->used + len);
	return (true);
}

/* Where an operand of so many bytes may be. */
uint64_t
gen_address(struct gen *g, unsigned size)
{
	struct rng *r = &g->rng;
	unsigned align = size == 0 ? 1 : size >= 16 ? 16 : size, p = rng_below(r, 100);

	if (p < 62)
		return (DIFF_RW + 64 + (rng_below(r, 2 * DIFF_PAGE - 1024) & ~(align - 1)));
	if (p < 76)		/* anywhere */
		return (DIFF_RW + 64 + rng_below(r, 2 * DIFF_PAGE - 1024));
	if (p < 84)		/* across the pages, or nearly */
		return (DIFF_RW + DIFF_PAGE - size - 4 + rng_below(r, size + 8));
	if (p < 88)		/* into the unmapped page */
		return (DIFF_RW + 2 * DIFF_PAGE - size - 2 + rng_below(r, size + 4));
	if (p < 93)		/* read-only */
		return (DIFF_DATA + (rng_below(r, DIFF_PAGE - 600) & ~(align - 1)));
	if (p < 95)		/* from unmapped or read-only memory into a good page */
		return ((p & 1 ? DIFF_DATA : DIFF_RW) - size / 2);
	if (p < 97)
		return (DIFF_STACK + rng_below(r, DIFF_PAGE - 600));
	if (p < 98)		/* code: neither writable nor data */
		return (DIFF_CODE + rng_below(r, DIFF_PAGE - 16));
	if (g->mode == 64 && p < 99)		/* not canonical, or nearly */
		return (0x800000000000ULL - 8 + (uint64_t)rng_below(r, 16));
	return (value_int(r));
}

/* The number of a general register and the bytes of it that the operand uses; -1: none. */
int
gen_gpr(ZydisRegister reg, unsigned *bytes)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR64:
		*bytes = 8;
		break;
	case ZYDIS_REGCLASS_GPR32:
		*bytes = 4;
		break;
	case ZYDIS_REGCLASS_GPR16:
		*bytes = 2;
		break;
	case ZYDIS_REGCLASS_GPR8:
		*bytes = 1;
		if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
			return (-1);
		if (reg >= ZYDIS_REGISTER_SPL)	/* behind the four high bytes */
			return ((int)(reg - ZYDIS_REGISTER_SPL) + 4);
		return ((int)(reg - ZYDIS_REGISTER_AL));
	default:
		return (-1);
	}
	return (ZydisRegisterGetId(reg));
}

static uint64_t
low(uint64_t v, unsigned bytes)
{
	return (bytes >= 8 ? v : v & ((1ULL << (8 * bytes)) - 1));
}

/* Change the low bytes of a register. */
void
gen_set_gpr(struct diff_case *c, int n, unsigned bytes, uint64_t v)
{
	c->gpr[n] = low(v, bytes) | (bytes >= 8 ? 0 : c->gpr[n] & ~low(~0ULL, bytes));
}

static uint64_t
segment_base(const struct diff_case *c, ZydisRegister seg)
{
	return (seg == ZYDIS_REGISTER_FS ? c->fs_base : seg == ZYDIS_REGISTER_GS ? c->gs_base : 0);
}

uint64_t
gen_ea(const struct diff_insn *insn, const struct diff_case *c, const ZydisDecodedOperand *op)
{
	uint64_t ea = (uint64_t)op->mem.disp.value;
	unsigned bytes;
	int n;

	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP)
		ea += c->rip + c->len;
	else if ((n = gen_gpr(op->mem.base, &bytes)) >= 0)
		ea += low(c->gpr[n], bytes);
	if ((n = gen_gpr(op->mem.index, &bytes)) >= 0)
		ea += low(c->gpr[n], bytes) * op->mem.scale;
	ea = low(ea, insn->z.address_width / 8U);
	ea += segment_base(c, op->mem.segment);
	return (c->mode == 32 ? (uint32_t)ea : ea);
}

static void
set_disp(struct gen *g, struct diff_case *c, ZydisDecodedOperand *op, uint64_t disp)
{
	const struct ZydisDecodedInstructionRawDisp_ *raw = &g->insn.z.raw.disp;

	if (raw->size == 0)
		return;
	memcpy(c->code + raw->offset, &disp, raw->size / 8U);
	op->mem.disp.value = raw->size == 8 ? (int8_t)disp : raw->size == 16 ? (int16_t)disp :
	    raw->size == 32 ? (int32_t)disp : (int64_t)disp;
}

/* Put a memory operand at ea, as far as its registers and displacement allow. */
static void
solve(struct gen *g, struct diff_case *c, ZydisDecodedOperand *op, uint64_t ea)
{
	unsigned bb = 0, ib = 0, scale = op->mem.scale;
	int base = gen_gpr(op->mem.base, &bb), index = gen_gpr(op->mem.index, &ib);
	uint64_t off = ea - segment_base(c, op->mem.segment);
	bool rip = op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP;

	/* Large displacements seldom: negative results and overflow come with them. */
	if (g->insn.z.raw.disp.size >= 32 && (base >= 0 || index >= 0) && rng_percent(&g->rng, 80))
		set_disp(g, c, op, (uint64_t)rng_below(&g->rng, 256) - 128);
	if (rip) {
		set_disp(g, c, op, off - c->rip - c->len);
		return;
	}
	if (base < 0 && index < 0) {
		set_disp(g, c, op, off);
		return;
	}
	off -= (uint64_t)op->mem.disp.value;
	if (base >= 0 && base == index) {
		gen_set_gpr(c, base, bb, off / (scale + 1U));
	} else if (base >= 0) {
		if (index >= 0 && rng_percent(&g->rng, 70) && index != D_RSP)
			gen_set_gpr(c, index, ib, rng_below(&g->rng, 64));
		if (index >= 0)
			off -= low(c->gpr[index], ib) * scale;
		gen_set_gpr(c, base, bb, off);
	} else if (g->insn.z.raw.disp.size >= 32) {
		off += (uint64_t)op->mem.disp.value;
		gen_set_gpr(c, index, ib, rng_below(&g->rng, 64));
		set_disp(g, c, op, off - low(c->gpr[index], ib) * scale);
	} else {
		gen_set_gpr(c, index, ib, off / scale);
	}
}

static enum flavour
flavour_of(struct gen *g, const ZydisDecodedOperand *op)
{
	switch (op->element_type) {
	case ZYDIS_ELEMENT_TYPE_FLOAT32:
		return (FLAVOUR_F32);
	case ZYDIS_ELEMENT_TYPE_FLOAT64:
		return (FLAVOUR_F64);
	default:
		return (rng_percent(&g->rng, 80) ? FLAVOUR_INT : FLAVOUR_ANY);
	}
}

/* Fill a memory operand as its type suggests. */
static void
fill(struct gen *g, struct diff_case *c, const ZydisDecodedOperand *op, uint64_t ea)
{
	uint8_t data[32];
	unsigned size = op->size / 8U;

	if (op->element_type == ZYDIS_ELEMENT_TYPE_FLOAT80) {
		value_f80(&g->rng, data);
	} else if (op->element_type == ZYDIS_ELEMENT_TYPE_LONGBCD) {
		value_bcd(&g->rng, data);
	} else {
		value_vector(&g->rng, g->flavour == FLAVOUR_ANY ? flavour_of(g, op) : g->flavour,
		    data);
	}
	if (size > 16 || rng_percent(&g->rng, 10))
		return;
	(void)gen_patch(c, ea, data, size);
}

/*
 * Place the operands.  Those on the stack stay where RSP is.  An operand whose registers another
 * one was solved with would spoil it; that makes odd addresses now and then, which is fine.
 */
static void
place(struct gen *g, struct diff_case *c)
{
	uint32_t used = 0;

	for (unsigned i = 0; i < g->insn.z.operand_count; i++) {
		ZydisDecodedOperand *op = &g->insn.op[i];
		unsigned bytes;
		int base;

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		base = gen_gpr(op->mem.base, &bytes);
		if (op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN && base == D_RSP)
			continue;
		if (base >= 0 && (used & 1U << base) != 0)
			continue;
		if (base >= 0)
			used |= 1U << base;
		/* RSP as an ordinary base: it has a good value already. */
		if (base != D_RSP && rng_percent(&g->rng, 97))
			solve(g, c, op, gen_address(g, op->size / 8U));
		if (op->mem.type == ZYDIS_MEMOP_TYPE_MEM)
			fill(g, c, op, gen_ea(&g->insn, c, op));
	}
}

/* Registers */

static void
general(struct gen *g, struct diff_case *c)
{
	struct rng *r = &g->rng;
	unsigned n = g->mode == 64 ? 16 : 8, p;

	for (unsigned i = 0; i < n; i++) {
		p = rng_below(r, 20);
		c->gpr[i] = p == 0 ? DIFF_RW + rng_below(r, 2 * DIFF_PAGE) : p == 1 && i != 0 ?
		    c->gpr[rng_below(r, i)] : value_int(r);
	}
	p = rng_below(r, 100);
	if (p < 80)
		c->gpr[D_RSP] = DIFF_STACK + 1024 + (rng_below(r, 2048) & ~7U);
	else if (p < 88)
		c->gpr[D_RSP] = DIFF_STACK + 1024 + rng_below(r, 2048);
	else if (p < 92)
		c->gpr[D_RSP] = DIFF_STACK + rng_below(r, 32);
	else if (p < 96)
		c->gpr[D_RSP] = DIFF_STACK + DIFF_PAGE - rng_below(r, 32);
	else if (p < 98)
		c->gpr[D_RSP] = DIFF_DATA + rng_below(r, 3 * DIFF_PAGE);
	else if (p < 99 && g->mode == 64)
		c->gpr[D_RSP] = 0x800000000000ULL - 24 + rng_below(r, 48);
	else
		c->gpr[D_RSP] = value_int(r);
	c->rflags = 2 | EFL_IF | (rng_next(r) & EFL_ARITH);
	if (rng_percent(r, 25))
		c->rflags |= EFL_DF;
	if (rng_percent(r, 4))
		c->rflags |= EFL_NT;
	if (rng_percent(r, 6))
		c->rflags |= EFL_AC;
	if (rng_percent(r, 20))
		c->rflags |= EFL_ID;
}

uint16_t
gen_selector(struct gen *g)
{
	static const uint16_t good[] = { 0, 3, DIFF_DS, DIFF_DS, DIFF_CS32, DIFF_CS64, 0x28, 0x10,
		0x18, 0x40, 0x60, 0x80 };
	unsigned p = rng_below(&g->rng, 16);
	uint16_t sel;

	if (p < 12)
		return (good[p]);
	do
		sel = (uint16_t)value_int(&g->rng);
	while ((sel & 0xfff8) == 0x78);		/* Linux has the processor's number there */
	return (sel);
}

static uint64_t
base(struct gen *g)
{
	struct rng *r = &g->rng;
	unsigned p = rng_below(r, 10);

	if (p < 4)
		return (0);
	if (p < 6)
		return (rng_below(r, 256));
	if (p < 8)
		return (DIFF_RW + rng_below(r, DIFF_PAGE));
	if (g->mode == 32)
		return ((uint32_t)value_int(r));
	return ((uint64_t)((int64_t)(value_int(r) << 17) >> 17));	/* user's half */
}

static void
segments(struct gen *g, struct diff_case *c)
{
	struct rng *r = &g->rng;
	bool null = g->mode == 64;

	c->seg[D_CS] = g->mode == 64 ? DIFF_CS64 : DIFF_CS32;
	c->seg[D_SS] = DIFF_DS;
	for (unsigned i = D_DS; i < D_NSEG; i++)
		c->seg[i] = rng_percent(r, null ? 80 : 3) ? 0 : DIFF_DS;
	c->seg[D_ES] = rng_percent(r, null ? 80 : 3) ? 0 : DIFF_DS;
	c->fs_base = base(g) & 0x7fffffffffffULL;
	c->gs_base = base(g) & 0x7fffffffffffULL;
	if (diff_fsgsbase())
		return;
	/* What the kernel sets for us: below its last page, and for null selectors. */
	c->fs_base = c->seg[D_FS] != 0 ? 0 : c->fs_base & 0x3fffffffffffULL;
	c->gs_base = c->seg[D_GS] != 0 ? 0 : c->gs_base & 0x3fffffffffffULL;
}

void
gen_fpu(struct gen *g, struct diff_fx *fx)
{
	struct rng *r = &g->rng;
	unsigned unmasked, p;

	memset(fx, 0, sizeof(*fx));
	fx->fcw = 0x37f;
	if (rng_percent(r, 60))
		fx->fcw = (uint16_t)(0x7f | rng_below(r, 4) << 8 | rng_below(r, 4) << 10);
	if (rng_percent(r, 15))
		fx->fcw &= (uint16_t)(0xffc0 | rng_below(r, 64));
	fx->fsw = (uint16_t)(rng_below(r, 8) << 11);
	if (rng_percent(r, 40))
		fx->fsw |= (uint16_t)(rng_next(r) & 0x4700);
	if (rng_percent(r, 25))
		fx->fsw |= (uint16_t)(rng_next(r) & 0x7f);
	/* A pending exception: ES and B say so (SDM vol. 1 8.1.3.3). */
	unmasked = fx->fsw & ~fx->fcw & 0x3f;
	if (unmasked != 0 && rng_percent(r, 70))
		fx->fsw &= (uint16_t)~unmasked;
	else if (unmasked != 0)
		fx->fsw |= 0x8080;
	p = rng_below(r, 10);
	fx->ftw = p < 7 ? 0xff : p < 9 ? (uint8_t)rng_next(r) : 0;
	for (unsigned i = 0; i < 8; i++) {
		if (g->mmx || rng_percent(r, 3)) {
			value_vector(r, g->mmx ? g->flavour : FLAVOUR_ANY, fx->st[i]);
			memset(fx->st[i] + 8, 0xff, 2);
		} else {
			value_f80(r, fx->st[i]);
		}
		memset(fx->st[i] + 10, 0, 6);
	}
	fx->mxcsr = 0x1f80;
	if (rng_percent(r, 60))
		fx->mxcsr |= rng_below(r, 4) << 13;
	if (rng_percent(r, 20))
		fx->mxcsr |= 0x8000;
	if (rng_percent(r, 20))
		fx->mxcsr |= 0x40;
	if (rng_percent(r, 20))
		fx->mxcsr |= rng_below(r, 64);
	if (rng_percent(r, 15))
		fx->mxcsr &= ~(rng_below(r, 64) << 7);
	value_vectors(r, g->flavour, fx->xmm, g->mode == 64 ? 16 : 8);
	if (rng_percent(r, 50))		/* shift counts, lengths, masks for one of them */
		value_vector(r, FLAVOUR_COUNT, fx->xmm[rng_below(r, 8)]);
}

/* What vectors should look like for this instruction. */
static void
taste(struct gen *g)
{
	const ZydisDecodedInstruction *z = &g->insn.z;

	g->flavour = rng_percent(&g->rng, 85) ? FLAVOUR_INT : FLAVOUR_ANY;
	g->mmx = false;
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
		g->flavour = FLAVOUR_STRING;
		break;
	default:
		for (unsigned i = 0; i < z->operand_count; i++) {
			const ZydisDecodedOperand *op = &g->insn.op[i];

			if (op->type != ZYDIS_OPERAND_TYPE_REGISTER &&
			    op->type != ZYDIS_OPERAND_TYPE_MEMORY)
				continue;
			if (op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
			    ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_MMX)
				g->mmx = rng_percent(&g->rng, 90);
			if (op->element_type == ZYDIS_ELEMENT_TYPE_FLOAT32)
				g->flavour = FLAVOUR_F32;
			else if (op->element_type == ZYDIS_ELEMENT_TYPE_FLOAT64)
				g->flavour = FLAVOUR_F64;
			else
				continue;
			break;
		}
		break;
	}
}

void
gen_case(struct gen *g, uint64_t seed, uint64_t number, const uint8_t *window, struct diff_case *c)
{
	struct rng *r = &g->rng;

	rng_seed(r, seed, number);
	memset(c, 0, offsetof(struct diff_case, pool));
	c->number = number;
	c->mode = (uint8_t)g->mode;
	g->window = window;
	do {
		c->npatch = 0;
		c->used = 0;
		choose(g, c);
		c->rip = DIFF_CODE + 64 + rng_below(r, DIFF_PAGE - 128);
		if (c->mnemonic != 0 &&
		    rng_percent(r, 2)) /* ends with the page, or is cut off by it */
			c->rip = DIFF_CODE + DIFF_PAGE - 1 - rng_below(r, c->len + 1U);
		taste(g);
		general(g, c);
		segments(g, c);
		gen_fpu(g, &c->fx);
		place(g, c);
	} while (!gen_particular(g, c));
	if (g->mode == 32)
		for (unsigned i = 0; i < 16; i++)
			c->gpr[i] = (uint32_t)c->gpr[i];
}
