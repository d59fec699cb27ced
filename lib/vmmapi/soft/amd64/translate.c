/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * translate.c - from bytes to blocks.
 *
 * Zydis decodes.  The common parts of struct x86_insn are filled here; which function executes it is
 * said by the tables of the instruction families (decode.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"

#define	INSN_MAX	15		/* bytes; more is #GP(0) (SDM vol. 2 2.3.11) */
#define	BLOCK_MAX	32		/* instructions */

static const struct x86_opdesc *const families[] = {
	x86_ops_arith, x86_ops_shift, x86_ops_muldiv, x86_ops_bits, x86_ops_move, x86_ops_atomic,
	x86_ops_decimal, x86_ops_flow, x86_ops_stack, x86_ops_string, x86_ops_segment, x86_ops_far,
	x86_ops_syscall, x86_ops_control, x86_ops_flags, x86_ops_io, x86_ops_system, x86_ops_x87,
	x86_ops_fpstate, x86_ops_mmx, x86_ops_sse_move, x86_ops_sse_logic, x86_ops_sse_fp,
	x86_ops_sse_cvt, x86_ops_ssei_arith, x86_ops_ssei_shuffle, x86_ops_ssei_string,
	x86_ops_ssei_crypto,
};

/* The entries of a mnemonic: more than one where families share a name (MOV, MOVSD). */
struct entry {
	const struct x86_opdesc *desc;
	const struct entry *next;
};

struct x86_translator {
	ZydisDecoder	 decoder[3];		/* by X86_MODE_SIZE */
	const struct entry *entries[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	struct entry	*pool;
	/* a block of one instruction in no memory */
	struct {
		struct soft_block b;
		char		 pad[16];
		struct x86_insn	 insn[2];
	} nowhere;
};

static int
index_families(struct x86_translator *t)
{
	unsigned n = 0;

	for (unsigned f = 0; f < nitems(families); f++) {
		for (const struct x86_opdesc *d = families[f]; d->mnemonic != 0; d++)
			n++;
	}
	t->pool = calloc(n, sizeof(*t->pool));
	if (t->pool == NULL)
		return (-1);
	for (unsigned f = 0; f < nitems(families); f++) {
		for (const struct x86_opdesc *d = families[f]; d->mnemonic != 0; d++) {
			struct entry *e = &t->pool[--n];

			e->desc = d;
			e->next = t->entries[d->mnemonic];
			t->entries[d->mnemonic] = e;
		}
	}
	return (0);
}

int
x86_translator_create(struct x86 *x)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth stack;
	} modes[3] = {
		[X86_MODE_16] = { ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16 },
		[X86_MODE_32] = { ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32 },
		[X86_MODE_64] = { ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	};
	/* What the modelled processor does not have: these are then decoded as what they were before. */
	static const ZydisDecoderMode off[] = {
		ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYDIS_DECODER_MODE_KNC, ZYDIS_DECODER_MODE_MPX,
		ZYDIS_DECODER_MODE_CET, ZYDIS_DECODER_MODE_LZCNT, ZYDIS_DECODER_MODE_TZCNT,
		ZYDIS_DECODER_MODE_WBNOINVD, ZYDIS_DECODER_MODE_CLDEMOTE,
	};
	struct x86_translator *t = calloc(1, sizeof(*t));

	if (t == NULL || index_families(t) != 0) {
		free(t);
		return (vm_fail(ENOMEM, "soft: no memory for vcpu %d", x->vcpu->id));
	}
	for (unsigned i = 0; i < nitems(modes); i++) {
		(void)ZydisDecoderInit(&t->decoder[i], modes[i].mode, modes[i].stack);
		for (unsigned n = 0; n < nitems(off); n++)
			(void)ZydisDecoderEnableMode(&t->decoder[i], off[n], ZYAN_FALSE);
	}
	x->translator = t;
	return (0);
}

void
x86_translator_destroy(struct x86 *x)
{
	if (x->translator != NULL)
		free(x->translator->pool);
	free(x->translator);
	x->translator = NULL;
}

static enum x86_status
op_ud(struct x86 *x, const struct x86_insn *i)
{
	return (UD(x));
}

static enum x86_status
op_gp(struct x86 *x, const struct x86_insn *i)
{
	return (GP0(x));
}

/* Instructions */

static uint8_t
gpr(ZydisRegister r)
{
	if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
		return ((uint8_t)(8 * (r - ZYDIS_REGISTER_AL)));
	if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
		return ((uint8_t)(8 * (r - ZYDIS_REGISTER_AH) + 1));
	if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
		return ((uint8_t)(8 * (r - ZYDIS_REGISTER_SPL + 4)));
	return ((uint8_t)(8 * ZydisRegisterGetId(r)));
}

static uint8_t
reg(ZydisRegister r)
{
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return (gpr(r));
	default:
		return ((uint8_t)ZydisRegisterGetId(r));
	}
}

