/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passthru_device.c - a host's device as the guest drives it, with fake_ppt.h in its place: registers, BARs, messages, the pin, resets.
 */
#include "fake_ppt.h"
#include "pci/root_port.h"
#include "pci_fixture.h"

#define	DEVFN	PCI_DEVFN(1, 0)
#define	BEHIND	(5U << 8)		/* a port with bus 5 */

static struct fx fx;
static struct pci_host *host;
static struct device *dev;

static struct device *
make(const char *keys)
{
	fx_open(&fx);
	host = px_host(&fx);
	dev = px_make_with(&fx, host, "passthru", "given", DEVFN, fx.irq, keys);
	return (dev);
}

static void
setup(void)
{
	fake_disk();
	CHECKF(make("given.pptdev=0000:03:00.0\n") != NULL, "%s", vmm_errmsg());
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
}

static void
teardown(void)
{
	devices_destroy(&fx.vmm);
	CHECK(!fake.assigned);
	pci_host_free(host);
	fx_close(&fx);
}

static unsigned
cap(uint8_t id)
{
	unsigned off = cfg_cap(&fx, DEVFN, id, 0);

	CHECKF(off != 0, "there is no capability %#x", id);
	return (off);
}

static uint16_t
command(void)
{
	return ((uint16_t)(fake.cfg[4] | fake.cfg[5] << 8));
}

/* The mapping at gpa, which shows what the host has at hpa. */
static bool
mapped(uint64_t gpa, size_t len, uint64_t hpa)
{
	for (unsigned i = 0; i < FAKE_MAPS; i++) {
		if (fake.map[i].len == len && fake.map[i].gpa == gpa && fake.map[i].hpa == hpa)
			return (true);
	}
	return (false);
}

static unsigned
mappings(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < FAKE_MAPS; i++)
		n += fake.map[i].len != 0;
	return (n);
}

TEST(the_guest_sees_it)
{
	setup();
	CHECK_EQ(cfg_r(&fx, DEVFN, 0, 4), 0x5845abcd);
	CHECK_EQ(cfg_r(&fx, DEVFN, 8, 4), 0x01080203);
	CHECK_EQ(cfg_r(&fx, DEVFN, 0x2c, 4), 0x11001af4);
	CHECK_EQ(cfg_r(&fx, DEVFN, R_PIN, 1), 1);
	CHECK_EQ(cfg_r(&fx, DEVFN, 0x100, 4), 0x00010003);
	CHECK_EQ(cfg_r(&fx, DEVFN, 0x108, 4), 0xcafe0002);
	(void)cap(0x01);
	(void)cap(0x10);
	CHECK_EQ(fake.bus, 3);
	teardown();
}

TEST(memory_is_mapped_where_its_bar_is)
{
	uint64_t at;

	setup();
	at = cfg_bar(&fx, DEVFN, 0);
	CHECK_EQ(mappings(), 1);
	CHECK(mapped(at, 0x2000, 0xfe000000));
	cfg_w(&fx, DEVFN, R_COMMAND, 2, 0);
	CHECK_EQ(mappings(), 0);
	cfg_w(&fx, DEVFN, R_BAR(0), 4, 0xc8000000);
	cfg_w(&fx, DEVFN, R_BAR(1), 4, 0);
	cfg_w(&fx, DEVFN, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK(mapped(0xc8000000, 0x2000, 0xfe000000));
	CHECK_EQ(mappings(), 1);
	fx_reset(&fx);
	CHECK_EQ(mappings(), 0);
	teardown();
}

TEST(the_rest_of_it_goes_by_the_handler)
{
	uint64_t at;

	setup();
	at = cfg_bar(&fx, DEVFN, 0);
	fake.bar[0][0x10] = 0x5a;
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, at + 0x10, 1), 0x5a);
	fx_write(&fx, VM_SPACE_MEM, at + 0x3800, 8, 0x1122334455667788);
	CHECK_EQ(fake.bar[0][0x3807], 0x11);
	at = cfg_bar(&fx, DEVFN, 4);
	fx_write(&fx, VM_SPACE_IO, at + 4, 2, 0xbeef);
	CHECK_EQ(fake.bar[4][4], 0xef);
	/* Eight of its sixteen ports are there. */
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, at + 8, 4), UINT32_MAX);
	teardown();
}

