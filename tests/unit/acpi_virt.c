/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_virt.c - the ACPI tables of a machine with Arm processors, given to firmware: the commands are carried out here as firmware
 * does, and the result is read as an operating system does it, and by ACPICA.
 */
#include <endian.h>

#include "acpi/tables.h"
#include "acpica.h"
#include "bytes.h"
#include "firmware/fw_cfg.h"
#include "vmm_fixture.h"

#define	TABLES_AT	0x40100000ULL	/* where the firmware of this test puts them */
#define	RSDP_AT		0x40010000ULL

static const uint64_t mpidr[] = { 0, 1, 2, 0x100, 0x101 };

static const struct acpi_mmio_dev devs[] = {
	{ "COM0", "ARMH0011", 0, 0x09000000, 0x1000, 33, false },
	{ "FWCF", "QEMU0002", 0, 0x09020000, 0x18, -1, true },
};

static const struct acpi_virt plain = {
	.ncpus = 5, .mpidr = mpidr, .gicd = 0x08000000, .gicr = 0x080a0000, .gicr_len = 0xf60000, .timer_phys = 30,
	.timer_virt = 27, .timer_secure = 29, .ecam = 0x4010000000, .last_bus = 0xff, .io_addr = 0x3eff0000, .io_len = 0x10000,
	.mem32_base = 0x10000000, .mem32_last = 0x3efeffff, .mem64_base = 0x8000000000, .mem64_last = 0xffffffffff,
	.pirq = { 35, 36, 37, 38 }, .dev = devs, .ndev = 2, .console = &devs[0],
	.gpio = { "GPO0", "ARMH0061", 0, 0x09030000, 0x1000, 39, false }, .power_pin = 3,
};

static struct fx fx;
static uint8_t *tables, *rsdp;		/* the files, as placed */
static size_t tables_len, rsdp_len;
static bool have_tables, have_rsdp;

static uint8_t *
file(const char *name, size_t *len, uint64_t *at)
{
	CHECK(memchr(name, 0, 56) != NULL);
	if (strcmp(name, "etc/acpi/tables") == 0) {
		CHECK(have_tables);
		*len = tables_len;
		*at = TABLES_AT;
		return (tables);
	}
	CHECK_STR(name, "etc/acpi/rsdp");
	CHECK(have_rsdp);
	*len = rsdp_len;
	*at = RSDP_AT;
	return (rsdp);
}

static uint8_t *
copy(struct device *dev, const char *name, size_t *len)
{
	const void *data = fw_cfg_file(dev, name, len);
	uint8_t *own = malloc(*len);

	CHECK(data != NULL && own != NULL);
	memcpy(own, data, *len);
	return (own);
}

static void
command(const uint8_t *c)
{
	const char *name = (const char *)c + 4;
	size_t len, other;
	uint64_t at, base;
	uint32_t off, start, n;
	uint8_t *f, size;

	switch (num(c, 4)) {
	case 1:
		if (strcmp(name, "etc/acpi/tables") == 0) {
			CHECK(!have_tables);
			have_tables = true;
			CHECK(num(c + 60, 4) >= 64 && num(c + 60, 4) <= 4096);
			CHECK_EQ(c[64], 1);
		} else {
			CHECK_STR(name, "etc/acpi/rsdp");
			CHECK(!have_rsdp);
			have_rsdp = true;
			CHECK_EQ(num(c + 60, 4), 16);
			CHECK_EQ(c[64], 2);
		}
		break;
	case 2:
		f = file(name, &len, &at);
		(void)file((const char *)c + 60, &other, &base);
		off = (uint32_t)num(c + 116, 4);
		size = c[120];
		CHECK(size == 4 || size == 8);
		CHECK(off + size <= len);
		CHECK(num(f + off, size) < other);
		at = num(f + off, size) + base;
		memcpy(f + off, &at, size);
		break;
	case 3:
		f = file(name, &len, &at);
		off = (uint32_t)num(c + 60, 4);
		start = (uint32_t)num(c + 64, 4);
		n = (uint32_t)num(c + 68, 4);
		CHECK(start + n <= len && off >= start && off < start + n);
		/* Firmware differs in whether what is there counts. */
		CHECK_EQ(f[off], 0);
		f[off] = (uint8_t)-sum(f + start, n);
		break;
	default:
		FAIL("command %llu", (unsigned long long)num(c, 4));
	}
}

