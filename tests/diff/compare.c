/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare.c - are the two results of a case the same, and what a person sees of a case where they
 * are not.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "exceptions.h"

static const char *const gpr_names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
static const char *const seg_names[] = { "es", "cs", "ss", "ds", "fs", "gs" };

/* Two single-precision numbers within 1.5 * 2^-12 of a third are within twice that of each other.
 */
static bool
near(uint32_t a, uint32_t b)
{
	float fa, fb;

	if (a == b)
		return (true);
	memcpy(&fa, &a, 4);
	memcpy(&fb, &b, 4);
	if (isnan(fa) || isnan(fb) || isinf(fa) || isinf(fb) || signbit(fa) != signbit(fb))
		return (false);
	return (fabsf(fa - fb) <= 2 * 1.5F / 4096 * fabsf(fa));
}

static bool
xmm_equal(const uint8_t *a, const uint8_t *b, bool approximate)
{
	uint32_t va[4], vb[4];

	if (memcmp(a, b, 16) == 0)
		return (true);
	if (!approximate)
		return (false);
	memcpy(va, a, 16);
	memcpy(vb, b, 16);
	for (unsigned i = 0; i < 4; i++)
		if (!near(va[i], vb[i]))
			return (false);
	return (true);
}

/* Does an offset of the stored image differ between processors? */
static bool
varies(const struct diff_mask *m, unsigned off)
{
	if (m->fxsave)		/* FOP, FIP, FDP, MXCSR_MASK; what is behind XMM15 is not written */
		return ((off >= 6 && off < 24) || (off >= 28 && off < 32));
	return (off >= 3U * m->fenv && off < 7U * m->fenv);
}

static bool
memory_equal(const struct diff_case *c, const struct diff_mask *m, const struct diff_result *n,
    const struct diff_result *s)
{
	unsigned lines;

	if (m->memory)
		return (true);
	if (n->nchanged == s->nchanged && n->hash == s->hash)
		return (true);
	if ((!m->fxsave && m->fenv == 0) || n->nchanged != s->nchanged || n->nchanged > DIFF_KEPT)
		return (false);
	lines = n->nchanged;
	for (unsigned i = 0; i < lines; i++) {
		if (n->changed[i].line != s->changed[i].line)
			return (false);
		for (unsigned j = 0; j < DIFF_LINE; j++) {
			unsigned at = n->changed[i].line * DIFF_LINE + j;

			if (n->changed[i].data[j] == s->changed[i].data[j])
				continue;
			if (!varies(m, at - m->image))
				return (false);
		}
	}
	return (true);
}

static bool
st_equal(const struct diff_fx *a, const struct diff_fx *b)
{
	for (unsigned i = 0; i < 8; i++)
		if (memcmp(a->st[i], b->st[i], 10) != 0)
			return (false);
	return (true);
}

