/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMSAv8-64 stage 1 translation by the sections of the Arm ARM, on tables in a plain array: granules and levels
 * (D5.2.3), descriptors (D5.3), permissions (D5.4), attributes (D5.5), faults (D5.11).
 */
#include <test.h>

#include "arm64/arm64.h"

#define	BASE	0x40000000ULL
#define	NWORDS	(1U << 19)		/* 4 MiB of tables */

#define	AF	(1ULL << 10)
#define	NG	(1ULL << 11)
#define	EL0	(1ULL << 6)
#define	RO	(1ULL << 7)
#define	CONTIG	(1ULL << 52)
#define	PXN	(1ULL << 53)
#define	UXN	(1ULL << 54)

#define	IPS40	(2ULL << 32)

static uint64_t *mem;
static struct arm64_state st;
static struct arm64_walk w;

static bool
rd(void *cookie, vm_paddr_t gpa, uint64_t *desc)
{
	CHECK(cookie == mem);
	CHECK_EQ(gpa & 7, 0);
	if (gpa < BASE || (gpa - BASE) / 8 >= NWORDS)
		return (false);
	*desc = mem[(gpa - BASE) / 8];
	return (true);
}

static void
put(uint64_t table, unsigned index, uint64_t desc)
{
	mem[(table - BASE) / 8 + index] = desc;
}

static void
begin(uint64_t tcr)
{
	if (mem == NULL)
		mem = malloc(NWORDS * 8);
	CHECK(mem != NULL);
	memset(mem, 0, NWORDS * 8);
	memset(&st, 0, sizeof(st));
	st.sctlr_el1 = SCTLR_RES1 | SCTLR_M;
	st.tcr_el1 = tcr | IPS40;
	st.mair_el1 = 0xff;
	st.ttbr0_el1 = BASE;
	st.ttbr1_el1 = BASE;
}

/* The address, or minus the fault status. */
static int64_t
at(uint64_t va, int prot, bool el0)
{
	return (arm64_walk(&st, va, prot, el0, rd, mem, &w) ? (int64_t)w.gpa : -(int64_t)w.fsc);
}

static int64_t
rd1(uint64_t va)
{
	return (at(va, VM_PROT_READ, false));
}

#define	XLAT(n)		(-(int64_t)(FSC_TRANSLATION + (n)))
#define	PERM(n)		(-(int64_t)(FSC_PERMISSION + (n)))
#define	SIZE(n)		(-(int64_t)(FSC_ADDRESS + (n)))
#define	FLAG(n)		(-(int64_t)(FSC_ACCESS + (n)))
#define	EXT(n)		(-(int64_t)(FSC_EXTERNAL_WALK + (n)))

/* Per granule: TG0 and TG1, page bits, and each TnSZ's first level. */
static const struct {
	unsigned tg0, tg1, page;
} granules[] = { { 0, 2, 12 }, { 2, 1, 14 }, { 1, 3, 16 } };

/*
 * A chain of tables for va from the first level that the size of the input address asks for (D5.2.3, tables D5-10,
 * D5-13, D5-16), each in a place of its own; the page or block at the end.
 */
static unsigned
chain(unsigned page, unsigned bits, uint64_t va, unsigned end, uint64_t desc)
{
	unsigned stride = page - 3, level, first;
	uint64_t table = BASE;

	for (level = 3, first = page + stride; first < bits; first += stride)
		level--;
	first = level;
	for (; level <= end; level++) {
		unsigned shift = page + (3 - level) * stride;
		unsigned width = level == first ? bits - shift : stride;
		uint64_t next = BASE + (level + 1ULL) * 0x10000;

		put(table, (unsigned)(va >> shift & ((1ULL << width) - 1)), level == end ? desc : next | 3);
		table = next;
	}
	return (first);
}

