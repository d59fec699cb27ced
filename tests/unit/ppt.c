/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ppt.c - host devices of a VM over a kernel that refuses what it likes: whatever fails leaves a sentence and no file open, and works the next time; memory, interrupts of
 * all kinds, resets, and a device that is gone.
 */
#include <sys/resource.h>

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define	FAKE_VFIO_KERNEL
#include "fake_vfio.h"

#include <vmmapi.h>

#include "open_files.h"
#include "ppt.h"

#define	DEV	3, 0, 0			/* NAME */
#define	RAM	(2UL << 20)
#define	MEMORY	0xc0000000UL		/* where the guest has the device's */
#define	MSI_ADDR 0xfee00000UL

/* How often the device is mapped into this process. */
static unsigned
mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		n += strstr(line, "fake-device") != NULL;
	(void)fclose(file);
	return (n);
}

/* A VM with RAM in two places, on the made-up host.  Its back end is kvm, which is not begun. */
static struct vmctx *
guest(void)
{
	static const struct vm_layout layout = { .name = "two", .nram = 2, .ram = { { 0, RAM / 2 }, { 16 * RAM, 17 * RAM } } };
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_KVM };
	struct vmctx *vm = vm_new(&spec);
	struct ppt *ppt = calloc(1, sizeof(*ppt));

	CHECKF(vm != NULL, "%s", vm_errmsg());
	CHECKF(vm_set_layout(vm, &layout) == 0 && vm_setup_memory(vm, RAM, VM_MMAP_ALL) == 0, "%s", vm_errmsg());
	CHECK(ppt != NULL);
	vfio_init(&ppt->container, &host);
	pthread_mutex_init(&ppt->lock, NULL);
	vm->ppt = ppt;
	return (vm);
}

static struct vmctx *
begin(void)
{
	fk_reset();
	setup();
	run("touch %s/vfio %s/7", vfio_dir, vfio_dir);
	return (guest());
}

static void
assigned(struct vmctx *vm)
{
	CHECKF(vm_assign_pptdev(vm, DEV) == 0, "%s", vm_errmsg());
}

static void
end(struct vmctx *vm)
{
	vm_close(vm);
	CHECK_EQ(fk.joined, 0);
	CHECK_EQ(fk.fd, -1);
	CHECK_EQ(mappings(), 0);
	teardown();
}

static uint32_t
command(struct vmctx *vm)
{
	uint32_t v = 0;

	CHECKF(vm_pptdev_cfg_read(vm, DEV, 4, 2, &v) == 0, "%s", vm_errmsg());
	return (v);
}

