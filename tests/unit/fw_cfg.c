/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_cfg.c - the firmware configuration device as firmware uses it, by memory and by ports, and misuses it.
 */
#include <endian.h>

#include "firmware/fw_cfg.h"
#include "vmm_fixture.h"

#define	MMIO		0x09020000ULL
#define	PORT		0x510
#define	DESC		0x1000ULL
#define	BUF		0x4000ULL
#define	FILES		0x19

enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

static struct fx fx;
static struct device *dev;
static uint8_t *ram;
static bool ports;

static struct device *
make(struct fx *f, bool on_ports)
{
	const struct device_place place = { .on = on_ports ? DEVICE_ON_IO : DEVICE_ON_MMIO, .base = on_ports ? PORT : MMIO };

	return (fx_make(f, "fw-cfg", "fwcfg", &place));
}

static void
setup(bool on_ports)
{
	fx_open(&fx);
	ports = on_ports;
	dev = make(&fx, on_ports);
	ram = vm_map_gpa(fx.vmm.vm, 0, FX_MEM);
	CHECK(ram != NULL);
	devices_resume(&fx.vmm);
}

static void
choose(uint16_t key)
{
	if (ports)
		fx_write(&fx, VM_SPACE_IO, PORT, 2, key);
	else
		fx_write(&fx, VM_SPACE_MEM, MMIO + 8, 2, htobe16(key));
}

static uint8_t
next(void)
{
	return ((uint8_t)(ports ? fx_read(&fx, VM_SPACE_IO, PORT + 1, 1) : fx_read(&fx, VM_SPACE_MEM, MMIO, 1)));
}

/* Hand a descriptor over; the control word that comes back. */
static uint32_t
dma_at(uint64_t desc, uint32_t control, uint32_t len, uint64_t addr)
{
	struct { uint32_t control, len; uint64_t addr; } d = { htobe32(control), htobe32(len), htobe64(addr) };

	memcpy(ram + desc, &d, sizeof(d));
	if (ports) {
		fx_write(&fx, VM_SPACE_IO, PORT + 4, 4, htobe32((uint32_t)(desc >> 32)));
		fx_write(&fx, VM_SPACE_IO, PORT + 8, 4, htobe32((uint32_t)desc));
	} else
		fx_write(&fx, VM_SPACE_MEM, MMIO + 0x10, 8, htobe64(desc));
	memcpy(&d, ram + desc, sizeof(d));
	return (be32toh(d.control));
}

static uint32_t
dma(uint32_t control, uint32_t len, uint64_t addr)
{
	return (dma_at(DESC, control, len, addr));
}

/* As firmware does it: by the directory. */
static uint16_t
lookup(const char *name, uint32_t *size)
{
	struct { uint32_t size; uint16_t key, reserved; char name[56]; } e;
	uint32_t count;

	CHECK_EQ(dma(SELECT | READ | FILES << 16, 4, BUF), 0);
	memcpy(&count, ram + BUF, 4);
	for (count = be32toh(count); count > 0; count--) {
		CHECK_EQ(dma(READ, sizeof(e), BUF), 0);
		memcpy(&e, ram + BUF, sizeof(e));
		CHECK(memchr(e.name, 0, sizeof(e.name)) != NULL);
		CHECK_EQ(e.reserved, 0);
		if (strcmp(e.name, name) == 0) {
			*size = be32toh(e.size);
			return (be16toh(e.key));
		}
	}
	return (0);
}

static void
both_ways(bool on_ports)
{
	uint8_t big[300000];
	uint32_t size;
	uint16_t key;

	setup(on_ports);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7 + i / 256);
	CHECK_EQ(fw_cfg_add_number(dev, FW_CFG_NB_CPUS, 3, 2), 0);
	CHECK_EQ(fw_cfg_add_file(dev, "etc/big", big, sizeof(big)), 0);
	CHECK_EQ(fw_cfg_add_file(dev, "opt/none", "", 0), 0);

	/* After reset the signature is chosen; behind its end come zeros. */
	CHECK_EQ(next(), 'Q');
	choose(0);
	CHECK(next() == 'Q' && next() == 'E' && next() == 'M' && next() == 'U' && next() == 0 && next() == 0);
	choose(1);
	CHECK(next() == 3 && next() == 0 && next() == 0 && next() == 0);
	choose(FW_CFG_NB_CPUS);
	CHECK(next() == 3 && next() == 0);
	/* There is none of this number; the former write bit says nothing. */
	choose(0x1234);
	CHECK(next() == 0 && next() == 0);
	choose(0x4000 | FW_CFG_NB_CPUS);
	CHECK_EQ(next(), 3);

	key = lookup("etc/big", &size);
	CHECK(key >= 0x20);
	CHECK_EQ(size, sizeof(big));
	choose(key);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(next(), big[i]);
	/* On from there, and a piece over the end. */
	memset(ram + BUF, 0xee, sizeof(big) + 64);
	CHECK_EQ(dma(READ, sizeof(big), BUF), 0);
	CHECK(memcmp(ram + BUF, big + 5, sizeof(big) - 5) == 0);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(ram[BUF + sizeof(big) - 5 + i], 0);
	CHECK_EQ(ram[BUF + sizeof(big)], 0xee);
	CHECK_EQ(dma(SELECT | SKIP | (uint32_t)key << 16, 1000, 0), 0);
	CHECK_EQ(next(), big[1000]);
	CHECK_EQ(dma(SKIP, UINT32_MAX, 0), 0);
	CHECK_EQ(dma(SKIP, UINT32_MAX, 0), 0);
	CHECK_EQ(next(), 0);
	CHECK_EQ(dma(SELECT | (uint32_t)key << 16, 0, 0), 0);
	CHECK_EQ(next(), big[0]);
	CHECK(lookup("opt/none", &size) == key + 1 && size == 0);
	CHECK_EQ(lookup("opt/other", &size), 0);
	fx_close(&fx);
}

