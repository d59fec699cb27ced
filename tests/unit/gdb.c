/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gdb.c - the server of gdb's remote serial protocol: packets, registers, memory, a user's commands, and where it listens.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <netinet/in.h>

#include "gdb_fixture.h"

/* Packets */

TEST(checksums_and_retransmission)
{
	char first[256];

	setup();
	(void)snprintf(first, sizeof(first), "%s", ask("qSupported:swbreak+;hwbreak+"));
	CHECK(strstr(first, "PacketSize=") != NULL && strstr(first, "QStartNoAckMode+") != NULL && strstr(first, "multiprocess-") != NULL);
	put("-", 1);
	CHECK_STR(get_packet(), first);
	put("$qC#00", 6);
	CHECK_EQ(get(), '-');
	put("$qC#zz", 6);
	CHECK_EQ(get(), '-');
	/* What is no packet is no matter; a packet that begins in another is the one. */
	put("noise$qfThr", 11);
	EXPECT("qC", "QC1");
	EXPECT("vMustReplyEmpty", "");
	EXPECT("QStartNoAckMode", "OK");
	acks = false;
	EXPECT("qC", "QC1");
	/* Nobody looks at checksums then, and nothing is sent again. */
	put("-$qC#00", 7);
	CHECK_STR(get_packet(), "QC1");
	teardown();
}

TEST(packets_come_in_pieces_and_together)
{
	static const char two[] = "$qC#b4$qAttached#8f";

	setup();
	for (size_t cut = 1; cut < sizeof(two) - 1; cut++) {
		put(two, cut);
		turn(2);
		put(two + cut, sizeof(two) - 1 - cut);
		CHECK_STR(get_packet(), "QC1");
		CHECK_STR(get_packet(), "1");
	}
	teardown();
}

TEST(packets_that_are_too_long)
{
	static char text[RSP_MAX + 2];

	setup();
	memset(text, 'm', RSP_MAX + 1);
	REFUSED(text);
	text[RSP_MAX] = '\0';
	REFUSED(text);
	EXPECT("qC", "QC1");
	teardown();
}