static void
nap(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* SECTION: coming and going */

TEST(it_comes_and_goes)
{
	struct vmctx *vm = begin();
	struct vm_pptdev_info info;
	unsigned files = open_files();

	for (unsigned round = 1; round <= 3; round++) {
		fk.ranges = 0;
		assigned(vm);
		CHECK_EQ(vm_assign_pptdev(vm, DEV), -1);
		CHECK_EQ(errno, EEXIST);
		CHECK_EQ(fk.opened, round);
		CHECK_EQ(fk.ranges, 2);
		CHECK(fk.iova[0] == 0 && fk.len[0] == RAM / 2 && fk.iova[1] == 16 * RAM && fk.len[1] == RAM / 2);
		/* It answers, and does not reach memory. */
		CHECK_EQ(command(vm) & 7, 3);
		CHECK_EQ(vm_pptdev_get_info(vm, DEV, &info), 0);
		CHECK(info.bar[0].size == FAKE_BAR0 && info.bar[0].hpa == 0xfe000000 && info.bar[0].flags == (VM_PPTDEV_BAR_64 | VM_PPTDEV_BAR_MAP));
		CHECK(info.bar[4].size == 8 && info.bar[4].flags == VM_PPTDEV_BAR_IO);
		CHECK(info.msi == FAKE_MSI && info.msix == FAKE_MSIX && info.pin && info.reset && info.group == 7);
		CHECK_EQ(vm_unassign_pptdev(vm, DEV), 0);
		CHECK_EQ(fk.joined, 0);
		CHECK_EQ(open_files(), files);
	}
	assigned(vm);
	end(vm);
}

/* Each call of the kernel fails once. */
static void
calls_fail(struct vmctx *vm)
{
	unsigned files = open_files(), refused = 0, at;
	bool more = true;

	for (at = 1; more; at++) {
		int r;

		fk.ranges = 0;
		fk_arm(at, EIO, 0);
		r = vm_assign_pptdev(vm, DEV);
		more = fk_disarm() >= at;
		if (r != 0) {
			CHECKF(strstr(vm_errmsg(), NAME) != NULL || strstr(vm_errmsg(), "RAM at") != NULL || strstr(vm_errmsg(), "IOMMU group") != NULL,
			    "call %u: '%s'", at, vm_errmsg());
			CHECKF(vm_unassign_pptdev(vm, DEV) == -1 && errno == ENODEV, "call %u: it is assigned", at);
			refused++;
		} else
			CHECK_EQ(vm_unassign_pptdev(vm, DEV), 0);
		CHECKF(open_files() == files, "call %u: %u files were open before, %u now", at, files, open_files());
		CHECK_EQ(fk.joined, 0);
	}
	printf("# %u calls, %u refused\n", at - 1, refused);
	CHECK(refused >= 14 && at > 18);
	fk.ranges = 0;
	assigned(vm);
}

TEST(what_fails_leaves_nothing)
{
	struct vmctx *vm = begin();

	calls_fail(vm);
	end(vm);
}

TEST(memory_that_cannot_be_pinned)
{
	struct vmctx *vm = begin();
	unsigned files = open_files();
	struct rlimit old, less;

	CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &old), 0);
	less = old;
	less.rlim_cur = 1 << 20;
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &less), 0);
	/* Half of it is. */
	fk_arm(2, ENOMEM, VFIO_IOMMU_MAP_DMA);
	CHECK_EQ(vm_assign_pptdev(vm, DEV), -1);
	CHECK_EQ(fk_disarm(), 2);
	CHECK_EQ(errno, ENOMEM);
	CHECK_HAS(vm_errmsg(), "1 MiB of RAM at 0x2000000 cannot be pinned");
	CHECK_HAS(vm_errmsg(), "this process may lock 1 MiB; raise that (ulimit -l; LimitMEMLOCK= of a unit of systemd), or run as root");
	CHECK_EQ(fk.joined, 0);
	CHECK_EQ(open_files(), files);
	fk.ranges = 0;
	assigned(vm);
	CHECK_EQ(fk.ranges, 2);
	end(vm);
}

TEST(no_interrupt_remapping)
{
	struct vmctx *vm = begin();

	fk_arm(1, EPERM, VFIO_SET_IOMMU);
	CHECK_EQ(vm_assign_pptdev(vm, DEV), -1);
	(void)fk_disarm();
	CHECK_EQ(errno, EPERM);
	CHECK_HAS(vm_errmsg(), "this host's IOMMU does not remap interrupts");
	CHECK_EQ(fk.joined, 0);
	end(vm);
}