TEST(by_memory)
{
	both_ways(false);
}

TEST(by_ports)
{
	both_ways(true);
}

/* Wide reads are pieces of a string in memory order. */
TEST(wide_data)
{
	setup(false);
	CHECK_EQ(fw_cfg_add_key(dev, 0x02, "abcdefghijklmnop", 16), 0);
	choose(2);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MMIO, 8), 0x6867666564636261ULL);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MMIO, 4), 0x6c6b6a69ULL);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MMIO, 2), 0x6e6dULL);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MMIO, 8), 0x706fULL);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MMIO, 8), 0);
	fx_close(&fx);
}

TEST(dma_register)
{
	struct { uint32_t control, len; uint64_t addr; } d = { htobe32(SELECT | READ), htobe32(4), htobe64(BUF) };

	setup(true);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, PORT + 4, 4), htobe32(0x51454d55));
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, PORT + 8, 4), htobe32(0x20434647));
	fx_close(&fx);
	setup(false);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MMIO + 0x10, 8), htobe64(0x51454d5520434647ULL));
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, MMIO + 0x14, 4), htobe32(0x20434647));
	/* In halves; the low one starts. */
	memcpy(ram + DESC, &d, sizeof(d));
	fx_write(&fx, VM_SPACE_MEM, MMIO + 0x10, 4, 0);
	CHECK_EQ(ram[BUF], 0);
	fx_write(&fx, VM_SPACE_MEM, MMIO + 0x14, 4, htobe32((uint32_t)DESC));
	CHECK(memcmp(ram + BUF, "QEMU", 4) == 0);
	/* Other widths do nothing. */
	memset(ram + BUF, 0, 4);
	fx_write(&fx, VM_SPACE_MEM, MMIO + 0x14, 2, htobe16((uint16_t)DESC));
	fx_write(&fx, VM_SPACE_MEM, MMIO + 0x10, 1, 0);
	fx_write(&fx, VM_SPACE_MEM, MMIO, 8, 1);
	CHECK_EQ(ram[BUF], 0);
	fx_close(&fx);
}

TEST(addresses_are_checked)
{
	setup(false);
	/* Data where no RAM is, at its end, and around the end of the address space. */
	CHECK_EQ(dma(SELECT | READ, 4, FX_MEM), ERROR);
	CHECK_EQ(dma(SELECT | READ, 0x20000, FX_MEM - 0x10000), ERROR);
	CHECK_EQ(dma(SELECT | READ, 16, UINT64_MAX - 7), ERROR);
	CHECK_EQ(dma(READ, UINT32_MAX, 0x200000), ERROR);
	CHECK_HAS(fx.log, "cannot be done");
	CHECK_EQ(dma(SELECT | READ, 0, UINT64_MAX), 0);
	/* A descriptor where none can be answered. */
	fx_write(&fx, VM_SPACE_MEM, MMIO + 0x10, 8, htobe64(FX_MEM - 8));
	fx_write(&fx, VM_SPACE_MEM, MMIO + 0x10, 8, htobe64(UINT64_MAX));
	CHECK_HAS(fx.log, "where no RAM is");
	/* Over its own descriptor: what it says last is the result. */
	CHECK_EQ(dma(SELECT | READ, 16, DESC), 0);
	fx_close(&fx);
}

