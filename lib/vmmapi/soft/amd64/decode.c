/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decode.c - from bytes to struct x86_insn (Intel SDM vol. 2, chapter 2 and appendix A).
 */
#include <string.h>

#include "cpu.h"

/*
 * What follows an opcode:
 *	.  nothing			m  ModRM
 *	b  8-bit immediate		M  ModRM, b
 *	z  16 or 32-bit immediate	Z  ModRM, z
 *	t  ModRM, b if reg is 0 or 1	T  ModRM, z if reg is 0 or 1
 *	v  immediate of operand size	w  16-bit immediate
 *	o  offset of address size	p  far pointer
 *	e  16 bits and 8 bits		x  not defined here
 *	P  prefix			E  escape
 * b and z are sign-extended.
 */
static const char one_byte[] =
    "mmmmbz..mmmmbz.E"
    "mmmmbz..mmmmbz.."
    "mmmmbzPxmmmmbzPx"
    "mmmmbzPxmmmmbzPx"
    "................"
    "................"
    "..xmPPPPzZbM...."
    "bbbbbbbbbbbbbbbb"
    "MZMMmmmmmmmmmmmm"
    "..........px...."
    "oooo....bz......"
    "bbbbbbbbvvvvvvvv"
    "MMw.xxMZe.w..b.."
    "mmmmxxx.xxxxxxxx"
    "bbbbbbbbzzpb...."
    "PxPP..tT......mm";

static const char two_byte[] =
    "mmxxxx.x..x.xmxx"
    "xxxxxxxxmmmmmmmm"
    "mmmmxxxxxxxxxxxx"
    "...xxxxxxxxxxxxx"
    "mmmmmmmmmmmmmmmm"
    "xxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxx"
    "zzzzzzzzzzzzzzzz"
    "mmmmmmmmmmmmmmmm"
    "...mMmxx..xmMmmm"
    "mmxmxxmmxxMmmmmm"
    "mmxmxxxm........"
    "xxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxx"
    "xxxxxxxxxxxxxxxx";

_Static_assert(sizeof(one_byte) == 257 && sizeof(two_byte) == 257, "opcode maps");

#define	MAX_LEN	15		/* bytes of an instruction: SDM vol. 2 2.3.11 */

struct fetch {
	struct x86	*x;
	const uint8_t	*p;	/* what is left of the window */
	unsigned	 n;
	unsigned	 len;
	enum x86_status	 status;
};

static uint8_t
get8(struct fetch *f)
{
	struct x86 *x = f->x;

	if (f->status != X_OK)
		return (0);
	if (f->len == MAX_LEN) {
		f->status = x86_fault_error(x, EXC_GP, 0);
		return (0);
	}
	if (f->n == 0) {
		f->status = x86_fetch_ptr(x, x->s->rip + f->len, &f->p, &f->n);
		if (f->status != X_OK)
			return (0);
	}
	f->len++;
	f->n--;
	return (*f->p++);
}

static uint64_t
get(struct fetch *f, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)get8(f) << (8 * i);
	return (v);
}

static int64_t
gets(struct fetch *f, unsigned size)
{
	return (x86_sext(get(f, size), size));
}