TEST(every_size_of_every_granule)
{
	for (size_t g = 0; g < sizeof(granules) / sizeof(granules[0]); g++) {
		unsigned page = granules[g].page;

		for (unsigned tsz = 16; tsz <= 39; tsz++) {
			uint64_t top = (1ULL << (64 - tsz)) - 1, low = top & ~0xfffULL & (0x5555555555555555ULL | 0xffff);
			unsigned first;

			begin(tsz | (uint64_t)granules[g].tg0 << 14 | (uint64_t)tsz << 16 | (uint64_t)granules[g].tg1 << 30);
			first = chain(page, 64 - tsz, low, 3, 0x80000000 | AF | 3);
			CHECK_EQ(rd1(low), (int64_t)(0x80000000 | (low & ((1ULL << page) - 1))));
			CHECK_EQ(w.shift, page);
			/* The same tables for the upper half. */
			CHECK_EQ(rd1(~top | low), (int64_t)(0x80000000 | (low & ((1ULL << page) - 1))));
			/* One bit above: outside of both. */
			CHECK_EQ(rd1(low | (top + 1)), XLAT(0));
			/* Not mapped: at the first level. */
			CHECK_EQ(rd1(low ^ (1ULL << (63 - tsz))), XLAT(first));
		}
		/* Sizes that are not there. */
		begin(15 | (uint64_t)granules[g].tg0 << 14 | 40ULL << 16 | (uint64_t)granules[g].tg1 << 30);
		CHECK_EQ(rd1(0), XLAT(0));
		CHECK_EQ(rd1(UINT64_MAX), XLAT(0));
	}
}

TEST(blocks_are_where_the_granule_has_them)
{
	/* 4 KiB: 1 GiB at level 1, 2 MiB at level 2, none at level 0. */
	begin(16);
	chain(12, 48, 0x123456789abc, 1, 0x40000000 | AF | NG | 1);
	CHECK_EQ(rd1(0x123456789abc), 0x40000000 + (0x123456789abc & 0x3fffffff));
	CHECK_EQ(w.shift, 30);
	CHECK(w.ng);
	begin(16);
	chain(12, 48, 0x123456789abc, 2, 0x40200000 | AF | 1);
	CHECK_EQ(rd1(0x123456789abc), 0x40200000 + (0x123456789abc & 0x1fffff));
	CHECK_EQ(w.shift, 21);
	CHECK(!w.ng);
	begin(16);
	chain(12, 48, 0x123456789abc, 0, AF | 1);
	CHECK_EQ(rd1(0x123456789abc), XLAT(0));
	/* 16 KiB: 32 MiB at level 2. */
	begin(17 | 2ULL << 14);
	chain(14, 47, 0x23456789abc, 2, 0x42000000 | AF | 1);
	CHECK_EQ(rd1(0x23456789abc), 0x42000000 + (0x23456789abc & 0x1ffffff));
	CHECK_EQ(w.shift, 25);
	begin(17 | 2ULL << 14);
	chain(14, 47, 0x23456789abc, 1, AF | 1);
	CHECK_EQ(rd1(0x23456789abc), XLAT(1));
	/* 64 KiB: 512 MiB at level 2. */
	begin(16 | 1ULL << 14);
	chain(16, 48, 0x123456789abc, 2, 0x60000000 | AF | 1);
	CHECK_EQ(rd1(0x123456789abc), 0x60000000 + (0x123456789abc & 0x1fffffff));
	CHECK_EQ(w.shift, 29);
	begin(16 | 1ULL << 14);
	chain(16, 48, 0x123456789abc, 1, AF | 1);
	CHECK_EQ(rd1(0x123456789abc), XLAT(1));
	/* A page's descriptor has bit 1 set at level 3. */
	begin(16);
	chain(12, 48, 0x1000, 3, 0x40000000 | AF | 1);
	CHECK_EQ(rd1(0x1000), XLAT(3));
}

TEST(faults_name_their_level)
{
	for (unsigned level = 0; level <= 3; level++) {
		begin(16);
		chain(12, 48, 0x123456789000, level, 0);
		CHECK_EQ(rd1(0x123456789000), XLAT(level));
	}
	for (unsigned level = 0; level < 3; level++) {
		/* A table outside of memory: the read of the next level's descriptor fails. */
		begin(16);
		chain(12, 48, 0x123456789000, level, 0x1000 | 3);
		CHECK_EQ(rd1(0x123456789000), EXT(level + 1));
		/* A table beyond the physical addresses: at the level of its descriptor. */
		begin(16);
		chain(12, 48, 0x123456789000, level, 1ULL << 40 | 3);
		CHECK_EQ(rd1(0x123456789000), SIZE(level));
	}
	for (unsigned level = 1; level <= 3; level++) {
		begin(16);
		chain(12, 48, 0x123456789000, level, 1ULL << 40 | AF | (level == 3 ? 3 : 1));
		CHECK_EQ(rd1(0x123456789000), SIZE(level));
		/* No access flag: before permissions. */
		begin(16);
		chain(12, 48, 0x123456789000, level, 0x40000000 | RO | (level == 3 ? 3 : 1));
		CHECK_EQ(at(0x123456789000, VM_PROT_WRITE, true), FLAG(level));
		begin(16);
		chain(12, 48, 0x123456789000, level, 0x40000000 | AF | RO | (level == 3 ? 3 : 1));
		CHECK_EQ(at(0x123456789000, VM_PROT_WRITE, false), PERM(level));
	}
	/* The first table itself. */
	begin(16);
	st.ttbr0_el1 = 1ULL << 40;
	CHECK_EQ(rd1(0), SIZE(0));
	st.ttbr0_el1 = 0x1000;
	CHECK_EQ(rd1(0), EXT(0));
}