/* Build, hand over, and do what firmware does. */
static void
load(const struct acpi_virt *spec)
{
	const struct device_class *cls = device_class_find("fw-cfg");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = 0x09020000 };
	struct acpi_blob blob;
	struct device *dev;
	const uint8_t *loader;
	size_t len;

	fx_open(&fx);
	CHECK(cls != NULL);
	dev = device_create(&fx.vmm, cls, "fwcfg", fx_node(&fx, "fwcfg", cls), &place);
	CHECK(dev != NULL);
	CHECKF(acpi_build_virt(spec, &blob) == 0, "%s", vmm_errmsg());
	CHECKF(acpi_publish(&blob, dev) == 0, "%s", vmm_errmsg());
	acpi_free(&blob);
	tables = copy(dev, "etc/acpi/tables", &tables_len);
	rsdp = copy(dev, "etc/acpi/rsdp", &rsdp_len);
	loader = fw_cfg_file(dev, "etc/table-loader", &len);
	CHECK(loader != NULL && len % 128 == 0);
	for (size_t i = 0; i < len; i += 128)
		command(loader + i);
}

static void
done(void)
{
	free(tables);
	free(rsdp);
	fx_close(&fx);
}

static const uint8_t *
table_at(uint64_t at)
{
	const uint8_t *t;

	CHECKF(at >= TABLES_AT && at + 36 <= TABLES_AT + tables_len, "a table at %#llx", (unsigned long long)at);
	t = tables + (at - TABLES_AT);
	CHECK(num(t + 4, 4) >= 36 && at + num(t + 4, 4) <= TABLES_AT + tables_len);
	CHECKF(sum(t, num(t + 4, 4)) == 0, "%.4s has a wrong checksum", (const char *)t);
	return (t);
}

static const uint8_t *
find(const char *sig)
{
	const uint8_t *xsdt, *found = NULL;

	CHECK(memcmp(rsdp, "RSD PTR ", 8) == 0);
	CHECK(rsdp_len == 36 && sum(rsdp, 20) == 0 && sum(rsdp, 36) == 0);
	xsdt = table_at(num(rsdp + 24, 8));
	CHECK(memcmp(xsdt, "XSDT", 4) == 0);
	for (uint64_t off = 36; off < num(xsdt + 4, 4); off += 8) {
		const uint8_t *t = table_at(num(xsdt + off, 8));

		if (memcmp(t, sig, 4) == 0) {
			CHECKF(found == NULL, "there are two of %s", sig);
			found = t;
		}
	}
	return (found);
}

static const uint8_t *
dsdt(void)
{
	const uint8_t *fadt = find("FACP"), *t;

	CHECK(fadt != NULL);
	t = table_at(num(fadt + 140, 8));
	CHECK(memcmp(t, "DSDT", 4) == 0);
	return (t);
}

TEST(hardware_reduced)
{
	const uint8_t *t;

	load(&plain);
	t = find("FACP");
	CHECK(t != NULL);
	CHECK_EQ(num(t + 4, 4), 276);
	CHECK_EQ(num(t + 112, 4) & 1U << 20, 1U << 20);
	CHECK_EQ(num(t + 129, 2), 3);		/* PSCI, by HVC */
	/* No FACS, no fixed register, no reset port. */
	CHECK_EQ(num(t + 36, 8), 0);
	for (unsigned off = 46; off < 112; off++)
		CHECKF(t[off] == 0, "byte %u is %#x", off, t[off]);
	for (unsigned off = 148; off < 268; off++)
		CHECKF((off - 148) % 12 == 0 || t[off] == 0, "byte %u is %#x", off, t[off]);
	CHECK(dsdt() != NULL);
	done();
}