TEST(what_it_wrote_is_not_forgotten)
{
	struct vmctx *vm = begin();
	struct vm_dirty *d = vm_dirty_open(vm);
	uint64_t bits[4], again[4];

	CHECKF(d != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_dirty_fetch(d, 0, RAM / 2, bits), 0);
	CHECK_EQ(vm_dirty_fetch(d, 0, RAM / 2, bits), 0);
	CHECK_EQ(bits[0] | bits[1] | bits[2] | bits[3], 0);
	assigned(vm);
	CHECK_EQ(vm_unassign_pptdev(vm, DEV), 0);
	CHECK_EQ(vm_dirty_fetch(d, 16 * RAM, RAM / 2, again), 0);
	CHECK_EQ(vm_dirty_fetch(d, 0, RAM / 2, bits), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(bits[i] & again[i], UINT64_MAX);
	CHECK_EQ(vm_dirty_fetch(d, 0, RAM / 2, bits), 0);
	CHECK_EQ(bits[0] | bits[1] | bits[2] | bits[3], 0);
	vm_dirty_close(d);
	end(vm);
}

/* SECTION: memory */

static void
not_mapped(struct vmctx *vm, uint64_t gpa, size_t len, uint64_t hpa, int error, const char *words)
{
	unsigned n = mappings();

	CHECK_EQ(vm_map_pptdev_mmio(vm, DEV, gpa, len, hpa), -1);
	CHECKF(errno == error, "%s: %s", strerror(errno), vm_errmsg());
	CHECK_HAS(vm_errmsg(), words);
	CHECK_EQ(mappings(), n);
}

static void
maps_of(struct vmctx *vm)
{
	uint64_t val = 0;

	CHECKF(vm_map_pptdev_mmio(vm, DEV, MEMORY, 0x2000, 0xfe000000) == 0, "%s", vm_errmsg());
	CHECKF(vm_map_pptdev_mmio(vm, DEV, MEMORY + 0x3000, 0x1000, 0xfe003000) == 0, "%s", vm_errmsg());
	CHECK_EQ(mappings(), 2);
	not_mapped(vm, MEMORY + 0x10000, 0x1000, 0xfe002000, ENOTSUP, "does not let 0x1000 bytes at 0x2000 of BAR 0 be mapped");
	not_mapped(vm, MEMORY + 0x10000, 0x2000, 0xfe003000, EINVAL, "none of its BARs has 0x2000 bytes at 0xfe003000");
	not_mapped(vm, MEMORY + 0x10000, 0x1000, 0xd000, EINVAL, "none of its BARs has");
	not_mapped(vm, MEMORY + 0x1000, 0x1000, 0xfe000000, EEXIST, NAME " is at 0xc0000000");
	not_mapped(vm, MEMORY - 0x1000, 0x2000, 0xfe000000, EEXIST, NAME " is at 0xc0000000");
	/* A guest that puts a BAR over RAM. */
	not_mapped(vm, RAM / 2 - 0x1000, 0x2000, 0xfe000000, EEXIST, "memory of the VM is at 0x0");
	not_mapped(vm, 16 * RAM, 0x1000, 0xfe000000, EEXIST, "memory of the VM is at 0x2000000");
	not_mapped(vm, MEMORY + 0x10800, 0x1000, 0xfe000000, EINVAL, "no whole pages");
	not_mapped(vm, MEMORY + 0x10000, 0, 0xfe000000, EINVAL, "nothing, no whole pages");
	not_mapped(vm, ~0xfffULL, 0x1000, 0xfe000000, EINVAL, "outside of the address space");
	/* And memory that is put over a BAR. */
	CHECK(vm_create_devmem(vm, VM_BOOTROM, "rom", 0x4000) != MAP_FAILED);
	CHECK_EQ(vm_mmap_memseg(vm, MEMORY - 0x2000, VM_BOOTROM, 0, 0x4000, VM_PROT_READ), -1);
	CHECK_EQ(errno, EEXIST);
	CHECK_HAS(vm_errmsg(), "memory of host device " NAME " is at 0xc0000000");
	CHECK_EQ(vm_unmap_pptdev_mmio(vm, DEV, MEMORY, 0x1000), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_EQ(vm_unmap_pptdev_mmio(vm, DEV, MEMORY, 0x2000), 0);
	CHECK_EQ(vm_unmap_pptdev_mmio(vm, DEV, MEMORY, 0x2000), -1);
	CHECKF(vm_mmap_memseg(vm, MEMORY - 0x2000, VM_BOOTROM, 0, 0x4000, VM_PROT_READ) == 0, "%s", vm_errmsg());
	not_mapped(vm, MEMORY, 0x2000, 0xfe000000, EEXIST, "memory of the VM is at 0xbfffe000");
	CHECK_EQ(mappings(), 1);
	/* Registers are reached with and without. */
	CHECK_EQ(vm_pptdev_bar_write(vm, DEV, 0, 0x3ff8, 8, 0x1122334455667788), 0);
	CHECK_EQ(vm_pptdev_bar_read(vm, DEV, 0, 0x3ffc, 4, &val), 0);
	CHECK_EQ(val, 0x11223344);
	CHECK_EQ(vm_pptdev_bar_read(vm, DEV, 0, 0x4000, 4, &val), -1);
	CHECK_EQ(vm_pptdev_bar_read(vm, DEV, 6, 0, 4, &val), -1);
	CHECK_EQ(vm_pptdev_cfg_read(vm, DEV, 0, 0, &(uint32_t){ 0 }), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_pptdev_cfg_read(vm, DEV, 0, 8, &(uint32_t){ 0 }), -1);
	CHECK_EQ(vm_pptdev_cfg_write(vm, DEV, 4096, 1, 0), -1);
}

TEST(its_memory)
{
	struct vmctx *vm = begin();

	assigned(vm);
	maps_of(vm);
	/* What is mapped goes with the device. */
	CHECK_EQ(vm_unassign_pptdev(vm, DEV), 0);
	CHECK_EQ(mappings(), 0);
	end(vm);
}

/* SECTION: interrupts */

static void
pending_is(struct vmctx *vm, int idx, int want)
{
	for (unsigned i = 0; vm_pptdev_get_pending(vm, DEV, idx) != want; i++) {
		CHECKF(i < 10000, "vector %d: pending is %d", idx, !want);
		nap();
	}
}

/* No controller is there yet, so what is sent stays pending. */
TEST(message_vectors)
{
	struct vmctx *vm = begin();
	unsigned files;

	assigned(vm);
	files = open_files();
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 9, MSI_ADDR, 0x41, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 0, MSI_ADDR, 1ULL << 32, 0), -1);
	CHECK_EQ(vm_pptdev_set_requester(vm, DEV, 0x10000), -1);
	CHECK_EQ(vm_pptdev_set_requester(vm, DEV, 0x18), 0);
	/* One that is masked is switched on all the same, but needs nothing. */
	CHECKF(vm_setup_pptdev_msix(vm, DEV, 3, MSI_ADDR, 0x41, 1) == 0, "%s", vm_errmsg());
	CHECK(fk.kind_on[VFIO_IRQ_MSIX] && fk.trigger[VFIO_IRQ_MSIX][3] == -1);
	CHECK_EQ(open_files(), files);
	CHECKF(vm_setup_pptdev_msix(vm, DEV, 3, MSI_ADDR, 0x41, 0) == 0, "%s", vm_errmsg());
	CHECK(fk.trigger[VFIO_IRQ_MSIX][3] >= 0 && fk.trigger[VFIO_IRQ_MSIX][4] == -1);
	CHECK_EQ(vm->msis->requester, 0x18);
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 3, MSI_ADDR, 0x41, 1), 0);
	CHECK_EQ(vm_pptdev_get_pending(vm, DEV, 3), 0);
	CHECK(fk_raise(VFIO_IRQ_MSIX, 3));
	pending_is(vm, 3, 1);
	CHECK_EQ(vm_pptdev_get_pending(vm, DEV, 2), 0);
	CHECK_EQ(vm_pptdev_get_pending(vm, DEV, -1), -1);
	/* Off and on: it is forgotten. */
	CHECK_EQ(vm_disable_pptdev_msix(vm, DEV), 0);
	CHECK(!fk.kind_on[VFIO_IRQ_MSIX] && vm->nirqs == 0);
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 3, MSI_ADDR, 0x41, 0), 0);
	CHECK_EQ(vm_pptdev_get_pending(vm, DEV, 3), 0);
	/* The host may have too few. */
	CHECK_EQ(vm_disable_pptdev_msix(vm, DEV), 0);
	fk.spare = 4;
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 0, MSI_ADDR, 0x41, 0), -1);
	CHECK_EQ(errno, ENOSPC);
	CHECK_HAS(vm_errmsg(), "the host has 4 of 9 message interrupts for it");
	end(vm);
}