/* 16-bit addressing (SDM vol. 2 table 2-1). */
static void
modrm16(struct fetch *f, struct x86_insn *i)
{
	static const uint8_t base[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
	static const uint8_t index[4] = { RSI, RDI, RSI, RDI };

	i->base = base[i->rm];
	if (i->rm < 4)
		i->index = index[i->rm];
	if (i->mod == 0 && i->rm == 6) {
		i->base = NO_REG;
		i->disp = gets(f, 2);
	} else if (i->mod == 1) {
		i->disp = gets(f, 1);
	} else if (i->mod == 2) {
		i->disp = gets(f, 2);
	}
	i->memseg = i->base == RBP ? SEG_SS : SEG_DS;
}

/* 32-bit and 64-bit addressing (SDM vol. 2 tables 2-2, 2-3, and 2.2.1). */
static void
modrm32(struct fetch *f, struct x86_insn *i, bool mode64)
{
	unsigned rm = i->rm & 7, sib;

	i->base = (uint8_t)(rm | (i->rex & 1) << 3);
	if (rm == 4) {
		sib = get8(f);
		i->scale = (uint8_t)(sib >> 6);
		i->index = (uint8_t)(((sib >> 3) & 7) | (i->rex & 2) << 2);
		if (i->index == RSP)
			i->index = NO_REG;
		i->base = (uint8_t)((sib & 7) | (i->rex & 1) << 3);
		rm = sib & 7;
		if (rm == 5 && i->mod == 0) {
			i->base = NO_REG;
			i->disp = gets(f, 4);
		}
	} else if (rm == 5 && i->mod == 0) {
		i->base = NO_REG;
		i->riprel = mode64;
		i->disp = gets(f, 4);
	}
	if (i->mod == 1)
		i->disp = gets(f, 1);
	else if (i->mod == 2)
		i->disp = gets(f, 4);
	i->memseg = i->base == RSP || i->base == RBP ? SEG_SS : SEG_DS;
}

static void
modrm(struct fetch *f, struct x86_insn *i, bool mode64)
{
	uint8_t b = get8(f);

	/*
	 * Moves to and from control and debug registers have no memory form: mod is ignored (SDM
	 * vol. 2, MOV).
	 */
	i->mod = i->op >= 0x120 && i->op <= 0x123 ? 3 : b >> 6;
	i->reg = (uint8_t)(((b >> 3) & 7) | (i->rex & 4) << 1);
	i->rm = b & 7;
	if (i->mod == 3)
		i->rm = (uint8_t)(i->rm | (i->rex & 1) << 3);
	else if (i->adsize == 2)
		modrm16(f, i);
	else
		modrm32(f, i, mode64);
}

/* Legacy prefixes and REX; returns the first byte of the opcode. */
static uint8_t
prefixes(struct fetch *f, struct x86_insn *i, unsigned mode, bool *op66, bool *ad67)
{
	uint8_t b;

	for (;;) {
		b = get8(f);
		if (f->status != X_OK)
			return (0);
		switch (b) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			if (mode != 8)		/* in 64-bit mode they have no effect */
				i->seg = (uint8_t)((b >> 3) & 3);
			break;
		case 0x64:
		case 0x65:
			i->seg = (uint8_t)(SEG_FS + (b & 1));
			break;
		case 0x66:
			*op66 = true;
			break;
		case 0x67:
			*ad67 = true;
			break;
		case 0xf0:
			i->lock = true;
			break;
		case 0xf2:
		case 0xf3:
			i->rep = b;
			break;
		default:
			if (mode != 8 || (b & 0xf0) != 0x40)
				return (b);
			/* REX counts only right before the opcode. */
			i->rex = b;
			continue;
		}
		i->rex = 0;
	}
}

/*
 * Instructions whose operand size in 64-bit mode is 64 bits without REX.W (SDM vol. 2 appendix
 * A.2.5: d64, f64).
 */
static bool
defaults_to_64(const struct x86_insn *i, bool *forced)
{
	unsigned op = i->op, reg = i->reg & 7;

	if ((op & 0xfff0) == 0x70 || (op & 0xfff0) == 0x180 || (op == 0xff && (reg == 2 || reg == 4))) {
		*forced = true;
		return (true);
	}
	switch (op) {
	case 0xc2:
	case 0xc3:
	case 0xe0:
	case 0xe1:
	case 0xe2:
	case 0xe3:
	case 0xe8:
	case 0xe9:
	case 0xeb:
		*forced = true;
		return (true);
	case 0x68:
	case 0x6a:
	case 0x8f:
	case 0x9c:
	case 0x9d:
	case 0xc8:
	case 0xc9:
	case 0x1a0:
	case 0x1a1:
	case 0x1a8:
	case 0x1a9:
		return (true);
	default:
		return ((op & 0xfff0) == 0x50 || (op == 0xff && reg == 6));
	}
}

