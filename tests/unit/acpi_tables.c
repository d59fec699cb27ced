/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acpi_tables.c - the ACPI tables as an operating system finds them (ACPI 6.5 chapter 5), and as ACPICA's tools read them.
 */
#include <vmmapi.h>

#include "acpi/aml.h"
#include "acpi/tables.h"
#include "acpica.h"
#include "bytes.h"
#include "error.h"
#include "vm_fixture.h"

#define	MEM	(1U << 20)
#define	BASE	0xe0000U
#define	ROOM	0x10000U
#define	RSDP	0xf0000U

struct fx {
	struct vmctx	*vm;
	uint8_t		*mem;
	struct acpi_pc spec;
};

static const struct acpi_isa_dev isa[] = {
	{ "COM1", "PNP0501", 1, 0x3f8, 8, 4, 0 },
	{ "RTC_", "PNP0B00", 0, 0x70, 4, 8, 0 },
	{ "NOIR", "PNP0C02", 7, 0x510, 12, -1, 0 },
	{ "KBD_", "PNP0303", 0, 0x60, 1, 1, 0x64 },
	{ "MOU_", "PNP0F13", 0, 0, 0, 12, 0 },
};

static void
fx_open(struct fx *fx)
{
	memset(fx, 0, sizeof(*fx));
	fx->vm = tv_new(VM_ARCH_AMD64, MEM, 0);
	fx->mem = vm_map_gpa(fx->vm, 0, MEM);
	CHECK(fx->mem != NULL);
	fx->spec = (struct acpi_pc){
		.ncpus = 4, .ecam = 0xb0000000, .io_base = 0x6000, .io_last = 0xffff, .mem32_base = 0xc0000000,
		.mem32_last = 0xfebfffff, .mem64_base = 0x10000000000, .mem64_last = 0x1ffffffffff, .pm_base = 0x600, .sci = 9,
		.timer32 = true, .lpc = 0xf8, .hpet = 0xfed00000, .hpet_id = 0x8086a201, .rtc = true, .isa = isa, .nisa = 5,
	};
	for (unsigned i = 0; i < ACPI_PIRQS; i++)
		fx->spec.pirq[i] = 16 + i;
}

static void
fx_place(struct fx *fx)
{
	struct acpi_blob blob;

	memset(fx->mem + BASE, 0xee, MEM - BASE);
	CHECKF(acpi_build_pc(&fx->spec, &blob) == 0, "%s", vmm_errmsg());
	CHECKF(acpi_place(&blob, fx->vm, BASE, ROOM, RSDP) == 0, "%s", vmm_errmsg());
	CHECK_EQ(fx->mem[BASE + blob.len], 0xee);
	acpi_free(&blob);
}

/* A table at a guest address: inside the room, with its length and sum right. */
static const uint8_t *
table_at(struct fx *fx, uint64_t gpa)
{
	const uint8_t *t;

	CHECKF(gpa >= BASE && gpa + 36 <= BASE + ROOM, "a table at %#llx", (unsigned long long)gpa);
	t = fx->mem + gpa;
	CHECKF(num(t + 4, 4) >= 36 && gpa + num(t + 4, 4) <= BASE + ROOM, "%.4s has length %llu", (const char *)t,
	    (unsigned long long)num(t + 4, 4));
	CHECKF(sum(t, num(t + 4, 4)) == 0, "%.4s has a wrong checksum", (const char *)t);
	CHECK(memcmp(t + 10, "HYVE  ", 6) == 0);
	return (t);
}

/* By the root pointer, as a system does it; NULL if it is not there. */
static const uint8_t *
find(struct fx *fx, const char *sig)
{
	const uint8_t *rsdp = fx->mem + RSDP, *xsdt, *found = NULL;

	CHECK(memcmp(rsdp, "RSD PTR ", 8) == 0);
	CHECK_EQ(sum(rsdp, 20), 0);
	CHECK_EQ(rsdp[15], 2);
	CHECK_EQ(num(rsdp + 20, 4), 36);
	CHECK_EQ(sum(rsdp, 36), 0);
	xsdt = table_at(fx, num(rsdp + 24, 8));
	CHECK(memcmp(xsdt, "XSDT", 4) == 0);
	CHECK_EQ((num(xsdt + 4, 4) - 36) % 8, 0);
	for (uint64_t off = 36; off < num(xsdt + 4, 4); off += 8) {
		const uint8_t *t = table_at(fx, num(xsdt + off, 8));

		if (memcmp(t, sig, 4) != 0)
			continue;
		CHECKF(found == NULL, "there are two of %s", sig);
		found = t;
	}
	return (found);
}

