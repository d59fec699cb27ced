/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ldst_struct.c - loads and stores of structures: LD1 to LD4, ST1 to ST4, one to all lanes (Arm ARM C4.1.4, C7.2).
 *
 * All of an instruction's memory is read into a buffer, or written from one, and then or before spread over the registers.
 */
#include <string.h>

#include "ldst_simd.h"

/* rd: first register; ra: registers; rm: of the post-index, 31 for the size, 32 for none; arg: element size; arg2: bytes of a
   register, or the lane; imm: selem, elements of a structure. */
#define	NO_WRITEBACK	32U

static uint8_t *
element(struct a64 *c, unsigned reg, unsigned lane, unsigned size)
{
	return ((uint8_t *)&c->s->v[2 * (reg & 31)] + (size_t)lane * size);
}

static void
write_back(struct a64 *c, const struct a64_insn *i, uint64_t va, unsigned total)
{
	if (i->rm != NO_WRITEBACK)
		R(i->rn) = va + (i->rm == 31 ? total : c->s->x[i->rm]);
}

static enum a64_status
read_all(struct a64 *c, uint64_t va, unsigned size, unsigned total, void *buf)
{
	const void *p = soft_tlb_hit(c->row[0], a64_tag(c, va), va, total, false);

	if (likely(p != NULL)) {
		for (unsigned off = 0; off < total; off += size) {
			uint64_t v = host_load((const char *)p + off, size);

			memcpy((char *)buf + off, &v, size);
		}
		return (A_DONE);
	}
	return (a64_read(c, va, size, total, 0, buf));
}

static enum a64_status
write_all(struct a64 *c, uint64_t va, unsigned size, unsigned total, const void *buf)
{
	void *p = soft_tlb_hit(c->row[1], a64_tag(c, va), va, total, true);

	if (likely(p != NULL)) {
		for (unsigned off = 0; off < total; off += size) {
			uint64_t v = 0;

			memcpy(&v, (const char *)buf + off, size);
			host_store((char *)p + off, size, v);
		}
		return (A_DONE);
	}
	return (a64_write(c, va, size, total, 0, buf));
}

/*
 * How an instruction's elements lie: in memory element e of structure k of register group r is at r * lanes + k * stride + e; in registers it
 * is lane first + k of register r + e.
 */
struct layout {
	unsigned	selem;		/* elements of a structure: registers of a group */
	unsigned	first, lanes;
	unsigned	stride;		/* selem; 0: the same structure for every lane */
};

/* Between the registers and buf. */
static inline __attribute__((always_inline)) void
spread(struct a64 *c, const struct a64_insn *i, const struct layout *l, uint8_t *buf, bool load)
{
	unsigned size = i->arg;

	for (unsigned r = 0; r < i->ra; r += l->selem) {
		for (unsigned k = 0; k < l->lanes; k++) {
			for (unsigned e = 0; e < l->selem; e++) {
				uint8_t *reg = element(c, i->rd + r + e, l->first + k, size);
				uint8_t *mem = buf + (size_t)(r * l->lanes + k * l->stride + e) * size;

				memcpy(load ? reg : mem, load ? mem : reg, size);
			}
		}
	}
}

static inline __attribute__((always_inline)) enum a64_status
load_structures(struct a64 *c, const struct a64_insn *i, struct layout l, unsigned total, bool whole)
{
	uint8_t buf[64] __attribute__((aligned(16)));
	uint64_t va;

	TRY(base_of(c, i, &va));
	TRY(read_all(c, va, i->arg, total, buf));
	spread(c, i, &l, buf, true);
	/* What writes all of 64 bits makes the rest zero. */
	for (unsigned r = 0; whole && i->arg2 == 8 && r < i->ra; r++)
		c->s->v[2 * ((i->rd + r) & 31) + 1] = 0;
	write_back(c, i, va, total);
	return (A_DONE);
}

static inline __attribute__((always_inline)) enum a64_status
store_structures(struct a64 *c, const struct a64_insn *i, struct layout l, unsigned total)
{
	uint8_t buf[64] __attribute__((aligned(16)));
	uint64_t va;

	TRY(base_of(c, i, &va));
	spread(c, i, &l, buf, false);
	TRY(write_all(c, va, i->arg, total, buf));
	write_back(c, i, va, total);
	return (A_DONE);
}

static inline struct layout
multiple(const struct a64_insn *i)
{
	return ((struct layout){ (unsigned)i->imm, 0, i->arg2 / i->arg, (unsigned)i->imm });
}

static enum a64_status
load_multiple(struct a64 *c, const struct a64_insn *i)
{
	return (load_structures(c, i, multiple(i), i->ra * i->arg2, true));
}

static enum a64_status
store_multiple(struct a64 *c, const struct a64_insn *i)
{
	return (store_structures(c, i, multiple(i), i->ra * i->arg2));
}

/* One structure: to and from a lane, and loaded to all lanes (arg2 is bytes of a register then). */
static inline struct layout
one_lane(const struct a64_insn *i)
{
	return ((struct layout){ i->ra, i->arg2, 1, i->ra });
}

static enum a64_status
load_lane(struct a64 *c, const struct a64_insn *i)
{
	return (load_structures(c, i, one_lane(i), i->ra * i->arg, false));
}

static enum a64_status
store_lane(struct a64 *c, const struct a64_insn *i)
{
	return (store_structures(c, i, one_lane(i), i->ra * i->arg));
}

