/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exits_virt.c - the arm64 machine virt for exits.c: registers that nothing happens by.
 */
#include "exits.h"
#include "virt.h"

#define	GICD_TYPER	0x08000004UL
#define	PSCI_VERSION	0x84000000UL

/* PL011: flags; interrupt clear. */
static void
memory_read(void)
{
	(void)rd(UART_FLAGS);
}

static void
memory_write(void)
{
	wr(UART + 0x44, 0);
}

static void
distributor(void)
{
	(void)rd(GICD_TYPER);
}

static void
hypercall(void)
{
	register uint64_t x0 __asm__("x0") = PSCI_VERSION;

	__asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
}

const struct exit_kind exit_kinds[] = {
	{ "memory-read", memory_read }, { "memory-write", memory_write }, { "distributor", distributor }, { "hypercall", hypercall }, { 0, 0 },
};

void
machine_put(char c)
{
	uart_put(c);
}

uint64_t
clock_now(void)
{
	uint64_t v;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v) : : "memory");
	return (v);
}

void
machine_end(void)
{
	for (;;)
		__asm__ volatile("wfi");
}
