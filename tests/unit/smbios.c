/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * smbios.c - the SMBIOS structures as a system reads them (DMTF DSP0134), and as dmidecode does.
 */
#include "bytes.h"
#include "firmware/fw_cfg.h"
#include "firmware/smbios.h"
#include "vmm_fixture.h"

static struct fx fx;
static struct smbios built;

static const struct smbios_spec plain = {
	.cpu_family = SMBIOS_FAMILY_ARMV8, .cpu_version = "arm64", .sockets = 2, .cores = 3, .threads = 2,
	.ram = { { 0x40000000, 0x80000000 }, { 0x40000000000ULL, 1ULL << 30 } }, .nram = 2,
};

static void
build(const struct smbios_spec *spec, const char *keys)
{
	struct smbios_spec s = *spec;

	fx_open(&fx);
	CHECK_EQ(config_declare(fx.vmm.config, "", &config_global_keys), 0);
	CHECK_EQ(config_declare(fx.vmm.config, "smbios", &smbios_keys), 0);
	fx_keys(&fx, keys);
	CHECKF(config_check(fx.vmm.config) == 0, "%s", vmm_errmsg());
	s.config = fx.vmm.config;
	CHECKF(smbios_build(&s, &built) == 0, "%s", vmm_errmsg());
}

static void
done(void)
{
	smbios_free(&built);
	fx_close(&fx);
}

/* The structure behind the one at p, NULL behind the last; its strings are passed over. */
static const uint8_t *
after(const uint8_t *p)
{
	const uint8_t *end = built.tables + built.len, *next;

	CHECK(end - p >= 6 && p[1] >= 4 && p[1] <= end - p - 2);
	next = memmem(p + p[1], (size_t)(end - p - p[1]), "\0", 2);
	CHECK(next != NULL);
	return (next + 2 < end ? next + 2 : NULL);
}

/* The n-th of a type. */
static const uint8_t *
find(uint8_t type, unsigned n)
{
	for (const uint8_t *p = built.tables; p != NULL; p = after(p)) {
		if (p[0] == type && n-- == 0)
			return (p);
	}
	return (NULL);
}

static const char *
string(const uint8_t *p, unsigned field)
{
	const char *s = (const char *)p + p[1];

	if (p[field] == 0)
		return (NULL);
	for (unsigned i = 1; i < p[field]; i++) {
		CHECK(*s != '\0');
		s += strlen(s) + 1;
	}
	CHECK(*s != '\0');
	return (s);
}

TEST(entry_point)
{
	uint8_t sum = 0;

	build(&plain, "");
	for (unsigned i = 0; i < SMBIOS_ANCHOR; i++)
		sum = (uint8_t)(sum + built.anchor[i]);
	CHECK_EQ(sum, 0);
	CHECK(memcmp(built.anchor, "_SM3_", 5) == 0);
	CHECK_EQ(built.anchor[6], 24);
	CHECK_EQ(built.anchor[7], 3);
	CHECK_EQ(num(built.anchor + 12, 4), built.len);
	CHECK_EQ(num(built.anchor + 16, 8), 0);
	done();
}

TEST(structures)
{
	uint16_t handle[32];
	unsigned n = 0;
	const uint8_t *p, *last = NULL;

	build(&plain, "");
	for (p = built.tables; p != NULL; p = after(p)) {
		CHECK(n < 32);
		handle[n] = (uint16_t)num(p + 2, 2);
		for (unsigned i = 0; i < n; i++)
			CHECK(handle[i] != handle[n]);
		n++;
		last = p;
	}
	CHECK(last[0] == 127 && last[1] == 4);
	/* Lengths of version 3.0. */
	CHECK_EQ(find(0, 0)[1], 0x18);
	CHECK_EQ(find(1, 0)[1], 0x1b);
	CHECK_EQ(find(3, 0)[1], 0x16);
	CHECK_EQ(find(4, 0)[1], 0x30);
	CHECK_EQ(find(16, 0)[1], 0x17);
	CHECK_EQ(find(17, 0)[1], 0x28);
	CHECK_EQ(find(19, 0)[1], 0x1f);
	CHECK_EQ(find(32, 0)[1], 0x0b);

	p = find(4, 1);
	CHECK(p != NULL && find(4, 2) == NULL);
	CHECK_EQ(p[6], 0xfe);
	CHECK_EQ(num(p + 0x28, 2), 0x101);
	CHECK(p[0x23] == 3 && p[0x25] == 6);
	CHECK_EQ(num(p + 0x26, 2), 4 | 8 | 16);
	CHECK_EQ(num(find(16, 0) + 0x0f, 8), 3ULL << 30);
	CHECK_EQ(num(find(17, 0) + 0x0c, 2), 3072);
	CHECK_EQ(num(find(17, 0) + 4, 2), num(find(16, 0) + 2, 2));
	p = find(19, 0);
	CHECK_EQ(num(p + 4, 4), 0x40000000 >> 10);
	CHECK_EQ(num(p + 8, 4), (0xc0000000U >> 10) - 1);
	CHECK_EQ(num(p + 0x0c, 2), num(find(16, 0) + 2, 2));
	p = find(19, 1);
	CHECK_EQ(num(p + 4, 4), UINT32_MAX);
	CHECK_EQ(num(p + 0x0f, 8), 0x40000000000ULL);
	CHECK_EQ(num(p + 0x17, 8), 0x4003fffffffULL);
	done();
}

