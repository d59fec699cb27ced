/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * least.c - the least that runs a kernel on KVM: memory, one vCPU, the kernel's controllers, a serial port that only sends.  bench/kvm.py compares
 * hyve with it.
 *
 * usage: kvm_least MIB KERNEL
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "least.h"

void
least_die(const char *what)
{
	fprintf(stderr, "kvm_least: %s: %s\n", what, strerror(errno));
	exit(1);
}

void
least_ioctl(int fd, unsigned long request, const void *arg, const char *what)
{
	if (ioctl(fd, request, arg) < 0)
		least_die(what);
}

void
least_put(uint8_t c)
{
	if (write(STDOUT_FILENO, &c, 1) != 1)
		exit(1);
}

static void
memory(struct least *l)
{
	struct kvm_userspace_memory_region region = { .guest_phys_addr = least_ram_at, .memory_size = l->ram_len };

	l->ram_at = least_ram_at;
	l->ram = mmap(NULL, l->ram_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (l->ram == MAP_FAILED)
		least_die("memory");
	region.userspace_addr = (uintptr_t)l->ram;
	least_ioctl(l->vm, KVM_SET_USER_MEMORY_REGION, &region, "the memory's slot");
}

static void
load(struct least *l, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *image;

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size < 64)
		least_die(path);
	image = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image == MAP_FAILED)
		least_die(path);
	close(fd);
	least_cpu(l, image, (size_t)st.st_size);
	munmap(image, (size_t)st.st_size);
}

int
main(int argc, char **argv)
{
	struct least l;

	if (argc != 3) {
		fprintf(stderr, "usage: kvm_least MIB KERNEL\n");
		return (1);
	}
	l.ram_len = (size_t)strtoul(argv[1], NULL, 10) << 20;
	l.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (l.kvm < 0)
		least_die("/dev/kvm");
	l.vm = ioctl(l.kvm, KVM_CREATE_VM, 0UL);
	if (l.vm < 0)
		least_die("a virtual machine");
	memory(&l);
	least_vm(&l);
	l.cpu = ioctl(l.vm, KVM_CREATE_VCPU, 0UL);
	if (l.cpu < 0)
		least_die("a vCPU");
	l.run = mmap(NULL, (size_t)ioctl(l.kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, l.cpu, 0);
	if (l.run == MAP_FAILED)
		least_die("the vCPU's page");
	load(&l, argv[2]);
	for (;;) {
		if (ioctl(l.cpu, KVM_RUN, 0) != 0) {
			if (errno != EINTR)
				least_die("running");
		} else if (l.run->exit_reason == KVM_EXIT_IO || l.run->exit_reason == KVM_EXIT_MMIO)
			least_access(l.run);
		else {
			fprintf(stderr, "kvm_least: exit %u\n", l.run->exit_reason);
			return (1);
		}
	}
}
