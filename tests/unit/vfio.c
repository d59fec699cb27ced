/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vfio.c - what stands in the way of giving a device of the host away, told from a made-up sysfs and /dev/vfio; registers in regions of a file; and what this host
 * itself says.
 */
#include <dirent.h>

#include <vmmapi.h>

#include "fake_vfio.h"
#include "ppt.h"

static void
bound(const char *name, const char *driver)
{
	run("rm %s/bus/pci/devices/%s/driver", sys, name);
	if (driver != NULL)
		run("ln -s ../../drivers/%s %s/bus/pci/devices/%s/driver", driver, sys, name);
}

static void
stands(int error, const char *words)
{
	unsigned group = 0;

	CHECK_EQ(vfio_find(&host, NAME, &group), -1);
	CHECKF(errno == error, "%s: %s", strerror(errno), vm_errmsg());
	CHECK_HAS(vm_errmsg(), "passthrough of " NAME ": ");
	CHECK_HAS(vm_errmsg(), words);
}

TEST(names)
{
	char name[VFIO_NAME];

	vfio_name(3, 0, 0, name);
	CHECK_STR(name, NAME);
	vfio_name(0xffff << 8 | 255, 31, 7, name);
	CHECK_STR(name, "ffff:ff:1f.7");
}

TEST(a_device_that_can_go)
{
	uint64_t base[VFIO_BARS];
	unsigned group = 0;

	setup();
	CHECKF(vfio_find(&host, NAME, &group) == 0, "%s", vm_errmsg());
	CHECK_EQ(group, 7);
	CHECKF(vfio_bars(&host, NAME, base) == 0, "%s", vm_errmsg());
	CHECK_EQ(base[0], 0xfe000000);
	CHECK_EQ(base[1], 0);
	CHECK_EQ(base[2], 0);
	CHECK_EQ(base[3], 0xd000);
	/* Its neighbour may have no driver, or one that leaves it alone. */
	bound(OTHER, NULL);
	CHECKF(vfio_find(&host, NAME, &group) == 0, "%s", vm_errmsg());
	run("ln -s ../../drivers/pcieport %s/bus/pci/devices/" OTHER "/driver", sys);
	CHECKF(vfio_find(&host, NAME, &group) == 0, "%s", vm_errmsg());
	CHECK_EQ(vfio_bars(&host, OTHER, base), -1);
	CHECK_HAS(vm_errmsg(), "resource' cannot be read: No such file or directory");
	teardown();
}

TEST(what_stands_in_the_way)
{
	setup();
	bound(OTHER, "snd_hda_intel");
	stands(EBUSY, OTHER " is in the same IOMMU group 7 and bound to 'snd_hda_intel': a group goes as a whole; unbind that "
	    "(echo " OTHER " >/sys/bus/pci/drivers/snd_hda_intel/unbind) or bind it to vfio-pci");
	bound(NAME, "nvme");
	stands(EPERM, "it is bound to 'nvme', and needs vfio-pci; as root: echo " NAME " >/sys/bus/pci/drivers/nvme/unbind; modprobe vfio-pci; "
	    "echo vfio-pci >/sys/bus/pci/devices/" NAME "/driver_override; echo " NAME " >/sys/bus/pci/drivers_probe");
	bound(NAME, NULL);
	stands(EPERM, "it has no driver, and needs vfio-pci; as root: modprobe vfio-pci; ");
	run("rm %s/bus/pci/devices/" NAME "/iommu_group; ln -s x %s/bus/pci/devices/" NAME "/iommu_group", sys, sys);
	stands(ENODEV, "'x' is no IOMMU group");
	run("rm %s/bus/pci/devices/" NAME "/iommu_group", sys);
	stands(ENODEV, "no IOMMU group for it: this host has no IOMMU, or it is switched off; ");
	run("rm -r %s/bus/pci/devices/" NAME, sys);
	stands(ENOENT, "this host has no such PCI device; lspci -D lists what it has");
	teardown();
}