static enum a64_status
load_all_lanes(struct a64 *c, const struct a64_insn *i)
{
	struct layout l = { i->ra, 0, i->arg2 / i->arg, 0 };

	return (load_structures(c, i, l, i->ra * i->arg, true));
}

/* LD1 and ST1 of whole registers: what is in memory is what is in the registers, whatever an element is. */
static enum a64_status
load_registers(struct a64 *c, const struct a64_insn *i)
{
	unsigned total = i->ra * i->arg2, reg = i->rd;
	uint64_t va;
	const char *p;

	c->cur = i;
	TRY(base_of(c, i, &va));
	p = soft_tlb_hit(c->row[0], a64_tag(c, va), va, total, false);
	if (unlikely(p == NULL)) {
		TRY(a64_read(c, va, i->arg, total, 0, c->buf));
		p = (const char *)c->buf;
	}
	for (unsigned r = 0; r < i->ra; r++, p += i->arg2, reg = (reg + 1) & 31) {
		if (i->arg2 == 16) {
			host_load16(p, &c->s->v[2 * reg]);
		} else {
			c->s->v[2 * reg] = host_load(p, 8);
			c->s->v[2 * reg + 1] = 0;
		}
	}
	write_back(c, i, va, total);
	return (A64_NEXT(c, i));
}

static enum a64_status
store_registers(struct a64 *c, const struct a64_insn *i)
{
	unsigned total = i->ra * i->arg2, reg = i->rd;
	uint64_t va;
	char *p, *to;

	c->cur = i;
	TRY(base_of(c, i, &va));
	p = soft_tlb_hit(c->row[1], a64_tag(c, va), va, total, true);
	to = likely(p != NULL) ? p : (char *)c->buf;
	for (unsigned r = 0; r < i->ra; r++, to += i->arg2, reg = (reg + 1) & 31) {
		if (i->arg2 == 16)
			host_store16(to, &c->s->v[2 * reg]);
		else
			host_store(to, 8, c->s->v[2 * reg]);
	}
	if (unlikely(p == NULL))
		TRY(a64_write(c, va, i->arg, total, 0, c->buf));
	write_back(c, i, va, total);
	return (A64_NEXT(c, i));
}

static bool
decode_multiple(uint32_t w, struct a64_insn *i)
{
	/* Registers and elements of a structure, by opcode. */
	static const struct {
		uint8_t nregs, selem;
	} ops[16] = {
		[0] = { 4, 4 }, [2] = { 4, 1 }, [4] = { 3, 3 }, [6] = { 3, 1 }, [7] = { 1, 1 }, [8] = { 2, 2 },
		[10] = { 2, 1 },
	};
	unsigned opcode = a64_bits(w, 15, 12), size = a64_bits(w, 11, 10), q = a64_bits(w, 30, 30);

	if (ops[opcode].nregs == 0 || (size == 3 && q == 0 && ops[opcode].selem != 1))
		return (false);
	i->ra = ops[opcode].nregs;
	i->imm = ops[opcode].selem;
	i->arg = (uint8_t)(1U << size);
	i->arg2 = q != 0 ? 16 : 8;
	if (ops[opcode].selem == 1)
		i->go = a64_bits(w, 22, 22) != 0 ? load_registers : store_registers;
	else
		i->fn = a64_bits(w, 22, 22) != 0 ? load_multiple : store_multiple;
	return (true);
}

/* opcode bits 2:1 are the size, and 3 all lanes; the lane is in Q, S and size. */
static bool
decode_single(uint32_t w, struct a64_insn *i)
{
	unsigned opcode = a64_bits(w, 15, 13), s = a64_bits(w, 12, 12), size = a64_bits(w, 11, 10), q = a64_bits(w, 30, 30);
	bool is_load = a64_bits(w, 22, 22) != 0;

	i->ra = (uint8_t)(1 + (a64_bits(w, 21, 21) | (opcode & 1) << 1));
	i->fn = is_load ? load_lane : store_lane;
	switch (opcode >> 1) {
	case 0:
		i->arg = 1;
		i->arg2 = (uint8_t)(q << 3 | s << 2 | size);
		return (true);
	case 1:
		i->arg = 2;
		i->arg2 = (uint8_t)(q << 2 | s << 1 | size >> 1);
		return ((size & 1) == 0);
	case 2:
		i->arg = (size & 1) != 0 ? 8 : 4;
		i->arg2 = (uint8_t)((size & 1) != 0 ? q : q << 1 | s);
		return ((size & 2) == 0 && ((size & 1) == 0 || s == 0));
	default:
		i->arg = (uint8_t)(1U << size);
		i->arg2 = q != 0 ? 16 : 8;
		i->fn = load_all_lanes;
		return (is_load && s == 0);
	}
}

bool
a64_decode_structures(uint32_t w, unsigned mode, struct a64_insn *i)
{
	bool post = a64_bits(w, 23, 23) != 0;
	unsigned rm = a64_bits(w, 20, 16);

	if (!post && rm != 0)
		return (false);
	i->rn = src_sp(a64_bits(w, 9, 5), mode);
	i->rm = (uint8_t)(post ? rm : NO_WRITEBACK);
	if (a64_bits(w, 24, 24) != 0)
		return (decode_single(w, i));
	return (a64_bits(w, 21, 21) == 0 && decode_multiple(w, i));
}