TEST(the_output_size_is_ips)
{
	begin(16);
	st.tcr_el1 &= ~(7ULL << 32);		/* 32 bits */
	chain(12, 48, 0, 3, 0x100000000 | AF | 3);
	CHECK_EQ(rd1(0), SIZE(3));
	st.tcr_el1 |= 1ULL << 32;		/* 36 */
	CHECK_EQ(rd1(0), 0x100000000);
	st.tcr_el1 |= 5ULL << 32;		/* 48 counts as 40 */
	CHECK_EQ(rd1(0), 0x100000000);
	chain(12, 48, 0, 3, 1ULL << 41 | AF | 3);
	CHECK_EQ(rd1(0), SIZE(3));
}

TEST(permissions_are_of_level_and_kind)
{
	/* AP[2:1], UXN, PXN -> what EL1 and EL0 may (D5.4.3, tables D5-28 and D5-33). */
	static const struct {
		uint64_t bits;
		bool wxn;
		int el1, el0;
	} t[] = {
#define	R	VM_PROT_READ
#define	W	VM_PROT_WRITE
#define	E	VM_PROT_EXEC
		{ 0, false, R | W | E, E },
		{ EL0, false, R | W, R | W | E },
		{ RO, false, R | E, E },
		{ RO | EL0, false, R | E, R | E },
		{ UXN, false, R | W | E, 0 },
		{ PXN, false, R | W, E },
		{ EL0 | UXN, false, R | W, R | W },
		{ RO | EL0 | PXN, false, R, R | E },
		{ RO | EL0 | UXN, false, R | E, R },
		{ 0, true, R | W, E },
		{ EL0, true, R | W, R | W },
		{ RO | EL0, true, R | E, R | E },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		begin(16);
		if (t[i].wxn)
			st.sctlr_el1 |= SCTLR_WXN;
		chain(12, 48, 0x5000, 3, 0x40000000 | AF | t[i].bits | 3);
		for (unsigned b = 0; b < 3; b++) {
			static const int one[] = { R, W, E };

			CHECK_EQ(at(0x5000, one[b], false), (t[i].el1 & one[b]) != 0 ? 0x40000000 : PERM(3));
			CHECK_EQ(at(0x5000, one[b], true), (t[i].el0 & one[b]) != 0 ? 0x40000000 : PERM(3));
		}
		if (at(0x5000, R, false) > 0) {
			CHECK_EQ(w.el1, t[i].el1);
			CHECK_EQ(w.el0, t[i].el0);
		}
	}
}

TEST(tables_limit_what_is_below)
{
	static const struct {
		uint64_t bits;
		int el1, el0;
	} t[] = {
		{ 1ULL << 59, R, R | E },		/* PXNTable */
		{ 1ULL << 60, R | E, R },		/* UXNTable */
		{ 1ULL << 61, R | E, E },		/* APTable[0]: not for EL0 */
		{ 1ULL << 62, R | E, R | E },		/* APTable[1]: no stores */
	};

	for (unsigned level = 0; level < 3; level++) {
		for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
			begin(16);
			chain(12, 48, 0, 3, 0x40000000 | AF | EL0 | RO | 3);
			mem[(level == 0 ? 0 : level * 0x10000ULL) / 8] |= t[i].bits;
			CHECK_EQ(rd1(0), 0x40000000);
			CHECK_EQ(w.el1, t[i].el1);
			CHECK_EQ(w.el0, t[i].el0);
		}
		begin(16);
		chain(12, 48, 0, 3, 0x40000000 | AF | EL0 | 3);
		mem[(level == 0 ? 0 : level * 0x10000ULL) / 8] |= 1ULL << 62;
		CHECK_EQ(at(0, W, false), PERM(3));
		CHECK_EQ(at(0, W, true), PERM(3));
		CHECK_EQ(at(0, R, true), 0x40000000);
	}
}