static void
refused(struct vfio_container *c, int error, const char *words)
{
	CHECK(vfio_group_get(c, 7, NAME) == NULL);
	CHECKF(errno == error, "%s: %s", strerror(errno), vm_errmsg());
	CHECK_HAS(vm_errmsg(), words);
	CHECK(c->fd == -1 && c->groups == NULL);
}

TEST(a_group_that_cannot_be_opened)
{
	struct vfio_container c;
	char words[256];

	setup();
	vfio_init(&c, &host);
	(void)snprintf(words, sizeof(words), "there is no %s/7: the kernel's VFIO is not loaded (modprobe vfio-pci)", vfio_dir);
	refused(&c, ENODEV, words);
	run("touch %s/7; chmod 0 %s/7", vfio_dir, vfio_dir);
	if (geteuid() == 0 && seteuid(65534) == 0) {
		/* The folder is root's alone, as mkdtemp() has it. */
		CHECK_EQ(seteuid(0), 0);
		run("chmod 755 %s", top);
		CHECK_EQ(seteuid(65534), 0);
		refused(&c, EACCES, "cannot be opened: it is of user 0 and group");
		CHECK_HAS(vm_errmsg(), "with mode 000, this process of user 65534; run as that user, or chown 65534 ");
		CHECK_EQ(seteuid(0), 0);
	} else if (geteuid() != 0)
		refused(&c, EACCES, "with mode 000, this process of user ");
	/* A file that is none of VFIO's. */
	run("chmod 600 %s/7", vfio_dir);
	CHECK(vfio_group_get(&c, 7, NAME) == NULL);
	CHECKF(errno == ENOTTY || errno == ENOSYS, "%s", vm_errmsg());		/* of an emulator of this host */
	CHECK_HAS(vm_errmsg(), "passthrough of " NAME ": IOMMU group 7: ");
	CHECK(c.fd == -1 && c.groups == NULL);
	teardown();
}

TEST(registers_in_regions)
{
	struct vfio_dev dev = { .name = NAME, .fd = memfd_create("regions", 0) };
	uint64_t val = 0;

	dev.region[0] = (struct vfio_region){ .size = 0x100, .offset = 0x1000 };
	dev.region[VFIO_CONFIG] = (struct vfio_region){ .size = 0x1000, .offset = 0x2000 };
	CHECK_EQ(ftruncate(dev.fd, 0x2800), 0);
	CHECKF(vfio_write(&dev, 0, 0xf8, 8, 0x1122334455667788) == 0, "%s", vm_errmsg());
	CHECK_EQ(vfio_read(&dev, 0, 0xfc, 4, &val), 0);
	CHECK_EQ(val, 0x11223344);
	CHECK_EQ(pread(dev.fd, &val, 1, 0x10ff), 1);
	CHECK_EQ(val & 0xff, 0x11);
	CHECK_EQ(vfio_write(&dev, VFIO_CONFIG, 4, 2, 0x506), 0);
	CHECK_EQ(vfio_read(&dev, VFIO_CONFIG, 5, 1, &val), 0);
	CHECK_EQ(val, 5);
	/* Not beyond the end, across it, nor askew; not where there is no region. */
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(i == 0 ? vfio_read(&dev, 0, 0x100, 1, &val) : vfio_write(&dev, 0, 0x100, 1, 0), -1);
		CHECK_EQ(errno, EINVAL);
		CHECK_EQ(i == 0 ? vfio_read(&dev, 0, UINT64_MAX & ~7ULL, 8, &val) : vfio_write(&dev, 0, UINT64_MAX & ~7ULL, 8, 0), -1);
		CHECK_EQ(i == 0 ? vfio_read(&dev, 0, 0xfe, 4, &val) : vfio_write(&dev, 0, 0xfe, 4, 0), -1);
		CHECK_EQ(i == 0 ? vfio_read(&dev, 0, 0, 3, &val) : vfio_write(&dev, 0, 0, 3, 0), -1);
		CHECK_EQ(i == 0 ? vfio_read(&dev, 1, 0, 1, &val) : vfio_write(&dev, 1, 0, 1, 0), -1);
		CHECK_EQ(i == 0 ? vfio_read(&dev, VFIO_REGIONS, 0, 1, &val) : vfio_write(&dev, VFIO_REGIONS, 0, 1, 0), -1);
	}
	CHECK_EQ(vfio_read(&dev, 1, 0, 2, &val), -1);
	CHECK_EQ(val, 0xffff);
	/* The file ends in the region: what the kernel does not give reads as ones. */
	CHECK_EQ(vfio_read(&dev, VFIO_CONFIG, 0x800, 4, &val), -1);
	CHECK_EQ(val, UINT32_MAX);
	CHECK_HAS(vm_errmsg(), "0x800 of region 7 cannot be read");
	(void)close(dev.fd);
}

