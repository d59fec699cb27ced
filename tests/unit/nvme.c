/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme.c - the NVMe controller as a driver sees it: registers, queues, what it says of itself, features, reads and writes by every kind of
 * PRP, events, interrupts, a life, and drivers that do wrong.  What happens to commands under way is nvme_flight.c's.
 */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "nvme_driver.h"

#define	SECTORS		8192U		/* 4 MiB */
#define	RING		16U
#define	NOWHERE		0xe0000000ULL	/* no RAM */

static char path[] = "/tmp/hyve-nvme-XXXXXX";
static int fd;

static uint8_t
pattern(uint64_t off)
{
	return ((uint8_t)(off / 512 * 7 + off % 251));
}

static void
image(void)
{
	uint8_t *all = malloc(SECTORS * 512);

	fd = mkstemp(path);
	CHECK(fd >= 0 && all != NULL);
	for (unsigned i = 0; i < SECTORS * 512; i++)
		all[i] = pattern(i);
	CHECK_EQ(pwrite(fd, all, SECTORS * 512, 0), SECTORS * 512);
	free(all);
}

/* Up to a controller with an I/O queue. */
static void
setup(const char *keys)
{
	image();
	nv_open(path, keys);
	nv_enable(RING);
	nv_pair(&ioq, 1, RING, 1);
}

static void
finish(void)
{
	pd_close();
	close(fd);
	CHECK_EQ(unlink(path), 0);
}

TEST(registers)
{
	uint64_t cap;

	image();
	nv_open(path, "disk.qsz=100\n");
	CHECK_EQ(cfg_r(&fx, SLOT, 0x08, 4) >> 8, 0x010802);
	CHECK_EQ(cfg_r(&fx, SLOT, R_PIN, 1), 1);
	cap = fx_read(&fx, VM_SPACE_MEM, nv_reg(R_CAP), 8);
	CHECK_EQ(cap & 0xffff, 99);
	CHECK_EQ(cap >> 16 & 1, 1);		/* contiguous queues */
	CHECK_EQ(cap >> 32 & 15, 0);		/* doorbells are side by side */
	CHECK_EQ(cap >> 37 & 0xff, 1);		/* the NVM command set */
	CHECK_EQ(cap >> 48 & 15, 0);
	CHECK_EQ(nv_read(R_CAP), (uint32_t)cap);
	CHECK_EQ(nv_read(R_CAP + 4), cap >> 32);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, nv_reg(R_CAP) + 1, 1), (cap >> 8) & 0xff);
	CHECK_EQ(nv_read(R_VS), 0x00010400);
	CHECK_EQ(nv_read(R_CC), 0);
	CHECK_EQ(nv_read(R_CSTS), 0);
	CHECK_EQ(nv_read(0x20), 0);
	CHECK_EQ(nv_read(0x38), 0);
	CHECK_EQ(nv_read(0x1000), 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, nv_reg(0x3c), 8), 0);
	/* Read-only ones, halves of wide ones, widths that are none. */
	nv_write64(R_CAP, 0);
	nv_write(R_VS, 0);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, nv_reg(R_CAP), 8), cap);
	nv_write(R_ASQ, 0x12345fff);
	nv_write(R_ASQ + 4, 0x9a);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, nv_reg(R_ASQ), 8), 0x9a12345000ULL);
	nv_write64(R_ACQ, 0x1122334455667788ULL);
	CHECK_EQ(nv_read(R_ACQ), 0x55667000);
	CHECK_EQ(nv_read(R_ACQ + 4), 0x11223344);
	fx_write(&fx, VM_SPACE_MEM, nv_reg(R_ACQ), 2, 0xffff);
	fx_write(&fx, VM_SPACE_MEM, nv_reg(R_ACQ) + 4, 8, 0);
	CHECK_EQ(nv_read(R_ACQ), 0x55667000);
	nv_write(R_AQA, UINT32_MAX);
	CHECK_EQ(nv_read(R_AQA), 0x0fff0fff);
	nv_write(R_INTMS, 0x0f);
	nv_write(R_INTMC, 0x03);
	CHECK_EQ(nv_read(R_INTMS), 0x0c);
	CHECK_EQ(nv_read(R_INTMC), 0x0c);
	/* Doorbells while nobody is there. */
	nv_doorbell(0, false, 1);
	nv_doorbell(1, true, 1);
	fx_write(&fx, VM_SPACE_MEM, nv_reg(0x3ffc), 4, 7);
	CHECK_EQ(nv_read(R_CSTS), 0);
	finish();
}

/* What keeps a controller from working is told by CSTS.CFS, and a reset mends it. */
TEST(enabling_what_cannot_be)
{
	static const struct {
		uint32_t cc, aqa;
		uint64_t asq, acq;
	} bad[] = {
		{ CC_ON | 1 << 4, 0x000f000f, SQ_AT(0), CQ_AT(0) },		/* another command set */
		{ CC_ON | 5 << 7, 0x000f000f, SQ_AT(0), CQ_AT(0) },		/* pages of 128 KiB */
		{ CC_ON | 1 << 11, 0x000f000f, SQ_AT(0), CQ_AT(0) },		/* weighted arbitration */
		{ CC_ON, 0x000f0000, SQ_AT(0), CQ_AT(0) },
		{ CC_ON, 0x0000000f, SQ_AT(0), CQ_AT(0) },
		{ CC_ON, 0x000f000f, NOWHERE, CQ_AT(0) },
		{ CC_ON, 0x000f000f, SQ_AT(0), FX_MEM },
		{ CC_ON, 0x0fff000f, SQ_AT(0), FX_MEM - 4096 },			/* it ends outside */
		{ CC_ON, 0x000f000f, UINT64_MAX - 0xfff, CQ_AT(0) },
		{ CC_ON | 1 << 7, 0x000f000f, SQ_AT(0) + 4096, CQ_AT(0) },	/* not at a page of 8 KiB */
	};

	image();
	nv_open(path, "");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nv_write(R_AQA, bad[i].aqa);
		nv_write64(R_ASQ, bad[i].asq);
		nv_write64(R_ACQ, bad[i].acq);
		nv_write(R_CC, bad[i].cc);
		CHECKF(nv_read(R_CSTS) == CSTS_FATAL, "case %u: %#x", i, nv_read(R_CSTS));
		nv_doorbell(0, false, 1);
		nv_write(R_CC, 0);
		CHECK_EQ(nv_read(R_CSTS), 0);
	}
	CHECK_HAS(fx.log, "the controller needs a reset");
	nv_enable(RING);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 0, DATA, 0, 1, 0, 0, NULL), ST_OK);
	finish();
}

static void
identify(unsigned cns, uint32_t nsid)
{
	memset(ram + DATA, 0xee, 4096);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, nsid, DATA, 0, cns, 0, 0, NULL), ST_OK);
}

static uint64_t
le(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return (v);
}