/* One-byte opcodes that do not exist in 64-bit mode (SDM vol. 2 appendix A: i64). */
static bool
not_in_64(unsigned op)
{
	return ((op < 0x40 && (op & 7) >= 6) || op == 0x60 || op == 0x61 || op == 0x82 ||
	    op == 0x9a || op == 0xce || op == 0xea);
}

/* Instructions that may have a lock prefix (SDM vol. 2, LOCK). */
static bool
lockable(const struct x86_insn *i)
{
	unsigned op = i->op, reg = i->reg & 7;

	if (i->mod == 3)
		return (false);
	if (op < 0x38)
		return ((op & 7) < 2);
	switch (op) {
	case 0x80:
	case 0x81:
	case 0x82:
	case 0x83:
		return (reg != 7);
	case 0xf6:
	case 0xf7:
		return (reg == 2 || reg == 3);
	case 0xfe:
	case 0xff:
		return (reg < 2);
	case 0x1ba:
		return (reg > 4);
	case 0x1c7:
		return (reg == 1);
	default:
		return (op == 0x86 || op == 0x87 || op == 0x1ab || op == 0x1b3 || op == 0x1bb ||
		    op == 0x1b0 || op == 0x1b1 ||
		    op == 0x1c0 || op == 0x1c1);
	}
}

enum x86_status
x86_decode(struct x86 *x)
{
	struct fetch f = { .x = x, .status = X_OK };
	struct x86_insn *i = &x->insn;
	unsigned mode = x86_codesize(x), zsize;
	bool op66 = false, ad67 = false, forced = false, d64 = false;
	char form;
	uint8_t b;

	memset(i, 0, sizeof(*i));
	i->seg = i->base = i->index = NO_REG;
	i->memseg = SEG_DS;
	b = prefixes(&f, i, mode, &op66, &ad67);
	i->op = b;
	form = one_byte[b];
	if (form == 'E') {
		b = get8(&f);
		i->op = 0x100 | b;
		form = two_byte[b];
	}
	if (mode == 8)
		i->adsize = ad67 ? 4 : 8;
	else
		i->adsize = (mode == 2) != ad67 ? 2 : 4;
	if (strchr("mMZtT", form) != NULL)
		modrm(&f, i, mode == 8);

	if (mode == 8) {
		d64 = defaults_to_64(i, &forced);
		i->opsize = (i->rex & 8) != 0 || forced ? 8 : op66 ? 2 : d64 ? 8 : 4;
	} else {
		i->opsize = (mode == 2) != op66 ? 2 : 4;
	}
	zsize = i->opsize == 2 ? 2 : 4;
	switch (form) {
	case 'b':
	case 'M':
		i->imm = (uint64_t)gets(&f, 1);
		break;
	case 'z':
	case 'Z':
		i->imm = (uint64_t)gets(&f, zsize);
		break;
	case 't':
		if ((i->reg & 7) < 2)
			i->imm = (uint64_t)gets(&f, 1);
		break;
	case 'T':
		if ((i->reg & 7) < 2)
			i->imm = (uint64_t)gets(&f, zsize);
		break;
	case 'v':
		i->imm = get(&f, i->opsize);
		break;
	case 'w':
		i->imm = get(&f, 2);
		break;
	case 'o':
		i->imm = get(&f, i->adsize);
		break;
	case 'p':
		i->imm = get(&f, zsize);
		i->imm2 = (uint16_t)get(&f, 2);
		break;
	case 'e':
		i->imm = get(&f, 2);
		i->imm2 = get8(&f);
		break;
	default:
		break;
	}
	if (f.status != X_OK)
		return (f.status);
	if (form == 'x' || (mode == 8 && not_in_64(i->op)) || (i->lock && !lockable(i)))
		return (x86_fault(x, EXC_UD));
	if (i->seg != NO_REG)
		i->memseg = i->seg;
	i->len = (uint8_t)f.len;
	x->next = x->s->rip + f.len;
	if (mode != 8)
		x->next &= mode == 2 ? 0xffff : 0xffffffff;
	return (X_OK);
}