TEST(parts_that_can_be_mapped)
{
	struct vfio_dev dev = { .name = NAME, .fd = memfd_create("regions", 0) };
	uint8_t *p;

	dev.region[0] = (struct vfio_region){ .size = 0x10000, .offset = 0x4000, .nareas = 2, .area = { { 0, 0x4000 }, { 0x8000, 0x8000 } } };
	CHECK_EQ(ftruncate(dev.fd, 0x20000), 0);
	CHECK(vfio_can_map(&dev, 0, 0, 0x4000));
	CHECK(vfio_can_map(&dev, 0, 0xf000, 0x1000));
	CHECK(!vfio_can_map(&dev, 0, 0x3000, 0x2000));
	CHECK(!vfio_can_map(&dev, 0, 0x4000, 0x1000));
	CHECK(!vfio_can_map(&dev, 0, 0x8000, UINT64_MAX));
	CHECK(!vfio_can_map(&dev, 1, 0, 0x1000));
	p = vfio_map(&dev, 0, 0x8000, 0x1000);
	CHECKF(p != NULL, "%s", vm_errmsg());
	CHECK_EQ(vfio_write(&dev, 0, 0x8010, 1, 0x77), 0);
	CHECK_EQ(p[0x10], 0x77);
	CHECK_EQ(munmap(p, 0x1000), 0);
	CHECK(vfio_map(&dev, 0, 0x4000, 0x1000) == NULL);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vm_errmsg(), "the host does not let 0x1000 bytes at 0x4000 of BAR 0 be mapped");
	/* What is none of VFIO's has no interrupts and no reset. */
	CHECK_EQ(vfio_irq_set(&dev, VFIO_IRQ_PIN, 0, 1, &dev.fd), -1);
	CHECK_HAS(vm_errmsg(), "its interrupt pin cannot be switched on");
	CHECK_EQ(vfio_reset(&dev), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vm_errmsg(), "this host has no way to reset it");
	(void)close(dev.fd);
}

/* A VM that would take a device, if there was one; its back end is not begun. */
static struct vmctx *
willing(size_t mem)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_KVM };
	struct vmctx *vm = vm_new(&spec);

	CHECKF(vm != NULL, "%s", vm_errmsg());
	CHECK(mem == 0 || vm_setup_memory(vm, mem, VM_MMAP_ALL) == 0);
	return (vm);
}

