/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.h - the machine that a flat payload runs on: per architecture where things are and
 * how the first vCPU starts.
 */
#ifndef _HYVE_PAYLOAD_H_
#define	_HYVE_PAYLOAD_H_

#include <vmmapi.h>

struct payload_machine {
	enum vm_arch	 arch;
	vm_paddr_t	 at;		/* load and start address unless --at says another */
	enum vm_space	 space;		/* of the two devices */
	uint64_t	 uart;
	unsigned	 uart_line;
	uint64_t	 exit;		/* one byte written here ends the run */
	vm_paddr_t	 reserved, reserved_end;	/* the image may not cover this */
	/* Put the vCPU where the payload starts.  -1 with a sentence in vm_errmsg(). */
	int		(*enter)(struct vmctx *vm, struct vcpu *vcpu, vm_paddr_t pc);
};

extern const struct payload_machine payload_amd64, payload_arm64;

#endif /* _HYVE_PAYLOAD_H_ */