TEST(writes)
{
	uint32_t size;
	uint16_t ro, rw;

	setup(false);
	CHECK_EQ(fw_cfg_add_file(dev, "ro", "fixed", 5), 0);
	CHECK_EQ(fw_cfg_add_writable(dev, "first", "1111", 4), 0);
	CHECK_EQ(fw_cfg_add_writable(dev, "rw", "before", 6), 0);
	ro = lookup("ro", &size);
	rw = lookup("rw", &size);
	CHECK_EQ(size, 6);
	memcpy(ram + BUF, "AFTERWARDS", 10);
	CHECK_EQ(dma(SELECT | WRITE | (uint32_t)ro << 16, 5, BUF), ERROR);
	CHECK_EQ(dma(SELECT | WRITE | (uint32_t)rw << 16, 7, BUF), ERROR);
	CHECK_EQ(dma(SELECT | WRITE | (uint32_t)rw << 16, 6, FX_MEM - 3), ERROR);
	CHECK_EQ(dma(SELECT | WRITE | 0x7777U << 16, 1, BUF), ERROR);
	choose(rw);
	CHECK(next() == 'b' && next() == 'e');
	CHECK_EQ(dma(WRITE, 3, BUF), 0);
	CHECK_EQ(next(), 'e');
	choose(rw);
	CHECK(next() == 'b' && next() == 'e' && next() == 'A' && next() == 'F' && next() == 'T');
	CHECK(memcmp(fw_cfg_file(dev, "rw", &(size_t){ 0 }), "beAFTe", 6) == 0);
	CHECK(memcmp(fw_cfg_file(dev, "first", &(size_t){ 0 }), "1111", 4) == 0);
	fx_reset(&fx);
	CHECK(memcmp(fw_cfg_file(dev, "rw", &(size_t){ 0 }), "before", 6) == 0);
	CHECK_EQ(next(), 'Q');
	fx_close(&fx);
}

/* Half-way through an item and half of a DMA address. */
TEST(snapshot)
{
	struct fx other;
	struct device *d;

	setup(true);
	CHECK_EQ(fw_cfg_add_writable(dev, "rw", "before", 6), 0);
	choose(0x20);
	CHECK(next() == 'b' && next() == 'e');
	memcpy(ram + BUF, "xyz", 3);
	CHECK_EQ(dma(WRITE, 3, BUF), 0);
	fx_write(&fx, VM_SPACE_IO, PORT + 4, 4, htobe32(1));
	devices_pause(&fx.vmm);
	fx_open(&other);
	d = make(&other, true);
	CHECK_EQ(fw_cfg_add_writable(d, "rw", "before", 6), 0);
	fx_move(&fx, &other);
	devices_resume(&other.vmm);
	CHECK_EQ(fx_read(&other, VM_SPACE_IO, PORT + 1, 1), 'e');
	CHECK(memcmp(fw_cfg_file(d, "rw", &(size_t){ 0 }), "bexyze", 6) == 0);
	fx_write(&other, VM_SPACE_IO, PORT + 8, 4, 0);
	CHECK_HAS(other.log, "0x100000000");
	fx_close(&fx);
	fx_close(&other);
}

TEST(items_that_cannot_be)
{
	char name[80];

	setup(false);
	CHECK_EQ(fw_cfg_add_key(dev, 0, "", 0), -1);
	CHECK_EQ(errno, EEXIST);
	CHECK_EQ(fw_cfg_add_key(dev, FILES, "", 0), -1);
	CHECK_EQ(fw_cfg_add_key(dev, 0x20, "", 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(fw_cfg_add_key(dev, 0xc000, "", 0), -1);
	CHECK_EQ(fw_cfg_lend_key(dev, 0x8000, "arch", 4), 0);
	choose(0x8000);
	CHECK_EQ(next(), 'a');
	CHECK_EQ(fw_cfg_add_file(dev, "", "", 0), -1);
	memset(name, 'n', 56);
	name[56] = '\0';
	CHECK_EQ(fw_cfg_add_file(dev, name, "", 0), -1);
	CHECK_HAS(vmm_errmsg(), "1 to 55 bytes");
	name[55] = '\0';
	CHECK_EQ(fw_cfg_add_file(dev, name, "x", 1), 0);
	CHECK_EQ(fw_cfg_add_file(dev, name, "x", 1), -1);
	CHECK_EQ(errno, EEXIST);
	CHECK_EQ(fw_cfg_add_writable(dev, "long", name, FW_CFG_WRITABLE_MAX + 1), -1);
	CHECK_EQ(errno, ENOSPC);
	for (unsigned i = 1; i < FW_CFG_FILES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "file%u", i);
		CHECK_EQ(fw_cfg_add_file(dev, name, &i, sizeof(i)), 0);
	}
	CHECK_EQ(fw_cfg_add_file(dev, "more", "", 0), -1);
	CHECK_EQ(errno, ENOSPC);
	CHECK_EQ(lookup("file100", &(uint32_t){ 0 }), 0x20 + 100);
	fx_close(&fx);
}

TEST(describes_itself)
{
	struct device_description desc = { 0 };

	setup(false);
	dev->cls->describe(dev, &desc);
	CHECK_STR(desc.compatible, "qemu,fw-cfg-mmio");
	CHECK_STR(desc.hid, "QEMU0002");
	CHECK(desc.dma_coherent);
	fx_close(&fx);
}

TEST_MAIN()
