/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - the guest's memory as the vCPU that is looked at sees it: RAM, and memory of devices as flash and ROMs.  Registers of devices are left
 * alone, as a look at them may change them.
 */
#include "gdb_internal.h"

#define	PAGE_LEFT(addr)	(VM_PAGE_SIZE - ((addr) & (VM_PAGE_SIZE - 1)))

/* Is the page of gpa memory? */
static bool
is_memory(struct gdb *g, vm_paddr_t gpa)
{
	vm_paddr_t at = 0;
	vm_ooffset_t segoff;
	int segid, prot, flags;
	size_t len = 0;

	while (vm_mmap_getnext(g->vm, &at, &segid, &segoff, &len, &prot, &flags) == 0 && at <= gpa) {
		if (gpa - at < len)
			return (true);
		at += len;
	}
	return (false);
}

/* Bytes of [addr, addr + len) from its beginning that are in one page of memory, 0 if there is none; *gpa is where. */
static size_t
piece(struct gdb *g, uint64_t addr, size_t len, vm_paddr_t *gpa)
{
	int fault = 0;

	*gpa = addr;
	/* Debuggers write to code: what the guest may write is no matter. */
	if (!g->physical && (vm_gva2gpa(g->cpus[g->cpu_g].vcpu, addr, VM_PROT_READ, gpa, &fault) != 0 || fault != 0))
		return (0);
	if (!is_memory(g, *gpa))
		return (0);
	return (len < PAGE_LEFT(addr) ? len : PAGE_LEFT(addr));
}

size_t
gdb_mem_read(struct gdb *g, uint64_t addr, void *buf, size_t len)
{
	uint8_t *out = buf;
	size_t done = 0, n;
	uint64_t val = 0;
	vm_paddr_t gpa;

	while (done < len && (n = piece(g, addr + done, len - done, &gpa)) != 0) {
		if (vm_gpa_read(g->vm, gpa, out + done, n) != 0) {
			for (size_t i = 0; i < n; i++) {
				if (vm_access(g->vm, VM_SPACE_MEM, gpa + i, 1, false, &val) != 0)
					return (done + i);
				out[done + i] = (uint8_t)val;
			}
		}
		done += n;
	}
	return (done);
}

/* What the guest cannot write, a ROM, is not written here either. */
size_t
gdb_mem_write(struct gdb *g, uint64_t addr, const void *buf, size_t len)
{
	const uint8_t *in = buf;
	size_t done = 0, n;
	vm_paddr_t gpa;

	while (done < len && (n = piece(g, addr + done, len - done, &gpa)) != 0) {
		if (vm_gpa_write(g->vm, gpa, in + done, n) != 0)
			break;
		done += n;
	}
	return (done);
}