TEST(tags_and_closed_halves)
{
	begin(16 | 16ULL << 16 | 2ULL << 30);
	chain(12, 48, 0x123456789000, 3, 0x40000000 | AF | EL0 | 3);
	CHECK_EQ(rd1(0x5a00123456789000), XLAT(0));
	st.tcr_el1 |= 1ULL << 37;				/* TBI0 */
	CHECK_EQ(rd1(0x5a00123456789000), 0x40000000);
	CHECK_EQ(rd1(0x5a01123456789000), XLAT(0));
	CHECK_EQ(rd1(0x5aff123456789000), XLAT(0));
	st.tcr_el1 |= 1ULL << 38;				/* TBI1 */
	CHECK_EQ(rd1(0x5aff123456789000), 0x40000000);
	st.tcr_el1 |= 1ULL << 55;				/* E0PD0: EL0 finds nothing, whatever is there */
	CHECK_EQ(at(0x123456789000, R, true), XLAT(0));
	CHECK_EQ(at(0x123456789000, E, true), XLAT(0));
	CHECK_EQ(rd1(0x123456789000), 0x40000000);
	CHECK_EQ(at(0xffff123456789000, R, true), 0x40000000);
	st.tcr_el1 |= 1ULL << 56;				/* E0PD1 */
	CHECK_EQ(at(0xffff123456789000, R, true), XLAT(0));
	st.tcr_el1 |= 1ULL << 7;				/* EPD0 */
	CHECK_EQ(rd1(0x123456789000), XLAT(0));
	CHECK_EQ(rd1(0xffff123456789000), 0x40000000);
	st.tcr_el1 |= 1ULL << 23;				/* EPD1 */
	CHECK_EQ(rd1(0xffff123456789000), XLAT(0));
}

TEST(attributes_come_from_mair)
{
	begin(16);
	st.mair_el1 = 0x000c44ff04080100;
	for (unsigned i = 0; i < 8; i++)
		put(BASE + 0x30000, i, (0x40000000 + i * 0x1000) | AF | i << 2 | 3);
	put(BASE, 0, (BASE + 0x10000) | 3);
	put(BASE + 0x10000, 0, (BASE + 0x20000) | 3);
	put(BASE + 0x20000, 0, (BASE + 0x30000) | 3);
	for (unsigned i = 0; i < 8; i++) {
		CHECK_EQ(rd1(i * 0x1000), 0x40000000 + i * 0x1000);
		CHECK_EQ(w.attr, (uint8_t)(st.mair_el1 >> (8 * i)));
		CHECK_EQ(w.device, i != 4 && i != 5);
	}
	/* The contiguous bit changes nothing. */
	put(BASE + 0x30000, 4, 0x40004000 | AF | CONTIG | 4 << 2 | 3);
	CHECK_EQ(rd1(0x4008), 0x40004008);
	CHECK_EQ(w.shift, 12);
}

TEST(without_mmu_data_is_device)
{
	begin(16);
	st.sctlr_el1 &= ~(uint64_t)SCTLR_M;
	CHECK_EQ(rd1(0xffffffffff), 0xffffffffff);
	CHECK(w.device);
	CHECK_EQ(at(0x1234, E, false), 0x1234);
	CHECK(!w.device);
	CHECK_EQ(rd1(1ULL << 40), SIZE(0));
	CHECK_EQ(rd1(0xab00000000001000), SIZE(0));
	st.tcr_el1 |= 1ULL << 37;
	CHECK_EQ(rd1(0xab00000000001000), 0x1000);
}

TEST(the_first_table_is_aligned_to_its_size)
{
	/* 39 of 64: 25 bits, 16 entries at level 2. */
	begin(39);
	st.ttbr0_el1 = BASE + 0x78;		/* low bits are not looked at */
	put(BASE, 3, 0x40200000 | AF | 1);
	CHECK_EQ(rd1(0x600000), 0x40200000);
	/* The ASID and CnP are not part of the address. */
	st.ttbr0_el1 = BASE | 0xffffULL << 48 | 1;
	CHECK_EQ(rd1(0x600000), 0x40200000);
}

TEST_MAIN()
