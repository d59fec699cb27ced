/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core_amd64_none.c - the amd64 core of the software back end on hosts that it is not made for: it says so.
 */
#include <errno.h>

#include "soft.h"

static int
core_probe(void)
{
	return (vm_fail(ENOTSUP,
	    "soft: amd64 guests need an amd64 host: their memory order and 80-bit "
	    "floating point are not modelled on others yet"));
}

const struct soft_core soft_core_amd64 = {
	.arch = VM_ARCH_AMD64,
	.probe = core_probe,
};
