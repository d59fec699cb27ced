/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * least_arm64.c - least.c on arm64: a kernel as Linux' Image is, at 2 MiB of memory, and a GICv3.
 */
#include <sys/ioctl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "least.h"

#define	UART		0x09000000UL
#define	GICD		0x08000000UL
#define	GICR		0x080a0000UL
#define	IMAGE		0x200000UL
#define	CORE_PC		(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(regs.pc))

const uint64_t least_ram_at = 0x40000000;

static int gic;

static void
gic_attr(uint32_t group, uint64_t attr, const void *value)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)value };

	least_ioctl(gic, KVM_SET_DEVICE_ATTR, &a, "the GIC");
}

void
least_vm(struct least *l)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	uint64_t dist = GICD, redist = GICR;

	least_ioctl(l->vm, KVM_CREATE_DEVICE, &d, "a GIC");
	gic = (int)d.fd;
	gic_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist);
	gic_attr(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist);
}

void
least_cpu(struct least *l, const uint8_t *image, size_t len)
{
	uint64_t pc = least_ram_at + IMAGE;
	struct kvm_one_reg reg = { .id = CORE_PC, .addr = (uintptr_t)&pc };
	struct kvm_vcpu_init init;

	if (len > l->ram_len - IMAGE) {
		fprintf(stderr, "kvm_least: the kernel has no room\n");
		exit(1);
	}
	memcpy(l->ram + IMAGE, image, len);
	least_ioctl(l->vm, KVM_ARM_PREFERRED_TARGET, &init, "a processor");
	init.features[0] |= 1U << KVM_ARM_VCPU_PSCI_0_2;
	least_ioctl(l->cpu, KVM_ARM_VCPU_INIT, &init, "a processor");
	gic_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	least_ioctl(l->cpu, KVM_SET_ONE_REG, &reg, "the program counter");
}

void
least_access(struct kvm_run *run)
{
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
	else if (run->mmio.phys_addr == UART)
		least_put(run->mmio.data[0]);
}
