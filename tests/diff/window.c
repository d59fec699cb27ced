/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * window.c - the memory windows of a case: patched before it, compared with their common content
 * and put back behind it.  Both sides do this in the same way.
 */
#include <sys/auxv.h>

#include <cpuid.h>
#include <string.h>

#include "diff.h"

void
diff_patch(const struct diff_case *c, uint8_t *const page[DIFF_NPAGES])
{
	for (unsigned i = 0; i < c->npatch; i++) {
		unsigned off = c->patch[i].off, from = c->patch[i].from, left = c->patch[i].len;

		while (left != 0 && off < DIFF_WINDOW) {
			unsigned in = off % DIFF_PAGE, n = DIFF_PAGE - in;

			if (n > left)
				n = left;
			memcpy(page[off / DIFF_PAGE] + in, c->pool + from, n);
			off += n;
			from += n;
			left -= n;
		}
	}
}

static uint64_t
mix(uint64_t hash, const uint8_t *data)
{
	uint64_t v;

	for (unsigned i = 0; i < DIFF_LINE; i += 8) {
		memcpy(&v, data + i, 8);
		hash = (hash ^ v) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	return (hash);
}

void
diff_collect(const uint8_t *common, uint8_t *const page[DIFF_NPAGES], struct diff_result *r)
{
	r->nchanged = 0;
	r->hash = 0;
	for (unsigned p = 0; p < DIFF_NPAGES; p++) {
		const uint8_t *was = common + p * DIFF_PAGE;

		if (memcmp(page[p], was, DIFF_PAGE) == 0)
			continue;
		for (unsigned in = 0; in < DIFF_PAGE; in += DIFF_LINE) {
			unsigned line = (p * DIFF_PAGE + in) / DIFF_LINE;

			if (memcmp(page[p] + in, was + in, DIFF_LINE) == 0)
				continue;
			if (r->nchanged < DIFF_KEPT) {
				r->changed[r->nchanged].line = (uint16_t)line;
				memcpy(r->changed[r->nchanged].data, page[p] + in, DIFF_LINE);
			}
			r->nchanged++;
			r->hash = mix(r->hash + line, page[p] + in);
			memcpy(page[p] + in, was + in, DIFF_LINE);
		}
	}
}

bool
diff_fsgsbase(void)
{
	return ((getauxval(AT_HWCAP2) & 2) != 0);	/* HWCAP2_FSGSBASE */
}

bool
diff_cs32(void)
{
	uint32_t rights = 0;
	bool there;

	/* SDM vol. 2, LAR: access rights of a descriptor that the caller may use. */
	__asm__("lar %2, %0" : "+r" (rights), "=@ccz" (there) : "r" (DIFF_CS32));
	return (there && (rights & 0x0060f800) == 0x0040f800);
}

bool
diff_intel(void)
{
	unsigned a, b = 0, c, d;

	return (__get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_INTEL_ebx);
}
