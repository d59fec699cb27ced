/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * beat.c - a kernel that says fifty times a second that it is alive, and what is done to it.
 *
 * A line is "beat", a number that counts from 0, the clock, and the clock's unit as in ticks.c.  "nmi" and "button" are lines of their own;
 * behind the latter it ends.
 */
#include "ticks.h"
#include "put.h"

bool fast;
unsigned current_round;

void
ticked(struct timer *t)
{
}

void
kernel(const void *boot)
{
	uint64_t next, now;
	unsigned events;

	(void)machine_init(boot);
	next = clock_now();
	for (uint64_t n = 0;; n++) {
		put("beat");
		put_hex(n);
		put_hex(clock_now());
		put_hex(clock_counts);
		put_hex(clock_femto);
		put("\n");
		next += clock_tenth / 5;
		do {
			now = clock_now();
			events = machine_events();
			if ((events & EVENT_NMI) != 0)
				put("nmi\n");
			if ((events & EVENT_BUTTON) != 0) {
				put("button\n");
				machine_end();
			}
		} while (now < next);
		/* What the host took away is not made up for. */
		next = now;
	}
}
