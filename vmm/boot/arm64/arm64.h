/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64.h - what the boot protocols of arm64 share: the devicetree, the initrd, the state at entry.
 *
 * "The kernel" is Linux' Documentation/arch/arm64/booting.rst, whose rules the protocol without a header follows too.
 */
#ifndef _HYVE_BOOT_ARM64_H_
#define	_HYVE_BOOT_ARM64_H_

#include "../boot.h"

#define	ARM64_RAM_ALIGN	(2ULL << 20)	/* of what a kernel maps: 2 MiB */

/* The first address of RAM; 0 with a sentence if there is none. */
uint64_t arm64_ram_base(const struct boot_spec *spec);

/*
 * What follows once the kernel is in [start, end): put the initrd and the devicetree, which is at dtb and has room bytes there, into
 * RAM, and vCPU 0 at start.  dtb 0: at a place behind the kernel.  -1 with a sentence.
 */
int	arm64_enter(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec, uint64_t start, uint64_t end, uint64_t dtb,
	    uint64_t room);

#endif /* _HYVE_BOOT_ARM64_H_ */
