/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exits.c - a kernel that says "begin" as soon as it can, then how long each way out of a guest takes: name, clock units of the fastest of some batches,
 * and how many a batch has, in hexadecimal.  At the end it says "end" and sleeps.
 */
#include "exits.h"
#include "put.h"

#define	BATCHES	10
#define	BATCH	500U

static uint64_t
batch(const struct exit_kind *kind)
{
	uint64_t start = clock_now();

	for (unsigned i = 0; i < BATCH; i++)
		kind->once();
	return (clock_now() - start);
}

void
kernel(const void *boot)
{
	put("begin\n");
	for (const struct exit_kind *kind = exit_kinds; kind->name != 0; kind++) {
		uint64_t best = ~UINT64_C(0), t;

		for (int i = 0; i < BATCHES; i++) {
			t = batch(kind);
			if (t < best)
				best = t;
		}
		put("exits ");
		put(kind->name);
		put_hex(best);
		put_hex(BATCH);
		put("\n");
	}
	put("end\n");
	machine_end();
}
