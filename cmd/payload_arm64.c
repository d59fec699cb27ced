/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload_arm64.c - arm64 payloads start at EL1 on SP_EL1, MMU off, interrupts masked, with the
 * stack below the image.
 */
#include <vmmapi/arm64.h>

#include "payload.h"

#define	PSTATE_DAIF	0x3c0U
#define	PSTATE_EL1H	0x5U

static int
enter(struct vmctx *vm, struct vcpu *vcpu, vm_paddr_t pc)
{
	static const int regs[] = { VM_ARM64_REG_PC, VM_ARM64_REG_SP_EL1, VM_ARM64_REG_PSTATE };
	const uint64_t vals[] = { pc, pc, PSTATE_DAIF | PSTATE_EL1H };

	return (vm_set_register_set(vcpu, sizeof(regs) / sizeof(regs[0]), regs, vals));
}

const struct payload_machine payload_arm64 = {
	.arch = VM_ARCH_ARM64,
	.at = 0x40080000,
	.space = VM_SPACE_MEM,
	.uart = 0x09000000,
	.uart_line = 1,
	.exit = 0x09ff0000,
	.enter = enter,
};