TEST(bus_mastering_is_the_guests)
{
	setup();
	CHECK_EQ(command() & PCI_CMD_MASTER, 0);
	cfg_w(&fx, DEVFN, R_COMMAND, 2, PCI_CMD_MASTER);
	CHECK_EQ(command(), PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
	cfg_w(&fx, DEVFN, R_COMMAND, 2, 0);
	/* It answers to the host nevertheless. */
	CHECK_EQ(command(), PCI_CMD_IO | PCI_CMD_MEM);
	cfg_w(&fx, DEVFN, R_COMMAND, 2, PCI_CMD_MASTER);
	cfg_w(&fx, DEVFN, cap(0x01) + 4, 2, 3);		/* D3hot */
	CHECK_EQ(command() & PCI_CMD_MASTER, 0);
	cfg_w(&fx, DEVFN, cap(0x01) + 4, 2, 0);
	CHECK(command() & PCI_CMD_MASTER);
	fx_reset(&fx);
	CHECK_EQ(command() & PCI_CMD_MASTER, 0);
	teardown();
}

TEST(its_vendors_capability_is_the_devices)
{
	unsigned at;

	setup();
	at = cap(0x09);
	CHECK_EQ(cfg_r(&fx, DEVFN, at + 2, 1), 16);
	CHECK_EQ(cfg_r(&fx, DEVFN, at, 4) >> 16, 0x5510);
	CHECK_EQ(cfg_r(&fx, DEVFN, at, 1), 9);
	CHECK_EQ(cfg_r(&fx, DEVFN, at + 1, 1), 0);
	CHECK_EQ(cfg_r(&fx, DEVFN, at + 4, 4), 0x12345678);
	cfg_w(&fx, DEVFN, at + 6, 2, 0xaa55);
	CHECK_EQ(fake.cfg[0xa7], 0xaa);
	fake.cfg[0xa4] = 1;
	CHECK_EQ(cfg_r(&fx, DEVFN, at + 4, 2), 0x5601);
	teardown();
}

TEST(message_vectors)
{
	struct px_msix m;

	setup();
	m = px_msix(&fx, DEVFN);
	CHECK_EQ(m.nvec, 9);
	CHECK_EQ(m.table, cfg_bar(&fx, DEVFN, 0) + 0x2000);
	msix_set(&m, 3, 0x1234);
	CHECK(!fake.msix_on);
	msix_control(&m, MSIX_ON | MSIX_MASKED);
	CHECK(fake.vector[3].masked && fake.vector[0].masked);
	msix_control(&m, MSIX_ON);
	CHECK(!fake.vector[3].masked && fake.vector[0].masked);
	CHECK_EQ(fake.vector[3].addr, MSI_ADDR);
	CHECK_EQ(fake.vector[3].data, 0x1234);
	CHECK_EQ(fake.requester, DEVFN);
	msix_mask(&m, 3, true);
	CHECK(fake.vector[3].masked);
	fake.vector[3].pending = true;
	CHECK(msix_pending(&m, 3));
	CHECK(!msix_pending(&m, 2));
	/* The device's own table is never reached. */
	for (unsigned i = 0; i < 9 * 16; i++)
		CHECK_EQ(fake.bar[0][0x2000 + i], 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, m.table + 3 * 16 + 8, 4), 0x1234);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, m.table + 3 * 16, 2), 0xffff);
	fx_write(&fx, VM_SPACE_MEM, m.table + 3 * 16 + 8, 1, 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, m.table + 3 * 16 + 8, 8), 0x100001234);
	CHECK_HAS(fx.log, "in its message table");
	msix_control(&m, 0);
	CHECK(!fake.msix_on);
	fx_reset(&fx);
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, m.table + 3 * 16 + 8, 8), 0x100000000);
	teardown();
}

TEST(single_messages)
{
	unsigned at;

	setup();
	at = cap(0x05);
	CHECK_EQ(cfg_r(&fx, DEVFN, at + 2, 2), 0x84);
	cfg_w(&fx, DEVFN, at + 4, 4, MSI_ADDR);
	cfg_w(&fx, DEVFN, at + 12, 2, 0x4040);
	CHECK_EQ(fake.nmsi, 0);
	cfg_w(&fx, DEVFN, at + 2, 2, 0x0011);		/* two of them */
	CHECK_EQ(fake.nmsi, 2);
	CHECK_EQ(fake.msi_addr, MSI_ADDR);
	CHECK_EQ(fake.msi_data, 0x4040);
	cfg_w(&fx, DEVFN, at + 2, 2, 0x0071);		/* more than there are */
	CHECK_EQ(fake.nmsi, 4);
	cfg_w(&fx, DEVFN, at + 2, 2, 0);
	CHECK_EQ(fake.nmsi, 0);
	teardown();
}