const char *
diff_compare(const struct diff_case *c, const struct diff_result *n, const struct diff_result *s)
{
	/* What 32-bit code leaves in the upper halves is undefined (SDM vol. 1 3.4.1.1). */
	bool wide_ends = c->mode == 64 && n->seg[D_CS] != DIFF_CS32;
	uint64_t wide = wide_ends ? ~0ULL : 0xffffffffULL;
	struct diff_mask m;
	uint32_t error_mask = ~0U;

	exceptions_apply(c, n, s, &m);
	if (m.skip)
		return (NULL);
	if (n->vector != s->vector)
		return ("vector");
	/* Linux calls every fault in its half of the addresses a protection violation. */
	if (n->vector == VEC_PF && n->cr2 >= 0x7ffffffff000ULL)
		error_mask = ~1U;
	if (m.cr2 && n->vector == VEC_PF)
		error_mask = 0;
	if ((n->error & error_mask) != (s->error & error_mask))
		return ("error code");
	if (n->vector == VEC_PF && !m.cr2 && n->cr2 != s->cr2)
		return ("cr2");
	if (n->rip != s->rip)
		return ("rip");
	for (unsigned i = 0; i < (wide_ends ? 16U : 8U); i++)
		if ((m.gpr & 1U << i) == 0 && (n->gpr[i] & wide) != (s->gpr[i] & wide))
			return (gpr_names[i]);
	if (((n->rflags ^ s->rflags) & ~m.rflags) != 0)
		return ("rflags");
	/* Returns from the host's kernel put 0 in the place of null selectors (SDM vol. 2A IRET).
	 */
	for (unsigned i = 0; i < D_NSEG; i++)
		if (n->seg[i] != s->seg[i] &&
		    !((n->seg[i] | s->seg[i]) < 4 && i != D_CS && i != D_SS))
			return (seg_names[i]);
	if (!m.bases && (n->fs_base != s->fs_base || n->gs_base != s->gs_base))
		return ("segment base");
	if (m.fpu)
		goto sse;
	if (n->fx.fcw != s->fx.fcw)
		return ("fcw");
	if (((n->fx.fsw ^ s->fx.fsw) & ~m.fsw) != 0)
		return ("fsw");
	if (n->fx.ftw != s->fx.ftw)
		return ("ftw");
	if (!st_equal(&n->fx, &s->fx))
		return ("st");
	if (!m.pointers &&
	    (n->fx.fip != s->fx.fip || n->fx.fdp != s->fx.fdp || n->fx.fop != s->fx.fop))
		return ("fip, fdp, fop");
sse:
	if (m.sse)
		goto memory;
	if (n->fx.mxcsr != s->fx.mxcsr)
		return ("mxcsr");
	for (unsigned i = 0; i < (c->mode == 64 ? 16U : 8U); i++)
		if (!xmm_equal(n->fx.xmm[i], s->fx.xmm[i], m.approximate))
			return ("xmm");
memory:
	if (!memory_equal(c, &m, n, s))
		return ("memory");
	return (NULL);
}

/* Printing */

static void
print_hex(const uint8_t *p, unsigned n)
{
	while (n-- > 0)
		printf("%02x", p[n]);
}

static void
print_value(const char *name, uint64_t before, uint64_t n, uint64_t s)
{
	if (n == s && n == before)
		return;
	printf("    %-8s %016llx  host %016llx  soft ", name, (unsigned long long)before,
	    (unsigned long long)n);
	if (n == s)
		printf("the same\n");
	else
		printf("%016llx  <--\n", (unsigned long long)s);
}

static void
print_vector(const char *name, unsigned i, unsigned size, const uint8_t *before, const uint8_t *n,
    const uint8_t *s)
{
	if (memcmp(before, n, size) == 0 && memcmp(n, s, size) == 0)
		return;
	printf("    %s%u ", name, i);
	print_hex(before, size);
	printf("\n     host ");
	print_hex(n, size);
	printf("\n     soft ");
	print_hex(s, size);
	printf("%s\n", memcmp(n, s, size) == 0 ? "" : "  <--");
}

static void
print_lines(const char *who, const struct diff_result *r)
{
	for (unsigned i = 0; i < r->nchanged && i < DIFF_KEPT; i++) {
		unsigned off = r->changed[i].line * DIFF_LINE;

		printf("    %s %08x ", who,
		    off < 3 * DIFF_PAGE ? DIFF_DATA + off : DIFF_STACK + off - 3 * DIFF_PAGE);
		for (unsigned j = 0; j < DIFF_LINE; j++)
			printf("%02x%s", r->changed[i].data[j], j % 8 == 7 ? " " : "");
		printf("\n");
	}
	if (r->nchanged > DIFF_KEPT)
		printf("    %s and %u lines more\n", who, r->nchanged - DIFF_KEPT);
}

