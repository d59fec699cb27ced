/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo_virt.c - the arm64 machine virt for echo.c, which starts as Linux' Image does: PL011, the power button on line 3 of the PL061, PSCI (1.1 section
 * 5.10 and 5.11).
 */
#include "echo.h"
#include "virt.h"

#define	GPIO		0x09030000UL
#define	BUTTON		0x08U		/* line 3 */
#define	SYSTEM_OFF	0x84000008UL
#define	SYSTEM_RESET	0x84000009UL

/* PL011: UARTCR enables it all.  PL061: GPIOIEV and GPIORIS see rising edges, whether or not they interrupt. */
void
machine_init(void)
{
	wr(UART + 0x30, 0x301);
	wr(GPIO + 0x40c, BUTTON);
	wr(GPIO + 0x41c, BUTTON);
}

void
machine_put(char c)
{
	uart_put(c);
}

int
machine_get(void)
{
	return ((rd(UART_FLAGS) & UART_RXFE) == 0 ? (int)(rd(UART) & 0xff) : -1);
}

bool
machine_button(void)
{
	if ((rd(GPIO + 0x414) & BUTTON) == 0)
		return (false);
	wr(GPIO + 0x41c, BUTTON);
	return (true);
}

static void
psci(unsigned long function)
{
	register uint64_t x0 __asm__("x0") = function;

	__asm__ volatile("hvc #0" : "+r"(x0) : : "memory");
}

void
machine_off(void)
{
	psci(SYSTEM_OFF);
}

void
machine_reset(void)
{
	psci(SYSTEM_RESET);
}