/* A client that asks and does not listen is not answered without end. */
TEST(floods)
{
	static char text[1 << 16];
	size_t sent = 0;

	setup();
	EXPECT("QStartNoAckMode", "OK");
	acks = false;
	for (size_t i = 0; i + 5 <= sizeof(text); i += 5)
		memcpy(text + i, "$g#67", 5);
	for (unsigned i = 0; i < 200; i++) {
		ssize_t n = send(peer, text, sizeof(text), MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		turn(20);
	}
	CHECKF(sent < 4 << 20, "%zu bytes were taken", sent);
	teardown();
}

TEST(runs_and_escapes)
{
	static struct rsp_text t;
	static char frame[RSP_FRAME_MAX], back[RSP_MAX];
	char data[] = "}\x03}]a}";
	size_t len;

	/* Every length of a run comes back. */
	for (unsigned n = 1; n < 300; n++) {
		size_t at = 0;

		t.len = 0;
		for (unsigned i = 0; i < n; i++)
			rsp_add(&t, "0");
		rsp_add(&t, "1");
		len = rsp_frame(&t, frame);
		for (size_t i = 1; frame[i] != '#'; i++) {
			if (frame[i] != '*') {
				back[at++] = frame[i];
				continue;
			}
			i++;
			CHECK(frame[i] >= 32 && frame[i] <= 126 && frame[i] != '#' && frame[i] != '$');
			for (int k = 0; k < frame[i] - 29; k++, at++)
				back[at] = back[at - 1];
		}
		CHECK_EQ(at, t.len);
		CHECK_EQ(memcmp(back, t.text, at), 0);
		CHECK(n < 16 || len < t.len);
	}
	CHECK_EQ(rsp_unescape(data, 6), 4);
	CHECK_EQ(memcmp(data, "#}a}", 4), 0);
	t.len = 0;
	rsp_add_data(&t, "a#$}*z", 6);
	CHECK_EQ(t.len, 10);
	CHECK_EQ(rsp_unescape(t.text, t.len), 6);
	CHECK_EQ(memcmp(t.text, "a#$}*z", 6), 0);
}

/* Registers and memory */

TEST(description_and_registers)
{
	static char xml[1 << 15];
	char packet[64];
	const char *part, *all;
	size_t len = 0, before;
	unsigned regs = 0, bits = 0;

	setup();
	do {
		(void)snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,200", len);
		part = ask(packet);
		CHECK(part[0] == 'm' || part[0] == 'l');
		before = len;
		/* RSP escapes. */
		for (const char *p = part + 1; *p != '\0'; p++)
			xml[len++] = *p == '}' ? (char)(*++p ^ 0x20) : *p;
		CHECK(len > before || part[0] == 'l');
	} while (part[0] == 'm');
	CHECK(strstr(xml, "org.gnu.gdb.aarch64.core") != NULL && strstr(xml, "</target>") != NULL);
	for (const char *p = xml; (p = strstr(p, "<reg name=")) != NULL; p++) {
		regs++;
		bits += (unsigned)atoi(strstr(p, "bitsize=\"") + 9);
	}
	all = ask("g");
	CHECK_EQ(strlen(all), bits / 4);
	CHECK(begins(all, "0010a5d4e8000000"));			/* X0, little-endian */
	(void)snprintf(packet, sizeof(packet), "p%x", regs);
	REFUSED(packet);
	REFUSED("qXfer:features:read:other.xml:0,10");
	EXPECT("qXfer:features:read:target.xml:ffffffff,10", "l");
	EXPECT("p20", "0000004000000000");			/* PC */
	EXPECT("P2=8877665544332211", "OK");
	EXPECT("p2", "8877665544332211");
	CHECK_EQ(tv_get(cpus[0], VM_ARM64_REG_X0 + 2), 0x1122334455667788ULL);
	EXPECT("P22=000102030405060708090a0b0c0d0e0f", "OK");	/* V0 */
	EXPECT("p22", "000102030405060708090a0b0c0d0e0f");
	REFUSED("P2=88");
	REFUSED("P21=1f000000");				/* no such mode */
	EXPECT("Hg2", "OK");
	EXPECT("p0", "00204aa9d1010000");
	EXPECT("G0100000000000000", "OK");
	EXPECT("p0", "0100000000000000");
	REFUSED("G01");
	EXPECT("Hg1", "OK");
	EXPECT("p0", "0010a5d4e8000000");
	REFUSED("Hg3");
	REFUSED("Hx1");
	EXPECT("T2", "OK");
	REFUSED("T3");
	EXPECT("qfThreadInfo", "m1,2");
	EXPECT("qsThreadInfo", "l");
	CHECK_STR(ask("qThreadExtraInfo,2"), "7643505520313a2072756e73");
	teardown();
}

TEST(memory)
{
	setup();
	EXPECT("m40000000,8", "000400d11f2003d5");
	EXPECT("m40000001,1", "04");
	EXPECT("M40010020,4:01020304", "OK");
	CHECK_EQ(tv_peek(vm, DATA + 0x20), 0x04030201);
	EXPECT("X40010020,3:a}\x03z", "OK");
	EXPECT("m40010020,4", "61237a04");
	EXPECT("X40010020,0:", "OK");
	/* As much as there is; nothing is an error. */
	EXPECT("m400ffffc,10", "00000000");
	EXPECT("m40100000,4", "E0e");
	EXPECT("m0,0", "");
	REFUSED("M40100000,1:00");
	REFUSED("M400fffff,2:0000");
	REFUSED("M40010020,4:0102");
	REFUSED("M40010020,2:010203");
	REFUSED("X40010020,4:abc");
	REFUSED("mxyz");
	REFUSED("m11111111111111111,1");
	REFUSED("M40010020,ffffffffffffffff:00");
	/* Virtual addresses: with a table that maps nothing but the first half of RAM. */
	tv_poke(vm, DATA + 0x1000, (DATA + 0x2000) | 3);
	tv_poke(vm, DATA + 0x2000, RAM | 0x400 | 1);
	tv_set(cpus[0], VM_ARM64_REG_TTBR0_EL1, DATA + 0x1000);
	tv_set(cpus[0], VM_ARM64_REG_TCR_EL1, 16 | 16 << 16 | 2ULL << 30 | 2ULL << 32);
	tv_set(cpus[0], VM_ARM64_REG_MAIR_EL1, 0xff);
	tv_set(cpus[0], VM_ARM64_REG_SCTLR_EL1, 0x30d00801);
	EXPECT("m0,4", "000400d1");
	EXPECT("m40000000,4", "E0e");
	EXPECT("Hg2", "OK");
	EXPECT("m40000000,4", "000400d1");
	teardown();
}

static const char *
monitor(const char *line)
{
	static char text[RSP_MAX];
	char packet[256] = "qRcmd,";
	const char *p;
	size_t len = 0;

	for (size_t n = 6; *line != '\0'; line++, n += 2)
		(void)snprintf(packet + n, sizeof(packet) - n, "%02x", (unsigned)*line);
	p = ask(packet);
	while (rsp_bytes(&p, text + len, 1))
		len++;
	text[len] = '\0';
	return (text);
}

TEST(monitor_commands)
{
	open_stopped();
	CHECK(strstr(monitor("help"), "reset") != NULL);
	CHECK(strstr(monitor("rset"), "did you mean 'reset'") != NULL);
	CHECK(strstr(monitor("info"), "arm64 guest on back end soft") != NULL);
	CHECK(strstr(monitor("physical on"), "physical ones") != NULL);
	CHECK(strstr(monitor("physical of"), "not 'of'") != NULL);
	(void)monitor("");
	REFUSED("qRcmd,7");
	EXPECT("qRcmd,706f7765726f6666", "OK");		/* poweroff */
	CHECK_EQ(power_offs, 1);
	teardown();
}

/* Where it listens */

TEST(listens_for_its_owner_and_waits)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/hyve-test.XXXXXX", text[160];
	struct config *cfg;
	struct stat st;

	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/gdb", dir);
	(void)snprintf(text, sizeof(text), "gdb.path=%s\ngdb.wait=on\n", sun.sun_path);
	cfg = keys(text);
	CHECK(gdb_wanted(cfg));
	loop = event_loop_new();
	lg = log_new(log_line, NULL);
	gdb = gdb_open(loop, lg, cfg, &owner);
	CHECKF(gdb != NULL, "%s", vmm_errmsg());
	CHECK_EQ(holds, 1);
	CHECK_EQ(stat(sun.sun_path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	/* Somebody is there. */
	CHECK(gdb_open(loop, lg, cfg, &owner) == NULL);
	CHECK(strstr(vmm_errmsg(), "already") != NULL);
	vm_on();
	/* Who looks in and goes away does not start the guest. */
	for (unsigned i = 0; i < 2; i++) {
		peer = socket(AF_UNIX, SOCK_STREAM, 0);
		CHECK_EQ(connect(peer, (struct sockaddr *)&sun, sizeof(sun)), 0);
		acks = true;
		EXPECT("p20", "0000004000000000");
		if (i == 0)
			close(peer);
		turn(10);
		CHECK_EQ(holds, 1);
	}
	EXPECT("vCont;s:1", "T05thread:1;");
	EXPECT("D", "OK");
	CHECK_EQ(holds, 0);
	teardown();
	/* The socket goes with the server; a dead one is no hindrance, a file is. */
	CHECK_EQ(stat(sun.sun_path, &st), -1);
	peer = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(bind(peer, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(peer);
	peer = -1;
	loop = event_loop_new();
	lg = log_new(log_line, NULL);
	gdb = gdb_open(loop, lg, cfg, &owner);
	CHECKF(gdb != NULL, "%s", vmm_errmsg());
	teardown();
	config_free(cfg);
	(void)snprintf(text, sizeof(text), "gdb.path=%s\n", dir);
	cfg = keys(text);
	loop = event_loop_new();
	CHECK(gdb_open(loop, NULL, cfg, &owner) == NULL);
	CHECK(strstr(vmm_errmsg(), "no socket") != NULL);
	event_loop_free(loop);
	config_free(cfg);
	CHECK_EQ(rmdir(dir), 0);
}

TEST(tcp)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sin);
	struct config *cfg;
	char text[64];
	int busy;

	/* A port that is free a moment later. */
	busy = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(bind(busy, (struct sockaddr *)&sin, sizeof(sin)), 0);
	CHECK_EQ(getsockname(busy, (struct sockaddr *)&sin, &len), 0);
	CHECK_EQ(listen(busy, 1), 0);
	(void)snprintf(text, sizeof(text), "gdb.port=%u\ngdb.address=127.0.0.1\n", ntohs(sin.sin_port));
	cfg = keys(text);
	loop = event_loop_new();
	lg = log_new(log_line, NULL);
	CHECK(gdb_open(loop, lg, cfg, &owner) == NULL);
	CHECK(strstr(vmm_errmsg(), "cannot listen at 127.0.0.1") != NULL);
	close(busy);
	gdb = gdb_open(loop, lg, cfg, &owner);
	CHECKF(gdb != NULL, "%s", vmm_errmsg());
	CHECK_EQ(holds, 0);
	vm_on();
	peer = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(connect(peer, (struct sockaddr *)&sin, sizeof(sin)), 0);
	acks = true;
	CHECK(begins(ask("?"), "T05"));
	teardown();
	config_free(cfg);
	cfg = keys("gdb.port=1\ngdb.address=no.such.name.invalid\n");
	loop = event_loop_new();
	CHECK(gdb_open(loop, NULL, cfg, &owner) == NULL);
	CHECK(strstr(vmm_errmsg(), "no.such.name.invalid") != NULL);
	event_loop_free(loop);
	config_free(cfg);
}

TEST_MAIN()