TEST(messages)
{
	struct vmctx *vm = begin();

	assigned(vm);
	CHECK_EQ(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x47, 8), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x47, 3), -1);
	CHECK_EQ(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x47, 0), 0);
	CHECKF(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x47, 4) == 0, "%s", vm_errmsg());
	CHECK(fk.kind_on[VFIO_IRQ_MSI] && fk.trigger[VFIO_IRQ_MSI][3] >= 0 && vm->nirqs == 4);
	for (const struct vm_irq *irq = vm->msis; irq != NULL; irq = irq->next)
		CHECK(irq->addr == MSI_ADDR && irq->data >= 0x44 && irq->data <= 0x47 && !irq->masked);
	CHECK_EQ(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x51, 1), 0);
	CHECK(vm->nirqs == 1 && vm->msis->data == 0x51);
	/* One kind at a time. */
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 0, MSI_ADDR, 0x41, 0), 0);
	CHECK(!fk.kind_on[VFIO_IRQ_MSI] && vm->nirqs == 1);
	CHECK_EQ(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x51, 2), 0);
	CHECK_EQ(vm_disable_pptdev_msix(vm, DEV), 0);
	CHECK(fk.kind_on[VFIO_IRQ_MSI] && vm->nirqs == 2);
	end(vm);
}

static atomic_uint pins;