TEST(it_says_what_it_is)
{
	static const uint8_t eui[8] = { 0x58, 0x9c, 0xfc, 1, 2, 3, 4, 5 };
	const uint8_t *d;

	setup("disk.ser=A12\ndisk.eui64=0x589cfc0102030405\n");
	d = ram + DATA;
	identify(1, 0);
	CHECK_EQ(le(d, 2), cfg_r(&fx, SLOT, 0, 2));
	CHECK(memcmp(d + 4, "A12                 ", 20) == 0);
	CHECK_EQ(le(d + 80, 4), 0x00010400);
	CHECK_EQ(d[111], 1);
	CHECK_EQ(d[512], 0x66);
	CHECK_EQ(d[513], 0x44);
	CHECK_EQ(le(d + 516, 4), 1);
	CHECK_EQ(le(d + 520, 2), 0x1d);
	CHECK_EQ(d[525], 7);
	CHECK(memcmp(d + 768, "nqn.2014-08.org.nvmexpress:uuid:", 32) == 0);
	CHECK_EQ(strlen((const char *)d + 768), 32 + 36);
	identify(0, 1);
	CHECK_EQ(le(d, 8), SECTORS);
	CHECK_EQ(le(d + 8, 8), SECTORS);
	CHECK_EQ(d[25], 0);
	CHECK_EQ(le(d + 64, 2), 7);
	CHECK_EQ(d[99], 0);
	CHECK(memcmp(d + 120, eui, 8) == 0);
	CHECK_EQ(le(d + 128, 4), 9 << 16);
	identify(2, 0);
	CHECK_EQ(le(d, 8), 1);
	identify(2, 1);
	CHECK_EQ(le(d, 8), 0);
	identify(3, 1);
	CHECK_EQ(d[0], 1);
	CHECK_EQ(d[1], 8);
	CHECK(memcmp(d + 4, eui, 8) == 0);
	CHECK_EQ(d[12], 0);
	/* In two pages. */
	memset(ram + DATA, 0, 3 * 4096);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 1, DATA + 512, DATA + 8192, 0, 0, 0, NULL), ST_OK);
	CHECK_EQ(le(d + 512, 8), SECTORS);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 0, DATA, 0, 0, 0, 0, NULL), ST_NAMESPACE);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 2, DATA, 0, 0, 0, 0, NULL), ST_NAMESPACE);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, UINT32_MAX, DATA, 0, 0, 0, 0, NULL), ST_NAMESPACE);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, UINT32_MAX, DATA, 0, 2, 0, 0, NULL), ST_NAMESPACE);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 2, DATA, 0, 3, 0, 0, NULL), ST_NAMESPACE);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 1, DATA, 0, 0x10, 0, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 1, NOWHERE, 0, 1, 0, 0, NULL), ST_TRANSFER);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 1, DATA + 512, NOWHERE, 1, 0, 0, NULL), ST_TRANSFER);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 1, DATA + 2, 0, 1, 0, 0, NULL), ST_PRP_OFFSET);
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 1, DATA + 512, DATA + 512, 1, 0, 0, NULL), ST_PRP_OFFSET);
	/* What is not there: format, firmware, namespaces, security, vendors' own. */
	for (unsigned i = 0; i < 256; i++) {
		if (i > 12 || i == 3 || i == 7 || i == 11)
			CHECK_EQ(nv_command(&admin, (uint8_t)i, 1, DATA, 0, 0, 0, 0, NULL), ST_OPCODE);
	}
	finish();
}

/* Without keys each disk is another one, and the same in the next run. */
TEST(names_are_made)
{
	char sn[21] = { 0 }, nqn[80];

	image();
	for (unsigned run = 0; run < 2; run++) {
		nv_open(path, "");
		nv_enable(RING);
		identify(1, 0);
		CHECK(memcmp(ram + DATA + 4, "HYVE-", 5) == 0);
		if (run != 0)
			CHECK(memcmp(sn, ram + DATA + 4, 20) == 0 && strcmp(nqn, (char *)ram + DATA + 768) == 0);
		memcpy(sn, ram + DATA + 4, 20);
		memcpy(nqn, ram + DATA + 768, sizeof(nqn));
		identify(0, 1);
		CHECK_EQ(ram[DATA + 120] & 3, 2);
		pd_close();
	}
	close(fd);
	unlink(path);
}

TEST(features)
{
	static const struct {
		uint32_t id, def, set, get, cdw11;	/* cdw11: when it is asked for */
	} f[] = {
		{ 1, 0, 0x01020304, 0x01020304, 0 }, { 2, 0, 0, 0, 0 }, { 4, 343, 350, 350, 0 }, { 4, 0, 0x100000 | 280, 280, 0x100000 },
		{ 5, 0, 0x1234, 0x1234, 0 }, { 6, 1, 0, 0, 0 }, { 8, 0, 0x0502, 0x0502, 0 }, { 9, 1, 0x10001, 0x10001, 1 },
		{ 10, 0, 1, 1, 0 }, { 11, 0, 0xffff, 0xff, 0 },
	};
	uint32_t v;

	setup("");
	for (unsigned i = 0; i < sizeof(f) / sizeof(f[0]); i++) {
		CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, f[i].id, f[i].cdw11, 0, &v), ST_OK);
		CHECKF(v == f[i].def, "feature %u: %#x", f[i].id, v);
		CHECK_EQ(nv_command(&admin, A_SET, UINT32_MAX, 0, 0, f[i].id, f[i].set, 0, NULL), ST_OK);
		CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, f[i].id, f[i].cdw11, 0, &v), ST_OK);
		CHECKF(v == f[i].get, "feature %u: %#x", f[i].id, v);
		for (unsigned select = 1; select <= 2; select++) {	/* the default, and what is saved */
			CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, f[i].id | select << 8, f[i].cdw11, 0, &v), ST_OK);
			CHECK_EQ(v, f[i].def);
		}
		CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, f[i].id | 3 << 8, f[i].cdw11, 0, &v), ST_OK);
		CHECK_EQ(v, f[i].id == 5 ? 6 : 4);
		CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, f[i].id | 4 << 8, f[i].cdw11, 0, NULL), ST_FIELD);
		CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, f[i].id | 1U << 31, f[i].set, 0, NULL), ST_NOT_SAVEABLE);
		CHECK_EQ(nv_command(&admin, A_SET, 1, 0, 0, f[i].id, f[i].set, 0, NULL), f[i].id == 5 ? ST_OK : ST_NOT_NS);
		CHECK_EQ(nv_command(&admin, A_SET, 2, 0, 0, f[i].id, f[i].set, 0, NULL), ST_NAMESPACE);
		CHECK_EQ(nv_command(&admin, A_GET, 2, 0, 0, f[i].id, 0, 0, NULL), ST_NAMESPACE);
	}
	/* Values that there are not, and features. */
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 2, 1, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 4, 0x10000, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 4, 0x200000, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, 4, 0xf0000, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 5, 0x10000, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 9, 17, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, 9, 17, 0, NULL), ST_FIELD);
	for (unsigned id = 0; id < 256; id++) {
		if (id == 0 || id == 3 || id > 11) {
			CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, id, 0, 0, NULL), ST_FIELD);
			CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, id, 0, 0, NULL), ST_FIELD);
		}
	}
	/* A reset of the controller gives defaults. */
	nv_write(R_CC, 0);
	nv_enable(RING);
	CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, 1, 0, 0, &v), ST_OK);
	CHECK_EQ(v, 0);
	finish();
}

