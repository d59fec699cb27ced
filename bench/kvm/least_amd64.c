/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * least_amd64.c - least.c on amd64: a kernel as multiboot has it, an ELF file of 32 bits, entered in flat protected mode.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "least.h"

#define	COM1		0x3f8
#define	CPUIDS		256
#define	TSS		0xfffbd000UL	/* three pages that nothing else is at */

const uint64_t least_ram_at = 0;

void
least_vm(struct least *l)
{
	struct kvm_pit_config pit = { 0 };

	least_ioctl(l->vm, KVM_SET_TSS_ADDR, (const void *)TSS, "a place for its task state");
	least_ioctl(l->vm, KVM_CREATE_IRQCHIP, NULL, "interrupt controllers");
	least_ioctl(l->vm, KVM_CREATE_PIT2, &pit, "the 8254");
}

/* The entry point. */
static uint32_t
load_elf(struct least *l, const uint8_t *image, size_t len)
{
	Elf32_Ehdr e;
	Elf32_Phdr p;

	memcpy(&e, image, sizeof(e));
	for (unsigned i = 0; i < e.e_phnum; i++) {
		size_t at = e.e_phoff + i * sizeof(p);

		if (at + sizeof(p) > len)
			break;
		memcpy(&p, image + at, sizeof(p));
		if (p.p_type != PT_LOAD)
			continue;
		if ((uint64_t)p.p_offset + p.p_filesz > len || (uint64_t)p.p_paddr + p.p_memsz > l->ram_len) {
			fprintf(stderr, "kvm_least: the kernel has no room\n");
			exit(1);
		}
		memcpy(l->ram + p.p_paddr, image + p.p_offset, p.p_filesz);
	}
	return (e.e_entry);
}

static void
features(struct least *l)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + CPUIDS * sizeof(c->entries[0]));

	if (c == NULL)
		least_die("features");
	c->nent = CPUIDS;
	least_ioctl(l->kvm, KVM_GET_SUPPORTED_CPUID, c, "features");
	least_ioctl(l->cpu, KVM_SET_CPUID2, c, "features");
	free(c);
}

void
least_cpu(struct least *l, const uint8_t *image, size_t len)
{
	const struct kvm_segment flat = { .limit = 0xffffffff, .present = 1, .s = 1, .g = 1, .db = 1, .type = 3, .selector = 0x10 };
	struct kvm_regs regs = { .rflags = 2, .rip = load_elf(l, image, len), .rax = 0x2badb002 };
	struct kvm_sregs sregs;

	features(l);
	least_ioctl(l->cpu, KVM_GET_SREGS, &sregs, "registers");
	sregs.cs = sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
	sregs.cs.type = 0xb;
	sregs.cs.selector = 8;
	sregs.cr0 = 0x11;		/* PE, ET */
	least_ioctl(l->cpu, KVM_SET_SREGS, &sregs, "registers");
	least_ioctl(l->cpu, KVM_SET_REGS, &regs, "registers");
}

void
least_access(struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	if (run->exit_reason == KVM_EXIT_MMIO) {
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
		return;
	}
	if (run->io.direction == KVM_EXIT_IO_IN)
		memset(data, run->io.port == COM1 + 5 ? 0x20 : 0, run->io.size);
	else if (run->io.port == COM1)
		least_put(*data);
}