static void
pin(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void
pins_are(unsigned n)
{
	for (unsigned i = 0; atomic_load(&pins) != n; i++) {
		CHECKF(i < 10000, "%u calls, not %u", atomic_load(&pins), n);
		nap();
	}
}

TEST(the_pin)
{
	struct vmctx *vm = begin();

	assigned(vm);
	CHECK_EQ(vm_pptdev_unmask_pin(vm, DEV), 0);
	CHECKF(vm_pptdev_set_pin(vm, DEV, pin, &pins) == 0, "%s", vm_errmsg());
	CHECK(fk_raise(VFIO_IRQ_PIN, 0));
	pins_are(1);
	CHECK(!fk_raise(VFIO_IRQ_PIN, 0));
	CHECK_EQ(vm_pptdev_unmask_pin(vm, DEV), 0);
	CHECK(fk_raise(VFIO_IRQ_PIN, 0));
	pins_are(2);
	/* Messages take its place, and it comes back. */
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 0, MSI_ADDR, 0x41, 1), 0);
	CHECK(!fk_raise(VFIO_IRQ_PIN, 0));
	CHECK_EQ(vm_pptdev_unmask_pin(vm, DEV), 0);
	CHECK_EQ(vm_disable_pptdev_msix(vm, DEV), 0);
	CHECK(fk_raise(VFIO_IRQ_PIN, 0));
	pins_are(3);
	/* So it does where the host has no messages. */
	fk.spare = 4;
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 0, MSI_ADDR, 0x41, 0), -1);
	CHECK(fk.kind_on[VFIO_IRQ_PIN]);
	CHECK_EQ(vm_reset_pptdev(vm, DEV), 0);
	CHECK(fk_raise(VFIO_IRQ_PIN, 0));
	pins_are(4);
	CHECK_EQ(vm_pptdev_set_pin(vm, DEV, NULL, NULL), 0);
	CHECK(!fk.kind_on[VFIO_IRQ_PIN]);
	end(vm);
}

/* Whatever of a change fails, the next one goes through; descriptors are not left behind. */
TEST(interrupts_that_cannot_be_had)
{
	struct vmctx *vm = begin();
	unsigned files, plain;

	assigned(vm);
	CHECK_EQ(vm_pptdev_set_pin(vm, DEV, pin, &pins), 0);
	files = open_files();
	for (unsigned at = 1; at <= 4; at++) {
		fk_arm(at, EIO, VFIO_DEVICE_SET_IRQS);
		/* The pin off, so that it stays on and nothing else can be; MSI-X on with none; the vector wired; the pin on again. */
		if (vm_setup_pptdev_msix(vm, DEV, 1, MSI_ADDR, 0x41, 0) != 0) {
			CHECKF(errno == (at == 1 ? EINVAL : EIO), "call %u: %s", at, vm_errmsg());
			CHECK_HAS(vm_errmsg(), "its message interrupts cannot be switched on");
			(void)fk_disarm();
			CHECKF(vm_setup_pptdev_msix(vm, DEV, 1, MSI_ADDR, 0x41, 0) == 0, "call %u: %s", at, vm_errmsg());
		}
		(void)fk_disarm();
		CHECK(fk.trigger[VFIO_IRQ_MSIX][1] >= 0);
		CHECK_EQ(vm_disable_pptdev_msix(vm, DEV), 0);
		CHECK(fk.kind_on[VFIO_IRQ_PIN]);
		CHECK_EQ(open_files(), files);
		fk_arm(at, EIO, VFIO_DEVICE_SET_IRQS);
		if (vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x40, 4) != 0)
			CHECK_HAS(vm_errmsg(), "its message interrupts cannot be switched on");
		(void)fk_disarm();
		CHECKF(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x40, 4) == 0, "call %u: %s", at, vm_errmsg());
		CHECK_EQ(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x40, 0), 0);
		CHECK(fk.kind_on[VFIO_IRQ_PIN] && vm->nirqs == 0);
		CHECK_EQ(open_files(), files);
	}
	plain = files - 2;		/* the pin's, here and in the kernel */
	CHECK_EQ(vm_pptdev_set_pin(vm, DEV, NULL, NULL), 0);
	fk_arm(1, EIO, VFIO_DEVICE_SET_IRQS);
	CHECK_EQ(vm_pptdev_set_pin(vm, DEV, pin, &pins), -1);
	(void)fk_disarm();
	CHECK_HAS(vm_errmsg(), "its interrupt pin cannot be switched on");
	CHECK_EQ(open_files(), plain);
	end(vm);
}

static atomic_uint notices[VM_PPTDEV_NOTICES];

static void
notice(void *arg, enum vm_pptdev_notice what)
{
	CHECK(arg == notices && what < VM_PPTDEV_NOTICES);
	atomic_fetch_add(&notices[what], 1);
}