static const uint8_t *
dsdt(struct fx *fx)
{
	const uint8_t *fadt = find(fx, "FACP"), *t;

	CHECK(fadt != NULL);
	t = table_at(fx, num(fadt + 40, 4));
	CHECK(memcmp(t, "DSDT", 4) == 0);
	CHECK_EQ(num(fadt + 140, 8), num(fadt + 40, 4));
	return (t);
}

static void
check_gas(const uint8_t *p, uint64_t addr, unsigned bits)
{
	CHECK_EQ(p[0], 1);		/* system I/O */
	CHECK_EQ(num(p + 4, 8), addr);
	CHECK_EQ(p[1], bits);
	CHECK(p[3] <= 4);
}

TEST(fixed_table)
{
	const uint8_t *t, *facs;
	struct fx fx;

	fx_open(&fx);
	fx_place(&fx);
	t = find(&fx, "FACP");
	CHECK(t != NULL);
	CHECK_EQ(num(t + 4, 4), 276);
	CHECK_EQ(t[8], 6);
	CHECK_EQ(num(t + 46, 2), 9);				/* SCI_INT */
	CHECK_EQ(num(t + 48, 4), 0);				/* SMI_CMD: always ACPI mode */
	CHECK_EQ(num(t + 56, 4), 0x600);			/* PM1a_EVT_BLK */
	CHECK_EQ(num(t + 60, 4), 0);
	CHECK_EQ(num(t + 64, 4), 0x604);			/* PM1a_CNT_BLK */
	CHECK_EQ(num(t + 68, 8), 0);
	CHECK_EQ(num(t + 76, 4), 0x608);			/* PM_TMR_BLK */
	CHECK_EQ(num(t + 80, 4), 0x620);			/* GPE0_BLK */
	CHECK_EQ(num(t + 84, 4), 0);
	CHECK_EQ(t[88], 4);					/* PM1_EVT_LEN */
	CHECK_EQ(t[89], 2);					/* PM1_CNT_LEN */
	CHECK_EQ(t[91], 4);					/* PM_TMR_LEN */
	CHECK_EQ(t[92], 16);					/* GPE0_BLK_LEN */
	CHECK(num(t + 96, 2) > 100);				/* P_LVL2_LAT: no C2 */
	CHECK(num(t + 98, 2) > 1000);				/* P_LVL3_LAT: no C3 */
	CHECK_EQ(t[108], 0x32);					/* CENTURY */
	CHECK_EQ(num(t + 109, 2) & (1 | 2 | 4 | 0x20), 1 | 4);	/* legacy devices, no 8042, no VGA, an RTC */
	CHECK_EQ(num(t + 112, 4) & (1U << 0), 1U << 0);		/* WBINVD */
	CHECK_EQ(num(t + 112, 4) & (1U << 4), 0);		/* power button: fixed */
	CHECK_EQ(num(t + 112, 4) & (1U << 5), 1U << 5);		/* sleep button: not fixed */
	CHECK_EQ(num(t + 112, 4) & (1U << 8), 1U << 8);		/* timer of 32 bits */
	CHECK_EQ(num(t + 112, 4) & (1U << 10), 1U << 10);	/* reset register */
	CHECK_EQ(num(t + 112, 4) & (1U << 20), 0);		/* not hardware-reduced */
	check_gas(t + 116, 0xcf9, 8);
	CHECK_EQ(t[128], 6);					/* RESET_VALUE */
	CHECK_EQ(t[131], 5);					/* minor version */
	check_gas(t + 148, 0x600, 32);
	check_gas(t + 172, 0x604, 16);
	check_gas(t + 208, 0x608, 32);
	check_gas(t + 220, 0x620, 128);

	/* Exactly one of the two pointers to the FACS, which is aligned to 64 bytes. */
	CHECK_EQ(num(t + 132, 8), 0);
	CHECK_EQ(num(t + 36, 4) % 64, 0);
	facs = fx.mem + num(t + 36, 4);
	CHECK(facs >= fx.mem + BASE && facs + 64 <= fx.mem + BASE + ROOM);
	CHECK(memcmp(facs, "FACS", 4) == 0);
	CHECK_EQ(num(facs + 4, 4), 64);
	CHECK_EQ(facs[32], 2);

	fx.spec.timer32 = fx.spec.rtc = false;
	fx_place(&fx);
	t = find(&fx, "FACP");
	CHECK_EQ(num(t + 112, 4) & (1U << 8), 0);
	CHECK_EQ(num(t + 109, 2) & 0x20, 0x20);
	CHECK_EQ(t[108], 0);

	fx.spec.i8042 = true;
	fx_place(&fx);
	CHECK_EQ(num(find(&fx, "FACP") + 109, 2) & (1 | 2 | 4), 1 | 2 | 4);
	vm_close(fx.vm);
}