TEST(number_of_queues)
{
	uint32_t v;

	setup("disk.maxq=4\n");
	CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, 7, 0, 0, &v), ST_OK);
	CHECK_EQ(v, 0x00030003);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 7, 0x00010001, 0, NULL), ST_SEQUENCE);
	nv_write(R_CC, 0);
	nv_enable(RING);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 7, 0xffff0001, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 7, 0x0001ffff, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 7, 0x00100001, 0, &v), ST_OK);
	CHECK_EQ(v, 0x00030001);
	CHECK_EQ(nv_command(&admin, A_CREATE_CQ, 0, CQ_AT(3), 0, 15 << 16 | 3, 3, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_CREATE_SQ, 0, SQ_AT(3), 0, 15 << 16 | 3, 3 << 16 | 1, 0, NULL), ST_QID);
	CHECK_EQ(nv_command(&admin, A_CREATE_SQ, 0, SQ_AT(2), 0, 15 << 16 | 2, 3 << 16 | 1, 0, NULL), ST_OK);
	finish();
}

TEST(queues_that_cannot_be)
{
	static const struct {
		uint8_t opcode;
		uint32_t cdw10, cdw11;
		uint64_t prp;
		unsigned status;
	} bad[] = {
		{ A_CREATE_CQ, 15 << 16 | 0, 3, CQ_AT(2), ST_QID }, { A_CREATE_CQ, 15 << 16 | 1, 3, CQ_AT(2), ST_QID },
		{ A_CREATE_CQ, 15 << 16 | 17, 3, CQ_AT(2), ST_QID }, { A_CREATE_CQ, 15U << 16 | 65535, 3, CQ_AT(2), ST_QID },
		{ A_CREATE_CQ, 0 << 16 | 2, 3, CQ_AT(2), ST_QSIZE }, { A_CREATE_CQ, 100 << 16 | 2, 3, CQ_AT(2), ST_QSIZE },
		{ A_CREATE_CQ, 65535U << 16 | 2, 3, CQ_AT(2), ST_QSIZE },
		{ A_CREATE_CQ, 15 << 16 | 2, 17 << 16 | 3, CQ_AT(2), ST_VECTOR },
		{ A_CREATE_CQ, 15 << 16 | 2, 65535U << 16 | 3, CQ_AT(2), ST_VECTOR },
		{ A_CREATE_CQ, 15 << 16 | 2, 2, CQ_AT(2), ST_FIELD },		/* in pieces */
		{ A_CREATE_CQ, 15 << 16 | 2, 3, CQ_AT(2) + 64, ST_PRP_OFFSET }, { A_CREATE_CQ, 15 << 16 | 2, 3, NOWHERE, ST_FIELD },
		{ A_CREATE_CQ, 15 << 16 | 2, 3, UINT64_MAX - 4095, ST_FIELD },
		{ A_CREATE_SQ, 15 << 16 | 0, 1 << 16 | 1, SQ_AT(2), ST_QID }, { A_CREATE_SQ, 15 << 16 | 1, 1 << 16 | 1, SQ_AT(2), ST_QID },
		{ A_CREATE_SQ, 15 << 16 | 17, 1 << 16 | 1, SQ_AT(2), ST_QID }, { A_CREATE_SQ, 15 << 16 | 2, 1, SQ_AT(2), ST_QID },
		{ A_CREATE_SQ, 15 << 16 | 2, 2 << 16 | 1, SQ_AT(2), ST_CQ }, { A_CREATE_SQ, 15 << 16 | 2, 999 << 16 | 1, SQ_AT(2), ST_CQ },
		{ A_CREATE_SQ, 0 << 16 | 2, 1 << 16 | 1, SQ_AT(2), ST_QSIZE }, { A_CREATE_SQ, 100 << 16 | 2, 1 << 16 | 1, SQ_AT(2), ST_QSIZE },
		{ A_CREATE_SQ, 15 << 16 | 2, 1 << 16, SQ_AT(2), ST_FIELD }, { A_CREATE_SQ, 15 << 16 | 2, 1 << 16 | 1, SQ_AT(2) + 4, ST_PRP_OFFSET },
		{ A_CREATE_SQ, 99 << 16 | 2, 1 << 16 | 1, FX_MEM - 4096, ST_FIELD },
		{ A_DELETE_SQ, 0, 0, 0, ST_QID }, { A_DELETE_SQ, 2, 0, 0, ST_QID }, { A_DELETE_SQ, 65535, 0, 0, ST_QID },
		{ A_DELETE_CQ, 0, 0, 0, ST_QID }, { A_DELETE_CQ, 2, 0, 0, ST_QID }, { A_DELETE_CQ, 65535, 0, 0, ST_QID },
		{ A_DELETE_CQ, 1, 0, 0, ST_DELETION },
	};

	setup("disk.qsz=100\n");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned status = nv_command(&admin, bad[i].opcode, 0, bad[i].prp, 0, bad[i].cdw10, bad[i].cdw11, 0, NULL);

		CHECKF(status == bad[i].status, "case %u: %#x", i, status);
	}
	/* Entries' sizes that were not set. */
	nv_write(R_CC, 1);
	CHECK_EQ(nv_command(&admin, A_CREATE_CQ, 0, CQ_AT(2), 0, 15 << 16 | 2, 3, 0, NULL), ST_QSIZE);
	CHECK_EQ(nv_command(&admin, A_CREATE_SQ, 0, SQ_AT(2), 0, 15 << 16 | 2, 1 << 16 | 1, 0, NULL), ST_QSIZE);
	nv_write(R_CC, CC_ON);
	/* Two queues that complete to one, and the order of their ends. */
	CHECK_EQ(nv_command(&admin, A_CREATE_SQ, 0, SQ_AT(2), 0, 15 << 16 | 2, 1 << 16 | 1, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_DELETE_SQ, 0, 0, 0, 1, 0, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_DELETE_CQ, 0, 0, 0, 1, 0, 0, NULL), ST_DELETION);
	CHECK_EQ(nv_command(&admin, A_DELETE_SQ, 0, 0, 0, 2, 0, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_DELETE_CQ, 0, 0, 0, 1, 0, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_DELETE_CQ, 0, 0, 0, 1, 0, 0, NULL), ST_QID);
	nv_pair(&ioq, 1, 2, 0);			/* the smallest there are */
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(nv_io(IO_READ, i, 1, DATA, 0), ST_OK);
	finish();
}

/* Guest memory against the image, which begins at byte off of it; where n bytes of it are is said by an array of pages. */
static void
check_pages(const uint64_t *page, size_t first, uint64_t off, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = first + i;

		CHECKF(ram[page[at / 4096] + at % 4096] == pattern(off + i), "byte %zu", i);
	}
}