TEST(a_device_that_this_host_has_not)
{
	struct vm_pptdev_info info;
	struct vmctx *vm = willing(0);

	CHECK_EQ(vm_assign_pptdev(vm, 0xfffffe, 31, 7), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vm_errmsg(), "has no RAM yet");
	vm_close(vm);
	vm = willing(1 << 20);
	CHECK_EQ(vm_assign_pptdev(vm, 0xfffffe, 31, 7), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_STR(vm_errmsg(), "passthrough of ffff:fe:1f.7: this host has no such PCI device; lspci -D lists what it has");
	CHECK_EQ(vm_assign_pptdev(vm, 0x1000000, 0, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_pptdev_get_info(vm, 0xfffffe, 31, 7, &info), -1);
	CHECK_EQ(errno, ENODEV);
	CHECK_HAS(vm_errmsg(), "it is not assigned to vm");
	CHECK_EQ(vm_unassign_pptdev(vm, 0xfffffe, 31, 7), -1);
	CHECK_EQ(errno, ENODEV);
	CHECK_EQ(vm_setup_pptdev_msix(vm, 0xfffffe, 31, 7, 0, 0xfee00000, 0, 0), -1);
	CHECK_EQ(errno, ENODEV);
	vm_close(vm);
}

/* With a device that is not there, as long as nobody asks it anything. */
static struct vmctx *
with_device(struct ppt *ppt, struct pptdev *dev, enum vm_arch arch)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = arch, .accel = VM_ACCEL_SOFT };
	struct vmctx *vm = vm_new(&spec);

	CHECKF(vm != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_setup_memory(vm, 1 << 20, VM_MMAP_ALL), 0);
	memset(ppt, 0, sizeof(*ppt));
	memset(dev, 0, sizeof(*dev));
	pthread_mutex_init(&ppt->lock, NULL);
	ppt->devs = dev;
	vm->ppt = ppt;
	return (vm);
}

TEST(all_memory_is_dirty_where_a_device_writes)
{
	struct pptdev dev;
	struct ppt ppt;
	struct vmctx *vm = with_device(&ppt, &dev, VM_ARCH_AMD64);
	uint64_t bits[4], all = 0;
	struct vm_dirty *d;

	d = vm_dirty_open(vm);
	CHECKF(d != NULL, "%s", vm_errmsg());
	for (unsigned round = 0; round < 3; round++) {
		CHECKF(vm_dirty_fetch(d, 0, 1 << 20, bits) == 0, "%s", vm_errmsg());
		all = bits[0] & bits[1] & bits[2] & bits[3];
		CHECK_EQ(all, UINT64_MAX);
	}
	vm->ppt = NULL;
	CHECK_EQ(vm_dirty_fetch(d, 0, 1 << 20, bits), 0);
	CHECK_EQ(bits[0] | bits[1] | bits[2] | bits[3], 0);
	vm_dirty_close(d);
	vm_close(vm);
}

TEST(a_back_end_without_devices_does_not_start)
{
	struct pptdev dev;
	struct ppt ppt;
	struct vmctx *vm = with_device(&ppt, &dev, VM_ARCH_ARM64);

	CHECK(vm_vcpu_open(vm, 0) != NULL);
	CHECK_EQ(vm_start(vm), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vm_errmsg(), "host devices are assigned to it, which the soft back end cannot have (soft, as asked)");
	CHECK_EQ(vm_reinit(vm), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_HAS(vm_errmsg(), "while host devices are assigned to it");
	vm->ppt = NULL;
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	vm_close(vm);
}

/* The first PCI device of this host's. */
TEST(what_this_host_says)
{
	struct dirent **list = NULL;
	struct vmctx *vm;
	char path[512], link[64];
	unsigned domain, bus, slot, func;
	int n = scandir("/sys/bus/pci/devices", &list, NULL, alphasort);

	if (n < 3 || sscanf(list[2]->d_name, "%x:%x:%x.%x", &domain, &bus, &slot, &func) != 4)
		SKIP("this host has no PCI device");
	(void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", list[2]->d_name);
	if (readlink(path, link, sizeof(link)) > 0)
		SKIP("this host has an IOMMU");
	vm = willing(1 << 20);
	CHECK_EQ(vm_assign_pptdev(vm, (int)(domain << 8 | bus), (int)slot, (int)func), -1);
	CHECK_EQ(errno, ENODEV);
	CHECK_HAS(vm_errmsg(), list[2]->d_name);
	CHECK_HAS(vm_errmsg(), "no IOMMU group for it: this host has no IOMMU, or it is switched off; switch it on in the firmware's setup");
	vm_close(vm);
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

TEST_MAIN()
