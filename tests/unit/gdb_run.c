/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gdb_run.c - the server of gdb's remote serial protocol: breakpoints, watchpoints, steps and interrupts of several vCPUs, and the life of a
 * connection.
 */
#include <sys/socket.h>

#include <poll.h>

#include "gdb_fixture.h"

/* Stopping and going on */

TEST(breakpoints_stop_all_vcpus)
{
	uint64_t other;

	open_stopped();
	EXPECT("Z0," AT_NOP ",4", "OK");
	EXPECT("Z0," AT_NOP ",4", "OK");
	CHECK(strstr(ask("vCont;c"), "swbreak:;") != NULL);
	CHECK_EQ(holds, 1);
	/* Memory is as it was. */
	EXPECT("m" AT_NOP ",4", "1f2003d5");
	EXPECT("p20", "0400004000000000");
	EXPECT("z0," AT_NOP ",4", "OK");
	EXPECT("Z1," AT_STORE ",4", "OK");
	CHECK(strstr(ask("c"), "hwbreak:;") != NULL);
	EXPECT("p20", "0800004000000000");
	EXPECT("z1," AT_STORE ",4", "OK");
	/* The second one alone, while the first is held. */
	other = tv_get(cpus[0], VM_ARM64_REG_X0);
	EXPECT("Z0,40000000,4", "OK");
	EXPECT("vCont;c:2", "T05thread:2;swbreak:;");
	EXPECT("vCont;s:2", "T05thread:2;");
	EXPECT("p20", "0400004000000000");
	EXPECT("vCont;c:2", "T05thread:2;swbreak:;");
	EXPECT("p20", "0000004000000000");
	CHECK_EQ(tv_get(cpus[0], VM_ARM64_REG_X0), other);
	teardown();
}

TEST(steps)
{
	open_stopped();
	EXPECT("s", "T05thread:1;");
	EXPECT("p20", "0400004000000000");
	EXPECT("Hc2", "OK");
	EXPECT("s40000008", "T05thread:2;");
	EXPECT("p20", "0c00004000000000");
	EXPECT("Hg1", "OK");
	EXPECT("p20", "0400004000000000");
	/* A range is stepped through without a word. */
	EXPECT("vCont;r40000000,40000010:1", "T05thread:1;");
	EXPECT("p20", "1000004000000000");
	EXPECT("vCont;S05:1;t", "T05thread:1;");
	EXPECT("p20", "0000004000000000");
	REFUSED("vCont;r5:1");
	REFUSED("vCont;x");
	REFUSED("vCont;c:9");
	REFUSED("vCont");
	REFUSED("vCont;t");
	REFUSED("cxyz");
	teardown();
}

TEST(watchpoints)
{
	open_stopped();
	EXPECT("Z2,40010100,8", "OK");
	EXPECT("vCont;c", "T05thread:2;watch:40010100;");
	EXPECT("p20", "0800004000000000");
	EXPECT("z2,40010100,8", "OK");
	EXPECT("Z3,40010004,1", "OK");
	EXPECT("vCont;c", "T05thread:1;rwatch:40010004;");
	EXPECT("z3,40010004,1", "OK");
	EXPECT("Z4,40010000,8", "OK");
	EXPECT("vCont;c", "T05thread:1;awatch:40010000;");
	EXPECT("Z5,40010000,8", "");
	REFUSED("Z2,40010000");
	REFUSED("Z2,40010000,0");
	REFUSED("Z2,40010000,100000");
	REFUSED("Z2,fffffffffffffff0,20");
	teardown();
}

TEST(too_many_points)
{
	char packet[32];

	open_stopped();
	for (unsigned i = 0; i < VM_DEBUG_MAX; i++) {
		(void)snprintf(packet, sizeof(packet), "Z0,%x,4", 0x50000000 + 4 * i);
		EXPECT(packet, "OK");
	}
	REFUSED("Z0,60000000,4");
	EXPECT("z0,50000000,4", "OK");
	EXPECT("Z0,60000000,4", "OK");
	teardown();
}