TEST(identity)
{
	static const uint8_t wire[16] = { 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
	const uint8_t *p;

	build(&plain, "uuid=00112233-4455-6677-8899-aabbccddeeff\nsmbios.system.manufacturer=ACME\n"
	    "smbios.system.serial_number=S-1\nsmbios.system.product_name=Anvil 5\nsmbios.bios.version=7\n");
	p = find(1, 0);
	CHECK_STR(string(p, 4), "ACME");
	CHECK_STR(string(p, 5), "Anvil 5");
	CHECK_STR(string(p, 7), "S-1");
	CHECK(memcmp(p + 8, wire, 16) == 0);
	CHECK(string(p, 0x19) == NULL);
	CHECK_STR(string(find(0, 0), 5), "7");
	done();

	build(&plain, "smbios.system.manufacturer=\nsmbios.system.product_name=\nsmbios.system.version=\nsmbios.system.family_name=\n");
	p = find(1, 0);
	CHECK(string(p, 4) == NULL && string(p, 5) == NULL);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(p[8 + i], 0);
	CHECK(find(3, 0) != NULL);
	done();
}

/* More than the old fields hold. */
TEST(much)
{
	struct smbios_spec spec = plain;

	spec.sockets = 1;
	spec.cores = 300;
	spec.ram[1].len = 1ULL << 45;
	build(&spec, "");
	CHECK_EQ(find(4, 0)[0x23], 0xff);
	CHECK_EQ(num(find(4, 0) + 0x2a, 2), 300);
	CHECK_EQ(num(find(4, 0) + 0x2e, 2), 600);
	CHECK_EQ(num(find(17, 0) + 0x0c, 2), 0x7fff);
	CHECK_EQ(num(find(17, 0) + 0x1c, 4), ((1ULL << 45) >> 20) + 2048);
	done();
}

TEST(published)
{
	const struct device_class *cls = device_class_find("fw-cfg");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = 0x9020000 };
	struct device *dev;
	const void *data;
	size_t len;

	build(&plain, "");
	dev = device_create(&fx.vmm, cls, "fwcfg", fx_node(&fx, "fwcfg", cls), &place);
	CHECK(dev != NULL);
	CHECKF(smbios_publish(&built, dev) == 0, "%s", vmm_errmsg());
	data = fw_cfg_file(dev, "etc/smbios/smbios-anchor", &len);
	CHECK(data != NULL && len == SMBIOS_ANCHOR && memcmp(data, built.anchor, len) == 0);
	data = fw_cfg_file(dev, "etc/smbios/smbios-tables", &len);
	CHECK(data != NULL && len == built.len && memcmp(data, built.tables, len) == 0);
	done();
}

TEST(dmidecode_reads_them)
{
	char path[] = "/tmp/hyve-smbios-XXXXXX", line[128], text[8192];
	uint8_t anchor[32] = { 0 };
	const uint64_t at = sizeof(anchor);
	size_t len;
	FILE *f;
	int fd;

	if (system("command -v dmidecode >/dev/null 2>&1") != 0)
		SKIP("dmidecode is not installed");
	build(&plain, "uuid=00112233-4455-6677-8899-aabbccddeeff\nsmbios.system.manufacturer=ACME\n");
	memcpy(anchor, built.anchor, SMBIOS_ANCHOR);
	memcpy(anchor + 16, &at, 8);
	anchor[5] = (uint8_t)(anchor[5] - at);
	fd = mkstemp(path);
	CHECK(fd >= 0 && write(fd, anchor, sizeof(anchor)) == sizeof(anchor) &&
	    write(fd, built.tables, built.len) == (ssize_t)built.len);
	close(fd);
	(void)snprintf(line, sizeof(line), "dmidecode --from-dump %s 2>&1", path);
	f = popen(line, "r");
	CHECK(f != NULL);
	len = fread(text, 1, sizeof(text) - 1, f);
	text[len] = '\0';
	CHECK_EQ(pclose(f), 0);
	CHECK_EQ(unlink(path), 0);
	CHECK_HAS(text, "SMBIOS 3.0.0 present");
	CHECK_HAS(text, "Manufacturer: ACME");
	CHECK_HAS(text, "UUID: 00112233-4455-6677-8899-aabbccddeeff");
	CHECK_HAS(text, "Family: ARMv8");
	CHECK_HAS(text, "Maximum Capacity: 3 GB");
	CHECK_HAS(text, "Size: 3 GB");
	CHECK_HAS(text, "Starting Address: 0x00040000000");
	CHECK_HAS(text, "End Of Table");
	CHECKF(strstr(text, "BROKEN") == NULL && strstr(text, "OUT OF SPEC") == NULL && strstr(text, "rong") == NULL, "%s", text);
	done();
}

TEST_MAIN()