TEST(interrupt_controllers)
{
	unsigned cpus, ioapics, overrides, nmis;
	const uint8_t *t;
	struct fx fx;

	fx_open(&fx);
	for (unsigned n = 1; n <= 8; n += 7) {
		fx.spec.ncpus = n;
		fx_place(&fx);
		t = find(&fx, "APIC");
		CHECK(t != NULL);
		CHECK_EQ(num(t + 36, 4), 0xfee00000);
		CHECK_EQ(num(t + 40, 4), 1);
		cpus = ioapics = overrides = nmis = 0;
		for (uint64_t at = 44; at < num(t + 4, 4); at += t[at + 1]) {
			const uint8_t *e = t + at;

			CHECK(e[1] >= 2 && at + e[1] <= num(t + 4, 4));
			if (e[0] == 0) {
				CHECK_EQ(e[1], 8);
				CHECK_EQ(e[2], cpus);
				CHECK_EQ(e[3], cpus);
				CHECK_EQ(num(e + 4, 4), 1);
				cpus++;
			} else if (e[0] == 1) {
				CHECK_EQ(e[1], 12);
				CHECK_EQ(num(e + 4, 4), 0xfec00000);
				CHECK_EQ(num(e + 8, 4), 0);
				ioapics++;
			} else if (e[0] == 2) {
				CHECK_EQ(e[1], 10);
				CHECK_EQ(e[2], 0);
				/* 8254 on pin 2 as ISA has it; SCI level, high */
				if (e[3] == 0) {
					CHECK_EQ(num(e + 4, 4), 2);
					CHECK_EQ(num(e + 8, 2), 0);
				} else {
					CHECK_EQ(e[3], 9);
					CHECK_EQ(num(e + 4, 4), 9);
					CHECK_EQ(num(e + 8, 2), 0xd);
				}
				overrides++;
			} else {
				CHECK_EQ(e[0], 4);
				CHECK_EQ(e[1], 6);
				CHECK_EQ(e[2], 0xff);
				CHECK_EQ(e[5], 1);
				nmis++;
			}
		}
		CHECK_EQ(cpus, n);
		CHECK_EQ(ioapics, 1);
		CHECK_EQ(overrides, 2);
		CHECK_EQ(nmis, 1);
	}
	vm_close(fx.vm);
}

