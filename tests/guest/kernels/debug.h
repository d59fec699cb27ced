/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug.h - between debug.c and the machine that it runs on (debug_pc.c, debug_virt.c).
 */
#ifndef _DEBUG_H_
#define	_DEBUG_H_

#include <stdint.h>

/* What the second processor counts, over and over, at the label second_step. */
extern volatile uint64_t second_counter;

void	kernel(const void *boot) __attribute__((noreturn));
void	machine_put(char c);
/* Start the second processor. */
void	machine_second(void);
/* Power off, or what leads to the same status of hyve; 2: reset. */
void	machine_end(uint64_t how) __attribute__((noreturn));

#endif /* _DEBUG_H_ */
