/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo_pc.c - a PC for echo.c, which starts by multiboot: COM1, the power button and soft off in the ACPI PM1 registers (ACPI 6.4 section 4.8.3) where
 * hyve's tables say they are, the reset register of the chipset.
 */
#include <stdint.h>

#include "echo.h"
#include "pc.h"

#define	PM1_STS		0x600
#define	PM1_CNT		0x604
#define	PWRBTN		0x0100
#define	SLP_EN		0x2000		/* with SLP_TYP 0 for S5 */
#define	RESET		0xcf9

void
machine_init(void)
{
	outb(COM1 + 2, 7);		/* FIFOs */
}

void
machine_put(char c)
{
	com1_put(c);
}

int
machine_get(void)
{
	return ((inb(COM1 + 5) & 1) != 0 ? inb(COM1) : -1);
}

bool
machine_button(void)
{
	if ((inw(PM1_STS) & PWRBTN) == 0)
		return (false);
	outw(PM1_STS, PWRBTN);
	return (true);
}

void
machine_off(void)
{
	outw(PM1_CNT, SLP_EN);
}

void
machine_reset(void)
{
	outb(RESET, 6);
}
