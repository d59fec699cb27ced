/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo.h - between the kernel that answers on its console (echo.c) and the machine that it runs on (echo_pc.c, echo_virt.c).
 */
#ifndef _ECHO_H_
#define	_ECHO_H_

#include <stdbool.h>

/* The machine's part. */

void	machine_init(void);
void	machine_put(char c);
/* What came on the console, -1 if nothing did. */
int	machine_get(void);
/* Whether the power button has been pressed since the last time. */
bool	machine_button(void);
void	machine_off(void);
void	machine_reset(void);

/* The kernel's part: called on a stack with interrupts off. */
void	kernel(const void *boot) __attribute__((noreturn));

#endif /* _ECHO_H_ */