TEST(interrupt_controller)
{
	unsigned cpus = 0, gicd = 0, gicr = 0, its = 0;
	struct acpi_virt spec = plain;
	const uint8_t *t;

	spec.its = 0x08080000;
	load(&spec);
	t = find("APIC");
	CHECK(t != NULL);
	for (uint64_t at = 44; at < num(t + 4, 4); at += t[at + 1]) {
		const uint8_t *e = t + at;

		CHECK(e[1] >= 16 && at + e[1] <= num(t + 4, 4));
		switch (e[0]) {
		case 0x0b:
			CHECK_EQ(e[1], 80);
			CHECK_EQ(num(e + 4, 4), cpus);
			CHECK_EQ(num(e + 8, 4), cpus);
			CHECK_EQ(num(e + 12, 4), 1);
			CHECK_EQ(num(e + 60, 8), 0);
			CHECK_EQ(num(e + 68, 8), mpidr[cpus]);
			cpus++;
			break;
		case 0x0c:
			CHECK_EQ(num(e + 8, 8), 0x08000000);
			CHECK_EQ(e[20], 3);
			gicd++;
			break;
		case 0x0e:
			CHECK_EQ(num(e + 4, 8), 0x080a0000);
			CHECK_EQ(num(e + 12, 4), 0xf60000);
			gicr++;
			break;
		case 0x0f:
			CHECK_EQ(num(e + 8, 8), 0x08080000);
			its++;
			break;
		default:
			FAIL("structure %u", e[0]);
		}
	}
	CHECK(cpus == 5 && gicd == 1 && gicr == 1 && its == 1);
	CHECK(find("IORT") != NULL);
	done();
}

TEST(timer_console_and_pci)
{
	const uint8_t *t;

	load(&plain);
	t = find("GTDT");
	CHECK(t != NULL);
	CHECK_EQ(num(t + 4, 4), 96);
	CHECK_EQ(num(t + 36, 8), UINT64_MAX);
	CHECK_EQ(num(t + 48, 4), 29);
	CHECK_EQ(num(t + 56, 4), 30);
	CHECK_EQ(num(t + 64, 4), 27);
	CHECK_EQ(num(t + 68, 4), 4);		/* level, high, always on */
	CHECK_EQ(num(t + 72, 8), 0);		/* no EL2 */
	t = find("SPCR");
	CHECK(t != NULL);
	CHECK_EQ(num(t + 4, 4), 80);
	CHECK_EQ(t[36], 3);
	CHECK_EQ(num(t + 44, 8), 0x09000000);
	CHECK_EQ(t[52], 8);
	CHECK_EQ(num(t + 54, 4), 33);
	t = find("MCFG");
	CHECK(t != NULL);
	CHECK_EQ(num(t + 44, 8), 0x4010000000);
	CHECK_EQ(t[55], 0xff);
	CHECK(find("IORT") == NULL);
	done();
}

/* What is not there is not told. */
TEST(least)
{
	struct acpi_virt spec = { .ncpus = 1, .mpidr = mpidr, .gicd = 0x08000000, .gicr = 0x080a0000, .gicr_len = 0x20000,
	    .timer_virt = 27 };

	load(&spec);
	CHECK(find("FACP") != NULL && find("APIC") != NULL && find("GTDT") != NULL);
	CHECK(find("MCFG") == NULL && find("SPCR") == NULL && find("IORT") == NULL);
	CHECK(memmem(dsdt(), num(dsdt() + 4, 4), "PCI0", 4) == NULL);
	CHECK(memmem(dsdt(), num(dsdt() + 4, 4), "PWRB", 4) == NULL);
	done();
}

TEST(acpica_reads_them)
{
	static const char *const data[] = { "FACP", "APIC", "GTDT", "MCFG", "SPCR", "IORT" };
	struct acpi_virt spec = plain;

	acpica_open();
	spec.its = 0x08080000;
	load(&spec);
	acpica_dsdt(dsdt());
	acpica_osc();
	acpica_tool("acpiexec -b 'evaluate \\_SB.GPO0._AEI' dsdt.dat", "\\_SB.GPO0", "Error");
	acpica_tool("acpiexec -b 'resources \\_SB.PCI0' dsdt.dat", "3EFF0000", "Error");
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		const uint8_t *t = find(data[i]);

		CHECK(t != NULL);
		acpica_data(data[i], t);
	}
	acpica_close();
	done();
}

TEST_MAIN()
