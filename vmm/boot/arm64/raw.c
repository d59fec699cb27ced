/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw.c - a position-independent arm64 image without a header, as boot loaders and small kernels are: it starts with its first byte,
 * 512 KiB into RAM, with the devicetree at the start of RAM and its address in X0.
 *
 * No file says that it is one, so it has to be asked for.
 */
#include <string.h>

#include "../../error.h"
#include "arm64.h"

#define	OFFSET	0x80000U

static int
load(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec)
{
	const struct boot_file *f = &spec->kernel;
	uint64_t base = arm64_ram_base(spec);
	void *to = base != 0 ? boot_ram(vm, spec, base + OFFSET, f->len, "the image") : NULL;

	if (to == NULL)
		return (-1);
	memcpy(to, f->data, f->len);
	return (arm64_enter(vm, vcpu, spec, base + OFFSET, base + OFFSET + f->len, base, OFFSET));
}

const struct boot_protocol boot_raw_arm64 = {
	.name = "raw",
	.doc = "position-independent image",
	.arch = VM_ARCH_ARM64,
	.load = load,
};