/* By one PRP, two, a list, and lists that lead to one another, with every kind of offset; scattered memory. */
TEST(prps)
{
	static uint64_t page[200];
	uint64_t *list;

	setup("");
	list = (uint64_t *)(void *)(ram + LISTS);
	for (unsigned i = 0; i < 200; i++)
		page[i] = DATA + 4096 * (uint64_t)(i * 37 % 512);
	CHECK_EQ(nv_io(IO_READ, 3, 8, page[0], 0), ST_OK);
	check_pages(page, 0, 3 * 512, 4096);
	CHECK_EQ(nv_io(IO_READ, 5, 1, page[0] + 1024, 0), ST_OK);
	check_pages(page, 1024, 5 * 512, 512);
	memset(ram + DATA, 0, 2 << 20);
	CHECK_EQ(nv_io(IO_READ, 7, 8, page[0] + 2052, page[1]), ST_OK);
	check_pages(page, 2052, 7 * 512, 4096);
	CHECK_EQ(nv_io(IO_READ, 9, 16, page[0], page[1]), ST_OK);
	check_pages(page, 0, 9 * 512, 8192);
	/* Lists: at a page's start, in its middle, and with 2, 1 and 0 entries of data before the one that leads on. */
	for (unsigned room = 0; room < 5; room++) {
		unsigned at = room == 3 ? 100 : room == 4 ? 0 : 511 - room, blocks = 1024, k = 1;

		memset(ram + LISTS, 0, 8 * 4096);
		memset(ram + DATA, 0, 2 << 20);
		for (unsigned i = at; k <= 128; i++) {
			if (i == 511 && k < 128)
				list[i] = LISTS + 4096;
			else
				list[i] = page[k++];
		}
		CHECK_EQ(nv_io(IO_READ, room, blocks, page[0] + 512, LISTS + 8 * at), ST_OK);
		check_pages(page, 512, room * 512, blocks * 512);
	}
	/* And to the image. */
	for (unsigned i = 0; i < 128 * 4096; i++)
		ram[page[i / 4096] + i % 4096] = (uint8_t)(i * 13 / 7);
	memcpy(list, page + 1, 127 * 8);
	CHECK_EQ(nv_io(IO_WRITE, 100, 1024, page[0], LISTS), ST_OK);
	for (unsigned i = 0; i < 1024; i++) {
		uint8_t s[512];

		CHECK_EQ(pread(fd, s, 512, (off_t)(100 + i) * 512), 512);
		for (unsigned b = 0; b < 512; b++)
			CHECK_EQ(s[b], (uint8_t)((i * 512 + b) * 13 / 7));
	}
	/* Pages that follow one another are one piece. */
	CHECK_EQ(nv_io(IO_READ, 2000, 16, DATA, DATA + 4096), ST_OK);
	for (unsigned i = 0; i < 8192; i++)
		CHECK_EQ(ram[DATA + i], pattern(2000 * 512 + i));
	finish();
}

TEST(bad_prps)
{
	static const struct {
		uint64_t prp1, prp2, list0, list1;
		unsigned blocks, status;
	} bad[] = {
		{ DATA + 1, 0, 0, 0, 1, ST_PRP_OFFSET }, { DATA + 2, 0, 0, 0, 1, ST_PRP_OFFSET },
		{ DATA, DATA + 512, 0, 0, 16, ST_PRP_OFFSET }, { DATA, DATA + 1, 0, 0, 9, ST_PRP_OFFSET },
		{ DATA, LISTS + 4, DATA, DATA, 24, ST_PRP_OFFSET }, { DATA, LISTS, DATA + 512, DATA, 24, ST_PRP_OFFSET },
		{ DATA, LISTS, DATA, DATA + 4, 24, ST_PRP_OFFSET },
		{ DATA, LISTS + 0xff8, LISTS + 8, 0, 24, ST_PRP_OFFSET },	/* a second list that is not at its page's start */
		{ NOWHERE, 0, 0, 0, 1, ST_TRANSFER }, { FX_MEM, 0, 0, 0, 1, ST_TRANSFER }, { UINT64_MAX - 4095, 0, 0, 0, 8, ST_TRANSFER },
		{ UINT64_MAX - 511, DATA, 0, 0, 8, ST_TRANSFER }, { DATA, NOWHERE, 0, 0, 16, ST_TRANSFER },
		{ DATA, NOWHERE, 0, 0, 24, ST_TRANSFER }, { DATA, LISTS, NOWHERE, DATA, 24, ST_TRANSFER },
		{ DATA, LISTS, DATA, UINT64_MAX - 4095, 24, ST_TRANSFER }, { DATA, LISTS + 0xff8, NOWHERE, 0, 24, ST_TRANSFER },
		{ DATA, UINT64_MAX - 7, 0, 0, 24, ST_TRANSFER }, { DATA, 0xfee00000, 0, 0, 16, ST_TRANSFER },
	};

	setup("");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t *list = (uint64_t *)(void *)(ram + LISTS);

		list[0] = list[511] = bad[i].list0;
		list[1] = bad[i].list1;
		for (uint8_t op = IO_WRITE; op <= IO_COMPARE; op = (uint8_t)(op == IO_READ ? IO_COMPARE : op + 1)) {
			unsigned status = nv_io(op, 0, bad[i].blocks, bad[i].prp1, bad[i].prp2);

			CHECKF(status == bad[i].status, "case %u, opcode %u: %#x", i, op, status);
		}
	}
	/* Nothing of it reached the image. */
	for (unsigned i = 0; i < 64; i++) {
		uint8_t b;

		CHECK_EQ(pread(fd, &b, 1, (off_t)i * 512), 1);
		CHECK_EQ(b, pattern(i * 512ULL));
	}
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY);
	finish();
}

TEST(bad_commands)
{
	struct sqe cmd = nv_rw(IO_READ, 0, 1, DATA, 0);
	struct cqe c;

	setup("");
	for (unsigned op = 0; op < 256; op++) {
		if (op > 9 || op == 3 || op == 4 || op == 6 || op == 7)
			CHECK_EQ(nv_io((uint8_t)op, 0, 1, DATA, 0), ST_OPCODE);
	}
	for (uint8_t op = IO_WRITE; op <= IO_READ; op++) {
		CHECK_EQ(nv_io(op, SECTORS, 1, DATA, 0), ST_LBA);
		CHECK_EQ(nv_io(op, SECTORS - 1, 2, DATA, 0), ST_LBA);
		CHECK_EQ(nv_io(op, UINT64_MAX, 2, DATA, 0), ST_LBA);
		CHECK_EQ(nv_io(op, 1ULL << 55, 1, DATA, 0), ST_LBA);
		CHECK_EQ(nv_io(op, 0, 1025, DATA, LISTS), ST_FIELD);		/* MDTS */
		CHECK_EQ(nv_io(op, 0, 65536, DATA, LISTS), ST_FIELD);
		CHECK_EQ(nv_io(op, SECTORS - 1, 1, DATA, 0), ST_OK);
	}
	CHECK_EQ(nv_io(IO_ZEROES, SECTORS - 1, 2, 0, 0), ST_LBA);
	for (unsigned flags = 1; flags < 256; flags++) {
		cmd.flags = (uint8_t)flags;
		c = nv_ask(&ioq, &cmd);
		CHECK_EQ(nv_status(&c), (flags & 0xc3) != 0 ? ST_FIELD : ST_OK);	/* fused, or with an SGL */
	}
	cmd.flags = 0;
	for (uint32_t nsid = 0; nsid < 4; nsid++) {
		cmd.nsid = nsid;
		c = nv_ask(&ioq, &cmd);
		CHECK_EQ(nv_status(&c), nsid == 1 ? ST_OK : ST_NAMESPACE);
	}
	cmd.nsid = UINT32_MAX;
	c = nv_ask(&ioq, &cmd);
	CHECK_EQ(nv_status(&c), ST_NAMESPACE);
	CHECK((c.status >> 14 & 1) != 0 && (c.status >> 15 & 1) != 0);		/* more; do not retry */
	cmd = (struct sqe){ .opcode = IO_FLUSH, .nsid = UINT32_MAX };
	c = nv_ask(&ioq, &cmd);
	CHECK_EQ(nv_status(&c), ST_OK);
	cmd = nv_rw(IO_WRITE, 0, 1, DATA, 0);
	cmd.cdw[2] |= 1 << 20;			/* a directive */
	c = nv_ask(&ioq, &cmd);
	CHECK_EQ(nv_status(&c), ST_FIELD);
	/* The administrator's commands too. */
	cmd = (struct sqe){ .opcode = A_IDENTIFY, .flags = 0x40, .prp1 = DATA, .cdw = { 1 } };
	c = nv_ask(&admin, &cmd);
	CHECK_EQ(nv_status(&c), ST_FIELD);
	finish();
}

