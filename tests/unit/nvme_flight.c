/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvme_flight.c - commands under way in an NVMe controller: queues that are deleted, resets, pauses, shutdowns and the loss of the bus
 * meanwhile; a disk that fails; durability; and drivers on several processors at once.
 *
 * The device is given an image that waits when the test wants it to by the linker (--wrap=block_open_keys).
 */
#include "held_disk.h"
#include "nvme_driver.h"

#define	RING		16U

static void
setup(const char *keys)
{
	nv_open("held", keys);
	nv_enable(RING);
	nv_pair(&ioq, 1, RING, 1);
}

static void
finish(void)
{
	pd_close();
	CHECK(disk.closed);
}

/* Reads that are told at once, each with memory of its own. */
static void
read_some(unsigned n)
{
	struct sqe cmd = nv_rw(IO_READ, 0, 8, 0, 0);

	for (unsigned i = 0; i < n; i++) {
		cmd.prp1 = DATA + 4096 * i;
		(void)nv_put(&ioq, &cmd);
	}
	nv_doorbell(1, false, ioq.tail);
}

/* The deletion completes behind the commands that were taken; other queues, and the administrator's, go on meanwhile. */
TEST(queue_is_deleted_with_commands_outstanding)
{
	uint16_t cid;
	struct cqe c;

	setup("disk.ioslots=2\n");
	hold(true);
	read_some(6);			/* two are taken, four are dropped */
	wait_held(2);
	cid = nv_submit(&admin, &(struct sqe){ .opcode = A_DELETE_SQ, .cdw = { 1 } });
	usleep(10000);
	CHECK(!nv_done(&admin));
	CHECK_EQ(nv_command(&admin, A_DELETE_CQ, 0, 0, 0, 1, 0, 0, NULL), ST_DELETION);
	CHECK_EQ(nv_command(&admin, A_DELETE_SQ, 0, 0, 0, 1, 0, 0, NULL), ST_QID);
	CHECK_EQ(nv_command(&admin, A_CREATE_SQ, 0, SQ_AT(1), 0, 15 << 16 | 1, 1 << 16 | 1, 0, NULL), ST_QID);
	nv_doorbell(1, false, 9);	/* it is not there any more */
	hold(false);
	c = nv_wait(&admin);
	CHECK_EQ(c.cid, cid);
	CHECK_EQ(nv_status(&c), ST_OK);
	for (unsigned i = 0; i < 2; i++) {
		c = nv_wait(&ioq);
		CHECK_EQ(nv_status(&c), ST_OK);
	}
	CHECK(!nv_done(&ioq));
	CHECK_EQ(nv_command(&admin, A_DELETE_CQ, 0, 0, 0, 1, 0, 0, NULL), ST_OK);
	nv_pair(&ioq, 1, RING, 1);
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA, 0), ST_OK);
	finish();
}

/* A reset waits for what the image has, and tells nobody. */
TEST(reset_with_commands_outstanding)
{
	pthread_t t;

	setup("");
	hold(true);
	read_some(8);
	wait_held(4);			/* as many as the image has threads */
	(void)nv_submit(&admin, &(struct sqe){ .opcode = A_DELETE_SQ, .cdw = { 1 } });
	t = release_later();
	nv_write(R_CC, 0);
	CHECK_EQ(disk.waiting, 0);
	CHECK_EQ(nv_read(R_CSTS), 0);
	pthread_join(t, NULL);
	CHECK(!nv_done(&ioq) && !nv_done(&admin));
	nv_enable(RING);
	nv_pair(&ioq, 1, RING, 1);
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA, 0), ST_OK);
	finish();
}

/* A pause waits too, and the completions are there; what was not taken is after the resume. */
TEST(pause_with_commands_outstanding)
{
	pthread_t t;

	setup("disk.ioslots=3\n");
	hold(true);
	read_some(10);
	wait_held(3);
	(void)nv_submit(&admin, &(struct sqe){ .opcode = A_DELETE_SQ, .cdw = { 5 } });
	t = release_later();
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);
	CHECK_EQ(disk.reads, 3);
	pthread_join(t, NULL);
	devices_resume(&fx.vmm);
	for (unsigned i = 0; i < 10; i++)
		(void)nv_wait(&ioq);
	(void)nv_wait(&admin);
	finish();
}

/* The device's reset after a pause, as a machine's. */
TEST(machine_reset)
{
	setup("");
	read_some(8);
	pd_reset();
	CHECK_EQ(nv_read(R_CC), 0);
	CHECK_EQ(nv_read(R_CSTS), 0);
	CHECK_EQ(nv_read(R_AQA), 0);
	nv_enable(RING);
	nv_pair(&ioq, 1, RING, 1);
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA, 0), ST_OK);
	finish();
}