static uint8_t
segment(ZydisRegister r)
{
	switch (r) {
	case ZYDIS_REGISTER_ES:
		return (SEG_ES);
	case ZYDIS_REGISTER_CS:
		return (SEG_CS);
	case ZYDIS_REGISTER_SS:
		return (SEG_SS);
	case ZYDIS_REGISTER_FS:
		return (SEG_FS);
	case ZYDIS_REGISTER_GS:
		return (SEG_GS);
	default:
		return (SEG_DS);
	}
}

static uint8_t
base_reg(ZydisRegister r)
{
	if (r == ZYDIS_REGISTER_NONE)
		return (X86_NOREG);
	if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP || r == ZYDIS_REGISTER_IP)
		return (X86_RIP);
	return ((uint8_t)ZydisRegisterGetId(r));
}

/* Of an instruction without memory operand (strings, XLAT): what a prefix says. */
static uint8_t
prefix_segment(const ZydisDecodedInstruction *z)
{
	static const struct {
		ZydisInstructionAttributes attr;
		uint8_t seg;
	} prefixes[] = {
		{ ZYDIS_ATTRIB_HAS_SEGMENT_CS, SEG_CS }, { ZYDIS_ATTRIB_HAS_SEGMENT_SS, SEG_SS },
		{ ZYDIS_ATTRIB_HAS_SEGMENT_DS, SEG_DS }, { ZYDIS_ATTRIB_HAS_SEGMENT_ES, SEG_ES },
		{ ZYDIS_ATTRIB_HAS_SEGMENT_FS, SEG_FS }, { ZYDIS_ATTRIB_HAS_SEGMENT_GS, SEG_GS },
	};

	for (unsigned n = 0; n < nitems(prefixes); n++) {
		if ((z->attributes & prefixes[n].attr) != 0)
			return (prefixes[n].seg);
	}
	return (SEG_DS);
}

static void
memory(struct x86_insn *i, const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	const ZydisDecodedOperandMem *m = &op->mem;

	i->flags |= XI_MEM;
	i->msize = (uint8_t)(op->size / 8);
	i->seg = segment(m->segment);
	i->base = base_reg(m->base);
	i->index = base_reg(m->index);
	i->scale = (uint8_t)(m->scale == 8 ? 3 : m->scale == 4 ? 2 : m->scale == 2 ? 1 : 0);
	if ((int64_t)(int32_t)m->disp.value == m->disp.value)
		i->disp = (int32_t)m->disp.value;
	else
		i->imm = (uint64_t)m->disp.value;	/* moffs */
	if (op->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64)
		i->flags |= XI_OTHER;
	/*
	 * SIB base 101 with mod 00 is no base and 32 bits of displacement, whatever REX.B says (SDM
	 * vol. 2 table 2-5); Zydis 4.0 takes it as R13D where addresses have 32 bits.
	 */
	if (z->address_width == 32 && z->raw.modrm.mod == 0 && z->raw.modrm.rm == 4 && z->raw.sib.base == 5) {
		i->base = X86_NOREG;
		i->disp = (int32_t)z->raw.disp.value;
	}
}

/* What kind of register explicit operand n is. */
static uint8_t
kind(ZydisRegister r, unsigned n)
{
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return (0);
	case ZYDIS_REGCLASS_XMM:
		return (n == 0 ? XI_XMM0 : XI_XMM1);
	default:
		return (XI_OTHER);
	}
}

