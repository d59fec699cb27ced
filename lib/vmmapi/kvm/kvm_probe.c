/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_probe.c - can KVM run guests here, and does it at hardware speed?
 *
 * A /dev/kvm without hardware virtualization beneath emulates supervisor code a thousand times
 * slower than the processor runs it.  A guest of two instructions tells: it counts down, first a
 * little way, then as far as a timer can tell speeds apart.  All of it takes a few milliseconds,
 * and is cut short on the slow ones.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvm_irq.h"

#define	DEVICE		"/dev/kvm"
#define	FAST_MIPS	50		/* slower is not the hardware's speed */
#define	SHORT_STEPS	500U		/* of two instructions each */
#define	LONG_STEPS	20000U
#define	SHORT_NS	200000U		/* 5 MIPS: further measuring is in vain */
#define	BUDGET_NS	15000000U	/* no new attempt after this */

/* What kvm.c, kvm_irq.c need of every host. */
static const struct kvm_need needs[] = {
	{ KVM_CAP_USER_MEMORY, "user memory" },
	{ KVM_CAP_READONLY_MEM, "read-only memory" },
	{ KVM_CAP_MP_STATE, "run states" },
	{ KVM_CAP_IRQ_ROUTING, "interrupt routing" },
	{ KVM_CAP_IRQFD, "interrupts from eventfds" },
	{ KVM_CAP_IOEVENTFD, "eventfds for writes" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exits" },
	{ 0, NULL }
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec);
}

/* The probe guest. */
struct guest {
	int		 vmfd, vcpufd;
	struct kvm_run	*run;
	size_t		 runlen;
	uint8_t		*page;
};

static void
guest_close(struct guest *g)
{
	if (g->run != NULL)
		(void)munmap(g->run, g->runlen);
	if (g->vcpufd >= 0)
		(void)close(g->vcpufd);
	if (g->vmfd >= 0)
		(void)close(g->vmfd);
	if (g->page != NULL)
		(void)munmap(g->page, VM_PAGE_SIZE);
}

