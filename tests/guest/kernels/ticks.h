/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ticks.h - between kernels (ticks.c counts timer ticks, beat.c says that it is alive) and their machines (ticks_pc.c, ticks_virt.c).
 */
#ifndef _TICKS_H_
#define	_TICKS_H_

#include <stdbool.h>
#include <stdint.h>

#include "mmio.h"

struct timer {
	const char	*name;
	unsigned	 round;		/* in which it runs: rounds come one after the other */
	bool		 clocked;	/* its period is in counts of the clock */
	bool		 down;		/* what is left of its period can be read */
	uint32_t	 period[2];	/* slow, fast; its own units */

	/* Counted in its round. */
	uint32_t	 ticks, early;	/* all; those before they were due, of one that is clocked */
	uint64_t	 before, after;	/* the clock around its start */
	uint64_t	 stopped;	/* counts of the clock since then for which it is known to have stood */
};

/* The machine's part. */

extern struct timer timers[];
extern unsigned ntimers, nrounds;

/* Be ready for interrupts, which stay off; the kernel's command line.  boot: what the loader handed over. */
const char *machine_init(const void *boot);
void	machine_put(char c);
/* Power off, or what leads to the same status of hyve. */
void	machine_end(void) __attribute__((noreturn));
/* What came since the last call: the power button, an interrupt that cannot be masked. */
#define	EVENT_BUTTON	1U
#define	EVENT_NMI	2U
unsigned machine_events(void);
void	interrupts_on(void);
/* Those that are due are taken before. */
void	interrupts_off(void);

/* A clock that is none of the timers that are not clocked, and its unit: so many counts in so many femtoseconds. */
uint64_t clock_now(void);
extern uint64_t clock_counts, clock_femto;
/* Counts in a tenth of a second. */
extern uint32_t clock_tenth;

void	timer_start(struct timer *t, uint32_t period);
/* Whether a tick that was due at that time is still to be taken, of a timer that does not lose one. */
bool	timer_due(const struct timer *t, uint64_t then);
/* What is left of the period now; the clock was `now` just before. */
uint32_t timer_left(struct timer *t, uint32_t period, uint64_t now);

/* The kernel's part. */

/* A tick of a timer, for its interrupt handler. */
void	ticked(struct timer *t);
/* Whether the periods are the fast ones, and which round it is. */
extern bool fast;
extern unsigned current_round;

/* Called on a stack with interrupts off. */
void	kernel(const void *boot) __attribute__((noreturn));

#endif /* _TICKS_H_ */
