/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_faults_memory.c - what the kvm back end does when the kernel refuses a mapping, a dirty log, a route or a doorbell, or the log runs over.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <pthread.h>
#include <time.h>

#include "kvm_shim.h"

/* SECTION: memory */

TEST(mapping_refused)
{
	struct vmctx *vm;
	vm_paddr_t gpa = 0xd0000000;
	vm_ooffset_t off;
	size_t len;
	int seg, prot, flags;

	need();
	vm = guest(tell, sizeof(tell));
	CHECK(vm_create_devmem(vm, DEV, "dev", 4 * VM_PAGE_SIZE) != MAP_FAILED);
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	arm(1, 1, ENOMEM, KVM_SET_USER_MEMORY_REGION);
	CHECK(vm_mmap_memseg(vm, gpa, DEV, 0, 4 * VM_PAGE_SIZE, VM_PROT_ALL) == -1 && errno == ENOMEM);
	CHECKF(strstr(vm_errmsg(), "kvm cannot map 0xd0000000 with 0x4000 bytes") != NULL, "%s", vm_errmsg());
	disarm();
	CHECK_EQ(vm_mmap_getnext(vm, &gpa, &seg, &off, &len, &prot, &flags), -1);
	CHECKF(vm_mmap_memseg(vm, gpa, DEV, 0, 4 * VM_PAGE_SIZE, VM_PROT_ALL) == 0, "%s", vm_errmsg());
	/* Cutting it takes it away first: whatever fails after that, all of it is there again. */
	for (unsigned n = 2; n <= 4; n++) {
		arm(n, 1, ENOMEM, KVM_SET_USER_MEMORY_REGION);
		CHECK_EQ(vm_mprotect_memseg(vm, gpa + VM_PAGE_SIZE, VM_PAGE_SIZE, VM_PROT_READ), -1);
		disarm();
		CHECK_EQ(vm_mmap_getnext(vm, &gpa, &seg, &off, &len, &prot, &flags), 0);
		CHECK(gpa == 0xd0000000 && len == 4 * VM_PAGE_SIZE && prot == VM_PROT_ALL);
	}
	CHECKF(vm_mprotect_memseg(vm, gpa + VM_PAGE_SIZE, VM_PAGE_SIZE, VM_PROT_READ) == 0, "%s", vm_errmsg());
	/* A slot that the kernel keeps is left alone. */
	arm(1, 1, ENOMEM, KVM_SET_USER_MEMORY_REGION);
	CHECK_EQ(vm_munmap_memseg(vm, gpa, VM_PAGE_SIZE), 0);
	disarm();
	CHECKF(vm_mmap_memseg(vm, 0xd0010000, DEV, 0, 2 * VM_PAGE_SIZE, VM_PROT_ALL) == 0, "%s", vm_errmsg());
	runs_to(vm, 0x55);
	vm_close(vm);
}

static uint64_t
fetched(struct vm_dirty *d)
{
	uint64_t bits[RAM / VM_PAGE_SIZE / 64];

	CHECKF(vm_dirty_fetch(d, 0, RAM, bits) == 0, "%s", vm_errmsg());
	return (bits[0]);
}

#define	WRITTEN		(UINT64_C(1) << 4 | UINT64_C(1) << 6)	/* by store */

/* The kernel's ways to log, and the call by which each is harvested last. */
static const struct way {
	const char	*env, *reason;
	unsigned long	 req;
} ways[] = {
	{ "whole", "bitmaps, protected as they are read", KVM_GET_DIRTY_LOG },
	{ "pieces", "bitmaps, protected in pieces", KVM_CLEAR_DIRTY_LOG },
	{ "ring", "rings, as asked", KVM_RESET_DIRTY_RINGS },
};