static void
put_range(unsigned i, uint64_t lba, uint32_t blocks)
{
	struct { uint32_t attributes, blocks; uint64_t lba; } r = { 0, blocks, lba };

	memcpy(ram + DATA + 16 * i, &r, sizeof(r));
}

static unsigned
dsm(unsigned n, uint32_t attributes)
{
	return (nv_command(&ioq, IO_DSM, 1, DATA, 0, n - 1, attributes, 0, NULL));
}

static bool
zero_sector(unsigned i)
{
	static const uint8_t zeros[512];
	uint8_t s[512];

	CHECK_EQ(pread(fd, s, sizeof(s), (off_t)i * 512), 512);
	return (memcmp(s, zeros, sizeof(s)) == 0);
}

TEST(zeroes_and_deallocation)
{
	struct sqe cmd;
	struct cqe c;

	setup("");
	CHECK_EQ(nv_io(IO_ZEROES, 10, 20, 0, 0), ST_OK);
	CHECK(!zero_sector(9) && zero_sector(10) && zero_sector(29) && !zero_sector(30));
	cmd = nv_rw(IO_ZEROES, 40, 8, 0, 0);
	cmd.cdw[2] |= 1U << 30 | 1U << 25;	/* durable, and deallocated */
	c = nv_ask(&ioq, &cmd);
	CHECK_EQ(nv_status(&c), ST_OK);
	CHECK(!zero_sector(39) && zero_sector(40) && zero_sector(47) && !zero_sector(48));
	put_range(0, 800, 80);
	put_range(1, SECTORS - 8, 8);
	put_range(2, 0, 0);
	CHECK_EQ(dsm(3, 0), ST_OK);		/* hints */
	CHECK(!zero_sector(800));
	CHECK_EQ(dsm(3, 4), ST_OK);
	CHECK(!zero_sector(799) && zero_sector(800) && zero_sector(879) && !zero_sector(880) && zero_sector(SECTORS - 1));
	/* One that is out of range: none is done. */
	put_range(0, 1600, 80);
	put_range(1, SECTORS - 8, 9);
	CHECK_EQ(dsm(2, 4), ST_LBA);
	CHECK(!zero_sector(1600));
	put_range(1, UINT64_MAX, UINT32_MAX);
	CHECK_EQ(dsm(2, 4), ST_LBA);
	CHECK_EQ(nv_command(&ioq, IO_DSM, 1, NOWHERE, 0, 0, 4, 0, NULL), ST_TRANSFER);
	for (unsigned i = 0; i < 256; i++)
		put_range(i, 2000 + 16 * i, 8);
	CHECK_EQ(dsm(256, 4), ST_OK);
	CHECK(zero_sector(2000 + 16 * 255) && !zero_sector(2000 + 16 * 255 + 8));
	CHECK_EQ(nv_command(&ioq, IO_DSM, 1, DATA + 16, DATA + 8192, 255, 4, 0, NULL), ST_OK);
	finish();
}

TEST(no_deallocation)
{
	setup("disk.dsm=disable\n");
	identify(1, 0);
	CHECK_EQ(ram[DATA + 520] & 4, 0);
	put_range(0, 80, 80);
	CHECK_EQ(dsm(1, 4), ST_OPCODE);
	CHECK(!zero_sector(80));
	finish();
}

TEST(compares)
{
	setup("");
	CHECK_EQ(nv_io(IO_READ, 50, 8, DATA + 512, DATA + 8192), ST_OK);
	CHECK_EQ(nv_io(IO_COMPARE, 50, 8, DATA + 512, DATA + 8192), ST_OK);
	ram[DATA + 8192 + 511] ^= 1;
	CHECK_EQ(nv_io(IO_COMPARE, 50, 7, DATA + 512, 0), ST_OK);
	CHECK_EQ(nv_io(IO_COMPARE, 50, 8, DATA + 512, DATA + 8192), ST_COMPARE);
	CHECK_EQ(nv_io(IO_COMPARE, SECTORS, 1, DATA, 0), ST_LBA);
	finish();
}

TEST(large_blocks)
{
	setup("disk.sectsz=4K\n");
	identify(0, 1);
	CHECK_EQ(le(ram + DATA, 8), SECTORS / 8);
	CHECK_EQ(le(ram + DATA + 128, 4), 12 << 16);
	CHECK_EQ(nv_io(IO_READ, 3, 2, DATA, DATA + 4096), ST_OK);
	for (unsigned i = 0; i < 8192; i++)
		CHECK_EQ(ram[DATA + i], pattern(3 * 4096 + i));
	CHECK_EQ(nv_io(IO_READ, SECTORS / 8, 1, DATA, 0), ST_LBA);
	CHECK_EQ(nv_io(IO_READ, 0, 129, DATA, LISTS), ST_FIELD);
	memset(ram + DATA, 0x5a, 4096);
	CHECK_EQ(nv_io(IO_WRITE, SECTORS / 8 - 1, 1, DATA, 0), ST_OK);
	CHECK_EQ(nv_io(IO_ZEROES, 2, 1, 0, 0), ST_OK);
	CHECK(!zero_sector(15) && zero_sector(16) && zero_sector(23) && !zero_sector(24));
	finish();
}

/* Pages of 64 KiB, as some arm64 systems have them. */
TEST(large_pages)
{
	uint64_t *list;

	image();
	nv_open(path, "");
	memset(ram + CQ_AT(0), 0, 0x10000);
	nv_write(R_AQA, 0x000f000f);
	nv_write64(R_ASQ, SQ_AT(0));
	nv_write64(R_ACQ, CQ_AT(0));
	nv_write(R_CC, CC_ON | 4 << 7);
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY);
	admin = (struct nvq){ .size = RING, .phase = true };
	nv_pair(&ioq, 1, RING, 1);
	list = (uint64_t *)(void *)(ram + LISTS);
	CHECK_EQ(nv_io(IO_READ, 1, 128, DATA, 0), ST_OK);
	list[0] = DATA + 0x60000;
	list[1] = DATA + 0x40000;
	CHECK_EQ(nv_io(IO_READ, 1, 257, DATA + 0xf000, LISTS), ST_OK);
	for (unsigned i = 0; i < 257 * 512; i++) {
		uint64_t at = i < 0x1000 ? 0xf000 + i : i < 0x11000 ? 0x60000 + i - 0x1000 : 0x40000 + i - 0x11000;

		CHECKF(ram[DATA + at] == pattern(512 + i), "byte %u", i);
	}
	CHECK_EQ(nv_io(IO_READ, 1, 256, DATA, DATA + 4096), ST_PRP_OFFSET);
	finish();
}