TEST(the_pin_is_masked_until_the_guest_is_done)
{
	setup();
	fake_raise();
	CHECK(fake.pin_masked);
	CHECK(fx_level(&fx));
	CHECK(cfg_r(&fx, DEVFN, R_STATUS, 2) & 8);
	/* A guest that does not want it. */
	cfg_w(&fx, DEVFN, R_COMMAND, 2, PCI_CMD_INTX_OFF);
	CHECK(!fx_level(&fx));
	CHECK(fake.pin_masked);
	cfg_w(&fx, DEVFN, R_COMMAND, 2, 0);
	CHECK(fx_level(&fx));
	/* The end of an interrupt; another one of the same line's is none of ours. */
	fake.eoi(fake.eoi_arg);
	CHECK(!fx_level(&fx));
	CHECK(!fake.pin_masked);
	fake.pin_masked = true;
	fake.eoi(fake.eoi_arg);
	CHECK(fake.pin_masked);
	fake.pin_masked = false;
	fake_raise();
	CHECK(fx_level(&fx));
	/* Messages take its place. */
	cfg_w(&fx, DEVFN, cap(0x11) + 2, 2, MSIX_ON);
	CHECK(!fx_level(&fx));
	teardown();
}

TEST(a_reset_of_the_function)
{
	setup();
	CHECK_EQ(fake.resets, 1);			/* power-on */
	cfg_w(&fx, DEVFN, R_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_MEM);
	cfg_w(&fx, DEVFN, cap(0x10) + 8, 2, 0x8000);
	CHECK_EQ(mappings(), 0);
	CHECK_EQ(command() & PCI_CMD_MASTER, 0);
	fx_turn(&fx);
	CHECK_EQ(fake.resets, 2);
	CHECK_EQ(cfg_r(&fx, DEVFN, R_COMMAND, 2) & PCI_CMD_MASTER, 0);
	teardown();
}