TEST(pci_window_and_timer)
{
	const uint8_t *t;
	struct fx fx;

	fx_open(&fx);
	fx_place(&fx);
	t = find(&fx, "MCFG");
	CHECK(t != NULL);
	CHECK_EQ(num(t + 4, 4), 60);
	CHECK_EQ(num(t + 36, 8), 0);
	CHECK_EQ(num(t + 44, 8), 0xb0000000);
	CHECK_EQ(num(t + 52, 2), 0);
	CHECK_EQ(t[54], 0);
	CHECK_EQ(t[55], 0xff);
	t = find(&fx, "HPET");
	CHECK(t != NULL);
	CHECK_EQ(num(t + 4, 4), 56);
	CHECK_EQ(num(t + 36, 4) >> 16, 0x8086);
	CHECK_EQ(num(t + 36, 4) & 0xffff, 0xa201);
	CHECK_EQ(t[40], 0);			/* memory */
	CHECK_EQ(num(t + 44, 8), 0xfed00000);
	CHECK_EQ(num(t + 53, 2), 0x80);

	fx.spec.ecam = fx.spec.hpet = 0;
	fx_place(&fx);
	CHECK(find(&fx, "MCFG") == NULL);
	CHECK(find(&fx, "HPET") == NULL);
	CHECK(find(&fx, "APIC") != NULL);
	vm_close(fx.vm);
}

/* Package length (20.2.4): the number, and the bytes it takes. */
static size_t
pkg_length(const uint8_t *p, unsigned *bytes)
{
	unsigned follow = p[0] >> 6;
	size_t len = follow == 0 ? p[0] & 0x3f : p[0] & 0xf;

	for (unsigned i = 0; i < follow; i++)
		len |= (size_t)p[1 + i] << (4 + 8 * i);
	*bytes = 1 + follow;
	return (len);
}

static size_t
name_len(const uint8_t *p)
{
	size_t n = 0;

	while (p[n] == '\\' || p[n] == '^')
		n++;
	if (p[n] == 0)
		return (n + 1);
	if (p[n] == 0x2e)
		return (n + 9);
	if (p[n] == 0x2f)
		return (n + 2 + 4 * (size_t)p[n + 1]);
	return (n + 4);
}

/* Resource descriptors (6.4) fill their buffer and end with the end tag. */
static void
check_resources(const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		size_t len = (*p & 0x80) != 0 ? 3 + num(p + 1, 2) : 1U + (*p & 7);

		CHECK(p + len <= end);
		if (*p == 0x79) {
			CHECK(p + len == end);
			return;
		}
		/* The range of a fixed window is as long as it says. */
		if (*p == 0x87 || *p == 0x88 || *p == 0x8a) {
			unsigned w = *p == 0x87 ? 4 : *p == 0x88 ? 2 : 8;

			CHECK_EQ(len, 6 + 5 * w);
			CHECK_EQ(num(p + 6 + 2 * w, w) - num(p + 6 + w, w) + 1, num(p + 6 + 4 * w, w));
		}
		p += len;
	}
	FAIL("no end tag");
}

struct seen {
	unsigned devices, packages, methods, buffers, names;
};

/* One term of what the tables consist of; the bytes that it takes. */
static size_t
term(const uint8_t *p, const uint8_t *end, unsigned depth, struct seen *seen)
{
	unsigned n, count = 0, want;
	const uint8_t *at, *last;

	CHECK(p < end && depth < 10);
	switch (p[0]) {
	case 0x00:
	case 0x01:
		return (1);
	case 0x0a:
		return (2);
	case 0x0b:
		return (3);
	case 0x0c:
		return (5);
	case 0x0e:
		return (9);
	case 0x0d:
		return (2 + strlen((const char *)p + 1));
	case 0x08:
		seen->names++;
		n = 1 + (unsigned)name_len(p + 1);
		return (n + term(p + n, end, depth + 1, seen));
	case 0x10:
	case 0x11:
	case 0x12:
	case 0x14:
		at = p + 1;
		break;
	case 'L':			/* a name: a link device in a package */
	case 0x2e:
		return (name_len(p));
	case 0x5b:
		if (p[1] == 0x80)	/* a region, and its fields */
			return (2 + 4 + 5);
		if (p[1] == 0x81)
			return (2 + pkg_length(p + 2, &n));
		CHECK_EQ(p[1], 0x82);
		seen->devices++;
		at = p + 2;
		break;
	default:
		FAIL("opcode %#x", p[0]);
	}
	last = at + pkg_length(at, &n);
	CHECK(last <= end);
	at += n;
	if (p[0] == 0x14) {
		seen->methods++;
		return ((size_t)(last - p));
	}
	if (p[0] == 0x11) {
		seen->buffers++;
		CHECK_EQ(at[0], 0x0b);
		CHECK_EQ(num(at + 1, 2), last - at - 3);
		check_resources(at + 3, last);
		return ((size_t)(last - p));
	}
	if (p[0] == 0x12) {
		seen->packages++;
		want = *at++;
	} else {
		want = 0;
		at += name_len(at);
	}
	for (; at < last; count++)
		at += term(at, last, depth + 1, seen);
	CHECK(at == last);
	if (p[0] == 0x12)
		CHECK_EQ(count, want);
	return ((size_t)(last - p));
}