TEST(bus_is_lost_with_commands_outstanding)
{
	pthread_t t;

	setup("disk.ioslots=2\n");
	hold(true);
	read_some(5);
	wait_held(2);
	t = release_later();
	pd_bus(false);
	CHECK_EQ(disk.waiting, 0);
	pthread_join(t, NULL);
	(void)nv_wait(&ioq);
	(void)nv_wait(&ioq);
	CHECK(!nv_done(&ioq));
	CHECK_EQ(disk.reads, 2);
	pd_bus(true);
	for (unsigned i = 0; i < 3; i++)
		(void)nv_wait(&ioq);
	finish();
}

TEST(slots)
{
	setup("disk.ioslots=1\n");
	hold(true);
	read_some(RING - 1);
	wait_held(1);
	usleep(10000);
	CHECK_EQ(disk.reads, 1);
	/* The administrator's commands need none. */
	CHECK_EQ(nv_command(&admin, A_IDENTIFY, 0, DATA, 0, 1, 0, 0, NULL), ST_OK);
	hold(false);
	for (unsigned i = 0; i < RING - 1; i++)
		(void)nv_wait(&ioq);
	CHECK_EQ(disk.reads, RING - 1);
	finish();
}

/* Shutdown: a flush, whose end the status tells; a reset mends it. */
TEST(shutdown_notification)
{
	setup("");
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(disk.flushes, 0);
	hold(true);
	nv_write(R_CC, CC_ON | CC_SHUTDOWN);
	wait_held(1);
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY | 4);
	nv_write(R_CC, CC_ON | CC_SHUTDOWN);
	hold(false);
	for (unsigned i = 0; nv_read(R_CSTS) != (CSTS_READY | 8); i++) {
		CHECK(i < 400000);
		usleep(50);
	}
	CHECK_EQ(disk.flushes, 1);
	nv_write(R_CC, 0);
	CHECK_EQ(nv_read(R_CSTS), 0);
	nv_enable(RING);
	/* An abrupt one, and a pause in its middle. */
	nv_write(R_CC, CC_ON | 0x8000);
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);
	devices_resume(&fx.vmm);
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY | 8);
	CHECK_EQ(disk.flushes, 2);
	/* One of a paused device, as when it is about to be unplugged, waits for the resume. */
	nv_write(R_CC, 0);
	nv_enable(RING);
	devices_pause(&fx.vmm);
	nv_write(R_CC, CC_ON | CC_SHUTDOWN);
	usleep(10000);
	CHECK_EQ(nv_read(R_CSTS), CSTS_READY | 4);
	CHECK_EQ(disk.flushes, 2);
	devices_resume(&fx.vmm);
	for (unsigned i = 0; nv_read(R_CSTS) != (CSTS_READY | 8); i++) {
		CHECK(i < 400000);
		usleep(50);
	}
	CHECK_EQ(disk.flushes, 3);
	finish();
}

static unsigned
with_fua(uint8_t opcode)
{
	struct sqe cmd = nv_rw(opcode, 0, 8, DATA, 0);
	struct cqe c;

	cmd.cdw[2] |= 1U << 30;
	c = nv_ask(&ioq, &cmd);
	return (nv_status(&c));
}

/* What is durable when: flushes, FUA, and no cache. */
TEST(durability)
{
	struct sqe cmd = nv_rw(IO_ZEROES, 0, 8, 0, 0);

	setup("");
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(nv_io(IO_ZEROES, 0, 8, 0, 0), ST_OK);
	CHECK_EQ(disk.unmaps, 0);
	CHECK_EQ(disk.flushes, 0);
	CHECK_EQ(nv_command(&ioq, IO_FLUSH, 1, 0, 0, 0, 0, 0, NULL), ST_OK);
	CHECK_EQ(disk.flushes, 1);
	CHECK_EQ(with_fua(IO_WRITE), ST_OK);
	CHECK_EQ(disk.flushes, 2);
	CHECK_EQ(with_fua(IO_ZEROES), ST_OK);
	CHECK_EQ(disk.flushes, 3);
	CHECK_EQ(with_fua(IO_READ), ST_OK);
	CHECK_EQ(disk.flushes, 4);
	cmd.cdw[2] |= 1U << 25;
	(void)nv_ask(&ioq, &cmd);
	CHECK_EQ(disk.unmaps, 1);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 6, 0, 0, NULL), ST_OK);
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(disk.flushes, 5);
	CHECK_EQ(nv_io(IO_ZEROES, 0, 8, 0, 0), ST_OK);
	CHECK_EQ(disk.flushes, 6);
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(disk.flushes, 6);
	finish();
}

TEST(writethrough)
{
	setup("disk.cache=writethrough\n");
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(disk.flushes, 1);
	CHECK_EQ(nv_command(&admin, A_SET, 0, 0, 0, 6, 1, 0, NULL), ST_OK);
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_OK);
	CHECK_EQ(disk.flushes, 1);
	finish();
}