TEST(read_only)
{
	setup("disk.ro=true\n");
	identify(0, 1);
	CHECK_EQ(ram[DATA + 99], 1);
	identify(1, 0);
	CHECK_EQ(ram[DATA + 520] & 4, 0);
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(nv_io(IO_COMPARE, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_READ_ONLY);
	CHECK_EQ(nv_io(IO_ZEROES, 0, 8, 0, 0), ST_READ_ONLY);
	CHECK_EQ(nv_command(&ioq, IO_FLUSH, 1, 0, 0, 0, 0, 0, NULL), ST_OK);
	finish();
}

static unsigned
log_page(unsigned id, uint32_t nsid, unsigned len, uint64_t off, uint32_t flags)
{
	struct sqe cmd = { .opcode = A_LOG, .nsid = nsid, .prp1 = DATA, .prp2 = DATA + 4096,
	    .cdw = { id | flags | (len / 4 - 1) << 16, (len / 4 - 1) >> 16, (uint32_t)off, (uint32_t)(off >> 32) } };
	struct cqe c;

	memset(ram + DATA, 0xee, 8192);
	c = nv_ask(&admin, &cmd);
	return (nv_status(&c));
}

TEST(logs)
{
	const uint8_t *d;

	setup("");
	d = ram + DATA;
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(nv_io(IO_READ, 0, 1000, DATA, NOWHERE), ST_TRANSFER);
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(nv_io(IO_WRITE, 0, 1, DATA, 0), ST_OK);
	CHECK_EQ(log_page(2, UINT32_MAX, 512, 0, 0), ST_OK);
	CHECK_EQ(d[0], 0);
	CHECK_EQ(le(d + 1, 2), 313);
	CHECK_EQ(le(d + 32, 8), 1);		/* thousands of sectors, rounded up */
	CHECK_EQ(le(d + 48, 8), 1);
	CHECK_EQ(le(d + 64, 8), 2);
	CHECK_EQ(le(d + 80, 8), 1);
	CHECK_EQ(le(d + 160, 8), 0);
	CHECK_EQ(le(d + 176, 8), 3);
	CHECK_EQ(d[512], 0xee);
	/* The errors, the newest first. */
	CHECK_EQ(nv_io(IO_READ, SECTORS + 5, 1, DATA, 0), ST_LBA);
	CHECK_EQ(log_page(1, 0, 128, 0, 0), ST_OK);
	CHECK_EQ(le(d, 8), 4);
	CHECK_EQ(le(d + 8, 2), 1);
	CHECK_EQ(le(d + 10, 2), next_cid - 2U);
	CHECK_EQ(le(d + 12, 2) >> 1 & 0x7ff, ST_LBA);
	CHECK_EQ(le(d + 16, 8), SECTORS + 5);
	CHECK_EQ(le(d + 24, 4), 1);
	CHECK_EQ(le(d + 64, 8), 3);
	for (unsigned i = 0; i < 40; i++)
		CHECK_EQ(nv_io(IO_READ, SECTORS + i, 1, DATA, 0), ST_LBA);
	CHECK_EQ(log_page(1, 0, 64, 15 * 64, 0), ST_OK);
	CHECK_EQ(le(d, 8), 44 - 15);
	CHECK_EQ(log_page(3, 0, 512, 0, 0), ST_OK);
	CHECK_EQ(d[0], 1);
	CHECK(memcmp(d + 8, "1.0     ", 8) == 0);
	CHECK_EQ(log_page(5, 0, 4096, 0, 0), ST_OK);
	CHECK_EQ(le(d + 4 * 6, 4), 1);
	CHECK_EQ(le(d + 4 * 0x10, 4), 0);
	CHECK_EQ(le(d + 1024 + 4, 4), 3);
	CHECK_EQ(log_page(5, 0, 8, 1024, 0), ST_OK);
	CHECK_EQ(le(d + 4, 4), 3);
	/* Longer than the page: what is behind it is not written. */
	CHECK_EQ(log_page(3, 0, 8192, 0, 0), ST_OK);
	CHECK_EQ(d[512], 0xee);
	CHECK_EQ(log_page(4, 0, 512, 0, 0), ST_LOG);
	CHECK_EQ(log_page(0x80, 0, 512, 0, 0), ST_LOG);
	CHECK_EQ(log_page(2, 0, 512, 516, 0), ST_FIELD);
	CHECK_EQ(log_page(2, 0, 512, 2, 0), ST_FIELD);
	CHECK_EQ(log_page(2, 0, 512, UINT64_MAX - 3, 0), ST_FIELD);
	CHECK_EQ(log_page(2, 1, 512, 0, 0), ST_FIELD);
	CHECK_EQ(log_page(2, 7, 512, 0, 0), ST_NAMESPACE);
	CHECK_EQ(nv_command(&admin, A_LOG, 0, DATA, LISTS, 2 | 0xffffU << 16, 0xffff, 0, NULL), ST_FIELD);
	CHECK_EQ(nv_command(&admin, A_LOG, 0, NOWHERE, 0, 2 | 127U << 16, 0, 0, NULL), ST_TRANSFER);
	finish();
}

static uint16_t
event_request(void)
{
	return (nv_submit(&admin, &(struct sqe){ .opcode = A_EVENT }));
}

TEST(events)
{
	uint16_t cid[4], more;
	struct cqe c;
	uint32_t v;

	setup("");
	for (unsigned i = 0; i < 4; i++)
		cid[i] = event_request();
	CHECK(!nv_done(&admin));
	more = event_request();
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, more);
	CHECK_EQ(nv_status(&c), ST_AERS);
	/* A doorbell that is not there, and values that cannot be: one event until the log is read. */
	nv_doorbell(5, false, 1);
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, cid[0]);
	CHECK_EQ(c.result, 0x00010000);
	CHECK_EQ(nv_status(&c), ST_OK);
	nv_doorbell(1, false, RING);
	CHECK(!nv_done(&admin));
	CHECK_EQ(log_page(1, 0, 64, 0, 0x8000), ST_OK);		/* retained */
	CHECK_EQ(le(ram + DATA + 10, 2), 0xffff);
	nv_doorbell(1, false, RING);
	CHECK(!nv_done(&admin));
	CHECK_EQ(log_page(1, 0, 64, 0, 0), ST_OK);
	CHECK_EQ(le(ram + DATA + 8, 2), 1);
	nv_doorbell(1, false, UINT32_MAX);
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, cid[1]);
	CHECK_EQ(c.result, 0x00010100);
	CHECK_EQ(log_page(1, 0, 64, 0, 0), ST_OK);
	nv_doorbell(1, true, 1);			/* nothing has completed */
	c = nv_wait(&admin);
	CHECK_EQ(c.result, 0x00010100);
	/* A temperature's threshold, if it is wanted. */
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 4, 300, 0, NULL), ST_OK);
	CHECK(!nv_done(&admin));
	CHECK_EQ(log_page(2, 0, 512, 0, 0), ST_OK);
	CHECK_EQ(ram[DATA], 2);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 4, 400, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 11, 2, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 4, 300, 0, NULL), ST_OK);
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, cid[3]);
	CHECK_EQ(c.result, 0x00020101);
	/* One that nobody waits for is told to the next who does. */
	CHECK_EQ(log_page(1, 0, 64, 0, 0), ST_OK);
	nv_doorbell(200, true, 0);
	cid[0] = event_request();
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, cid[0]);
	CHECK_EQ(c.result, 0x00010000);
	/* Abort: an event request can be, whatever else cannot. */
	cid[0] = event_request();
	cid[1] = event_request();
	more = nv_submit(&admin, &(struct sqe){ .opcode = A_ABORT, .cdw = { (uint32_t)cid[0] << 16 } });
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, cid[0]);
	CHECK_EQ(nv_status(&c), ST_ABORTED);
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, more);
	CHECK_EQ(c.result, 0);
	CHECK_EQ(nv_command(&admin, A_ABORT, 0, 0, 0, (uint32_t)cid[0] << 16, 0, 0, &v), ST_OK);
	CHECK_EQ(v, 1);
	CHECK_EQ(nv_command(&admin, A_ABORT, 0, 0, 0, 77 << 16 | 1, 0, 0, &v), ST_OK);
	CHECK_EQ(v, 1);
	/* A reset forgets the requests. */
	nv_write(R_CC, 0);
	nv_enable(RING);
	nv_doorbell(5, false, 1);
	CHECK(!nv_done(&admin));
	finish();
}