static void
operands(struct x86_insn *i, const struct x86_decoded *d)
{
	bool mem = false, imm = false;

	for (unsigned n = 0; n < d->nop; n++) {
		const ZydisDecodedOperand *op = &d->op[n];

		switch (op->type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			if (n < nitems(i->r))
				i->r[n] = reg(op->reg.value);
			i->flags |= kind(op->reg.value, n);
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			if (!mem)
				memory(i, d->z, op);
			mem = true;
			break;
		case ZYDIS_OPERAND_TYPE_POINTER:
			i->imm = op->ptr.offset;
			i->imm2 = op->ptr.segment;
			i->flags |= XI_OTHER;
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			if (!imm)
				i->imm = op->imm.value.u;
			else
				i->imm2 = (uint16_t)op->imm.value.u;
			i->flags |= XI_IMM;
			imm = true;
			break;
		default:
			break;
		}
	}
	if (d->z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		i->flags |= XI_OTHER;
	if (!mem)
		i->seg = prefix_segment(d->z);
	if ((d->mode & X86_MODE_SIZE) == X86_MODE_64 && i->seg != SEG_FS && i->seg != SEG_GS)
		i->flags |= XI_FLAT;
}

/* Features that a model may lack, by Zydis' sets of instructions. */
static uint64_t
needs(const ZydisDecodedInstruction *z, bool wide)
{
	switch (z->meta.isa_set) {
	case ZYDIS_ISA_SET_SSE3:
	case ZYDIS_ISA_SET_SSE3X87:
		return (X86_F_SSE3);
	case ZYDIS_ISA_SET_SSSE3:
	case ZYDIS_ISA_SET_SSSE3MMX:
		return (X86_F_SSSE3);
	case ZYDIS_ISA_SET_SSE4:
		return (X86_F_SSE41);
	case ZYDIS_ISA_SET_SSE42:
		return (X86_F_SSE42);
	case ZYDIS_ISA_SET_POPCNT:
		return (X86_F_POPCNT);
	case ZYDIS_ISA_SET_CMPXCHG16B:
		return (X86_F_CX16);
	case ZYDIS_ISA_SET_MOVBE:
		return (X86_F_MOVBE);
	case ZYDIS_ISA_SET_RDTSCP:
		return (X86_F_RDTSCP);
	case ZYDIS_ISA_SET_RDRAND:
		return (X86_F_RDRAND);
	case ZYDIS_ISA_SET_RDWRFSGS:
		return (X86_F_FSGSBASE);
	case ZYDIS_ISA_SET_AES:
		return (X86_F_AES);
	case ZYDIS_ISA_SET_PCLMULQDQ:
		return (X86_F_PCLMUL);
	case ZYDIS_ISA_SET_INVPCID:
		return (X86_F_PCID);
	case ZYDIS_ISA_SET_SMAP:
		return (X86_F_SMAP);
	case ZYDIS_ISA_SET_LAHF:
		return (wide ? X86_F_LAHF : 0);
	default:
		return (0);
	}
}

static bool
allowed(const struct x86_opdesc *desc, const struct x86_decoded *d)
{
	bool wide = (d->mode & X86_MODE_SIZE) == X86_MODE_64;

	return (((desc->flags & XD_NO64) == 0 || !wide) &&
	    ((desc->flags & XD_PROT) == 0 || (d->mode & X86_MODE_REAL) == 0));
}

/* Whether instructions may follow it in its block. */
static bool
fill(struct x86 *x, struct x86_insn *i, const struct x86_decoded *d)
{
	const ZydisDecodedInstruction *z = d->z;
	bool wide = (d->mode & X86_MODE_SIZE) == X86_MODE_64;

	i->opsize = (uint8_t)(z->operand_width / 8);
	i->adsize = (uint8_t)(z->address_width / 8);
	i->r[0] = i->r[1] = i->r[2] = X86_NOREG;
	i->base = i->index = X86_NOREG;
	if ((z->attributes & ZYDIS_ATTRIB_HAS_LOCK) != 0)
		i->flags |= XI_LOCK;
	if ((z->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE)) != 0)
		i->rep = 0xf3;
	else if ((z->attributes & ZYDIS_ATTRIB_HAS_REPNE) != 0)
		i->rep = 0xf2;
	operands(i, d);
	i->fn = op_ud;
	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || (needs(z, wide) & ~d->features) != 0)
		return (false);
	for (const struct entry *e = x->translator->entries[z->mnemonic]; e != NULL; e = e->next) {
		const struct x86_opdesc *desc = e->desc;

		i->arg = desc->arg;
		i->fn = desc->fn;
		if (desc->bind != NULL && !desc->bind(i, d, desc->arg))
			continue;
		if (!allowed(desc, d))
			break;
		if ((desc->flags & XD_CPL0) != 0 && (d->mode & X86_MODE_USER) != 0) {
			i->fn = op_gp;
			return (false);
		}
		i->mnemonic = (uint16_t)z->mnemonic;
		return ((desc->flags & XD_END) == 0);
	}
	i->fn = op_ud;
	return (false);
}

/* Blocks */