static void
notices_are(unsigned failed, unsigned wanted)
{
	for (unsigned i = 0; atomic_load(&notices[VM_PPTDEV_FAILED]) != failed || atomic_load(&notices[VM_PPTDEV_WANTED]) != wanted; i++) {
		CHECKF(i < 10000, "%u and %u notices", atomic_load(&notices[0]), atomic_load(&notices[1]));
		nap();
	}
}

TEST(what_the_host_says_of_it)
{
	struct vmctx *vm = begin();
	unsigned files;

	assigned(vm);
	CHECKF(vm_pptdev_set_notice(vm, DEV, notice, notices) == 0, "%s", vm_errmsg());
	/* They are beside interrupts, of whatever kind. */
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 1, MSI_ADDR, 0x41, 0), 0);
	CHECK(fk_raise(VFIO_IRQ_WANTED, 0));
	notices_are(0, 1);
	CHECK(fk_raise(VFIO_IRQ_ERROR, 0));
	notices_are(1, 1);
	CHECK_EQ(vm_reset_pptdev(vm, DEV), 0);
	CHECK(fk_raise(VFIO_IRQ_WANTED, 0));
	notices_are(1, 2);
	CHECK_EQ(vm_pptdev_set_notice(vm, DEV, NULL, NULL), 0);
	CHECK(!fk_raise(VFIO_IRQ_WANTED, 0) && !fk_raise(VFIO_IRQ_ERROR, 0));
	files = open_files();
	for (unsigned at = 1; at <= 2; at++) {
		fk_arm(at, EIO, VFIO_DEVICE_SET_IRQS);
		CHECK_EQ(vm_pptdev_set_notice(vm, DEV, notice, notices), -1);
		(void)fk_disarm();
		CHECK_HAS(vm_errmsg(), "its notices cannot be switched on");
		CHECK_EQ(open_files(), files);
	}
	CHECK_EQ(vm_pptdev_set_notice(vm, DEV, notice, notices), 0);
	end(vm);
}

static atomic_bool done;

/* The device interrupts all the while. */
static void *
storm(void *arg)
{
	while (!atomic_load(&done)) {
		(void)fk_raise(VFIO_IRQ_PIN, 0);
		(void)fk_raise(VFIO_IRQ_WANTED, 0);
		for (unsigned i = 0; i < FAKE_VECTORS; i++)
			(void)fk_raise(VFIO_IRQ_MSIX, i);
		for (unsigned i = 0; i < FAKE_MSI; i++)
			(void)fk_raise(VFIO_IRQ_MSI, i);
		(void)sched_yield();
	}
	return (arg);
}

/* And the guest asks for its pin again, as at an end of interrupt. */
static void *
ends(void *arg)
{
	while (!atomic_load(&done)) {
		(void)vm_pptdev_unmask_pin(arg, DEV);
		(void)vm_pptdev_get_pending(arg, DEV, 2);
		(void)sched_yield();
	}
	return (NULL);
}

static void
in_a_storm(struct vmctx *vm)
{
	unsigned files = open_files(), rounds = test_rounds(40);
	pthread_t by, other;

	atomic_store(&done, false);
	CHECK_EQ(pthread_create(&by, NULL, storm, NULL), 0);
	CHECK_EQ(pthread_create(&other, NULL, ends, vm), 0);
	for (unsigned round = 0; round < rounds; round++) {
		CHECKF(vm_pptdev_set_pin(vm, DEV, pin, &pins) == 0, "%s", vm_errmsg());
		for (unsigned i = 0; i < FAKE_MSIX; i++)
			CHECKF(vm_setup_pptdev_msix(vm, DEV, (int)i, MSI_ADDR, 0x40 + i, (round + i) & 1) == 0, "%s", vm_errmsg());
		for (unsigned i = 0; i < FAKE_MSIX; i++)
			CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, (int)i, MSI_ADDR, 0x50 + i, (round + i + 1) & 1), 0);
		if ((round & 1) != 0)
			CHECKF(vm_reset_pptdev(vm, DEV) == 0, "%s", vm_errmsg());
		CHECKF(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x60, 4) == 0, "%s", vm_errmsg());
		if ((round & 2) != 0)
			CHECK_EQ(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x60, 0), 0);
		else
			CHECK_EQ(vm_reset_pptdev(vm, DEV), 0);
		CHECK(vm->nirqs == 0 && fk.kind_on[VFIO_IRQ_PIN]);
	}
	atomic_store(&done, true);
	CHECK_EQ(pthread_join(other, NULL), 0);
	/* It goes while the device goes on. */
	CHECK_EQ(pthread_join(by, NULL), 0);
	CHECK_EQ(vm_pptdev_set_pin(vm, DEV, NULL, NULL), 0);
	CHECK(open_files() <= files + 2);	/* the thread that waits for eventfds */
	CHECK_EQ(fk.master_at_reset, 0);
}

