/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exits_pc.c - a PC for exits.c: registers that every PC has and that nothing happens by.
 */
#include "exits.h"
#include "mmio.h"
#include "pc.h"

#define	POST		0x80		/* where firmware says how far it is */
#define	KBD_STATUS	0x64
#define	HPET		0xfed00000U
#define	HPET_COUNTER	0xf0
#define	LAPIC_ID	0xfee00020U

static void
port_read(void)
{
	(void)inb(KBD_STATUS);
}

static void
port_write(void)
{
	outb(POST, 0);
}

static void
memory_read(void)
{
	(void)rd(HPET + HPET_COUNTER);
}

/* The capabilities' register, which cannot be written. */
static void
memory_write(void)
{
	wr(HPET, 0);
}

static void
local_apic(void)
{
	(void)rd(LAPIC_ID);
}

static void
cpuid(void)
{
	uint32_t a = 0, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

const struct exit_kind exit_kinds[] = {
	{ "port-read", port_read }, { "port-write", port_write }, { "memory-read", memory_read }, { "memory-write", memory_write },
	{ "local-apic", local_apic }, { "cpuid", cpuid }, { 0, 0 },
};

void
machine_put(char c)
{
	com1_put(c);
}

uint64_t
clock_now(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return ((uint64_t)high << 32 | low);
}

void
machine_end(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}