/* Behind a port it goes at any time, with whatever the guest had set up. */
TEST(it_is_taken_out_and_put_in)
{
	struct vm_irq *pin;
	struct device *port;

	fx_open(&fx);
	pin = vm_irq_open_line(fx.vmm.vm, 4);
	CHECKF(pin != NULL, "%s", vm_errmsg());
	host = px_host(&fx);
	port = px_make(&fx, host, "root-port", "port", PCI_DEVFN(5, 0), fx.irq);
	CHECKF(port != NULL, "%s", vmm_errmsg());
	for (unsigned round = 0; round < 3; round++) {
		const struct device_place place = {
			.on = DEVICE_ON_PCI, .pci = host, .port = root_port_of(port), .bus = 5, .nirqs = 1, .irq = { pin },
		};

		fake_disk();
		dev = fx_make_with(&fx, "passthru", "given", &place, round == 0 ? "given.pptdev=3/0/0\n" : "");
		CHECKF(dev != NULL, "%s", vmm_errmsg());
		root_port_insert(port, round != 0);
		if (round == 0) {
			CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
			devices_resume(&fx.vmm);
		} else {
			devices_resume(&fx.vmm);
			cfg_w(&fx, BEHIND, R_BAR(0), 4, MEM32_BASE);
			cfg_w(&fx, BEHIND, R_BAR(1), 4, 0);
		}
		cfg_w(&fx, BEHIND, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
		CHECK_EQ(mappings(), 1);
		cfg_w(&fx, BEHIND, cfg_cap(&fx, BEHIND, 0x11, 0) + 2, 2, MSIX_ON);
		CHECK(fake.msix_on);
		CHECK_EQ(fake.requester, BEHIND);
		if (round == 2)
			break;
		CHECK_EQ(vm_pause(fx.vmm.vm), 0);
		device_destroy(dev);
		root_port_removed(port);
		CHECK_EQ(vm_resume(fx.vmm.vm), 0);
		CHECK(!fake.assigned && !fake.msix_on && mappings() == 0);
	}
	devices_destroy(&fx.vmm);
	CHECK(!fake.assigned);
	pci_host_free(host);
	vm_irq_close(pin);
	fx_close(&fx);
}

/* A vendor's registers need not fill the last word of theirs. */
TEST(no_more_is_written_than_is_its_vendors)
{
	unsigned at;

	fake_disk();
	fake_put(0xa2, 1, 7);
	fake_put(0xa7, 1, 0x99);
	CHECKF(make("given.pptdev=3/0/0\n") != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	at = cap(0x09);
	cfg_w(&fx, DEVFN, at + 4, 4, 0x11223344);
	CHECK_EQ(fake.cfg[0xa6], 0x22);
	CHECK_EQ(fake.cfg[0xa7], 0x99);
	cfg_w(&fx, DEVFN, at + 6, 2, 0x5566);
	CHECK_EQ(fake.cfg[0xa6], 0x66);
	CHECK_EQ(fake.cfg[0xa7], 0x99);
	teardown();
}

TEST(a_device_that_cannot_be_reset_is_told_of)
{
	fake_disk();
	fake.info.reset = false;
	CHECKF(make("given.pptdev=3/0/0\n") != NULL, "%s", vmm_errmsg());
	CHECK_HAS(fx.log, "given: the host cannot reset this device");
	devices_resume(&fx.vmm);
	CHECK_EQ(cfg_cap(&fx, DEVFN, 0x10, 0), 0);
	teardown();
}

TEST(what_the_host_says_of_it_is_told_once)
{
	setup();
	fake.notice(fake.notice_arg, VM_PPTDEV_WANTED);
	CHECK_HAS(fx.log, "given: the host wants this device back: it waits until the VM ends\n");
	fake.notice(fake.notice_arg, VM_PPTDEV_WANTED);
	fake.notice(fake.notice_arg, VM_PPTDEV_FAILED);
	CHECK_HAS(fx.log, "given: the device has failed");
	CHECK(strstr(strstr(fx.log, "wants this") + 1, "wants this") == NULL);
	teardown();
}

TEST(it_is_in_no_snapshot)
{
	struct vm_state_out *out = vm_state_out_open();

	setup();
	devices_pause(&fx.vmm);
	CHECK_EQ(devices_save(&fx.vmm, out), -1);
	CHECK_HAS(vmm_errmsg(), "given: a device of the host is in no snapshot");
	vm_state_out_close(out);
	teardown();
}

TEST(what_failed_is_given_back)
{
	fake_disk();
	CHECK(make("given.pptdev=3/0/0\ngiven.rom=/nowhere\n") == NULL);
	CHECK_HAS(vmm_errmsg(), "/nowhere");
	CHECK(!fake.assigned);
	pci_host_free(host);
	fx_close(&fx);
	fake_disk();
	fake_put(0x0e, 1, 1);
	CHECK(make("given.pptdev=3/0/0\n") == NULL);
	CHECK_HAS(vmm_errmsg(), "given: the host's device: it is a bridge");
	CHECK(!fake.assigned);
	pci_host_free(host);
	fx_close(&fx);
}

/* What a driver does, in short. */
static void
drive(void)
{
	struct px_msix m;
	unsigned at;

	(void)pci_host_assign(host);
	devices_resume(&fx.vmm);
	cfg_w(&fx, DEVFN, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	fake_raise();
	fake.eoi(fake.eoi_arg);
	m = px_msix(&fx, DEVFN);
	msix_set(&m, 3, 0x1234);
	msix_control(&m, MSIX_ON);
	msix_mask(&m, 3, true);
	msix_control(&m, 0);
	at = cap(0x05);
	cfg_w(&fx, DEVFN, at + 2, 2, 0x0011);
	cfg_w(&fx, DEVFN, at + 2, 2, 0);
	cfg_w(&fx, DEVFN, cap(0x09) + 4, 4, 1);
	(void)fx_read(&fx, VM_SPACE_MEM, cfg_bar(&fx, DEVFN, 0), 4);
	fx_write(&fx, VM_SPACE_MEM, cfg_bar(&fx, DEVFN, 0) + 4, 4, 1);
	cfg_w(&fx, DEVFN, R_COMMAND, 2, PCI_CMD_MASTER);
	cfg_w(&fx, DEVFN, cap(0x10) + 8, 2, 0x8000);
	fx_turn(&fx);
	fx_reset(&fx);
	CHECK_EQ(mappings(), 0);
}

TEST(whatever_the_host_fails_at_nothing_is_left)
{
	unsigned at, refused = 0;
	bool more = true;

	for (at = 1; more; at++) {
		fake_disk();
		fake.fail_at = at;
		if (make("given.pptdev=3/0/0\n") == NULL) {
			CHECK(vmm_errmsg()[0] != '\0');
			CHECK(!fake.assigned);
			refused++;
		} else
			drive();
		more = fake.calls >= at;
		teardown();
	}
	printf("# %u calls, %u refused\n", at - 1, refused);
	CHECK(at > 35 && refused >= 4);
	/* A host that shows less of the configuration space. */
	fake_disk();
	fake.cfg_end = 0x80;
	CHECK(make("given.pptdev=3/0/0\n") == NULL);
	CHECK(!fake.assigned);
	teardown();
	fake_disk();
	fake.cfg_end = 0x100;
	CHECKF(make("given.pptdev=3/0/0\n") != NULL, "%s", vmm_errmsg());
	CHECK_EQ(cfg_r(&fx, DEVFN, 0x100, 4), 0);
	teardown();
}

TEST_MAIN()