TEST(changes_while_it_interrupts)
{
	struct vmctx *vm = begin();

	assigned(vm);
	in_a_storm(vm);
	end(vm);
}

TEST(it_goes_while_it_interrupts)
{
	struct vmctx *vm = begin();
	pthread_t by;

	CHECK_EQ(pthread_create(&by, NULL, storm, NULL), 0);
	for (unsigned round = 0; round < test_rounds(40); round++) {
		fk.ranges = 0;
		assigned(vm);
		CHECK_EQ(vm_pptdev_set_pin(vm, DEV, pin, &pins), 0);
		CHECK_EQ(vm_pptdev_set_notice(vm, DEV, notice, notices), 0);
		for (unsigned i = 0; i < FAKE_MSIX && (round & 1) != 0; i++)
			CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, (int)i, MSI_ADDR, 0x40 + i, i & 1), 0);
		CHECK_EQ(vm_unassign_pptdev(vm, DEV), 0);
	}
	atomic_store(&done, true);
	CHECK_EQ(pthread_join(by, NULL), 0);
	CHECK_EQ(vm->nirqs, 0);
	end(vm);
}

/* SECTION: resets, and a device that is not there any more */

TEST(a_reset)
{
	struct vmctx *vm = begin();

	assigned(vm);
	CHECK_EQ(vm_pptdev_cfg_write(vm, DEV, 4, 2, 7), 0);
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 1, MSI_ADDR, 0x41, 0), 0);
	CHECKF(vm_map_pptdev_mmio(vm, DEV, MEMORY, 0x2000, 0xfe000000) == 0, "%s", vm_errmsg());
	CHECKF(vm_reset_pptdev(vm, DEV) == 0, "%s", vm_errmsg());
	CHECK_EQ(fk.resets, 1);
	CHECK_EQ(fk.master_at_reset, 0);
	CHECK_EQ(command(vm) & 7, 3);
	CHECK(!fk.kind_on[VFIO_IRQ_MSIX] && vm->nirqs == 0);
	CHECK_EQ(mappings(), 1);
	fk_arm(1, EAGAIN, VFIO_DEVICE_RESET);
	CHECK_EQ(vm_reset_pptdev(vm, DEV), -1);
	(void)fk_disarm();
	CHECK_HAS(vm_errmsg(), "its reset failed");
	vm->ppt->devs->vfio.can_reset = false;
	CHECK_EQ(vm_reset_pptdev(vm, DEV), -1);
	CHECK_EQ(errno, ENOTSUP);
	end(vm);
}

TEST(a_device_that_is_gone)
{
	struct vmctx *vm = begin();
	uint64_t val = 0;
	uint32_t reg = 0;

	assigned(vm);
	CHECK_EQ(vm_pptdev_set_pin(vm, DEV, pin, &pins), 0);
	CHECK_EQ(vm_pptdev_set_notice(vm, DEV, notice, notices), 0);
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 1, MSI_ADDR, 0x41, 0), 0);
	CHECKF(vm_map_pptdev_mmio(vm, DEV, MEMORY, 0x2000, 0xfe000000) == 0, "%s", vm_errmsg());
	CHECK_EQ(ftruncate(fk.fd, 0), 0);
	fk.gone = true;
	/* All of it reads as ones. */
	CHECK_EQ(vm_pptdev_cfg_read(vm, DEV, 0, 4, &reg), -1);
	CHECK_EQ(reg, UINT32_MAX);
	CHECK_HAS(vm_errmsg(), "0x0 of region 7 cannot be read");
	CHECK_EQ(vm_pptdev_bar_read(vm, DEV, 0, 8, 8, &val), -1);
	CHECK_EQ(val, UINT64_MAX);
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 2, MSI_ADDR, 0x42, 0), -1);
	CHECK_HAS(vm_errmsg(), NAME);
	CHECK_EQ(vm_setup_pptdev_msi(vm, DEV, MSI_ADDR, 0x42, 2), -1);
	CHECK_EQ(vm_reset_pptdev(vm, DEV), -1);
	CHECK_EQ(vm_pptdev_unmask_pin(vm, DEV), 0);
	CHECK_EQ(vm_disable_pptdev_msix(vm, DEV), 0);
	CHECK_EQ(vm->nirqs, 0);
	CHECK_EQ(vm_unassign_pptdev(vm, DEV), 0);
	CHECK_EQ(fk.fd, -1);
	CHECK_EQ(mappings(), 0);
	fk.joined = 0;
	end(vm);
}

