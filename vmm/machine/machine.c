/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - the list of machines.
 */
#include <errno.h>

#include "../error.h"
#include "machine.h"

static const struct machine_class *const machines[] = { &machine_pc };

int
machine_declare(struct config *cfg)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (machines[i]->declare(cfg) != 0)
			return (-1);
	}
	return (0);
}

const struct machine_class *
machine_find(enum vm_arch arch)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (machines[i]->arch == arch)
			return (machines[i]);
	}
	return (vmm_fail_null(ENOTSUP, "there is no machine for %s guests yet", vm_arch_name(arch)));
}