TEST(interrupts)
{
	open_stopped();
	for (unsigned i = 0; i < 20; i++) {
		put_packet("vCont;c");
		CHECK_EQ(get(), '+');
		turn(3);
		CHECK_EQ(holds, 0);
		REFUSED("g");				/* it runs */
		put("\x03", 1);
		CHECK(begins(get_packet(), "T02thread:"));
		CHECK_EQ(holds, 1);
	}
	/* One that comes while it is stopped already is none. */
	put("\x03", 1);
	EXPECT("qC", "QC1");
	/* Together with a breakpoint there is one answer. */
	EXPECT("Z0," AT_NOP ",4", "OK");
	for (unsigned i = 0; i < 50; i++) {
		put_packet("vCont;c");
		put("\x03", 1);
		CHECK(begins(get_packet(), "T0"));
		CHECK_STR(ask("qAttached"), "1");
		CHECK_EQ(holds, 1);
	}
	teardown();
}

/* The life of a connection */

TEST(detach_and_hang_up_let_it_go_on)
{
	struct pollfd p;
	int second[2];

	open_stopped();
	CHECK(strstr(logged, "a debugger has connected") != NULL);
	EXPECT("Z0," AT_NOP ",4", "OK");
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, second), 0);
	CHECK_EQ(gdb_serve(gdb, second[0]), -1);
	CHECK(strstr(vmm_errmsg(), "a debugger already") != NULL);
	close(second[1]);
	EXPECT("D", "OK");
	p = (struct pollfd){ .fd = peer, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 1000), 1);
	close(peer);
	CHECK_EQ(holds, 0);
	/* The points are gone: nobody stops. */
	turn(20);
	CHECK_EQ(holds, 0);
	dial();
	turn(2);
	CHECK_EQ(holds, 0);		/* it has not said anything */
	CHECK(begins(ask("?"), "T05"));
	CHECK_EQ(holds, 1);
	EXPECT("Z0," AT_NOP ",4", "OK");
	close(peer);
	for (unsigned i = 0; i < 1000 && holds != 0; i++)
		(void)event_loop_once(loop, 10);
	CHECK_EQ(holds, 0);
	dial();
	EXPECT("vKill;1", "OK");
	put_packet("k");
	turn(5);
	CHECK_EQ(power_offs, 2);
	teardown();
}

/* The answer to a reset comes when there is a machine again, and points outlive it. */
TEST(resets_and_the_end)
{
	open_stopped();
	EXPECT("Z0," AT_NOP ",4", "OK");
	put_packet("qRcmd,7265736574");			/* reset */
	CHECK_EQ(get(), '+');
	turn(3);
	CHECK_EQ(resets, 1);
	put_packet("p20");
	turn(3);
	vm_off(true, 0);
	vm_on();
	CHECK_STR(get_packet(), "OK");
	CHECK_EQ(get(), '+');
	CHECK_STR(get_packet(), "0000004000000000");
	CHECK(strstr(ask("vCont;c"), "swbreak") != NULL);
	/* One that the guest makes while it runs. */
	EXPECT("z0," AT_NOP ",4", "OK");
	EXPECT("Z1," AT_STORE ",4", "OK");
	CHECK(strstr(ask("vCont;c"), "hwbreak") != NULL);
	EXPECT("z1," AT_STORE ",4", "OK");
	EXPECT("Z2,40010ff8,8", "OK");			/* where nobody stores */
	put_packet("vCont;c");
	CHECK_EQ(get(), '+');
	turn(3);
	vm_off(true, 0);
	vm_on();
	tv_poke(vm, DATA, 1);
	put("\x03", 1);
	CHECK(begins(get_packet(), "T02"));
	put_packet("vCont;c");
	CHECK_EQ(get(), '+');
	turn(3);
	vm_off(false, 1);
	CHECK_STR(get_packet(), "W01");
	REFUSED("g");
	teardown();
}

TEST_MAIN()