struct fetch {
	struct x86	*x;
	uint64_t	 lin;		/* of the block */
	uint64_t	 left;		/* bytes to the limit of CS */
	const uint8_t	*host;		/* of its page */
	uint64_t	 place;		/* of its first byte */
	uint64_t	 place2;
	bool		 global;	/* so are its pages */
	uint8_t		 buf[16];
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

/* Where the page of lin is: *e is NULL if there is no memory. */
static enum x86_status
code_page(struct x86 *x, uint64_t lin, const struct soft_itlbe **e)
{
	struct soft_itlbe *t = &x->tlb->i[x->mmu][(lin >> 12) & (SOFT_ITLB_SIZE - 1)];
	struct x86_page page = { 0 };

	if (t->global == x->global && SOFT_PAGE(t->tag) == SOFT_PAGE(lin) && t->tag != 0)
		t->tag = SOFT_PAGE(lin) | x->tag;
	if (t->tag == (SOFT_PAGE(lin) | x->tag)) {
		*e = t;
		return (X_DONE);
	}
	TRY(x86_walk(x, lin, PG_EXEC, &page));
	*e = soft_tlb_fill_code(x->cpu, x->tlb, x->mmu, (uint16_t)x->tag, lin, page.gpa, page.flags);
	return (X_DONE);
}

static void
copy(uint8_t *to, const uint8_t *from, unsigned n)
{
	for (unsigned k = 0; k < n; k++)
		to[k] = (uint8_t)host_load(from + k, 1);
}

static ZyanStatus
decode(struct fetch *f, unsigned n)
{
	const ZydisDecoder *decoder = &f->x->translator->decoder[f->x->mode & X86_MODE_SIZE];
	ZydisDecoderContext context;
	ZyanStatus status;

	status = ZydisDecoderDecodeInstruction(decoder, &context, f->buf, n, &f->z);
	if (!ZYAN_SUCCESS(status))
		return (status);
	return (ZydisDecoderDecodeOperands(decoder, &context, &f->z, f->op, f->z.operand_count_visible));
}

/* What reading code found. */
enum found {
	FOUND,			/* decoded */
	FOUND_BAD,		/* undefined */
	FOUND_LONG,		/* too long, or beyond the limit */
	FOUND_SHORT,		/* the page ends in the middle */
	FOUND_MOVED,		/* guest code was left: start over */
};

static enum found
verdict(ZyanStatus status)
{
	if (ZYAN_SUCCESS(status))
		return (FOUND);
	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return (FOUND_SHORT);
	return (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? FOUND_LONG : FOUND_BAD);
}

/* Decode the instruction `off' bytes into the block, from its page alone. */
static enum found
read_here(struct fetch *f, unsigned off)
{
	unsigned at = (unsigned)(f->lin & 0xfff) + off, page = 4096 - at, n = INSN_MAX;
	enum found found;

	if (n > page)
		n = page;
	if (n > f->left - off)
		n = (unsigned)(f->left - off);
	if (n == 0)
		return (FOUND_SHORT);
	if (!soft_code_watch(f->x->cpu, f->place + off, n))
		return (FOUND_MOVED);
	copy(f->buf, f->host + at, n);
	found = verdict(decode(f, n));
	return (found == FOUND_SHORT && n != page ? FOUND_LONG : found);
}

/* The first instruction crosses into the next page: X_FAULT if that cannot be fetched. */
static enum x86_status
read_across(struct fetch *f, enum found *found)
{
	struct x86 *x = f->x;
	unsigned here = 4096 - (unsigned)(f->lin & 0xfff), n = INSN_MAX - here;
	const struct soft_itlbe *e = NULL;
	uint64_t lin = SOFT_PAGE(f->lin) + 4096;

	if (n > f->left - here)
		n = (unsigned)(f->left - here);
	if (n == 0) {
		*found = FOUND_LONG;
		return (X_DONE);
	}
	if (!x->flat)
		lin = (uint32_t)lin;
	else if (!amd64_canonical(lin, x->s->cr4))
		return (GP0(x));
	TRY(code_page(x, lin, &e));
	if (e == NULL) {
		memset(f->buf + here, 0xff, n);
	} else {
		f->place2 = e->place;
		f->global &= e->global != 0;
		if (!soft_code_watch(x->cpu, f->place2, n)) {
			*found = FOUND_MOVED;
			return (X_DONE);
		}
		copy(f->buf + here, e->host, n);
	}
	*found = verdict(decode(f, here + n));
	if (*found == FOUND_SHORT)
		*found = FOUND_LONG;
	return (X_DONE);
}

/* true: more may follow. */
static bool
add(struct fetch *f, struct x86_insn *i, unsigned off, enum found found)
{
	const struct x86_decoded d = { .z = &f->z, .op = f->op, .nop = f->z.operand_count_visible,
	    .mode = f->x->mode, .features = f->x->features };

	memset(i, 0, sizeof(*i));
	i->off = (uint16_t)off;
	if (found == FOUND) {
		i->len = f->z.length;
		return (fill(f->x, i, &d));
	}
	i->len = 1;			/* so that the block has bytes, writes to which are noticed */
	i->fn = op_ud;
	return (false);
}

static void
end(struct x86_insn *i, unsigned off)
{
	memset(i, 0, sizeof(*i));
	i->fn = x86_op_end;
	i->off = (uint16_t)off;
}

/* Code that is in no memory reads as all ones, which is undefined. */
static struct soft_block *
nowhere(struct x86 *x)
{
	struct x86_translator *t = x->translator;
	struct x86_insn *i = SOFT_BLOCK_CODE(&t->nowhere.b);

	memset(i, 0, 2 * sizeof(*i));
	i[0].fn = op_ud;
	i[0].len = 2;
	end(&i[1], 2);
	t->nowhere.b.n = 1;
	t->nowhere.b.bytes = 2;
	return (&t->nowhere.b);
}

/* Decode as much as goes into one block.  *b is NULL: start over. */
static enum x86_status
build(struct fetch *f, struct soft_block **bp)
{
	struct x86 *x = f->x;
	struct soft_block *b = soft_code_alloc(x->cpu, (BLOCK_MAX + 1) * sizeof(struct x86_insn));
	struct x86_insn *i = SOFT_BLOCK_CODE(b);
	unsigned n = 0, off = 0;
	enum found found;
	bool more = true, debug = debug_offset(x->vcpu->vm, f->place);

	*bp = NULL;
	f->place2 = SOFT_NOPLACE;
	while (more && n < BLOCK_MAX) {
		/* What may be stopped at is a block of its own. */
		if (n != 0 && (debug || debug_offset(x->vcpu->vm, f->place + off)))
			break;
		found = read_here(f, off);
		if (found == FOUND_MOVED)
			return (X_DONE);
		if (found != FOUND && n != 0)
			break;			/* the next block begins with it */
		if (found == FOUND_LONG)
			return (GP0(x));
		if (found == FOUND_SHORT) {
			TRY(read_across(f, &found));
			if (found == FOUND_MOVED)
				return (X_DONE);
			if (found == FOUND_LONG)
				return (GP0(x));
			*bp = soft_code_find(x->code, f->place, x->mode, f->place2);
			if (*bp != NULL)
				return (X_DONE);
			(void)add(f, &i[n], 0, found);
			more = false;
		} else {
			more = add(f, &i[n], off, found);
		}
		off += i[n++].len;
	}
	end(&i[n], off);
	b->place = f->place;
	b->place2 = f->place2;
	b->mode = x->mode;
	b->bytes = (uint16_t)off;
	b->n = (uint16_t)n;
	b->debug = debug;
	soft_code_add(x->cpu, b, (n + 1) * sizeof(*i));
	*bp = b;
	return (X_DONE);
}

/* What a decoder needs is large, and most blocks are there: it is not even cleared for those. */
static __attribute__((noinline)) enum x86_status
build_at(struct x86 *x, uint64_t lin, uint64_t left, const uint8_t *host, uint64_t place, struct soft_block **block, bool *global)
{
	struct fetch f = { .x = x, .lin = lin, .left = left, .host = host, .place = place, .global = *global };
	enum x86_status r = build(&f, block);

	*global = f.global;
	return (r);
}

enum x86_status
x86_block(struct x86 *x, uint64_t lin, struct soft_block **block, enum x86_keep *keep)
{
	const struct soft_itlbe *e = NULL;
	uint64_t left = UINT64_MAX, place;
	bool global = false;

	do {
		if (!x->flat) {
			if (x->s->rip > x->s->seg[SEG_CS].limit)
				return (GP0(x));
			left = x->s->seg[SEG_CS].limit - x->s->rip + 1;
		} else if (!amd64_canonical(lin, x->s->cr4)) {
			return (GP0(x));
		}
		TRY(code_page(x, lin, &e));
		if (e == NULL) {
			*keep = X86_KEEP_NOT;
			*block = nowhere(x);
			return (X_DONE);
		}
		place = e->place + (lin & 0xfff);
		global = e->global != 0;
		*block = soft_code_find(x->code, place, x->mode, SOFT_NOPLACE);
		if (*block != NULL && (*block)->bytes <= left)
			break;
		TRY(build_at(x, lin, left, e->host, place, block, &global));
	} while (*block == NULL);
	*keep = x->flat && global ? X86_KEEP_GLOBAL : X86_KEEP;
	return (X_DONE);
}