TEST(disk_that_fails)
{
	struct { uint32_t attributes, blocks; uint64_t lba; } range = { 0, 8, 0 };
	uint64_t errors;

	setup("");
	memcpy(ram + DATA, &range, sizeof(range));
	disk.error = EIO;
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA + 4096, 0), ST_READ_ERROR);
	CHECK_EQ(nv_io(IO_COMPARE, 0, 8, DATA, 0), ST_READ_ERROR);
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_WRITE_FAULT);
	CHECK_EQ(nv_io(IO_ZEROES, 0, 8, 0, 0), ST_WRITE_FAULT);
	CHECK_EQ(nv_command(&ioq, IO_DSM, 1, DATA, 0, 0, 4, 0, NULL), ST_WRITE_FAULT);
	CHECK_EQ(disk.discards, 1);
	disk.error = ENOSPC;
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_CAPACITY);
	CHECK_EQ(disk.flushes, 0);
	CHECK_EQ(with_fua(IO_WRITE), ST_CAPACITY);	/* nothing to be made durable */
	CHECK_EQ(disk.flushes, 0);
	disk.error = 0;
	CHECK_EQ(nv_io(IO_WRITE, 0, 8, DATA, 0), ST_OK);
	disk.flush_error = EIO;
	CHECK_EQ(nv_command(&ioq, IO_FLUSH, 1, 0, 0, 0, 0, 0, NULL), ST_INTERNAL);
	CHECK_EQ(with_fua(IO_WRITE), ST_WRITE_FAULT);
	disk.flush_error = 0;
	CHECK_EQ(nv_command(&ioq, IO_FLUSH, 1, 0, 0, 0, 0, 0, NULL), ST_INTERNAL);	/* nobody knows what was lost */
	CHECK_HAS(fx.log, "Input/output error");
	CHECK_EQ(nv_command(&admin, A_LOG, 0, DATA, 0, 2 | 127U << 16, 0, 0, NULL), ST_OK);
	memcpy(&errors, ram + DATA + 160, 8);
	CHECK_EQ(errors, 10);
	finish();
}

/* Several processors: commands on a queue each, resets, the bus, masks, doorbells, while the others are at it. */
static void
touch(uint32_t v)
{
	switch (v % 8) {
	case 1:
		nv_write(R_CC, (v & 0x700) == 0 ? 0 : CC_ON);
		break;
	case 2:
		nv_write(R_INTMS + (v & 4), v);
		break;
	case 3:
		nv_write(R_CC, CC_ON | CC_SHUTDOWN);
		break;
	default:
		nv_write(0x1000 + (v >> 8) % 6 * 4, (v >> 16) % RING);
		break;
	}
}

static void *
hammer(void *arg)
{
	return (pd_hammer(arg, touch));
}

TEST(processors_meet)
{
	struct sqe *admins = NULL, *ios = NULL;
	pthread_t t[FX_THREADS];

	setup("");
	admins = (struct sqe *)(void *)(ram + SQ_AT(0));
	ios = (struct sqe *)(void *)(ram + SQ_AT(1));
	/* Queues' memory that is the same whoever reads it when; no two commands write to the same memory. */
	for (unsigned i = 0; i < RING; i++) {
		static const uint8_t opcodes[] = { A_CREATE_CQ, A_CREATE_SQ, A_GET, A_EVENT, A_DELETE_SQ, A_DELETE_CQ, A_LOG, A_ABORT };
		uint8_t op = opcodes[i % 8];

		admins[i] = (struct sqe){ .opcode = op, .cid = (uint16_t)i, .prp1 = op == A_CREATE_SQ ? SQ_AT(1) : op == A_CREATE_CQ ? CQ_AT(1) :
		    DATA + 0x10000, .cdw = { op == A_GET ? 1 : op == A_LOG ? 1 | 15 << 16 : (op == A_CREATE_CQ || op == A_CREATE_SQ ? (RING - 1) << 16 : 0) | 1,
		    1 << 16 | 3 } };
		ios[i] = i % 4 == 3 ? (struct sqe){ .opcode = IO_FLUSH, .nsid = 1 } : nv_rw(i % 4 == 0 ? IO_WRITE : IO_COMPARE, i, 8, DATA + 4096 * i, 0);
	}
	fx_hammer_start(t, hammer);
	fx_hammer_join(t);
	pd_bus(true);
	nv_write(R_CC, 0);
	CHECK_EQ(nv_read(R_CSTS), 0);
	nv_enable(RING);
	nv_pair(&ioq, 1, RING, 1);
	CHECK_EQ(nv_io(IO_READ, 0, 8, DATA, 0), ST_OK);
	finish();
}

TEST_MAIN()
