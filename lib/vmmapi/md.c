/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md.c - the list of guest architectures.
 */
#include "internal.h"

static const struct md_ops *const architectures[] = {
	&md_amd64,
	&md_arm64,
};

const struct md_ops *
md_lookup(enum vm_arch arch)
{
	for (size_t i = 0; i < nitems(architectures); i++) {
		if (architectures[i]->arch == arch)
			return (architectures[i]);
	}
	return (NULL);
}

const char *
vm_arch_name(enum vm_arch arch)
{
	const struct md_ops *md = md_lookup(arch);

	return (md == NULL ? NULL : md->name);
}