static int
guest_open(int kvmfd, struct guest *g)
{
	struct kvm_userspace_memory_region r = { .slot = 0, .guest_phys_addr = 0, .memory_size = VM_PAGE_SIZE };
	void *p;
	int n;

	*g = (struct guest){ .vmfd = -1, .vcpufd = -1 };
	p = mmap(NULL, VM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return (-1);
	g->page = p;
	r.userspace_addr = (uintptr_t)p;
	n = ioctl(kvmfd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (n < (int)sizeof(struct kvm_run))
		return (-1);
	g->runlen = (size_t)n;
	g->vmfd = ioctl(kvmfd, KVM_CREATE_VM, kvm_md_vm_type(kvmfd));
	if (g->vmfd < 0 || kvm_ioctl(g->vmfd, KVM_SET_USER_MEMORY_REGION, &r) != 0)
		return (-1);
	g->vcpufd = ioctl(g->vmfd, KVM_CREATE_VCPU, 0UL);
	if (g->vcpufd < 0)
		return (-1);
	p = mmap(NULL, g->runlen, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpufd, 0);
	if (p == MAP_FAILED)
		return (-1);
	g->run = p;
	return (0);
}

/* Nanoseconds that n steps take, UINT64_MAX if they do not end where they should. */
static uint64_t
guest_time(struct guest *g, uint32_t n)
{
	uint64_t start;
	int r;

	if (kvm_md_probe_load(g->vmfd, g->vcpufd, g->page, n) != 0)
		return (UINT64_MAX);
	start = now_ns();
	do {
		r = ioctl(g->vcpufd, KVM_RUN, 0);
	} while (r < 0 && (errno == EINTR || errno == EAGAIN));
	if (r < 0 || (g->run->exit_reason != KVM_EXIT_IO && g->run->exit_reason != KVM_EXIT_MMIO))
		return (UINT64_MAX);
	return (now_ns() - start);
}

/* Instructions per microsecond, as the best of a few attempts has it; 0: it does not run at all. */
static uint64_t
guest_mips(struct guest *g)
{
	uint64_t begin = now_ns(), best = UINT64_MAX, ns, mips;

	/* The first run pays for page tables and caches. */
	for (int i = 0; i < 3 && now_ns() - begin < BUDGET_NS; i++) {
		ns = guest_time(g, SHORT_STEPS);
		if (ns < best)
			best = ns;
	}
	if (best == UINT64_MAX)
		return (0);
	mips = 2 * SHORT_STEPS * UINT64_C(1000) / (best + 1);
	if (best > SHORT_NS)
		return (mips == 0 ? 1 : mips);
	for (int i = 0; i < 3 && now_ns() - begin < BUDGET_NS; i++) {
		ns = guest_time(g, LONG_STEPS);
		if (ns == UINT64_MAX)
			return (0);
		if (2 * LONG_STEPS * UINT64_C(1000) / (ns + 1) > mips)
			mips = 2 * LONG_STEPS * UINT64_C(1000) / (ns + 1);
		if (mips >= FAST_MIPS)
			break;
	}
	return (mips == 0 ? 1 : mips);
}

static int
probe_speed(int kvmfd)
{
	struct guest g;
	uint64_t mips;
	int error = 0;

	if (guest_open(kvmfd, &g) != 0)
		error = vm_fail_sys(ENOTSUP, "kvm: a probe guest cannot be made (%s)", strerror(errno));
	else {
		mips = guest_mips(&g);
		if (mips == 0)
			error = vm_fail(ENOTSUP, "kvm: /dev/kvm does not run a probe guest");
		else if (mips < FAST_MIPS)
			error = vm_fail(ENOTSUP,
			    "kvm: /dev/kvm emulates, at about %llu million instructions a second (accel=kvm "
			    "takes it all the same)",
			    (unsigned long long)mips);
	}
	guest_close(&g);
	return (error);
}

static int
probe_needs(int kvmfd, const struct kvm_need *need)
{
	for (; need->name != NULL; need++) {
		if (ioctl(kvmfd, KVM_CHECK_EXTENSION, need->cap) <= 0)
			return (vm_fail(ENOTSUP, "kvm: the kernel's KVM lacks %s", need->name));
	}
	return (0);
}

/* The device may not be opened: whom its mode lets in. */
static int
not_permitted(const char *path)
{
	struct group grp, *g = NULL;
	struct stat st;
	char buf[2048];

	if (stat(path, &st) != 0 || (st.st_mode & 0777) == 0666)
		return (vm_fail(EACCES, "kvm: %s may not be opened: something else than its mode forbids it (a container, a security module)", path));
	(void)getgrgid_r(st.st_gid, &grp, buf, sizeof(buf), &g);
	if ((st.st_mode & 0060) == 0060 && st.st_gid != 0) {
		if (g != NULL)
			return (vm_fail(EACCES, "kvm: %s may not be opened: membership in the group '%s' would give access", path, g->gr_name));
		return (vm_fail(EACCES, "kvm: %s may not be opened: membership in group %u would give access", path, (unsigned)st.st_gid));
	}
	return (vm_fail(EACCES, "kvm: %s may not be opened: it has mode %03o and group '%s', where a group of its own, such as 'kvm', and mode 660 would let "
	    "the group's members in", path, (unsigned)st.st_mode & 0777, g != NULL ? g->gr_name : "?"));
}

int
kvm_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return (fd);
	switch (errno) {
	case ENOENT:
		return (vm_fail(ENOENT,
		    "kvm: there is no %s: the processor has no virtualization for us, it is "
		    "switched off in the firmware, or the kvm modules are not loaded", path));
	case EACCES:
	case EPERM:
		return (not_permitted(path));
	default:
		return (vm_fail(ENOTSUP, "kvm: %s cannot be opened: %s", path, strerror(errno)));
	}
}

int
kvm_fits(struct vmctx *vm)
{
	int fd = kvm_open(DEVICE), error;

	if (fd < 0)
		return (-1);
	error = kvm_md_fits(vm, fd);
	(void)close(fd);
	return (error);
}

int
kvm_probe(enum vm_arch arch, bool fast)
{
	int fd, error;

	if (arch != kvm_md_arch)
		return (vm_fail(ENOTSUP, "kvm: %s guests do not run on an %s host",
		    vm_arch_name(arch) == NULL ? "such" : vm_arch_name(arch), vm_arch_name(kvm_md_arch)));
	fd = kvm_open(DEVICE);
	if (fd < 0)
		return (-1);
	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		error = vm_fail(ENOTSUP, "kvm: /dev/kvm does not speak version %d of its interface", KVM_API_VERSION);
	else {
		error = probe_needs(fd, needs);
		if (error == 0)
			error = probe_needs(fd, kvm_md_needs);
		if (error == 0 && fast)
			error = probe_speed(fd);
	}
	(void)close(fd);
	return (error);
}
