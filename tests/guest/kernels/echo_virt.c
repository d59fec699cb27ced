/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo_virt.c - the arm64 machine virt for echo.c, which starts as Linux' Image does: PL011, the power button on line 3 of the PL061, PSCI (1.1 section
 * 5.10 and 5.11).
 */
#include <stdint.h>

#include "echo.h"

#define	UART		0x09000000UL
#define	GPIO		0x09030000UL
#define	BUTTON		0x08U		/* line 3 */
#define	SYSTEM_OFF	0x84000008UL
#define	SYSTEM_RESET	0x84000009UL

static inline uint32_t
rd(uintptr_t addr)
{
	return (*(volatile uint32_t *)addr);
}

static inline void
wr(uintptr_t addr, uint32_t v)
{
	*(volatile uint32_t *)addr = v;
}

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
	while ((rd(UART + 0x18) & 0x20) != 0)	/* TXFF */
		;
	wr(UART, (uint8_t)c);
}

int
machine_get(void)
{
	return ((rd(UART + 0x18) & 0x10) == 0 ? (int)(rd(UART) & 0xff) : -1);	/* RXFE */
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