void
diff_print_line(const struct diff_case *c, const struct diff_result *n, const struct diff_result *s)
{
	ZydisDisassembledInstruction d;

	if (ZYAN_SUCCESS(ZydisDisassembleIntel(c->mode == 64 ? ZYDIS_MACHINE_MODE_LONG_64 :
	    ZYDIS_MACHINE_MODE_LONG_COMPAT_32, c->rip, c->code, c->len, &d)))
		printf("  %s  [", d.text);
	else
		printf("  (unknown)  [");
	for (unsigned i = 0; i < c->len; i++)
		printf("%s%02x", i == 0 ? "" : " ", c->code[i]);
	printf("] at %llx, vector: host %u soft %u\n", (unsigned long long)c->rip, n->vector,
	    s->vector);
}

void
diff_print(const struct diff_case *c, const struct diff_result *n, const struct diff_result *s)
{
	diff_print_line(c, n, s);
	printf("    host: vector %u error %x cr2 %llx  soft: vector %u error %x cr2 %llx\n",
	    n->vector, n->error, (unsigned long long)n->cr2, s->vector, s->error,
	    (unsigned long long)s->cr2);
	print_value("rip", c->rip, n->rip, s->rip);
	if (n->rflags == s->rflags && n->rflags == c->rflags)
		printf("    rflags   %016llx\n", (unsigned long long)c->rflags);
	else
		print_value("rflags", c->rflags, n->rflags, s->rflags);
	for (unsigned i = 0; i < (c->mode == 64 ? 16U : 8U); i++) {
		uint64_t wide = c->mode == 64 ? ~0ULL : 0xffffffffULL;

		if (((n->gpr[i] ^ s->gpr[i]) & wide) == 0 && n->gpr[i] == c->gpr[i])
			printf("    %-8s %016llx\n", gpr_names[i], (unsigned long long)c->gpr[i]);
		else
			print_value(gpr_names[i], c->gpr[i], n->gpr[i] & wide, s->gpr[i] & wide);
	}
	printf("    before   es %x cs %x ss %x ds %x fs %x %llx gs %x %llx\n", c->seg[D_ES],
	    c->seg[D_CS], c->seg[D_SS], c->seg[D_DS], c->seg[D_FS], (unsigned long long)c->fs_base,
	    c->seg[D_GS], (unsigned long long)c->gs_base);
	for (unsigned i = 0; i < D_NSEG; i++)
		print_value(seg_names[i], c->seg[i], n->seg[i], s->seg[i]);
	print_value("fs base", c->fs_base, n->fs_base, s->fs_base);
	print_value("gs base", c->gs_base, n->gs_base, s->gs_base);
	printf("    fcw %04x mxcsr %04x\n", c->fx.fcw, c->fx.mxcsr);
	print_value("fcw", c->fx.fcw, n->fx.fcw, s->fx.fcw);
	print_value("fsw", c->fx.fsw, n->fx.fsw, s->fx.fsw);
	print_value("ftw", c->fx.ftw, n->fx.ftw, s->fx.ftw);
	print_value("mxcsr", c->fx.mxcsr, n->fx.mxcsr, s->fx.mxcsr);
	for (unsigned i = 0; i < 8; i++)
		print_vector("st", i, 10, c->fx.st[i], n->fx.st[i], s->fx.st[i]);
	for (unsigned i = 0; i < 16; i++)
		print_vector("xmm", i, 16, c->fx.xmm[i], n->fx.xmm[i], s->fx.xmm[i]);
	for (unsigned i = 0; i < c->npatch; i++) {
		unsigned off = c->patch[i].off;

		printf("    before   %08x ",
		    off < 3 * DIFF_PAGE ? DIFF_DATA + off : DIFF_STACK + off - 3 * DIFF_PAGE);
		for (unsigned j = 0; j < c->patch[i].len && j < 64; j++)
			printf("%02x%s", c->pool[c->patch[i].from + j], j % 8 == 7 ? " " : "");
		printf("\n");
	}
	if (n->nchanged != s->nchanged || n->hash != s->hash) {
		print_lines("host", n);
		print_lines("soft", s);
	}
}