/* With its completion queue full, a queue waits until the driver has taken something. */
TEST(full_completion_queue)
{
	struct sqe cmd = nv_rw(IO_READ, 0, 1, DATA, 0);
	struct nvq sq;

	setup("");
	CHECK_EQ(nv_command(&admin, A_DELETE_SQ, 0, 0, 0, 1, 0, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_DELETE_CQ, 0, 0, 0, 1, 0, 0, NULL), ST_OK);
	memset(ram + CQ_AT(1), 0, 4096);
	CHECK_EQ(nv_command(&admin, A_CREATE_CQ, 0, CQ_AT(1), 0, 3 << 16 | 1, 3, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_CREATE_SQ, 0, SQ_AT(1), 0, (RING - 1) << 16 | 1, 1 << 16 | 1, 0, NULL), ST_OK);
	sq = (struct nvq){ .id = 1, .size = RING };
	ioq = (struct nvq){ .cqid = 1, .size = 4, .phase = true };
	for (unsigned i = 0; i < 12; i++) {
		cmd.prp1 = DATA + 4096 * i;
		(void)nv_put(&sq, &cmd);
	}
	nv_doorbell(1, false, sq.tail);
	usleep(20000);
	CHECK_EQ(ram[CQ_AT(1) + 16 * 3 + 14] & 1, 0);		/* three of four entries may be used */
	for (unsigned i = 0; i < 12; i++) {
		struct cqe c = nv_wait(&ioq);

		CHECK_EQ(nv_status(&c), ST_OK);
	}
	CHECK(!nv_done(&ioq));
	finish();
}

TEST(pin)
{
	setup("");
	CHECK(!fx_level(&fx));
	(void)nv_submit(&ioq, &(struct sqe){ .opcode = IO_FLUSH, .nsid = 1 });
	while (!nv_done(&ioq))
		usleep(50);
	/* The completion's interrupt comes behind it. */
	for (unsigned i = 0; !fx_level(&fx); i++) {
		CHECK(i < 400000);
		usleep(50);
	}
	nv_write(R_INTMS, 1 << 1);
	CHECK(!fx_level(&fx));
	nv_write(R_INTMC, UINT32_MAX);
	CHECK(fx_level(&fx));
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER | PCI_CMD_INTX_OFF);
	CHECK(!fx_level(&fx));
	pd_bus(true);
	CHECK(fx_level(&fx));
	(void)nv_wait(&ioq);
	CHECK(!fx_level(&fx));
	/* A reset takes it down. */
	(void)nv_submit(&admin, &(struct sqe){ .opcode = A_GET, .cdw = { 1 } });
	CHECK(fx_level(&fx));
	nv_write(R_CC, 0);
	CHECK(!fx_level(&fx));
	finish();
}

TEST(message_vectors)
{
	struct px_cpu cpu;
	struct px_msix m;

	setup("disk.maxq=4\n");
	m = px_msix(&fx, SLOT);
	CHECK_EQ(m.nvec, 5);
	for (unsigned i = 0; i < 5; i++)
		msix_set(&m, i, MSI_DATA(PX_FIRST + i));
	msix_control(&m, MSIX_ON);
	px_start(&cpu, &fx);
	CHECK_EQ(px_next(&cpu), 0);
	CHECK_EQ(nv_io(IO_READ, 0, 1, DATA, 0), ST_OK);
	CHECK_EQ(px_next(&cpu), PX_FIRST + 1);
	CHECK_EQ(px_next(&cpu), 0);
	CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, 1, 0, 0, NULL), ST_OK);
	CHECK_EQ(px_next(&cpu), PX_FIRST);
	CHECK(!fx_level(&fx));
	/* A masked one is pending; a queue without interrupts has none. */
	msix_mask(&m, 1, true);
	CHECK_EQ(nv_io(IO_READ, 0, 1, DATA, 0), ST_OK);
	CHECK(msix_pending(&m, 1));
	CHECK_EQ(px_next(&cpu), 0);
	msix_mask(&m, 1, false);
	CHECK_EQ(px_next(&cpu), PX_FIRST + 1);
	memset(ram + CQ_AT(2), 0, 4096);
	CHECK_EQ(nv_command(&admin, A_CREATE_CQ, 0, CQ_AT(2), 0, 15 << 16 | 2, 2 << 16 | 1, 0, NULL), ST_OK);
	CHECK_EQ(nv_command(&admin, A_CREATE_SQ, 0, SQ_AT(2), 0, 15 << 16 | 2, 2 << 16 | 1, 0, NULL), ST_OK);
	while (px_next(&cpu) != 0)
		;
	ioq = (struct nvq){ .id = 2, .cqid = 2, .size = RING, .phase = true };
	CHECK_EQ(nv_io(IO_READ, 0, 1, DATA, 0), ST_OK);
	CHECK_EQ(px_next(&cpu), 0);
	finish();
}

/* Without the bus nothing is taken; what was rung meanwhile is when it is back. */
TEST(bus_master_off)
{
	struct sqe cmd = nv_rw(IO_READ, 0, 1, DATA, 0);

	setup("");
	pd_bus(false);
	(void)nv_submit(&ioq, &cmd);
	(void)nv_submit(&admin, &(struct sqe){ .opcode = A_GET, .cdw = { 1 } });
	usleep(10000);
	CHECK(!nv_done(&ioq) && !nv_done(&admin));
	pd_bus(true);
	(void)nv_wait(&ioq);
	(void)nv_wait(&admin);
	finish();
}

/* Every doorbell with every kind of value: the controller works on, and the queues with it. */
TEST(hostile_doorbells)
{
	static const uint32_t val[] = { 0, 1, RING - 1, RING, RING + 1, 65535, 65536, 0x80000000U, UINT32_MAX };

	setup("");
	for (unsigned i = 0; i < 0x3000 / 4; i++) {
		for (unsigned v = 0; v < sizeof(val) / sizeof(val[0]); v++) {
			/* The queues that there are get what cannot be. */
			if (i >= 4 || val[v] >= RING)
				nv_write(0x1000 + 4 * i, val[v]);
		}
	}
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY);
	CHECK_EQ(nv_io(IO_READ, 0, 1, DATA, 0), ST_OK);
	/* A tail that has gone round and would overtake the head. */
	nv_write(R_CC, 0);
	nv_enable(RING);
	pd_bus(false);
	nv_doorbell(0, false, RING - 1);
	nv_doorbell(0, false, 3);
	pd_bus(true);
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY);
	finish();
}