static void
log_refused(const struct way *way)
{
	uint64_t bits[RAM / VM_PAGE_SIZE / 64];
	struct vm_dirty *d;
	struct vmctx *vm;

	need();
	CHECK_EQ(setenv("HYVE_KVM_LOG", way->env, 1), 0);
	vm = guest(store, sizeof(store));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	if (strstr(vm_accel_reason(vm), way->reason) == NULL)
		SKIP(vm_accel_reason(vm));
	/* The log is not switched on: nobody consumes it then. */
	arm(1, 1, ENOMEM, KVM_SET_USER_MEMORY_REGION);
	CHECK(vm_dirty_open(vm) == NULL && errno == ENOMEM);
	CHECKF(strstr(vm_errmsg(), "kvm cannot log writes to 0x0") != NULL, "%s", vm_errmsg());
	disarm();
	runs_to(vm, 0);
	CHECKF((d = vm_dirty_open(vm)) != NULL, "%s", vm_errmsg());
	runs_to(vm, 0);
	/* What a fetch that fails did not get the next one has. */
	arm(1, 1, EIO, way->req);
	CHECK_EQ(vm_dirty_fetch(d, 0, RAM, bits), -1);
	CHECKF(strstr(vm_errmsg(), "dirty ") != NULL, "%s", vm_errmsg());
	disarm();
	CHECK_EQ(fetched(d) & WRITTEN, WRITTEN);
	CHECK_EQ(fetched(d) & WRITTEN, 0);
	/* A log that goes with its slot and cannot be read: all pages count as written, or what a ring had is there. */
	runs_to(vm, 0);
	arm(1, 1, EIO, way->req);
	CHECKF(vm_mprotect_memseg(vm, 0x100000, VM_PAGE_SIZE, VM_PROT_READ) == 0, "%s", vm_errmsg());
	CHECK_EQ(k.calls, 1);
	disarm();
	CHECK_EQ(fetched(d), UINT64_MAX);
	CHECK_EQ(fetched(d) & WRITTEN, 0);
	/* And it goes on. */
	runs_to(vm, 0);
	CHECK_EQ(fetched(d) & WRITTEN, WRITTEN);
	vm_dirty_close(d);
	vm_close(vm);
}

TEST(dirty_log_refused)
{
	log_refused(&ways[0]);
}

TEST(dirty_pieces_refused)
{
	log_refused(&ways[1]);
}

TEST(dirty_ring_refused)
{
	log_refused(&ways[2]);
}

/* mov ax, 2000h; mov cx, 224; 1: mov es, ax; mov es:[0], al; add ax, 100h; loop 1b; out 80h, al; jmp to the first: a store to each page from 20000h on */
static const uint8_t many_pages[] = { 0xb8, 0x00, 0x20, 0xb9, 0xe0, 0x00, 0x8e, 0xc0, 0x26, 0xa2, 0x00, 0x00, 0x05, 0x00, 0x01, 0xe2, 0xf5, 0xe6, PORT,
	0xeb, 0xeb };

/* More pages than a ring of 256 entries has without its reserve, in one go: at the latest the next entry finds it full. */
TEST(dirty_ring_overrun)
{
	uint64_t bits[RAM / VM_PAGE_SIZE / 64];
	struct vm_dirty *d;
	struct vmctx *vm;
	unsigned n = 0;
	int entries;

	need();
	CHECK_EQ(setenv("HYVE_KVM_LOG", "ring=4096", 1), 0);
	vm = guest(many_pages, sizeof(many_pages));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	if (strstr(vm_accel_reason(vm), "rings") == NULL)
		SKIP("this kernel has no rings so small");
	CHECKF((d = vm_dirty_open(vm)) != NULL, "%s", vm_errmsg());
	runs_to(vm, 0);
	runs_to(vm, 0);
	CHECK(vm_get_stats(cpu0(vm), &entries)[VM_STAT_KVM_RING] > 0);
	CHECKF(vm_dirty_fetch(d, 0, RAM, bits) == 0, "%s", vm_errmsg());
	for (unsigned i = 0x20; i < 0x20 + 224; i++)
		n += bits[i / 64] >> i % 64 & 1;
	CHECK_EQ(n, 224);
	vm_dirty_close(d);
	vm_close(vm);
}

static void
ring_full(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
}

/* A full ring is emptied by its vCPU, which goes on; a kernel that does not reset it ends the vCPU. */
TEST(dirty_ring_full)
{
	struct vm_exit ex;
	struct vm_dirty *d;
	struct vmctx *vm;
	int n;

	need();
	CHECK_EQ(setenv("HYVE_KVM_LOG", "ring=4096", 1), 0);
	vm = guest(store, sizeof(store));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	if (strstr(vm_accel_reason(vm), "rings") == NULL)
		SKIP(vm_accel_reason(vm));
	CHECKF((d = vm_dirty_open(vm)) != NULL, "%s", vm_errmsg());
	runs_to(vm, 0);
	k.made = ring_full;
	k.run = kvm_cpu(cpu0(vm))->run;
	k.runs = 3;
	runs_to(vm, 0);
	CHECK_EQ(vm_get_stats(cpu0(vm), &n)[VM_STAT_KVM_RING], 3);
	CHECK_EQ(fetched(d) & WRITTEN, WRITTEN);
	runs_to(vm, 0);
	k.runs = 1;
	arm(1, 1, EIO, KVM_RESET_DIRTY_RINGS);
	CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
	disarm();
	CHECK(ex.code == VM_EXIT_ERROR && ex.u.error.error == EIO);
	CHECKF(strstr(vm_errmsg(), "dirty rings cannot be reset") != NULL, "%s", vm_errmsg());
	CHECK_EQ(fetched(d) & WRITTEN, WRITTEN);
	vm_dirty_close(d);
	vm_close(vm);
}

