/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_rundir.c - the run directory of a named VM with anything in its header and first state page.
 *
 * An input is a sequence of changes to a good state file, 6 bytes each: where (2 bytes, in units of
 * 4 bytes) and what (4 bytes).  Whoever opens the VM gets a sentence or a VM whose every call
 * works.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>

#include "fuzz.h"

#define	GOOD	32768		/* bytes of the file that are changed: the header and vCPU 0 */

static char dir[64], path[96];
static uint8_t good[GOOD];

static void
clean(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf -- %s", dir);
	if (system(cmd) != 0)
		perror(dir);
}

static void
make(void)
{
	struct vmctx *ctx;
	int fd;

	if (dir[0] == '\0') {
		snprintf(dir, sizeof(dir), "/tmp/hyve-fuzz.XXXXXX");
		if (mkdtemp(dir) == NULL)
			abort();
		atexit(clean);
		setenv("HYVE_RUNDIR", dir, 1);
		snprintf(path, sizeof(path), "%s/v/state", dir);
	}
	if (vm_create("v") != 0 || (ctx = vm_open("v")) == NULL || vm_setup_memory(ctx, 1 << 20, VM_MMAP_ALL) != 0 ||
	    vm_create_devmem(ctx, VM_BOOTROM, "rom", 8192) == (void *)-1 ||
	    vm_mmap_memseg(ctx, 0xffffe000, VM_BOOTROM, 0, 8192, VM_PROT_READ) != 0 || vm_vcpu_open(ctx, 0) == NULL)
		abort();
	vm_close(ctx);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, good, sizeof(good)) != (ssize_t)sizeof(good))
		abort();
	close(fd);
}

/* Everything a loader or a VMM does with a VM it finds. */
static void
use(struct vmctx *ctx)
{
	struct vm_layout layout;
	struct vcpu *vcpu;
	vm_paddr_t gpa = 0;
	vm_ooffset_t off;
	int segid, prot, flags, val;
	uint64_t reg;
	size_t len;

	(void)vm_get_layout(ctx, &layout);
	(void)vm_setup_memory(ctx, 1 << 20, VM_MMAP_ALL);
	while (vm_mmap_getnext(ctx, &gpa, &segid, &off, &len, &prot, &flags) == 0) {
		(void)vm_access(ctx, VM_SPACE_MEM, gpa, 4, false, &reg);
		(void)vm_access(ctx, VM_SPACE_MEM, gpa + len - 4, 4, true, &reg);
		if (gpa + len < gpa)
			abort();
		gpa += len;
	}
	if (vm_map_gpa(ctx, 0, 4096) != NULL)
		memset(vm_map_gpa(ctx, 0, 4096), 1, 4096);
	for (int i = 0; i < VM_MAX_MEMSEGS; i++)
		(void)vm_get_memseg(ctx, i, &len, NULL, 0);
	vcpu = vm_vcpu_open(ctx, 0);
	if (vcpu != NULL) {
		for (int i = VM_AMD64_REG_FIRST; i < VM_ARM64_REG_LAST; i++)
			(void)vm_get_register(vcpu, i, &reg);
		(void)vm_gva2gpa(vcpu, 0x123456789abcULL, VM_PROT_READ, &gpa, &val);
		(void)vm_gva2gpa(vcpu, 0x1000, VM_PROT_WRITE, &gpa, &val);
		(void)vm_get_capability(vcpu, VM_CAP_HALT_EXIT, &val);
		(void)vm_vcpu_reset(vcpu);
	}
	(void)vm_reinit(ctx);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmctx *ctx;
	uint8_t page[GOOD];
	char mem[96];
	size_t at;
	int fd;

	if (dir[0] == '\0')
		make();
	memcpy(page, good, sizeof(page));
	for (size_t i = 0; i + 6 <= size; i += 6) {
		at = 4 * (size_t)(data[i] | data[i + 1] << 8) % GOOD;
		memcpy(page + at, data + i + 2, 4);
	}
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, page, sizeof(page)) != (ssize_t)sizeof(page))
		abort();
	close(fd);
	/* as long as it was, with whatever in it */
	snprintf(mem, sizeof(mem), "%s/v/mem", dir);
	if (truncate(mem, 6 << 20) != 0)
		abort();
	ctx = vm_open("v");
	if (ctx != NULL) {
		use(ctx);
		vm_close(ctx);
	} else if (vm_errmsg()[0] == '\0')
		abort();
	/* it may have been one that is destroyed at its close */
	if (access(path, F_OK) != 0)
		make();
	return (0);
}

/* A change of nothing, and of each of the first words to a few values. */
size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const uint32_t values[] = { 0, 1, 0xffffffff, 0x80000000, 0x1000 };
	unsigned word = n / 5;

	if (word >= 700 || max < 6)
		return (0);
	if (dir[0] == '\0')
		make();
	buf[0] = (uint8_t)word;
	buf[1] = (uint8_t)(word >> 8);
	memcpy(buf + 2, &values[n % 5], 4);
	return (6);
}
