/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci_rom.c - option ROMs: whose they are, where they decode, and files that are none.
 */
#include <fcntl.h>

#include "pci/rom.h"
#include "pci_fixture.h"

#define	R_ROM		0x30
#define	NIC		PCI_DEVFN(3, 0)

static struct fx fx;
static struct pci_host *host;

/* An image of n units: PCIR at 0x40, of type code; last: none behind it. */
static void
image(uint8_t *p, unsigned n, uint8_t code, bool last)
{
	uint8_t sum = 0;

	memset(p, 0x11, n * 512);
	memcpy(p, "\x55\xaa", 2);
	p[2] = (uint8_t)n;
	p[0x18] = 0x40;
	p[0x19] = 0;
	memcpy(p + 0x40, "PCIR\xec\x10\x29\x80", 8);
	p[0x50] = (uint8_t)n;
	p[0x51] = 0;
	p[0x54] = code;
	p[0x55] = last ? 0x80 : 0;
	for (unsigned i = 0; i < n * 512; i++)
		sum = (uint8_t)(sum + p[i]);
	p[6] = (uint8_t)(p[6] - sum);
}

static unsigned
sum_of(const uint8_t *p, unsigned len)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < len; i++)
		sum += p[i];
	return (sum & 0xff);
}

TEST(every_image_gets_the_identity)
{
	uint8_t rom[6 * 512], was[sizeof(rom)];

	image(rom, 4, 0, false);
	image(rom + 4 * 512, 2, 3, true);
	memcpy(was, rom, sizeof(rom));
	CHECK_EQ(pci_rom_adopt(rom, sizeof(rom), 0x10ec, 0x8029), 2);
	CHECK(memcmp(was, rom, sizeof(rom)) == 0);		/* it is theirs already */
	CHECK_EQ(pci_rom_adopt(rom, sizeof(rom), 0x1af4, 0x1041), 2);
	CHECK(memcmp(rom + 0x44, "\xf4\x1a\x41\x10", 4) == 0);
	CHECK(memcmp(rom + 4 * 512 + 0x44, "\xf4\x1a\x41\x10", 4) == 0);
	CHECK_EQ(sum_of(rom, 4 * 512), 0);			/* a BIOS looks at it */
	CHECK_EQ(rom[4 * 512 + 6], was[4 * 512 + 6]);		/* UEFI does not */
}

TEST(damaged_images)
{
	uint8_t *rom = malloc(4 * 512);
	uint64_t seed = 1;

	CHECK(rom != NULL);
	image(rom, 4, 0, true);
	for (unsigned len = 0; len < 4 * 512; len++)
		CHECK_EQ(pci_rom_adopt(rom, len, 1, 1), 0);
	CHECK_EQ(pci_rom_adopt(rom, 4 * 512, 1, 1), 1);
	rom[0x50] = 0;
	CHECK_EQ(pci_rom_adopt(rom, 4 * 512, 1, 1), 0);
	/* It never looks behind the end, and never for ever: of a copy that is exactly as long. */
	for (unsigned n = 0; n < test_rounds(20000); n++) {
		unsigned len = (unsigned)(test_random(&seed) % (4 * 512));
		uint8_t *copy = malloc(len + 1);

		CHECK(copy != NULL);
		image(rom, 1 + n % 4, n % 3 == 0 ? 3 : 0, n % 2 == 0);
		for (unsigned i = 0; i < 3; i++)
			rom[test_random(&seed) % 0x60] = (uint8_t)test_random(&seed);
		memcpy(copy, rom, len);
		CHECK(pci_rom_adopt(copy, len, 2, 3) <= 4);
		free(copy);
	}
	free(rom);
}

static bool
there(uint64_t addr)
{
	uint64_t val = 0;

	return (vm_access(fx.vmm.vm, VM_SPACE_MEM, addr, 2, false, &val) == 0);
}

/* A NIC with what is in a file as its ROM; NULL with a sentence. */
static struct device *
nic(const void *data, size_t len)
{
	const struct device_class *cls = device_class_find("virtio-net");
	struct device_place place = { .on = DEVICE_ON_PCI, .pci = host, .devfn = NIC };
	struct config_node *node = fx_node(&fx, "nic", cls);
	static const struct config_origin origin = { CONFIG_FROM_CODE, "test", 0 };
	char path[] = "/tmp/hyve-rom.XXXXXX";
	struct device *dev;
	int fd = mkstemp(path);

	CHECK(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	close(fd);
	CHECKF(config_set(fx.vmm.config, "nic.rom", path, &origin) == 0, "%s", vmm_errmsg());
	dev = device_create(&fx.vmm, cls, "nic", node, &place);
	CHECK_EQ(unlink(path), 0);
	if (dev == NULL && strstr(vmm_errmsg(), "hyve-net-slirp.so is not there") != NULL)
		SKIP("hyve was built without libslirp");
	return (dev);
}

TEST(it_decodes_where_it_is_put)
{
	uint8_t rom[5 * 512];

	fx_open(&fx);
	host = px_host(&fx);
	image(rom, 5, 0, true);
	CHECKF(nic(rom, sizeof(rom)) != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	/* 4 KiB, and switched off. */
	CHECK_EQ(cfg_port_r(&fx, NIC, R_ROM, 4), 0);
	cfg_port_w(&fx, NIC, R_ROM, 4, 0xfffffffe);
	CHECK_EQ(cfg_port_r(&fx, NIC, R_ROM, 4), 0xfffff000);
	cfg_port_w(&fx, NIC, R_ROM, 4, 0xc8000001);
	CHECK(!there(0xc8000000));			/* memory is off */
	cfg_port_w(&fx, NIC, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xc8000000, 2), 0xaa55);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xc8000044, 4), 0x10411af4);
	fx_write(&fx, VM_SPACE_MEM, 0xc8000000, 4, 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xc8000000, 2), 0xaa55);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xc80009ff, 1), rom[5 * 512 - 1]);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0xc8000a00, 8), UINT64_MAX);	/* behind the file */
	cfg_port_w(&fx, NIC, R_ROM, 1, 0);
	CHECK(!there(0xc8000000));
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
}

TEST(what_is_none_is_refused)
{
	uint8_t rom[2 * 512];

	fx_open(&fx);
	host = px_host(&fx);
	memset(rom, 0, sizeof(rom));
	CHECK(nic(rom, sizeof(rom)) == NULL);
	CHECK_HAS(vmm_errmsg(), "is no option ROM for a PCI device");
	CHECK(nic(rom, 0) == NULL);
	CHECK_HAS(vmm_errmsg(), "nic: ROM: ");
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
}

TEST_MAIN()