/* SECTION: on the kernel's KVM */

static struct vmctx *
on_kvm(bool given)
{
	struct vmctx *vm = begin();

	if (given)
		assigned(vm);
	CHECK(vm_vcpu_open(vm, 0) != NULL);
	if (vm_start(vm) != 0) {
		(void)fprintf(stderr, "%s\n", vm_errmsg());
		vm_close(vm);
		teardown();
		SKIP("no VM starts on kvm here");
	}
	return (vm);
}

static unsigned
slots(struct vmctx *vm)
{
	unsigned n = 0;

	for (const struct ppt_map *m = vm->ppt->devs->maps; m != NULL; m = m->next)
		n += m->map.slot >= 0;
	return (n);
}

TEST(kvm_what_fails_leaves_nothing)
{
	struct vmctx *vm = on_kvm(false);

	/* The kernel's device for VFIO stays, so it is made first. */
	assigned(vm);
	CHECK_EQ(vm_unassign_pptdev(vm, DEV), 0);
	CHECK_EQ(fk.kvm_groups, 0);
	calls_fail(vm);
	CHECK_EQ(fk.kvm_groups, 1);
	end(vm);
	CHECK_EQ(fk.kvm_groups, 0);
}

TEST(kvm_its_memory)
{
	struct vmctx *vm = on_kvm(true);

	CHECK_EQ(fk.kvm_groups, 1);
	maps_of(vm);
	CHECK_EQ(slots(vm), 1);
	CHECK_EQ(vm_unassign_pptdev(vm, DEV), 0);
	CHECK_EQ(fk.kvm_groups, 0);
	end(vm);
}

TEST(kvm_what_was_there_before)
{
	struct vmctx *vm = begin();
	struct vm_dirty *d;
	uint64_t bits[4];

	assigned(vm);
	CHECKF(vm_map_pptdev_mmio(vm, DEV, MEMORY, 0x2000, 0xfe000000) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 1, MSI_ADDR, 0x41, 0), 0);
	CHECK(vm_vcpu_open(vm, 0) != NULL);
	if (vm_start(vm) != 0) {
		end(vm);
		SKIP("no VM starts on kvm here");
	}
	CHECK(fk.kvm_groups == 1 && slots(vm) == 1);
	/* The kernel has its messages by itself. */
	CHECK(!vm->msis->polled && vm->msis->gsi >= 0);
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 1, MSI_ADDR, 0x41, 1), 0);
	CHECK(vm->msis->polled && vm->msis->gsi == -1);
	CHECK(fk_raise(VFIO_IRQ_MSIX, 1));
	pending_is(vm, 1, 1);
	CHECK_EQ(vm_setup_pptdev_msix(vm, DEV, 1, MSI_ADDR, 0x41, 0), 0);
	CHECK_EQ(vm_pptdev_get_pending(vm, DEV, 1), 0);
	CHECK(!vm->msis->polled && vm->msis->gsi >= 0);
	/* Its memory is in no log of writes. */
	d = vm_dirty_open(vm);
	CHECKF(d != NULL, "%s", vm_errmsg());
	CHECKF(vm_dirty_fetch(d, 0, RAM / 2, bits) == 0, "%s", vm_errmsg());
	CHECK_EQ(bits[0] & bits[3], UINT64_MAX);
	CHECK_EQ(vm_unmap_pptdev_mmio(vm, DEV, MEMORY, 0x2000), 0);
	CHECKF(vm_map_pptdev_mmio(vm, DEV, MEMORY, 0x2000, 0xfe000000) == 0, "%s", vm_errmsg());
	vm_dirty_close(d);
	end(vm);
	CHECK_EQ(fk.kvm_groups, 0);
}

TEST(kvm_changes_while_it_interrupts)
{
	struct vmctx *vm = on_kvm(true);

	in_a_storm(vm);
	end(vm);
}

TEST_MAIN()