TEST(definition_block)
{
	struct seen seen = { 0 };
	const uint8_t *t, *end;
	struct fx fx;

	fx_open(&fx);
	fx_place(&fx);
	t = dsdt(&fx);
	CHECK(t[8] >= 2);		/* integers of 64 bits */
	end = t + num(t + 4, 4);
	for (const uint8_t *p = t + 36; p < end;)
		p += term(p, end, 0, &seen);
	/* CPUs, motherboard, host bridge, LPC bridge with eight links, five devices; _S5, two of _PRT with 128 entries each */
	CHECK_EQ(seen.devices, 4 + 2 + 9 + 5);
	CHECK_EQ(seen.packages, 1 + 2 * (1 + 128));
	CHECK_EQ(seen.buffers, 2 + 8 + 5);
	CHECK(seen.methods >= 1);
	vm_close(fx.vm);
}

/* Packages of every size come out with the length that they have; nesting that is not closed is no table. */
TEST(package_lengths)
{
	uint8_t *aml, zeros[256] = { 0 };
	struct aml a;
	size_t len;
	unsigned n;

	for (size_t size = 0; size < 70000; size = size * 3 + 1) {
		aml_begin(&a);
		aml_scope(&a, "\\_SB_.PCI0.LPC_");
		for (size_t i = 0; i < size; i += n) {
			n = (unsigned)(size - i < sizeof(zeros) ? size - i : sizeof(zeros));
			aml_bytes(&a, zeros, n);
		}
		aml_close(&a);
		aml = aml_end(&a, &len);
		CHECK(aml != NULL);
		CHECK_EQ(aml[0], 0x10);
		CHECK_EQ(pkg_length(aml + 1, &n), len - 1);
		CHECK_EQ(len, 1 + n + 1 + 2 + 12 + size);
		CHECK(memcmp(aml + 1 + n, "\\\x2f\x03_SB_PCI0LPC_", 15) == 0);
		free(aml);
	}
	aml_begin(&a);
	for (int i = 0; i <= AML_DEPTH; i++)
		aml_device(&a, "DEEP");
	CHECK(aml_end(&a, &len) == NULL);
	aml_begin(&a);
	aml_scope(&a, "\\");
	CHECK(aml_end(&a, &len) == NULL);
}

TEST(no_room)
{
	struct acpi_pc spec = { .ncpus = 1 };
	struct acpi_blob blob;

	CHECKF(acpi_build_pc(&spec, &blob) == 0, "%s", vmm_errmsg());
	CHECK_EQ(acpi_place(&blob, NULL, BASE, blob.len - 1, RSDP), -1);
	CHECK_EQ(errno, ENOSPC);
	CHECK_HAS(vmm_errmsg(), "ACPI tables");
	acpi_free(&blob);
}

/* ACPICA */

TEST(acpica_reads_them)
{
	static const char *const data[] = { "FACP", "APIC", "MCFG", "HPET" };
	struct fx fx;

	acpica_open();
	fx_open(&fx);
	fx_place(&fx);
	acpica_dsdt(dsdt(&fx));
	acpica_osc();
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		const uint8_t *t = find(&fx, data[i]);

		CHECK(t != NULL);
		acpica_data(data[i], t);
	}
	vm_close(fx.vm);
	acpica_close();
}

TEST_MAIN()