/* A driver's life through a snapshot: what was rung and not taken, an event request, the pin, features, counters. */
TEST(moves)
{
	struct sqe cmd = nv_rw(IO_READ, 7, 1, DATA, 0);
	static struct fx to;
	struct pci_host *h;
	uint16_t aer;
	struct cqe c;
	uint32_t v;

	setup("disk.ro=true\n");
	aer = event_request();
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 1, 0x04030201, 0, NULL), ST_OK);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(nv_io(IO_READ, 3, 8, DATA, 0), ST_OK);
	CHECK_EQ(nv_io(IO_READ, SECTORS, 8, DATA, 0), ST_LBA);
	(void)nv_submit(&ioq, &(struct sqe){ .opcode = IO_FLUSH, .nsid = 1 });
	while (!nv_done(&ioq))
		usleep(50);
	pd_bus(false);
	(void)nv_submit(&ioq, &cmd);
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);

	fx_open(&to);
	h = px_host(&to);
	pd_move(&to, h, nv_make(&to, h, path, "disk.ro=true\n"));
	CHECK(fx_level(&fx));
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY);
	pd_bus(true);
	c = nv_wait(&ioq);
	CHECK_EQ(nv_status(&c), ST_OK);
	c = nv_wait(&ioq);
	CHECK_EQ(nv_status(&c), ST_OK);
	for (unsigned i = 0; i < 512; i++)
		CHECK_EQ(ram[DATA + i], pattern(7 * 512 + i));
	CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, 1, 0, 0, &v), ST_OK);
	CHECK_EQ(v, 0x04030201);
	CHECK_EQ(log_page(2, 0, 512, 0, 0), ST_OK);
	CHECK_EQ(le(ram + DATA + 64, 8), 21);
	CHECK_EQ(le(ram + DATA + 176, 8), 1);
	nv_doorbell(9, false, 0);
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, aer);
	finish();
}

TEST(states_that_cannot_be)
{
	static struct fx to;
	struct pci_host *h;
	static const struct fx_bad bad[] = {
		{ "csts", 0x10, 4, "status" }, { "csts", 0xc, 4, "status" }, { "cc", 0, 4, "configuration" }, { "cc", 0x460781, 4, "configuration" },
		{ "naers", 5, 4, "event requests" }, { NULL, 0, 0, NULL },
	};
	/* Within an element of the queues: its place is the library's business, so their first members are looked for by value. */
	static const struct { uint64_t find; unsigned off; uint64_t val; const char *words; } queue[] = {
		{ SQ_AT(0), 8, 0, "outside of itself" }, { SQ_AT(1), 8, 1, "entries" }, { SQ_AT(1), 8, 65537, "entries" },
		{ SQ_AT(1), 12, RING, "outside of itself" },
		{ SQ_AT(1), 16, RING, "outside of itself" }, { SQ_AT(1), 16, UINT32_MAX, "outside of itself" }, { CQ_AT(1), 12, RING, "outside of itself" },
		{ CQ_AT(1), 16, RING, "outside of itself" }, { SQ_AT(1), 20, 2, "completes" }, { SQ_AT(1), 20, 0, "completes" },
		{ CQ_AT(1), 20, 17, "vector" },
	};
	const uint64_t nowhere = NOWHERE;

	setup("disk.ro=true\n");
	devices_pause(&fx.vmm);
	fx_refuses(dev, bad);
	for (unsigned i = 0; i < sizeof(queue) / sizeof(queue[0]); i++) {
		uint8_t *at = fx_field(dev, queue[i].find < CQ_AT(0) ? "sq" : "cq");
		uint32_t old;

		while (memcmp(at, &queue[i].find, 8) != 0)
			at += 8;
		memcpy(&old, at + queue[i].off, 4);
		memcpy(at + queue[i].off, &queue[i].val, 4);
		CHECKF(dev->cls->state->check(dev->soft) == -1, "case %u", i);
		CHECK_HAS(vm_errmsg(), queue[i].words);
		memcpy(at + queue[i].off, &old, 4);
		CHECK_EQ(dev->cls->state->check(dev->soft), 0);
	}
	/* A controller with fewer queues. */
	fx_open(&to);
	h = px_host(&to);
	CHECK(nv_make(&to, h, path, "disk.ro=true\ndisk.maxq=1\n") != NULL);
	fx_refused(&fx, &to, "");
	devices_destroy(&to.vmm);
	pci_host_free(h);
	fx_close(&to);
	/* Queues outside of RAM, which a state may say, are fatal, and a reset mends it. */
	memcpy(fx_field(dev, "sq"), &nowhere, 8);
	devices_resume(&fx.vmm);
	nv_doorbell(0, false, (admin.tail + 1) % RING);
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY | CSTS_FATAL);
	nv_write(R_CC, 0);
	nv_enable(RING);
	CHECK_EQ(nv_command(&admin, A_GET, 0, 0, 0, 1, 0, 0, NULL), ST_OK);
	devices_pause(&fx.vmm);
	memcpy(fx_field(dev, "cq"), &nowhere, 8);
	devices_resume(&fx.vmm);
	(void)nv_submit(&admin, &(struct sqe){ .opcode = A_GET, .cdw = { 1 } });
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY | CSTS_FATAL);
	finish();
}

TEST(damaged_states)
{
	setup("disk.ro=true\ndisk.maxq=2\n");
	devices_pause(&fx.vmm);
	fx_damage(&fx);
	finish();
}

TEST(keys_that_cannot_be)
{
	static const struct { const char *keys, *words; } bad[] = {
		{ "disk.sectsz=1024\n", "sectsz is 512 or 4096" }, { "disk.ser=123456789012345678901\n", "may have 20" },
		{ "disk.eui64=0\n", "eui64" }, { "disk.eui64=0x1ffffffffffffffff\n", "eui64" }, { "disk.eui64=12x\n", "eui64" },
		{ "disk.eui64=-1\n", "eui64" }, { "disk.dsm=enable\ndisk.ro=true\n", "dsm" },
	};

	image();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fx_open(&fx);
		host = px_host(&fx);
		CHECKF(nv_make(&fx, host, path, bad[i].keys) == NULL, "case %u", i);
		CHECK_HAS(vmm_errmsg(), bad[i].words);
		pci_host_free(host);
		fx_close(&fx);
	}
	CHECK_EQ(ftruncate(fd, 4096 + 512), 0);
	fx_open(&fx);
	host = px_host(&fx);
	CHECK(nv_make(&fx, host, path, "disk.sectsz=4K\n") == NULL);
	CHECK_HAS(vmm_errmsg(), "whole number of sectors");
	CHECK_EQ(unlink(path), 0);
	pci_host_free(host);
	fx_close(&fx);
	fx_open(&fx);
	host = px_host(&fx);
	CHECK(nv_make(&fx, host, path, "") == NULL);
	CHECK_HAS(vmm_errmsg(), "No such file");
	pci_host_free(host);
	fx_close(&fx);
	close(fd);
}

TEST_MAIN()