/* SECTION: interrupts and doorbells */

/* A message by an eventfd reaches the controller, whoever carries it: the local APIC has it in its request register. */
static bool
message_arrives(struct vmctx *vm, int fd, unsigned vector)
{
	const struct timespec ts = { .tv_nsec = 1000000 };
	struct kvm_lapic_state lapic;

	CHECK_EQ(eventfd_write(fd, 1), 0);
	for (int i = 0; i < 10000; i++) {
		CHECK_EQ(__real_ioctl(kvm_cpu(cpu0(vm))->fd, KVM_GET_LAPIC, &lapic), 0);
		if ((lapic.regs[0x200 + vector / 32 * 16 + vector % 32 / 8] >> vector % 8 & 1) != 0)
			return (true);
		nanosleep(&ts, NULL);
	}
	return (false);
}

static void
lapic_on(struct vmctx *vm)
{
	struct kvm_lapic_state lapic;

	CHECK_EQ(__real_ioctl(kvm_cpu(cpu0(vm))->fd, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[0xf0] = 0xff;
	lapic.regs[0xf1] = 1;			/* SVR: enabled */
	CHECK_EQ(__real_ioctl(kvm_cpu(cpu0(vm))->fd, KVM_SET_LAPIC, &lapic), 0);
}

TEST(routes_refused)
{
	static const unsigned long reqs[] = { KVM_SET_GSI_ROUTING, KVM_IRQFD };
	struct vmctx *vm;
	struct vm_irq *irq[3];
	int fd[3];

	need();
	vm = guest(spin, sizeof(spin));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	lapic_on(vm);
	for (unsigned i = 0; i < 3; i++) {
		CHECK((fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0);
		CHECK((irq[i] = vm_irq_open_msi(vm, 0)) != NULL);
		CHECK_EQ(vm_irq_set_msi(irq[i], 0xfee00000, 0x40 + i), 0);
		CHECK_EQ(vm_irq_set_mask(irq[i], false), 0);
		if (i > 0)
			arm(1, 1, ENOSPC, reqs[i - 1]);
		CHECKF(vm_irq_bind(irq[i], fd[i], -1) == 0, "%s", vm_errmsg());
		CHECK(i == 0 || k.calls > 0);
		disarm();
		/* This one, and those that the kernel had before. */
		for (unsigned j = 0; j <= i; j++)
			CHECKF(message_arrives(vm, fd[j], 0x40 + j), "message %u of %u", j, i);
	}
	for (unsigned i = 0; i < 3; i++) {
		vm_irq_close(irq[i]);
		close(fd[i]);
	}
	vm_close(vm);
}

TEST(doorbell_refused)
{
	struct vm_doorbell_spec spec = { .space = VM_SPACE_IO, .addr = PORT, .size = 1 };
	struct vm_doorbell *db;
	struct vmctx *vm;
	struct vm_exit ex;
	eventfd_t n;

	need();
	vm = guest(tell, sizeof(tell));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	CHECK((spec.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0);
	arm(1, 1, ENOSPC, KVM_IOEVENTFD);
	CHECKF((db = vm_doorbell_open(vm, &spec)) != NULL, "%s", vm_errmsg());
	CHECK_EQ(k.calls, 1);
	disarm();
	/* The output rings it, and the guest goes on to its end. */
	CHECK_EQ(vm_set_capability(cpu0(vm), VM_CAP_HALT_EXIT, 0), 0);
	{
		pthread_t thread;

		CHECK_EQ(pthread_create(&thread, NULL, kicker, cpu0(vm)), 0);
		CHECKF(vm_run(cpu0(vm), &ex) == 0, "%s", vm_errmsg());
		CHECK_EQ(ex.code, VM_EXIT_KICKED);
		pthread_join(thread, NULL);
	}
	CHECK_EQ(eventfd_read(spec.fd, &n), 0);
	CHECK_EQ(n, 1);
	vm_doorbell_close(db);
	close(spec.fd);
	vm_close(vm);
}

TEST_MAIN()
