/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug.c - a kernel for a debugger: it counts, on two processors, until somebody who looks at it sets `finish'.
 */
#include <stdint.h>

#include "debug.h"

volatile uint64_t counter, watched, finish;
volatile uint64_t second_counter;
uint64_t table[4] = { 11, 22, 33, 44 };
char text[] = "what a debugger reads";

/* Every time round. */
__attribute__((noinline)) void
hot(uint64_t n)
{
	counter = n;
}

/* Once in a while. */
__attribute__((noinline)) void
rare(uint64_t n)
{
	watched += table[n & 3];
}

/* No part of kernel(), whose first line a debugger stops at, whatever compiler it is. */
static __attribute__((noinline)) void
print(const char *s)
{
	while (*s != '\0')
		machine_put(*s++);
}

void
kernel(const void *boot)
{
	(void)boot;
	print("ready\n");
	machine_second();
	for (uint64_t n = 1; finish == 0; n++) {
		hot(n);
		if (n % 1024 == 0)
			rare(n / 1024);
	}
	print(finish == 1 ? "end\n" : "reset\n");
	machine_end(finish);
}
