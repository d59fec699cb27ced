/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exits.h - between the kernel that times ways out of a guest (exits.c) and the machine that it runs on (exits_pc.c, exits_virt.c).
 */
#ifndef _EXITS_H_
#define	_EXITS_H_

#include <stdint.h>

struct exit_kind {
	const char	*name;
	void		(*once)(void);
};

/* The machine's part. */

extern const struct exit_kind exit_kinds[];	/* ended by a NULL name */
void	machine_put(char c);
uint64_t clock_now(void);			/* in units that are the same whatever the kernel runs on */
void	machine_end(void) __attribute__((noreturn));

/* The kernel's part: called on a stack with interrupts off. */
void	kernel(const void *boot) __attribute__((noreturn));

#endif /* _EXITS_H_ */
