/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hugepages.c - RAM in pages that the host's administrator has put aside (hugetlb), in a memory file of its own.
 *
 * They are asked for when RAM is mapped, all at once, so that a guest never finds that there are not enough.
 */
#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "rundir.h"

#ifndef MFD_HUGE_SHIFT
#define	MFD_HUGE_SHIFT	26
#endif

size_t
huge_size(const struct vmctx *vm)
{
	if ((vm->memflags & VM_MEM_F_HUGE_1G) != 0)
		return ((size_t)1 << 30);
	return ((vm->memflags & VM_MEM_F_HUGE_2M) != 0 ? (size_t)2 << 20 : 0);
}

static const char *
huge_name(const struct vmctx *vm)
{
	return ((vm->memflags & VM_MEM_F_HUGE_1G) != 0 ? "1 GiB" : "2 MiB");
}

/* A file of the host's about these pages: its number, -1 if there is none. */
static long long
huge_count(const struct vmctx *vm, const char *what)
{
	char path[128], text[32];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%zukB/%s", huge_size(vm) >> 10, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		(void)close(fd);
	}
	if (n <= 0)
		return (-1);
	text[n] = '\0';
	return (strtoll(text, NULL, 10));
}

int
huge_none(struct vmctx *vm, int error)
{
	long long have = huge_count(vm, "free_hugepages"), all = huge_count(vm, "nr_hugepages");
	long long need = (long long)(vm->segs[VM_SYSMEM].len / huge_size(vm));

	if (have < 0)
		return (vm_fail(error, "vm '%s': RAM in pages of %s: this host has no such pages", vm->name, huge_name(vm)));
	return (vm_fail(error, "vm '%s': RAM in pages of %s: %lld are needed, and %lld are free: as root, echo %lld "
	    ">/sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages puts enough aside, if the host has them in one piece", vm->name,
	    huge_name(vm), need, have, all + (need > have ? need - have : 0), huge_size(vm) >> 10));
}

int
huge_create(struct vmctx *vm, size_t len)
{
	size_t size = huge_size(vm);
	unsigned shift = (unsigned)__builtin_ctzl(size);

	if (!vm->rd->anon)
		return (vm_fail(ENOTSUP, "vm '%s': RAM in pages of %s is for VMs whose memory has no name for loaders", vm->name, huge_name(vm)));
	if ((vm->flags & VM_SPEC_CHECK_WRITES) != 0)
		return (vm_fail(ENOTSUP, "vm '%s': RAM in pages of %s: writes to it cannot be checked", vm->name, huge_name(vm)));
	for (unsigned i = 0; i < vm->nram; i++) {
		const struct ram_range *r = &vm->ram[i];

		if (((r->gpa | r->len | r->segoff) & (size - 1)) != 0)
			return (vm_fail(EINVAL, "vm '%s': RAM in pages of %s: %zu MiB at 0x%jx are not a multiple of them", vm->name,
			    huge_name(vm), r->len >> 20, (uintmax_t)r->gpa));
	}
	vm->hugefd = memfd_create("hyve-ram", MFD_CLOEXEC | MFD_HUGETLB | shift << MFD_HUGE_SHIFT);
	if (vm->hugefd >= 0 && ftruncate(vm->hugefd, (off_t)len) == 0)
		return (0);
	return (vm_fail_sys(errno, "vm '%s': RAM in pages of %s: this host has no such pages", vm->name, huge_name(vm)));
}

void
huge_close(struct vmctx *vm)
{
	if (vm->hugefd >= 0)
		(void)close(vm->hugefd);
	vm->hugefd = -1;
}
